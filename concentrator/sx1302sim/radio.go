package sx1302sim

import "gatewayd/concentrator/reg"

// device is a radio chip behind the concentrator's SPI multiplexer. w is
// what the host clocks out after the multiplexer byte, r what it gets.
type device interface {
	reset()
	transfer(c *Chip, w, r []byte)
	clock() bool        // gives the concentrator its 32 MHz
	frequency() float64 // of reception, hertz; 0 while it doesn't receive
}

// frontEnd is a radio with its enable and reset lines.
type frontEnd struct {
	what RadioKind
	dev  device
	on   bool // enabled and out of reset
}

func newFrontEnd(k RadioKind) frontEnd {
	f := frontEnd{what: k}
	switch k {
	case SX1250:
		f.dev = new(sx1250)
	case SX1255, SX1257:
		f.dev = &sx125x{kind: k}
	case NoRadio:
		f.dev = nobody{}
	}
	f.dev.reset()
	return f
}

func (f *frontEnd) kind() RadioKind { return f.what }

// power switches the radio; it starts from its reset state.
func (f *frontEnd) power(on bool) {
	if f.on != on {
		f.dev.reset()
	}
	f.on = on
}

// lines sets the enable and the reset line, registers 0x5783 and 0x5784. The
// reset of an SX1250 is active low, that of the others active high.
func (f *frontEnd) lines(enable, reset bool) {
	f.power(enable && reset == (f.what == SX1250))
}

func (f *frontEnd) clock() bool { return f.on && f.dev.clock() }

// frequency is where the radio receives, 0 if it doesn't.
func (f *frontEnd) frequency() float64 {
	if !f.on {
		return 0
	}
	return f.dev.frequency()
}

// radioFrame carries a frame to radio i: only while the host has the radios
// (0x5601.3), and only as the type bit (0x5601.0 and .1) says.
func (c *Chip) radioFrame(i int, w, r []byte) {
	if c.file.get(reg.CommonCtrl0HostRadioCtrl) == 0 {
		c.violation("radio %d addressed while HOST_RADIO_CTRL (0x5601.3) is 0: the AGC owns the radios", i)
		return
	}
	f := &c.radios[i]
	typeBit := [2]reg.Field{reg.CommonCtrl0SX1261ModeRadioA, reg.CommonCtrl0SX1261ModeRadioB}[i]
	if f.what != NoRadio && (c.file.get(typeBit) == 1) != (f.what == SX1250) {
		c.violation("radio %d addressed with type bit %v = %d, which is not the radio's kind", i, typeBit, c.file.get(typeBit))
		return
	}
	if f.on && !c.faults.deadRadio(i) {
		f.dev.transfer(c, w, r)
	}
}

// indexOf is which of the two radios d is.
func (c *Chip) indexOf(d device) int {
	if c.radios[1].dev == d {
		return 1
	}
	return 0
}

// nobody is the place of a radio that isn't there.
type nobody struct{}

func (nobody) reset()                         {}
func (nobody) transfer(*Chip, []byte, []byte) {}
func (nobody) clock() bool                    { return false }
func (nobody) frequency() float64             { return 0 }
