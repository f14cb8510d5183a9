package sx1302sim

import (
	"slices"

	"gatewayd/radio"
	"gatewayd/radio/air"
)

// signal is a signal at the antenna, whether or not a modem understands it.
type signal struct {
	id          uint64
	freq, width float64 // hertz
	rssi        radio.DBm
	from, until int64 // ticks
}

// memory of the ears: longer than any scan looks back.
const hearing = 10 * ticksPerSecond

// within is the part of the signal's power that a filter lets through.
func (e *signal) within(freq, width float64) float64 {
	low, high := max(e.freq-e.width/2, freq-width/2), min(e.freq+e.width/2, freq+width/2)
	return max(high-low, 0) / e.width
}

// hear notes a transmission that begins, and forgets old ones.
func (c *Chip) hear(r air.Reception) {
	c.ears = slices.DeleteFunc(c.ears, func(e signal) bool { return e.until < c.now-hearing })
	c.ears = append(c.ears, signal{
		id: r.ID, freq: centre(r), width: float64(occupied(r.Mod)), rssi: r.RSSI,
		from: c.ticksAt(r.Start), until: c.ticksAt(r.End),
	})
}

// heard corrects the end of a transmission that was broken off.
func (c *Chip) heard(r air.Reception) {
	for i := range c.ears {
		if c.ears[i].id == r.ID {
			c.ears[i].until = c.ticksAt(r.End)
		}
	}
}

// centre is the middle of what a transmission occupies.
func centre(r air.Reception) float64 {
	if m, ok := r.Mod.(radio.Carrier); ok {
		return float64(r.Freq + m.Offset)
	}
	return float64(r.Freq)
}

// occupied is the bandwidth of a modulation; FSK's by Carson's rule.
func occupied(m radio.Modulation) radio.Hertz {
	switch m := m.(type) {
	case radio.LoRa:
		return m.Bandwidth
	case radio.FSK:
		return 2*m.Dev() + radio.Hertz(m.BitRate)
	}
	return 1
}
