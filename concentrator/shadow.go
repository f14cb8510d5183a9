package concentrator

import (
	"fmt"

	"gatewayd/concentrator/reg"
)

// The registers lie in 0x5200 .. 0x61FF.
const (
	registersFrom = 0x5200
	registersTo   = 0x6200
)

// state is what is known about a register byte.
type state uint8

const (
	known   state = 1 << iota // the value was read from or written to the chip
	written                   // we wrote it since the reset
	dirty                     // to be written by the next flush
)

// maxBridge is how many clean bytes a burst may run over to save a frame. A
// frame costs some 30 µs and three bytes of header, a byte 1 µs at 8 MHz.
const maxBridge = 12

// shadow is the driver's copy of the chip's registers: a field is changed in
// the copy, and flush sends the changed bytes, neighbours in one burst. So
// nothing is read before it is written. The copy starts with the reset values
// of [reg.Lookup]; the first write of each byte always reaches the chip.
//
// Bytes that the chip or its microcontrollers change on their own (see
// volatile) are never trusted: they are sent even if they seem equal.
type shadow struct {
	bus    *bus
	values [registersTo - registersFrom]byte
	states [registersTo - registersFrom]state
	first  int // range of dirty bytes, indices
	last   int
}

func newShadow(b *bus) *shadow {
	s := &shadow{bus: b}
	s.reset()
	return s
}

// reset forgets everything: the chip was reset.
func (s *shadow) reset() {
	clear(s.values[:])
	clear(s.states[:])
	reg.Each(func(a reg.Addr, b reg.Byte) { s.values[a-registersFrom] = b.Reset })
	s.clean()
}

func (s *shadow) clean() { s.first, s.last = len(s.values), -1 }

// volatile tells whether others than the driver write a byte, or whether
// writing it does something even when the value is the same: triggers and
// flags of the transmitters, control, status and mailboxes of the MCUs, the
// counters, the memory address of the OTP.
func volatile(a reg.Addr) bool {
	if a >= 0x5400 && a < 0x5500 { // both transmitters look alike
		a -= 0x0200
	}
	switch a {
	case 0x5200, 0x5207, 0x520B, 0x5265, 0x5270:
		return true
	}
	return a >= 0x5780 && a < 0x5785 || a >= 0x5787 && a < 0x57C0 ||
		a >= 0x6080 && a < 0x609D || a >= 0x6180 && a < 0x6188
}

// set changes a field in the copy.
func (s *shadow) set(f reg.Field, v byte) {
	i := int(f.Addr()) - registersFrom
	s.setByte(f.Addr(), f.Set(s.values[i], v))
}

// setByte changes a whole byte in the copy.
func (s *shadow) setByte(a reg.Addr, v byte) {
	i := int(a) - registersFrom
	if s.states[i]&written != 0 && s.values[i] == v && !volatile(a) {
		return
	}
	s.values[i] = v
	s.states[i] |= dirty
	s.first, s.last = min(s.first, i), max(s.last, i)
}

// setWord changes a 16-bit value whose more significant byte comes first.
func (s *shadow) setWord(msb reg.Field, v uint16) {
	s.set(msb, byte(v>>8))
	s.setByte(msb.Addr()+1, byte(v))
}

// get returns a field of the copy.
func (s *shadow) get(f reg.Field) byte { return f.Get(s.values[int(f.Addr())-registersFrom]) }

// flush writes all changed bytes in order of address.
func (s *shadow) flush() error {
	defer s.clean()
	err := s.bus.together(s.flushBursts)
	if err != nil {
		s.distrust(s.first, s.last+1)
	}
	return err
}

// together lets the frames of several flushes travel together where the bus
// is able to; after an error nothing is known of the registers.
func (s *shadow) together(f func() error) error {
	err := s.bus.together(f)
	if err != nil {
		s.distrust(0, len(s.states))
	}
	return err
}

func (s *shadow) flushBursts() error {
	for from := s.first; from <= s.last; {
		if s.states[from]&dirty == 0 {
			from++
			continue
		}
		to := s.burst(from)
		if err := s.bus.write(reg.Addr(from+registersFrom), s.values[from:to]); err != nil {
			return err
		}
		for i := from; i < to; i++ {
			s.states[i] = known | written
		}
		from = to
	}
	return nil
}

// put is set and flush: for the writes whose order matters.
func (s *shadow) put(f reg.Field, v byte) error {
	s.set(f, v)
	return s.flush()
}

// burst returns the end of the burst that begins at from: it runs over a few
// clean bytes when their true value is known and writing it again is harmless.
func (s *shadow) burst(from int) (to int) {
	to = from + 1
	for i := to; i <= s.last && i-to <= maxBridge; i++ {
		switch {
		case s.states[i]&dirty != 0:
			to = i + 1
		case !s.bridgeable(i):
			return to
		}
	}
	return to
}

func (s *shadow) bridgeable(i int) bool {
	a := reg.Addr(i + registersFrom)
	b, ok := reg.Lookup(a)
	return ok && b.ReadOnly == 0 && s.states[i]&known != 0 && !volatile(a)
}

// distrust forgets what is known of a range of indices: a write may or may
// not have reached the chip.
func (s *shadow) distrust(from, to int) {
	for i := from; i < to; i++ {
		s.states[i] &^= known | written | dirty
	}
}

// read reads consecutive bytes from the chip and believes them.
func (s *shadow) read(a reg.Addr, n int) ([]byte, error) {
	data := make([]byte, n)
	if err := s.bus.read(a, data); err != nil {
		return nil, err
	}
	for k, v := range data {
		i := int(a) + k - registersFrom
		if s.states[i]&dirty == 0 {
			s.values[i] = v
			s.states[i] |= known
		}
	}
	return data, nil
}

// readByte reads one byte.
func (s *shadow) readByte(a reg.Addr) (byte, error) {
	d, err := s.read(a, 1)
	if err != nil {
		return 0, err
	}
	return d[0], nil
}

// differences lists the bytes among consecutive ones whose writable bits are
// not at their reset values.
func differences(a reg.Addr, data []byte) (odd []string) {
	for k, v := range data {
		b, ok := reg.Lookup(a + reg.Addr(k))
		if ok && (v^b.Reset)&b.Defined&^b.ReadOnly != 0 {
			odd = append(odd, fmt.Sprintf("0x%04X = 0x%02X, not 0x%02X", uint16(a)+uint16(k), v, b.Reset))
		}
	}
	return odd
}
