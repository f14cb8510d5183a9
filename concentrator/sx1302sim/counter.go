package sx1302sim

import (
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// ticksPerSecond is the rate of the chip's counter.
const ticksPerSecond = 32_000_000

// ticksIn returns the whole ticks in d.
func ticksIn(d time.Duration) int64 {
	s, ns := int64(d/time.Second), int64(d%time.Second)
	return s*ticksPerSecond + ns*32/1000
}

// durationOf returns the shortest duration with at least t ticks, 0 for t <= 0.
func durationOf(t int64) time.Duration {
	if t <= 0 {
		return 0
	}
	s, rest := t/ticksPerSecond, t%ticksPerSecond
	return time.Duration(s)*time.Second + time.Duration((rest*1000+31)/32)
}

// tick brings everything that depends on time up to now. The caller holds mu.
func (c *Chip) tick() {
	c.base += c.faults.takeJump()
	c.now = c.base + c.fast(ticksIn(time.Since(c.origin)))
	for i := range c.tx {
		c.tx[i].advance(c)
	}
	c.arb.count(c)
	if c.file.get(reg.TimestampGPSCtrlGPSEn) == 1 {
		c.pps = c.lastPPS()
	}
}

// lastPPS is the last moment at which the simulated GNSS receiver gave its
// pulse. Without a Config.PPS these are the whole seconds of the counter.
func (c *Chip) lastPPS() int64 {
	if c.cfg.PPS != nil {
		if at, ok := c.cfg.PPS.last(time.Since(c.origin)); ok {
			return c.base + c.fast(ticksIn(at))
		}
		return c.pps // an old one, or none ever
	}
	m := c.now % ticksPerSecond
	if m < 0 {
		m += ticksPerSecond
	}
	return c.now - m
}

// instant converts ticks to air time, rounding down.
func (c *Chip) instant(ticks int64) radio.Instant { return radio.Instant(c.slow(ticks-c.base) / 32) }

// ticksAt converts air time to ticks.
func (c *Chip) ticksAt(i radio.Instant) int64 { return c.base + c.fast(int64(i)*32) }

// clocked tells whether a radio gives the 32 MHz clock: one that runs must be
// selected, divided and let in.
func (c *Chip) clocked() bool {
	f := &c.file
	if c.faults.active(&c.faults.m.NoClock) {
		return false
	}
	if f.get(reg.ClkSelClkdivEn) == 0 || f.get(reg.CommonCtrl0Clk32RifCtrl) == 0 {
		return false
	}
	return f.get(reg.ClkSelClkRadioA) == 1 && c.radios[0].clock() || f.get(reg.ClkSelClkRadioB) == 1 && c.radios[1].clock()
}

// latchCounters fills the counter registers for one frame: PPS at 0x6101,
// free running at 0x6105, most significant byte first. A fault can tear the
// read: the top byte is then from before a carry, the others from after it.
func (c *Chip) latchCounters() {
	if !c.clocked() {
		return // they stand still
	}
	now, pps := uint32(c.now), uint32(c.pps)
	if c.faults.take(&c.faults.m.TornCounter) {
		now -= 1 << 24
	}
	for i := range 4 {
		c.file.set(reg.TimestampPPSMsb2.Addr()+reg.Addr(i), byte(pps>>(24-8*i)))
		c.file.set(reg.TimestampMsb2.Addr()+reg.Addr(i), byte(now>>(24-8*i)))
	}
}
