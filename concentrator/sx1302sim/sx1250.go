package sx1302sim

import "time"

// sx1250 is the radio's command interface: chip mode, registers, frequency,
// errors (Semtech SX1250 command set, which is that of the SX1261/2).
type sx1250 struct {
	mode   byte // bits 6:4 of the status byte
	word   uint32
	regs   map[uint16]byte
	errors uint16
	busy   int64 // ticks until which BUSY is high
}

// Chip modes.
const (
	modeStandbyRC   = 2
	modeStandbyXOSC = 3
	modeFS          = 4
	modeRX          = 5
	modeTX          = 6
)

// Opcodes.
const (
	opCalibrateImage   = 0x98
	opCalibrate        = 0x89
	opGetDeviceErrors  = 0x17
	opClearErrors      = 0x07
	opGetStatus        = 0xC0
	opReadRegister     = 0x1D
	opWriteRegister    = 0x0D
	opSetFS            = 0xC1
	opSetRFFrequency   = 0x86
	opSetRX            = 0x82
	opSetSleep         = 0x84
	opSetStandby       = 0x80
	opSetTX            = 0x83
	opSetTXContinuous  = 0xD1
	opSetTXPreamble    = 0xD2
	opSetPacketType    = 0x8A
	opSetModulation    = 0x8B
	opSetPacketParams  = 0x8C
	opSetTXParams      = 0x8E
	opSetBufferBase    = 0x8F
	opSetPAConfig      = 0x95
	opSetRegulator     = 0x96
	opSetRFSwitch      = 0x9D
	opSetDIOIRQ        = 0x08
	opGetIRQStatus     = 0x12
	opGetRXBuffer      = 0x13
	opGetPacketStatus  = 0x14
	opGetRSSIInst      = 0x15
	opReadBuffer       = 0x1E
	opWriteBuffer      = 0x0E
	opClearIRQ         = 0x02
	opSetRXTXFallback  = 0x93
	opSetDIO3AsTCXO    = 0x97
	registerFrequency  = 0x088B // shows the frequency word, 4 bytes
	errorImage         = 1 << 4
	calibrationTime    = 3500 * time.Microsecond // SX1261/2 data sheet, all blocks
	statusNoMessage    = 1 << 1
	standbyXOSC        = 1
	argsBeforeReadData = 4 // opcode, two bytes of address, status
)

// minArgs is how many argument bytes a command needs at least.
var minArgs = map[byte]int{
	opCalibrateImage: 2, opCalibrate: 1, opGetDeviceErrors: 3, opClearErrors: 2, opGetStatus: 1, opReadRegister: 4, opWriteRegister: 3,
	opSetFS: 0, opSetRFFrequency: 4, opSetRX: 3, opSetSleep: 1, opSetStandby: 1, opSetTX: 3, opSetTXContinuous: 0, opSetTXPreamble: 0,
	opSetPacketType: 1, opSetModulation: 4, opSetPacketParams: 6, opSetTXParams: 2, opSetBufferBase: 2, opSetPAConfig: 4, opSetRegulator: 1,
	opSetRFSwitch: 1, opSetDIOIRQ: 8, opGetIRQStatus: 3, opGetRXBuffer: 3, opGetPacketStatus: 4, opGetRSSIInst: 2, opReadBuffer: 3,
	opWriteBuffer: 2, opClearIRQ: 2, opSetRXTXFallback: 1, opSetDIO3AsTCXO: 4,
}

func (s *sx1250) reset() { *s = sx1250{mode: modeStandbyRC, regs: map[uint16]byte{}} }

func (s *sx1250) clock() bool { return s.mode == modeRX || s.mode == modeTX }

func (s *sx1250) frequency() float64 {
	if s.mode != modeRX {
		return 0
	}
	return float64(s.word) * 32e6 / (1 << 25)
}

func (s *sx1250) status() byte { return s.mode<<4 | statusNoMessage }

func (s *sx1250) transfer(c *Chip, w, r []byte) {
	if len(w) == 0 {
		return
	}
	op, args := w[0], w[1:]
	need, known := minArgs[op]
	switch {
	case !known:
		c.violation("SX1250 command 0x%02X does not exist", op)
		return
	case len(args) < need:
		c.violation("SX1250 command 0x%02X with %d argument bytes, at least %d are needed", op, len(args), need)
		return
	case c.now < s.busy:
		c.violation("SX1250 command 0x%02X while BUSY is high for another %v; wait until the last command is done", op, durationOf(s.busy-c.now))
		return
	}
	for i := 1; i < len(r); i++ {
		r[i] = s.status()
	}
	s.command(c, op, args)
	s.answer(c, op, w, r)
}

// command does what a command does to the radio.
func (s *sx1250) command(c *Chip, op byte, args []byte) {
	switch op {
	case opSetStandby:
		s.mode = modeStandbyRC
		if args[0] == standbyXOSC {
			s.mode = modeStandbyXOSC
		}
	case opSetFS:
		s.mode = modeFS
	case opSetSleep:
		s.mode = modeStandbyRC // the next access wakes it up
	case opSetRX:
		s.mode = modeRX
	case opSetTX, opSetTXContinuous, opSetTXPreamble:
		s.mode = modeTX
	case opSetRFFrequency:
		s.word = uint32(args[0])<<24 | uint32(args[1])<<16 | uint32(args[2])<<8 | uint32(args[3])
	case opCalibrate:
		s.busy = c.now + ticksIn(calibrationTime)
	case opCalibrateImage:
		s.busy = c.now + ticksIn(calibrationTime)
		s.errors &^= errorImage
		if args[0] >= args[1] { // not a band: lower and upper edge in 4 MHz
			s.errors |= errorImage
		}
	case opClearErrors:
		s.errors = 0
	case opWriteRegister:
		a := uint16(args[0])<<8 | uint16(args[1])
		for i, v := range args[2:] {
			s.regs[a+uint16(i)] = v
		}
	}
}

// answer fills what a command reads.
func (s *sx1250) answer(c *Chip, op byte, w, r []byte) {
	switch op {
	case opGetDeviceErrors:
		e := s.errors | c.faults.radioErrors(c, s)
		r[2], r[3] = byte(e>>8), byte(e)
	case opReadRegister:
		a := uint16(w[1])<<8 | uint16(w[2])
		for i := argsBeforeReadData; i < len(r); i++ {
			r[i] = s.register(a + uint16(i-argsBeforeReadData))
		}
	case opGetIRQStatus, opGetRXBuffer, opGetPacketStatus, opGetRSSIInst, opReadBuffer:
		for i := 2; i < len(r); i++ {
			r[i] = 0
		}
	}
}

func (s *sx1250) register(a uint16) byte {
	if a >= registerFrequency && a < registerFrequency+4 {
		return byte(s.word >> (24 - 8*(a-registerFrequency)))
	}
	return s.regs[a]
}
