package sx1302sim

import "gatewayd/concentrator/reg"

// Registers live in this range; memories below, nothing above.
const (
	firstRegister reg.Addr = 0x5200
	endRegisters  reg.Addr = 0x6200
)

// registerFile holds a byte for each address of the register range.
type registerFile struct {
	value   [endRegisters - firstRegister]byte
	initial [endRegisters - firstRegister]byte
	defined [endRegisters - firstRegister]byte
	locked  [endRegisters - firstRegister]byte // read-only bits
	known   [endRegisters - firstRegister]bool
}

func (f *registerFile) describe() {
	reg.Each(func(a reg.Addr, b reg.Byte) {
		i := a - firstRegister
		f.known[i], f.initial[i], f.defined[i], f.locked[i] = true, b.Reset, b.Defined, b.ReadOnly
	})
}

func (f *registerFile) reset() { f.value = f.initial }

func (f *registerFile) at(a reg.Addr) byte       { return f.value[a-firstRegister] }
func (f *registerFile) set(a reg.Addr, v byte)   { f.value[a-firstRegister] = v }
func (f *registerFile) get(x reg.Field) byte     { return x.Get(f.value[x.Addr()-firstRegister]) }
func (f *registerFile) put(x reg.Field, v byte)  { f.set(x.Addr(), x.Set(f.at(x.Addr()), v)) }
func (f *registerFile) word(h, l reg.Field) uint { return uint(f.get(h))<<8 | uint(f.get(l)) }

// frameState is what is remembered within one chip-select frame.
type frameState struct {
	counters bool // the counters are latched
	count    bool // the byte count is latched
}

// read returns the byte at a as the host sees it.
func (c *Chip) read(a reg.Addr) byte {
	switch {
	case a < 2*reg.ARBMemory && c.file.get(reg.CommonPage) == capturePage:
		return c.capture.memory[a]
	case a < reg.ARBMemory:
		return c.agc.read(c, "AGC", int(a), c.file.get(reg.AGCCtrlHostProg) == 1)
	case a < 2*reg.ARBMemory:
		return c.arb.read(c, "ARB", int(a-reg.ARBMemory), c.file.get(reg.ARBCtrlHostProg) == 1)
	case a == reg.RXFIFO:
		return c.popFIFO()
	case a >= reg.TXBuffer0 && a < reg.TXBuffer0+reg.TXBufferSize:
		return c.buffers[0][a-reg.TXBuffer0]
	case a >= reg.TXBuffer1 && a < reg.TXBuffer1+reg.TXBufferSize:
		return c.buffers[1][a-reg.TXBuffer1]
	case a < firstRegister || a >= endRegisters || !c.file.known[a-firstRegister]:
		c.violation("read of 0x%04X, where the chip has no register; see package reg for those it has", uint(a))
		return 0
	}
	c.refresh(a)
	return c.file.at(a)
}

// refresh brings a register that changes by itself up to date.
func (c *Chip) refresh(a reg.Addr) {
	switch a {
	case reg.TXFsmStatusTX.Addr():
		c.file.set(a, c.tx[0].status(c))
	case reg.TXFsmStatusTX.Chain(1).Addr():
		c.file.set(a, c.tx[1].status(c))
	case reg.RadioFESigAnaCfgValid.Addr(), reg.RadioFESigAnaAbsMSBCorrAbsOut.Addr(), reg.RadioFESigAnaAbsLSBCorrAbsOut.Addr():
		c.analyser.refresh(c)
	case reg.CaptureStatusCapcomplete.Addr(), reg.CaptureLastRamAddr0Lastramaddr.Addr(), reg.CaptureLastRamAddr1Lastramaddr.Addr():
		c.capture.refresh(c)
	case reg.AGCMCUAGCStatus.Addr():
		if stuck := c.faults.stuckAGC(); stuck != 0 {
			c.file.set(a, stuck)
		}
	case reg.AGCCtrlParityError.Addr():
		c.file.put(reg.AGCCtrlParityError, bit(c.agc.parity || c.faults.active(&c.faults.m.ParityAGC)))
	case reg.ARBCtrlParityError.Addr():
		c.file.put(reg.ARBCtrlParityError, bit(c.arb.parity || c.faults.active(&c.faults.m.ParityARB)))
	}
	switch {
	case a >= reg.TimestampPPSMsb2.Addr() && a <= reg.TimestampLsb1.Addr() && !c.frame.counters:
		c.frame.counters = true
		c.latchCounters()
	case a >= reg.RXBufferLastAddrReadMSB.Addr() && a <= reg.RXBufferNbBytesLSB.Addr() && !c.frame.count:
		c.frame.count = true
		c.latchFIFO()
	}
}

// write stores v at a and does what that causes.
func (c *Chip) write(a reg.Addr, v byte) {
	switch {
	case a < reg.ARBMemory:
		c.agc.write(c, "AGC", int(a), v, c.file.get(reg.AGCCtrlHostProg) == 1)
		return
	case a < 2*reg.ARBMemory:
		c.arb.write(c, "ARB", int(a-reg.ARBMemory), v, c.file.get(reg.ARBCtrlHostProg) == 1)
		return
	case a >= reg.TXBuffer0 && a < reg.TXBuffer0+reg.TXBufferSize:
		c.fillBuffer(0, int(a-reg.TXBuffer0), v)
		return
	case a >= reg.TXBuffer1 && a < reg.TXBuffer1+reg.TXBufferSize:
		c.fillBuffer(1, int(a-reg.TXBuffer1), v)
		return
	case a < firstRegister || a >= endRegisters || !c.file.known[a-firstRegister]:
		c.violation("write of 0x%02X to 0x%04X, where the chip has no register; see package reg for those it has", v, uint(a))
		return
	}
	c.refresh(a)
	old, i := c.file.at(a), a-firstRegister
	if wrong := (v ^ old) & c.file.locked[i]; wrong != 0 {
		c.violation("write of 0x%02X to 0x%04X changes read-only bits 0x%02X; write them as they read (0x%02X)", v, uint(a), wrong, old)
	}
	if wrong := (v ^ old) &^ c.file.defined[i]; wrong != 0 {
		c.violation("write of 0x%02X to 0x%04X changes bits 0x%02X, which don't exist; write them as they read (0x%02X)", v, uint(a), wrong, old)
	}
	keep := c.file.locked[i] | ^c.file.defined[i]
	v = old&keep | v&^keep
	c.file.set(a, v)
	c.react(a, old, v)
}

// react does what a write causes beyond storing the byte.
func (c *Chip) react(a reg.Addr, old, v byte) {
	switch a {
	case reg.TXTrigImmediate.Addr():
		c.tx[0].trigger(c, old, v)
	case reg.TXTrigImmediate.Chain(1).Addr():
		c.tx[1].trigger(c, old, v)
	case reg.AGCCtrlHostProg.Addr():
		c.agc.control(c, reg.AGCCtrlMCUClear.Mask()|reg.AGCCtrlHostProg.Mask(), old, v)
	case reg.ARBCtrlHostProg.Addr():
		c.arb.control(c, reg.ARBCtrlMCUClear.Mask()|reg.ARBCtrlHostProg.Mask(), old, v)
	case reg.AGCRFEnARadio.Addr():
		c.radios[0].lines(reg.AGCRFEnARadio.Get(v) == 1, reg.AGCRFEnARadioRst.Get(v) == 1)
	case reg.AGCRFEnBRadio.Addr():
		c.radios[1].lines(reg.AGCRFEnBRadio.Get(v) == 1, reg.AGCRFEnBRadioRst.Get(v) == 1)
	case reg.AGCMCUMailBoxWrDataByte3.Addr():
		c.agc.notify(c, v)
	case reg.AGCMCUMailBoxWrDataByte0.Addr():
		c.agc.acknowledge(c, v)
	case reg.ARBDebugCfg1.Addr():
		c.arb.resume(c, v)
	case reg.RadioFESigAnaCfgStart.Addr():
		c.analyser.start(c, old, v)
	case reg.CaptureCfgCapturestart.Addr():
		c.capture.start(c, old, v)
	case reg.OTPByteAddr.Addr():
		c.file.set(reg.OTPRdData.Addr(), c.otp(v))
	}
}

// otp returns a byte of the one-time programmable memory: the EUI, most
// significant byte first, and the model.
func (c *Chip) otp(addr byte) byte {
	switch {
	case int(addr) < len(c.cfg.EUI):
		return c.cfg.EUI[addr]
	case addr == 0xD0:
		return byte(c.cfg.Model)
	}
	return 0
}

// fillBuffer takes one byte of payload; the host must have opened the buffer.
func (c *Chip) fillBuffer(chain, i int, v byte) {
	if c.file.get(reg.TXCtrlWriteBuffer.Chain(chain)) == 0 {
		c.violation("write to the payload buffer of chain %d while WRITE_BUFFER (0x%04X.0) is 0; set it first", chain, uint(reg.TXCtrlWriteBuffer.Chain(chain).Addr()))
		return
	}
	c.buffers[chain][i] = v
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
