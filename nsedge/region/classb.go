package region

import (
	"encoding/binary"

	"gatewayd/radio"
)

// classB is where a region has its beacons and its ping slots: on one channel,
// or hopping over eight of them. Coding rate is 4/5, and both have the same
// data rate unless a device was told otherwise.
type classB struct {
	beacons []radio.Hertz
	pings   []radio.Hertz // nil: where the beacons are
	dr      int
}

// fixed is class B on one channel.
func fixed(f radio.Hertz, dr int) classB { return classB{beacons: []radio.Hertz{f}, dr: dr} }

// hopping is class B on eight channels.
func hopping(first, step radio.Hertz, dr int) classB {
	c := classB{dr: dr}
	for i := range radio.Hertz(8) {
		c.beacons = append(c.beacons, first+i*step)
	}
	return c
}

// beaconPreamble is the number of preamble symbols of a beacon (TS001-1.0.4
// §12.1).
const beaconPreamble = 10

// BeaconChannel is the channel of a beacon, by the number of its beacon
// period, and the data rate of all of them.
func (r *Region) BeaconChannel(period int64) (radio.Hertz, int) {
	return r.classB.beacons[period%int64(len(r.classB.beacons))], r.classB.dr
}

// Beacon is the modulation of beacons: a longer preamble, no header, no CRC of
// the radio's, and not inverted as other downlinks are (TS001-1.0.4 §12.1).
func (r *Region) Beacon() radio.LoRa {
	d, err := r.rate(r.classB.dr)
	m, ok := d.Mod.(radio.LoRa)
	if err != nil || !ok { // the tests ask each region
		return radio.LoRa{}
	}
	m.Preamble, m.Implicit, m.NoCRC = beaconPreamble, true, true
	return m
}

// PingChannel is the default channel of the ping slots of an address (most
// significant byte first) in a beacon period, and their data rate.
func (r *Region) PingChannel(addr [4]byte, period int64) (radio.Hertz, int) {
	pings := r.classB.pings
	if pings == nil {
		pings = r.classB.beacons
	}
	return pings[(int64(binary.BigEndian.Uint32(addr[:]))+period)%int64(len(pings))], r.classB.dr
}
