package region

import (
	"errors"
	"fmt"
	"slices"

	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// antenna is a plan of RP002-1.0.1 and later for CN470-510: how wide the
// antennas are, in MHz, and which part of the band they are for. brocaar has
// none of them; the values are those of LoRaMac-node 4.7 (RegionCN470A20, B20,
// A26, B26) and of The Things Stack (cn_470_510_20_a and so on).
type antenna struct {
	name     string // "20A"
	up, down []radio.Hertz
	off      uint8         // ChMaskCntl that switches all channels off
	joins    []radio.Hertz // the common join channels of the plan
	// accept is where both windows of a join-request are; 0: in RX1's channel.
	accept radio.Hertz
	rx2    func(group int) radio.Hertz // of a device that joined
	abp    radio.Hertz                 // RX2 of a personalised device
	classB func(group int) classB
}

// cn470Antennas are the plans for antennas of 20 and 26 MHz, A and B.
//
// The narrower ones send and receive on different parts of the band (A) or on
// the same channel (B). What follows from a device's join channel follows here
// from the gateway's group: a device joins on a channel of its gateway.
func cn470Antennas() []antenna {
	always := func(f radio.Hertz) func(int) radio.Hertz { return func(int) radio.Hertz { return f } }
	onOne := func(f radio.Hertz) func(int) classB { return func(int) classB { return fixed(f, 2) } }
	upper := func(group int) radio.Hertz { return radio.Hertz((group - 1) / 4) } // 20 MHz B: groups 5 to 8
	b20 := slices.Concat(steps(476_900_000, 32), steps(496_900_000, 32))
	return []antenna{
		{
			name: "20A", off: 7,
			up:   slices.Concat(steps(470_300_000, 32), steps(503_500_000, 32)),
			down: steps(483_900_000, 64),
			joins: []radio.Hertz{
				470_900_000, 472_500_000, 474_100_000, 475_700_000,
				504_100_000, 505_700_000, 507_300_000, 508_900_000,
			},
			rx2:    func(group int) radio.Hertz { return 485_300_000 + radio.Hertz(group-1)*1_600_000 },
			abp:    486_900_000,
			classB: func(group int) classB { return hopping(483_900_000+radio.Hertz(group-1)*1_600_000, 200_000, 2) },
		},
		{
			name: "20B", off: 7,
			up: b20, down: b20,
			joins: []radio.Hertz{479_900_000, 499_900_000},
			rx2:   func(group int) radio.Hertz { return 478_300_000 + upper(group)*20_000_000 },
			abp:   498_300_000,
			classB: func(group int) classB {
				c := fixed(481_500_000+upper(group)*20_000_000, 2)
				c.pings = steps(476_900_000+upper(group)*20_000_000, 32)
				return c
			},
		},
		{
			name: "26A", off: 4,
			up: steps(470_300_000, 48), down: steps(490_100_000, 24),
			joins:  []radio.Hertz{470_300_000, 472_300_000, 474_300_000, 476_300_000, 478_300_000},
			accept: 492_500_000, rx2: always(492_500_000), abp: 492_500_000,
			classB: onOne(494_900_000),
		},
		{
			name: "26B", off: 4,
			up: steps(480_300_000, 48), down: steps(500_100_000, 24),
			joins:  []radio.Hertz{480_300_000, 482_300_000, 484_300_000, 486_300_000, 488_300_000},
			accept: 502_500_000, rx2: always(502_500_000), abp: 502_500_000,
			classB: onOne(504_900_000),
		},
	}
}

// cn470Antenna makes the plan of an antenna.
func cn470Antenna(a antenna) plan {
	p := cn470()
	p.name, p.short = "CN470-510-"+a.name, "CN470-"+a.name
	p.aliases = []string{fmt.Sprintf("CN470-510-%s-%s", a.name[:2], a.name[2:])}
	p.groups, p.antenna = len(a.up)/8, &a
	p.gateway = func(group int) Plan { return Plan{MultiSF: slices.Clone(a.up[8*(group-1) : 8*group])} }
	// There is no DR0: RX1 goes down to DR1.
	p.rx1 = map[int][]int{
		1: {1, 1, 1, 1, 1, 1}, 2: {2, 1, 1, 1, 1, 1}, 3: {3, 2, 1, 1, 1, 1}, 4: {4, 3, 2, 1, 1, 1},
		5: {5, 4, 3, 2, 1, 1}, 6: {6, 5, 4, 3, 2, 1}, 7: {7, 6, 5, 4, 3, 2},
	}
	return p
}

// antennaBand is brocaar's band for China with the channels of an antenna and
// without DR0.
type antennaBand struct {
	band.Band
	*antenna
	group int
}

var errNoDR0 = errors.New("DR0 is not for use since RP002-1.0.1")

func (b antennaBand) GetDataRate(dr int) (band.DataRate, error) {
	if dr == 0 {
		return band.DataRate{}, errNoDR0
	}
	return b.Band.GetDataRate(dr)
}

func (b antennaBand) GetDefaults() band.Defaults {
	d := b.Band.GetDefaults()
	d.RX2Frequency, d.RX2DataRate = uint32(b.rx2(b.group)), 1
	return d
}

func (b antennaBand) GetUplinkChannelIndices() []int {
	out := make([]int, len(b.up))
	for i := range out {
		out[i] = i
	}
	return out
}

func (b antennaBand) GetStandardUplinkChannelIndices() []int { return b.GetUplinkChannelIndices() }

func (b antennaBand) GetUplinkChannel(i int) (band.Channel, error) {
	if i < 0 || i >= len(b.up) {
		return band.Channel{}, fmt.Errorf("channel %d: 0 to %d is allowed", i, len(b.up)-1)
	}
	return band.Channel{Frequency: uint32(b.up[i]), MinDR: 1, MaxDR: 5}, nil
}

func (b antennaBand) GetRX1FrequencyForUplinkFrequency(f uint32) (uint32, error) {
	i := slices.Index(b.up, radio.Hertz(f))
	if i < 0 {
		return 0, ErrFrequency
	}
	return uint32(b.down[i%len(b.down)]), nil
}
