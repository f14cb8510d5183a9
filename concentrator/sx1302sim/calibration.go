package sx1302sim

import (
	"math"

	"gatewayd/concentrator/reg"
)

// calibration is the dialogue of the firmware that calibrates SX1255/57
// radios: image rejection of a receiver, carrier leakage of a transmitter.
// The host steps it by numbers in mailbox byte 3, each shown back as a
// status. What it measures is in analog.go: good, and the same at each run,
// if the radios are set up for it and nothing misbehaves.
type calibration struct {
	chain    int
	transmit bool
	tone     int8 // where it is expected, in steps of the analyser
	runs     int
}

// Numbers that the host writes.
const (
	calibrationReset  = 0xFF
	calibrationTarget = 0  // byte 2 is the chain, plus 2 for its transmitter
	calibrationSignal = 4  // then status 6: signal
	calibrationResult = 6  // then status 7: image or leakage, and the correction
	calibrationNoise  = 7  // then status 8: receiver's image and noise after it
	calibrationDone   = 8  // of a receiver
	calibrationTable  = 10 // then status 12: the transmitter's list of 20 steps
	calibrationLast   = 32 // of a transmitter
)

// calMarker is the decimator's gain that the firmware chose.
const calMarker = 0x05

// step answers a number. The status that follows is usually the number, but
// some are skipped; the last tells which radio and direction is done.
func (m *calibration) step(c *Chip, number byte) {
	threshold := c.file.get(reg.AGCMCUMailBoxWrDataByte1)
	status := number
	switch {
	case number == calibrationReset:
		status = 0
	case number == calibrationTarget:
		target := c.file.get(reg.AGCMCUMailBoxWrDataByte2)
		m.chain, m.transmit, m.tone = int(target&1), target&2 != 0, int8(threshold)
		return
	case number < calibrationSignal:
	case number == calibrationSignal:
		status = 6
		m.show(c, threshold, calMarker, m.heard(c))
	case number == calibrationResult:
		status = 7
		m.result(c)
	case number == calibrationDone && !m.transmit:
		status = 0x11 << m.chain
	case number == calibrationNoise && !m.transmit:
		status = 8
		after := uint16(c.image(m.chain).after)
		m.show(c, byte(after>>8), byte(after), calNoise)
	case m.transmit && number <= calibrationTable:
		if status = number + 1; number == calibrationTable {
			status++
		}
		m.show(c, 0, 1, 0x0203)
	case m.transmit && number < calibrationLast:
		status = number + 1
		m.show(c, 0, 2*number+1, uint16(2*number))
	case m.transmit && number == calibrationLast:
		status = 0x33 + 0x11*byte(m.chain)
	default:
		c.violation("calibration firmware got 0x%02X in mailbox byte 3, which it doesn't know", number)
		return
	}
	c.file.set(reg.AGCMCUAGCStatus.Addr(), status)
}

// heard is the amplitude of the test tone, at the frequency in mailbox byte 1
// at the begin.
func (m *calibration) heard(c *Chip) uint16 {
	hz, ok := c.tone(m.chain)
	if !ok || math.Abs(hz-float64(m.tone)*analyserStep) > analyserStep {
		return calNoise
	}
	return calSignal
}

// result shows what the correction is and how much it leaves.
func (m *calibration) result(c *Chip) {
	b, before := c.image(m.chain), true
	if m.transmit {
		b, before = c.leakage(m.chain), false
	}
	shown := uint16(b.after)
	if before {
		shown = uint16(b.before)
	}
	x, y := byte(int8(b.x)), byte(int8(b.y))
	if m.runs++; m.runs%2 == 0 {
		x += byte(c.faults.analog().Wander)
	}
	m.show(c, byte(shown>>8), byte(shown), uint16(x)<<8|uint16(y))
}

// show fills the mailbox: bytes 3 and 2, then 1 and 0.
func (*calibration) show(c *Chip, b3, b2 byte, low uint16) {
	c.file.set(reg.AGCMCUMailBoxRdDataByte3.Addr(), b3)
	c.file.set(reg.AGCMCUMailBoxRdDataByte2.Addr(), b2)
	c.file.set(reg.AGCMCUMailBoxRdDataByte1.Addr(), byte(low>>8))
	c.file.set(reg.AGCMCUMailBoxRdDataByte0.Addr(), byte(low))
}
