package region

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// What a Region does not have. They are wrapped with the value and what is
// allowed.
var (
	ErrUnknown   = errors.New("unknown region")
	ErrDataRate  = errors.New("no such data rate")
	ErrFrequency = errors.New("frequency outside the region's channels")
	ErrOffset    = errors.New("RX1 data rate offset out of range")
	ErrPower     = errors.New("TX power index out of range")
)

// ADR and acknowledgement parameters, the same in all regions (RP002 §2.3).
const (
	ADRAckLimit = 64
	ADRAckDelay = 32
)

// Region is the set of rules and channels of one part of the world.
type Region struct {
	plan
	group     int // of fixed plans, 1..groups; 0 where there are none
	dwell     Dwell
	up, down  band.Band // differ in the dwell time only; never modified
	rates     []DataRate
	maxOffset int
}

// Version is the revision of the specification that a device follows. The
// zero value means the latest known.
type Version struct {
	LoRaWAN string // "1.0.0" to "1.0.4", "1.1.0"
	Params  string // "A", "B", "RP002-1.0.0" to "RP002-1.0.3"
}

// Dwell says whether a single transmission may last 400 ms at most.
type Dwell struct{ Uplink, Downlink bool }

// DwellTime is the limit that [Dwell] is about (RP002 §2.8.3, §2.11.3).
const DwellTime = 400 * time.Millisecond

// DataRate is an entry of a region's data rate table.
type DataRate struct {
	Index            int
	Mod              radio.Modulation // LoRa or FSK, with the defaults of an uplink
	Uplink, Downlink bool
}

// Delays from the end of an uplink to the start of a receive window.
type Delays struct{ RX1, RX2, JoinAccept1, JoinAccept2 time.Duration }

// Name is the specification's name, e.g. "EU863-870", without a group.
func (r *Region) Name() string { return r.name }

// Short is the common name, e.g. "EU868", with the group where there are any,
// e.g. "US915-2". [Lookup] finds the same region by it.
func (r *Region) Short() string {
	if r.groups == 0 {
		return r.short
	}
	return fmt.Sprintf("%s-%d", r.short, r.group)
}

// String is Short.
func (r *Region) String() string { return r.Short() }

// Group is the group of eight channels, from 1; 0 where there are no groups.
func (r *Region) Group() int { return r.group }

// Contains tells whether a carrier may be on f at all.
func (r *Region) Contains(f radio.Hertz) bool { return r.from <= f && f <= r.to }

// Range is the lowest and the highest frequency of the region.
func (r *Region) Range() (from, to radio.Hertz) { return r.from, r.to }

// DataRates lists the table in the order of the index. LR-FHSS rates are left
// out: neither radio of a gateway can receive them.
func (r *Region) DataRates() []DataRate { return slices.Clone(r.rates) }

func (r *Region) rate(dr int) (DataRate, error) {
	for _, d := range r.rates {
		if d.Index == dr {
			return d, nil
		}
	}
	return DataRate{}, fmt.Errorf("%w: DR%d in %s, which has %s", ErrDataRate, dr, r.Short(), r.rateList())
}

func (r *Region) rateList() string {
	var names []string
	for _, d := range r.rates {
		names = append(names, fmt.Sprintf("DR%d", d.Index))
	}
	return strings.Join(names, " ")
}

// DataRate returns the modulation of a data rate, as an uplink uses it.
func (r *Region) DataRate(dr int) (radio.Modulation, error) {
	d, err := r.rate(dr)
	return d.Mod, err
}

// Downlink returns the modulation of a data rate as a gateway sends it to a
// device: LoRa with inverted IQ and without a CRC (LoRaWAN 1.0.4 §3). FSK is
// the same both ways.
func (r *Region) Downlink(dr int) (radio.Modulation, error) {
	d, err := r.rate(dr)
	if err != nil {
		return nil, err
	}
	if !d.Downlink {
		return nil, fmt.Errorf("%w: DR%d of %s is for uplinks only", ErrDataRate, dr, r.Short())
	}
	if m, ok := d.Mod.(radio.LoRa); ok {
		m.InvertIQ, m.NoCRC = true, true
		return m, nil
	}
	return d.Mod, nil
}

// DataRateOf returns the index of a modulation. Only spreading factor and
// bandwidth, or the bit rate, count. The direction matters where two indices
// have the same modulation (DR4 and DR12 of US915).
func (r *Region) DataRateOf(m radio.Modulation, uplink bool) (int, error) {
	for _, d := range r.rates {
		if same(d.Mod, m) && (uplink && d.Uplink || !uplink && d.Downlink) {
			return d.Index, nil
		}
	}
	return 0, fmt.Errorf("%w: %v in %s", ErrDataRate, m, r.Short())
}

func same(a, b radio.Modulation) bool {
	switch a := a.(type) {
	case radio.LoRa:
		b, ok := b.(radio.LoRa)
		return ok && a.SF == b.SF && a.Bandwidth == b.Bandwidth
	case radio.FSK:
		b, ok := b.(radio.FSK)
		return ok && a.BitRate == b.BitRate
	}
	return false
}

// Delays returns the default delays of the receive windows.
func (r *Region) Delays() Delays {
	if r.delays != (Delays{}) {
		return r.delays
	}
	d := r.down.GetDefaults()
	return Delays{d.ReceiveDelay1, d.ReceiveDelay2, d.JoinAcceptDelay1, d.JoinAcceptDelay2}
}

// RX2 returns the default frequency and data rate of the second window.
func (r *Region) RX2() (radio.Hertz, int) {
	d := r.down.GetDefaults()
	return radio.Hertz(d.RX2Frequency), d.RX2DataRate
}

// PersonalisedRX2 is RX2 of a device that never joined: it differs where the
// join channel decides.
func (r *Region) PersonalisedRX2() (radio.Hertz, int) {
	f, dr := r.RX2()
	if r.antenna != nil {
		f = r.antenna.abp
	}
	return f, dr
}

// JoinAccept is the frequency of both windows after a join-request on up,
// where the region's join channels have their own; otherwise it is that of the
// window, given as usual.
func (r *Region) JoinAccept(up, usual radio.Hertz) radio.Hertz {
	if r.antenna == nil {
		return usual
	}
	if r.antenna.accept != 0 {
		return r.antenna.accept
	}
	f, err := r.down.GetRX1FrequencyForUplinkFrequency(uint32(up))
	if err != nil {
		return usual
	}
	return radio.Hertz(f)
}

// RX1 returns the frequency and the data rate of the first window after an
// uplink on freq with data rate dr, for a device with the given
// RX1DROffset (0 to [Region.MaxRX1Offset]).
func (r *Region) RX1(freq radio.Hertz, dr, offset int) (radio.Hertz, int, error) {
	if !r.Contains(freq) {
		return 0, 0, fmt.Errorf("%w: %d Hz, %s is %d to %d Hz", ErrFrequency, freq, r.Short(), r.from, r.to)
	}
	f, err := r.down.GetRX1FrequencyForUplinkFrequency(uint32(freq))
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %d Hz is no uplink channel of %s", ErrFrequency, freq, r.Short())
	}
	down, err := r.rx1DataRate(dr, offset)
	return radio.Hertz(f), down, err
}

func (r *Region) rx1DataRate(dr, offset int) (int, error) {
	if offset < 0 || offset > r.maxOffset {
		return 0, fmt.Errorf("%w: %d, %s allows 0 to %d", ErrOffset, offset, r.Short(), r.maxOffset)
	}
	if d, err := r.rate(dr); err != nil {
		return 0, err
	} else if !d.Uplink {
		return 0, fmt.Errorf("%w: DR%d of %s is for downlinks only", ErrDataRate, dr, r.Short())
	}
	if row, ok := r.rx1[dr]; ok {
		return row[offset], nil
	}
	down, err := r.down.GetRX1DataRateIndex(dr, offset)
	if err != nil {
		return 0, fmt.Errorf("%w: DR%d of %s with RX1 offset %d", ErrDataRate, dr, r.Short(), offset)
	}
	return down, nil
}

// MaxRX1Offset is the highest RX1DROffset that a device may be given.
func (r *Region) MaxRX1Offset() int { return r.maxOffset }

// MaxPayload is the size in bytes of the longest FRMPayload of a downlink
// without FOpts ("N" of the specification; a MACPayload may have 8 more).
// It is 0 where the dwell time forbids the data rate, or where there is none.
func (r *Region) MaxPayload(dr int, v Version) int { return maxPayload(r.down, dr, v) }

// MaxUplinkPayload is MaxPayload for uplinks.
func (r *Region) MaxUplinkPayload(dr int, v Version) int { return maxPayload(r.up, dr, v) }

func maxPayload(b band.Band, dr int, v Version) int {
	s, err := b.GetMaxPayloadSizeForDataRateIndex(v.LoRaWAN, v.Params, dr)
	if err != nil {
		return 0
	}
	return s.N
}

// Dwell says which transmissions a dwell time limits.
func (r *Region) Dwell() Dwell { return r.dwell }

// HasTXParamSetup tells whether devices know TxParamSetupReq, by which a
// network changes dwell times and EIRP.
func (r *Region) HasTXParamSetup() bool { return r.down.ImplementsTXParamSetup("") }

// ListenBeforeTalk tells whether the law wants it before each transmission.
func (r *Region) ListenBeforeTalk() bool { return r.lbt }
