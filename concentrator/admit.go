package concentrator

import (
	"fmt"
	"strings"
	"time"

	"gatewayd/radio"
)

const (
	// hostSlack is how late the operating system may wake the loop.
	hostSlack = 1500 * time.Microsecond
	// armAhead is when a transmission is armed if nothing is in the way. It is
	// well before the last moment: the trigger is the chip's business then.
	armAhead = 20 * time.Millisecond
	// horizon bounds how far ahead a transmission can be scheduled.
	horizon = 512 * time.Second
	// freshClock is how old a look at the counter may be for an admission.
	freshClock = 2 * time.Second

	minLoRaPreamble = 6
	minFSKPreamble  = 3
	maxPayload      = 255

	// Frames that a transmission costs: settings, payload with its switch,
	// trigger, and the look at the counter that confirms it.
	prepareFrames, prepareBytes = 10, 80
	armFrames, armBytes         = 7, 50
)

// transmission is a Downlink on its way.
type transmission struct {
	d       radio.Downlink
	lora    *radio.LoRa // one of the three
	fsk     *radio.FSK
	carrier *radio.Carrier
	chain   int
	gain    Gain
	at      ticks // first preamble symbol
	trigger ticks // when the transmitter has to be started
	end     ticks
	listen  *listening // nil: without listen before talk
	report  radio.Report
	written time.Time // shortly before the trigger was

	silenced bool // a carrier whose time is over
}

// plan checks everything about a Downlink that does not depend on the moment.
func (c *Config) plan(d radio.Downlink) (*transmission, error) {
	t := &transmission{d: d, at: ticksOf(d.At), report: radio.Report{ID: d.ID, Planned: d.At}}
	if err := t.checkFrame(c); err != nil {
		return nil, err
	}
	chain, err := c.transmitter(d.Freq)
	if err != nil {
		return nil, err
	}
	r := &c.Radios[chain]
	gain, ok := pickGain(r.Gains, d.Power)
	if !ok {
		lowest := r.Gains[0].Power
		for _, g := range r.Gains {
			lowest = min(lowest, g.Power)
		}
		return nil, fmt.Errorf("%w: %v dBm asked, %v dBm is the lowest", radio.ErrPower, d.Power, lowest)
	}
	t.chain, t.gain = chain, gain
	t.report.Power = gain.Power
	t.trigger = t.at - ticks(t.startDelay(r.Type))
	t.end = t.at + ticksIn(t.d.Mod.Airtime(len(d.Payload))) + ticksPerMicrosecond
	t.listen, err = c.listenFor(t)
	return t, err
}

// checkFrame checks payload and modulation and applies their defaults.
func (t *transmission) checkFrame(c *Config) error {
	if t.d.Immediate && t.d.OnPulse {
		return fmt.Errorf("%w: it is to start immediately and on a pulse; choose one", radio.ErrFrame)
	}
	if n := len(t.d.Payload); n > maxPayload {
		return fmt.Errorf("%w: payload of %d bytes, at most %d fit", radio.ErrFrame, n, maxPayload)
	}
	switch m := t.d.Mod.(type) {
	case radio.LoRa:
		if _, ok := bandwidthCode(m.Bandwidth); !ok {
			return fmt.Errorf("%w: bandwidth %d Hz, only 125000, 250000 and 500000 exist", radio.ErrFrame, m.Bandwidth)
		}
		if m.SF < 5 || m.SF > 12 {
			return fmt.Errorf("%w: SF%d, only SF5 to SF12 exist", radio.ErrFrame, m.SF)
		}
		if m.Rate() > 4 {
			return fmt.Errorf("%w: coding rate 4/%d, only 4/5 to 4/8 exist", radio.ErrFrame, int(m.CodeRate)+4)
		}
		m.Preamble = max(m.PreambleSymbols(), minLoRaPreamble)
		if m.Sync == 0 {
			m.Sync = c.networkSync(m.SF)
		}
		t.lora, t.d.Mod = &m, m
	case radio.FSK:
		if m.BitRate < 500 || m.BitRate > 250_000 {
			return fmt.Errorf("%w: FSK at %d bits/s, only 500 to 250000 exist", radio.ErrFrame, m.BitRate)
		}
		if m.Deviation = m.Dev(); m.Deviation < 0 || m.Deviation > 200_000 {
			return fmt.Errorf("%w: FSK deviation %d Hz, only 0 to 200000 exist", radio.ErrFrame, m.Deviation)
		}
		m.Preamble = max(m.PreambleBytes(), minFSKPreamble)
		t.fsk, t.d.Mod = &m, m
	case radio.Carrier:
		return t.checkCarrier(m)
	default:
		return fmt.Errorf("%w: modulation %v is neither LoRa nor FSK nor a carrier", radio.ErrFrame, t.d.Mod)
	}
	return nil
}

// transmitter finds the radio that may send at a frequency.
func (c *Config) transmitter(f radio.Hertz) (int, error) {
	var ranges []string
	for i, r := range c.Radios {
		if !r.Enable || !r.Transmit {
			continue
		}
		if f >= r.TXMin && f <= r.TXMax {
			return i, nil
		}
		ranges = append(ranges, fmt.Sprintf("radio %c: %d to %d Hz", 'A'+i, r.TXMin, r.TXMax))
	}
	if ranges == nil {
		return 0, fmt.Errorf("%w: %d Hz, and no radio transmits at all", radio.ErrFrequency, f)
	}
	return 0, fmt.Errorf("%w: %d Hz; %s", radio.ErrFrequency, f, strings.Join(ranges, ", "))
}

// startDelay is how many ticks before the first preamble symbol the
// transmitter is triggered.
func (t *transmission) startDelay(r RadioType) int64 {
	if t.lora == nil {
		return 0
	}
	return loraStartDelay(r, t.lora.Bandwidth, t.lora.SF)
}

// lead is the shortest time from Schedule to the first preamble symbol: the
// transmitter's start delay, all frames of the transmission, the longest that
// something else may hold the bus before the request is heard, the look at the
// counter that judges it, and the host's lateness.
func (c *Config) lead(b *bus, mod radio.Modulation, payload int) time.Duration {
	delay := 1500 * time.Microsecond
	if _, ok := mod.(radio.FSK); ok {
		delay = 0
	}
	mine := b.cost(prepareFrames+armFrames, prepareBytes+armBytes+payload)
	others := b.costAlone(2, fifoBurst+2*readHeader+4)
	return delay + mine + others + hostSlack
}

// conflict tells whether two transmissions are too near to each other: each
// needs its lead after the end of the other.
func (t *transmission) conflict(o *transmission, lead, othersLead time.Duration) bool {
	return t.at < o.end+ticksIn(lead) && o.at < t.end+ticksIn(othersLead)
}
