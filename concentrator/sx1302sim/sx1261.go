package sx1302sim

import "math/rand/v2"

// sx1261 is the companion radio: a command interface like the SX1250's, and
// the vendor's patch, whose commands watch a channel for the AGC or count how
// loud it is. What is known of the patch was recorded from the host's side;
// what it does between the commands is assumed in scan.go.
type sx1261 struct {
	sx1250
	patch  patch
	scan   scan
	width  float64 // of the receive filter, hertz
	chance *rand.Rand
}

// Commands and registers beyond the SX1250's: the patch's.
const (
	opUpdatePatch  = 0xD9
	opScanLBT      = 0x9A
	opScanSpectrum = 0x9B

	regVersion     = 0x0320
	regResults     = 0x0401
	regPatchEnable = 0x0610
	regScanState   = 0x07CD
	regRSSIWindow  = 0x089B // 0 ends a scan
	regPatch       = 0x8000

	patchUnlocked = 0x10
	patchSize     = 1544
	unpatched     = "SX1261 V2D 2D02"
	patched       = "SX1261 V2D 2D06"
)

// filters are the widths of the receive filter for FSK in hertz, by the code
// in SetModulationParams (data sheet).
var filters = map[byte]float64{
	0x1F: 4800, 0x17: 5800, 0x0F: 7300, 0x1E: 9700, 0x16: 11700, 0x0E: 14600, 0x1D: 19500, 0x15: 23400, 0x0D: 29300,
	0x1C: 39000, 0x14: 46900, 0x0C: 58600, 0x1B: 78200, 0x13: 93800, 0x0B: 117300, 0x1A: 156200, 0x12: 187200,
	0x0A: 234300, 0x19: 312000, 0x11: 373600, 0x09: 467000,
}

// filterArg is which argument of SetModulationParams is the filter.
const filterArg = 4

// patch is the memory for firmware.
type patch struct {
	bytes   [patchSize]byte
	seen    [patchSize]bool
	written int // bytes written at least once
	runs    bool
}

func (p *patch) write(at int, v byte) {
	if !p.seen[at] {
		p.seen[at] = true
		p.written++
	}
	p.bytes[at] = v
}

func (s *sx1261) reset() {
	s.sx1250.reset()
	s.patch, s.scan, s.width = patch{}, scan{}, 0
	s.chance = rand.New(rand.NewPCG(1261, 0)) //nolint:gosec // noise, the same at each run
}

// minimum is how many argument bytes a command needs; false if there is no
// such command.
func (s *sx1261) minimum(op byte) (int, bool) {
	switch op {
	case opUpdatePatch:
		return 0, true
	case opScanLBT:
		return 5, s.patch.runs
	case opScanSpectrum:
		return 3, s.patch.runs
	}
	n, known := minArgs[op]
	return n, known
}

// transfer carries one frame; w begins with the command.
func (s *sx1261) transfer(c *Chip, w, r []byte) {
	op, args := w[0], w[1:]
	need, known := s.minimum(op)
	switch {
	case !known:
		c.violation("SX1261 command 0x%02X does not exist (patch running: %t)", op, s.patch.runs)
		return
	case len(args) < need:
		c.violation("SX1261 command 0x%02X with %d argument bytes, at least %d are needed", op, len(args), need)
		return
	case c.now < s.busy:
		c.violation("SX1261 command 0x%02X while BUSY is high for another %v; wait until the last command is done", op, durationOf(s.busy-c.now))
		return
	}
	for i := 1; i < len(r); i++ {
		r[i] = s.status()
	}
	s.command(c, op, args)
	switch op {
	case opReadRegister:
		a := uint16(w[1])<<8 | uint16(w[2])
		for i := argsBeforeReadData; i < len(r); i++ {
			r[i] = s.register(c, a+uint16(i-argsBeforeReadData))
		}
	case opGetRSSIInst:
		r[2] = s.reading(c, c.now).raw()
	default:
		s.answer(c, op, w, r)
	}
}

// command does what a command does to the radio.
func (s *sx1261) command(c *Chip, op byte, args []byte) {
	switch op {
	case opSetStandby, opSetFS, opSetSleep, opSetRX, opSetTX:
		s.end(c)
	case opSetModulation:
		if len(args) > filterArg {
			s.width = filters[args[filterArg]]
		}
	case opUpdatePatch:
		s.patch.runs = s.patch.written == patchSize
	case opScanLBT, opScanSpectrum:
		s.begin(c, op, args)
	case opWriteRegister:
		s.write(c, uint16(args[0])<<8|uint16(args[1]), args[2:])
	}
	s.sx1250.command(c, op, args)
}

// write is what writing registers does beyond keeping the bytes.
func (s *sx1261) write(c *Chip, a uint16, data []byte) {
	for i, v := range data {
		switch at := int(a) + i; {
		case at == regRSSIWindow && v == 0:
			s.end(c)
		case at >= regPatch+patchSize:
			c.violation("SX1261 register 0x%04X lies beyond the patch memory of %d bytes", at, patchSize)
		case at >= regPatch && s.regs[regPatchEnable] != patchUnlocked:
			c.violation("SX1261 patch memory written while register 0x%04X is 0x%02X; write 0x%02X to it first", regPatchEnable, s.regs[regPatchEnable], patchUnlocked)
		case at >= regPatch && c.faults.companion().NoBursts && i >= 4:
			// A radio that takes a word at a time only.
		case at >= regPatch:
			s.patch.write(at-regPatch, v)
		}
	}
}

// register is what a register shows.
func (s *sx1261) register(c *Chip, a uint16) byte {
	switch i := int(a); {
	case i >= regVersion && i < regVersion+len(patched):
		return s.version(c)[i-regVersion]
	case i >= regResults && i < regResults+len(s.scan.results):
		return s.scan.results[i-regResults]
	case i == regScanState:
		return s.state(c)
	case i >= regPatch && i < regPatch+patchSize:
		return s.patch.bytes[i-regPatch]
	}
	return s.sx1250.register(a)
}

func (s *sx1261) version(c *Chip) string {
	if v := c.faults.companion().Version; len(v) == len(patched) {
		return v
	}
	if s.patch.runs {
		return patched
	}
	return unpatched
}
