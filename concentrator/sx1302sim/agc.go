package sx1302sim

import "gatewayd/concentrator/reg"

// agc is the MCU that runs the radios' gains. It starts with status 1 and its
// version in mailbox byte 0, then takes its parameters step by step: the host
// fills bytes 0 to 2, writes the step's number to byte 3, and finds the next
// status and an echo.
type agc struct {
	mcu
	steps []step // of the firmware that runs
	next  int    // index into steps
	echo2 bool   // byte 2 is echoed in the gain steps, too: it says that the board is a full-duplex one
	lbt   bool   // listen before talk is on

	calibration *calibration // its firmware runs
}

// step is one exchange of the dialogue: the number that the host writes, the
// status that the MCU then shows.
type step struct{ number, status byte }

// Dialogues and versions of the firmwares, by radio.
var (
	stepsSX1250 = []step{{0x80, 0x02}, {0x20, 0x03}, {0x03, 0x04}, {0x04, 0x05}, {0x05, 0x06}, {0x06, 0x07}, {0x07, 0x08}, {0x08, 0x09}, {0x09, 0x0A}, {0x0A, 0x0B}, {0x0B, 0x0F}, {0x0F, 0x00}}
	stepsSX125x = []step{{0x80, 0x02}, {0x20, 0x03}, {0x03, 0x04}, {0x04, 0x05}, {0x05, 0x06}, {0x06, 0x07}, {0x07, 0x08}, {0x08, 0x09}, {0x0A, 0x0B}, {0x0B, 0x0F}, {0x0F, 0x00}}
)

// Versions that the firmwares report.
const (
	versionSX1250      = 10
	versionSX125x      = 6
	versionCalibration = 1
)

const (
	stepLBT        = 0x0B
	lbtAcknowledge = 0xFF
)

// control reacts to a write to the control register. Which firmware the host
// has loaded is told by the radio that gives the clock; on SX125x radios the
// calibration firmware runs while the host holds the front end or the radios.
func (m *agc) control(c *Chip, mask, old, v byte) {
	if !m.starts(c, mask, old, v) {
		if !m.running {
			c.file.set(reg.AGCMCUAGCStatus.Addr(), 0)
		}
		return
	}
	if c.faults.active(&c.faults.m.MuteAGC) {
		m.running = false
		return
	}
	*m = agc{mcu: m.mcu}
	version := byte(versionSX1250)
	switch {
	case c.clockSource().kind() == SX1250:
		m.steps = stepsSX1250
	case reg.AGCCtrlForceHostFE.Get(v) == 1 || c.file.get(reg.CommonCtrl0HostRadioCtrl) == 1:
		m.calibration, version = new(calibration), versionCalibration
	default:
		m.steps, m.echo2, version = stepsSX125x, true, versionSX125x
	}
	c.file.set(reg.AGCMCUAGCStatus.Addr(), 1)
	m.answer(c, version, 0, 0)
}

// ready tells whether the AGC has all its parameters.
func (m *agc) ready() bool { return m.running && m.calibration == nil && m.next == len(m.steps) }

// calibrates tells whether the calibration firmware runs.
func (m *agc) calibrates() bool { return m.running && m.calibration != nil }

// notify reacts to a write to mailbox byte 3.
func (m *agc) notify(c *Chip, number byte) {
	if !m.running || c.faults.active(&c.faults.m.MuteAGC) {
		return
	}
	if m.calibration != nil {
		m.calibration.step(c, number)
		return
	}
	if m.next == len(m.steps) {
		return // it runs: byte 3 means nothing to it any more
	}
	s := m.steps[m.next]
	if number != s.number {
		c.violation("AGC mailbox byte 3 is 0x%02X where the firmware waits for 0x%02X; follow the order of its dialogue", number, s.number)
		return
	}
	m.next++
	b0, b1, b2 := c.file.get(reg.AGCMCUMailBoxWrDataByte0), c.file.get(reg.AGCMCUMailBoxWrDataByte1), c.file.get(reg.AGCMCUMailBoxWrDataByte2)
	if m.next <= 2 && !m.echo2 {
		b2 = 0
	}
	if m.next <= 2 && m.echo2 {
		c.duplex(b2 == 1)
	}
	if s.number == stepLBT {
		m.lbt = b0 == 1
	}
	m.answer(c, b0, b1, b2)
	c.file.set(reg.AGCMCUAGCStatus.Addr(), s.status)
}

func (m *agc) answer(c *Chip, b0, b1, b2 byte) {
	c.file.set(reg.AGCMCUMailBoxRdDataByte0.Addr(), b0)
	c.file.set(reg.AGCMCUMailBoxRdDataByte1.Addr(), b1)
	c.file.set(reg.AGCMCUMailBoxRdDataByte2.Addr(), b2)
}

// attempted raises the status that listen before talk shows for a chain: bit
// 0 or 1 when its trigger has fired, and 6 or 7 when it was not allowed to
// send.
func (m *agc) attempted(c *Chip, chain int, allowed bool) {
	if m.lbt && m.ready() {
		a := reg.AGCMCUAGCStatus.Addr()
		c.file.set(a, c.file.at(a)|1<<chain|bit(!allowed)<<(6+chain))
	}
}

// duplex tells the air whether the antennas of receiver and transmitter are
// apart.
func (c *Chip) duplex(full bool) {
	full = full || c.cfg.Station.FullDuplex
	if s := c.station; s != nil {
		c.later(func() { s.SetFullDuplex(full) })
	}
}

// acknowledge reacts to mailbox byte 0 while the AGC runs: with listen before
// talk, 0xFF takes the status back.
func (m *agc) acknowledge(c *Chip, v byte) {
	if m.lbt && m.ready() && v == lbtAcknowledge {
		c.file.set(reg.AGCMCUAGCStatus.Addr(), 0)
	}
}

// clockSource returns the radio that gives the clock, radio A by default.
func (c *Chip) clockSource() *frontEnd {
	if c.file.get(reg.ClkSelClkRadioB) == 1 && c.file.get(reg.ClkSelClkRadioA) == 0 {
		return &c.radios[1]
	}
	return &c.radios[0]
}
