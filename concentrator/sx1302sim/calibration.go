package sx1302sim

import "gatewayd/concentrator/reg"

// calibration is the dialogue of the firmware that calibrates SX1255/57
// radios: image rejection of a receiver, carrier leakage of a transmitter.
// The host steps it by numbers in mailbox byte 3, each shown back as a
// status. What it measures are the figures of the emulator on which the
// vendor's library was recorded: good, and the same at each run.
type calibration struct {
	chain    int
	transmit bool
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

// Figures that are found.
const (
	calSignal      = 0x8000
	calMarker      = 0x05
	calImageBefore = 0x0400
	calImageAfter  = 0x0040
	calNoise       = 0x0020
	calLeakage     = 0x0080
	calMixer       = 8  // mixer gain at which the transmitter's I offset is 0
	calQOffset     = -4 // and its Q offset there
)

// Amplitude and phase imbalance of the two receivers.
var calImbalance = [2][2]int8{{3, -5}, {-2, 4}}

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
		m.chain, m.transmit = int(target&1), target&2 != 0
		return
	case number < calibrationSignal:
	case number == calibrationSignal:
		status = 6
		m.show(c, threshold, calMarker, calSignal)
	case number == calibrationResult:
		status = 7
		m.result(c)
	case number == calibrationDone && !m.transmit:
		status = 0x11 << m.chain
	case number == calibrationNoise && !m.transmit:
		status = 8
		m.show(c, 0, calImageAfter, calNoise)
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

// result shows what the correction is and how much it leaves.
func (m *calibration) result(c *Chip) {
	if !m.transmit {
		amp, phase := calImbalance[m.chain][0], calImbalance[m.chain][1]
		m.show(c, calImageBefore>>8, calImageBefore&0xFF, uint16(byte(amp))<<8|uint16(byte(phase)))
		return
	}
	gain := 0
	if r, ok := c.radios[m.chain].dev.(*sx125x); ok {
		gain = int(r.regs[sx125xTXGain]&0x0F) - calMixer
	}
	i, q := byte(gain), byte(calQOffset-gain>>1)
	m.show(c, calLeakage>>8, calLeakage&0xFF, uint16(i)<<8|uint16(q))
}

// show fills the mailbox: bytes 3 and 2, then 1 and 0.
func (*calibration) show(c *Chip, b3, b2 byte, low uint16) {
	c.file.set(reg.AGCMCUMailBoxRdDataByte3.Addr(), b3)
	c.file.set(reg.AGCMCUMailBoxRdDataByte2.Addr(), b2)
	c.file.set(reg.AGCMCUMailBoxRdDataByte1.Addr(), byte(low>>8))
	c.file.set(reg.AGCMCUMailBoxRdDataByte0.Addr(), byte(low))
}
