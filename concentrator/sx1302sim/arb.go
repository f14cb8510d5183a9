package sx1302sim

import "gatewayd/concentrator/reg"

// arb is the MCU that hands detected preambles to demodulators.
type arb struct {
	mcu
	going bool // has its parameters
}

const versionARB = 2

// control reacts to a write to the control register: on start, status 1 and
// the version in the first debug status byte.
func (m *arb) control(c *Chip, mask, old, v byte) {
	started := m.starts(c, mask, old, v)
	if started && c.faults.active(&c.faults.m.MuteARB) {
		m.running, started = false, false
	}
	if !m.running {
		m.going = false
		c.file.set(reg.ARBMCUARBStatus.Addr(), 0)
		return
	}
	if started {
		m.going = false
		c.file.set(reg.ARBMCUARBStatus.Addr(), 1)
		c.file.set(reg.ARBDebugSts0.Addr(), versionARB)
	}
}

// resume reacts to debug configuration byte 1: 1 makes the arbiter go on
// with the parameters in bytes 0, 2 and 3.
func (m *arb) resume(c *Chip, v byte) {
	if m.running && v == 1 && !c.faults.active(&c.faults.m.MuteARB) {
		m.going = true
		c.file.set(reg.ARBMCUARBStatus.Addr(), 0)
	}
}

// ready tells whether packets get a demodulator.
func (m *arb) ready() bool { return m.running && m.going }

// noiseRate is how often per second noise looks like the beginning of a
// packet, in the first of the arbiter's debug counters.
const noiseRate = 20

// count moves the debug counters: an arbiter that lives always finds
// something in the noise.
func (m *arb) count(c *Chip) {
	if m.ready() && !c.faults.active(&c.faults.m.StuckARB) {
		c.file.set(reg.ARBDebugSts1.Addr(), byte(c.now/(ticksPerSecond/noiseRate)))
	}
}
