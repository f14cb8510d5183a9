package sx1302sim

// sx125x is an SX1255 or SX1257: registers that are written and read back.
type sx125x struct {
	kind RadioKind
	regs [128]byte
}

// Registers of the SX1255/57 data sheet.
const (
	sx125xMode    = 0x00 // bit 0 reference, 1 RX, 2 TX, 3 power amplifier driver
	sx125xFrfRX   = 0x01 // 3 bytes, most significant first
	sx125xFrfTX   = 0x04
	sx125xVersion = 0x07
	sx125xTXGain  = 0x08 // DAC gain 6:4, mixer gain 3:0
	sx125xClock   = 0x10 // bit 2 RF loopback
	sx125xStatus  = 0x11 // bit 0 TX PLL locked, 1 RX PLL locked
	sx125xWrite   = 0x80

	sx125xTransmits = 1 << 2 // of the mode
	sx125xLoopback  = 1 << 2 // of the clock selection
)

// reset restores the values that the data sheet gives.
func (s *sx125x) reset() {
	s.regs = [128]byte{
		sx125xMode: 0x01, sx125xTXGain: 0x2E, 0x0A: 0x60, 0x0B: 0x02, 0x0C: 0x3F, 0x0D: 0xF5, 0x0E: 0x06, 0x10: 0x02,
	}
	s.regs[sx125xVersion], s.regs[0x26] = 0x21, 0x0D
	if s.kind == SX1255 {
		s.regs[sx125xVersion], s.regs[0x26], s.regs[0x28] = 0x11, 0, 0x0D
	}
}

// clock is the crystal's: it runs when the radio is out of reset.
func (s *sx125x) clock() bool { return true }

func (s *sx125x) frequency() float64 {
	if s.regs[sx125xMode]&2 == 0 {
		return 0
	}
	return s.word(sx125xFrfRX)
}

// word is the frequency in hertz in the three registers from a on.
func (s *sx125x) word(a int) float64 {
	word := float64(int(s.regs[a])<<16 | int(s.regs[a+1])<<8 | int(s.regs[a+2]))
	if s.kind == SX1255 {
		return word * 32e6 / (1 << 20)
	}
	return word * 32e6 / (1 << 19)
}

// transfer is a write (bit 7 of the address) or a read of one or more
// registers.
func (s *sx125x) transfer(c *Chip, w, r []byte) {
	if len(w) < 2 {
		c.violation("SX125x access of %d bytes; address and data are needed", len(w))
		return
	}
	a := w[0] &^ sx125xWrite
	for i := 1; i < len(w); i, a = i+1, (a+1)&0x7F {
		switch {
		case w[0]&sx125xWrite == 0:
			r[i] = s.regs[a]
		case a != sx125xVersion && a != sx125xStatus:
			s.regs[a] = w[i]
			s.regs[sx125xStatus] = s.regs[sx125xMode]>>2&1 | s.regs[sx125xMode]&2
			if c.faults.analog().NoLock[c.indexOf(s)] {
				s.regs[sx125xStatus] = 0
			}
		}
	}
}
