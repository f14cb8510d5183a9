package sx1302sim

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/reg"
)

// maxFrame is the longest transfer that the port takes, as Linux' spidev does
// by default.
const maxFrame = 4096

// maxClock is the fastest SPI clock of the chip (data sheet, SPI timing).
const maxClock = 10 * physic.MegaHertz

// Targets of a frame: its first byte drives the multiplexer.
const (
	targetChip   = 0
	targetRadioA = 1
	targetRadioB = 2
)

// Shape of frames to the chip itself.
const (
	writeFlag   = 0x80 // in the high address byte
	writeHeader = 3    // target, address
	readHeader  = 4    // and a dummy byte
)

// Port returns the chip's SPI port. All ports of a chip share its bus.
func (c *Chip) Port() spi.PortCloser { return &port{c} }

type port struct{ chip *Chip }

func (p *port) String() string { return "sx1302sim" }

// Close does nothing: Chip.Close ends the chip.
func (p *port) Close() error { return nil }

// LimitSpeed is accepted and means nothing: Config.Timing decides.
func (p *port) LimitSpeed(f physic.Frequency) error {
	if f <= 0 {
		return fmt.Errorf("sx1302sim: speed limit %v is not positive", f)
	}
	return nil
}

// Connect implements spi.Port.
func (p *port) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	switch {
	case mode != spi.Mode0:
		return nil, fmt.Errorf("sx1302sim: SPI %v; the chip speaks mode 0 only", mode)
	case bits != 8:
		return nil, fmt.Errorf("sx1302sim: %d bits per word; the chip speaks 8 only", bits)
	case f < 0 || f > maxClock:
		return nil, fmt.Errorf("sx1302sim: SPI clock %v; at most %v is allowed", f, maxClock)
	}
	return &bus{p.chip}, nil
}

type bus struct{ chip *Chip }

func (b *bus) String() string      { return "sx1302sim" }
func (b *bus) Duplex() conn.Duplex { return conn.Full }

// MaxTxSize implements conn.Limits.
func (b *bus) MaxTxSize() int { return maxFrame }

// Tx is one chip-select frame.
func (b *bus) Tx(w, r []byte) error {
	switch {
	case len(w) == 0 && len(r) == 0:
		return errors.New("sx1302sim: empty transfer")
	case len(w) == 0:
		w = make([]byte, len(r))
	case len(r) != 0 && len(r) != len(w):
		return fmt.Errorf("sx1302sim: %d bytes to write and %d to read; both must be as long or one empty", len(w), len(r))
	}
	return b.chip.transfer(w, r)
}

// TxPackets joins the packets up to one without KeepCS to a frame.
func (b *bus) TxPackets(packets []spi.Packet) error {
	for len(packets) > 0 {
		n := 0
		for n < len(packets)-1 && packets[n].KeepCS {
			n++
		}
		if err := b.joined(packets[:n+1]); err != nil {
			return err
		}
		packets = packets[n+1:]
	}
	return nil
}

func (b *bus) joined(packets []spi.Packet) error {
	if packets[len(packets)-1].KeepCS {
		return errors.New("sx1302sim: KeepCS on the last packet is not supported")
	}
	var w []byte
	for _, p := range packets {
		if p.BitsPerWord != 0 && p.BitsPerWord != 8 {
			return fmt.Errorf("sx1302sim: %d bits per word; the chip speaks 8 only", p.BitsPerWord)
		}
		if len(p.W) != 0 && len(p.R) != 0 && len(p.W) != len(p.R) {
			return fmt.Errorf("sx1302sim: packet with %d bytes to write and %d to read", len(p.W), len(p.R))
		}
		if len(p.W) != 0 {
			w = append(w, p.W...)
		} else {
			w = append(w, make([]byte, len(p.R))...)
		}
	}
	r := make([]byte, len(w))
	if err := b.Tx(w, r); err != nil {
		return err
	}
	at := 0
	for _, p := range packets {
		copy(p.R, r[at:])
		at += max(len(p.W), len(p.R))
	}
	return nil
}

// transfer carries one frame from a spidev: it lasts what the timing says,
// then takes effect. r is nil or as long as w.
func (c *Chip) transfer(w, r []byte) error { return c.carry(w, r, maxFrame) }

// carry is transfer for any host; limit is the longest frame that it is able
// to make.
func (c *Chip) carry(w, r []byte, limit int) error {
	c.bus <- struct{}{}
	defer func() { <-c.bus }()
	fails, dies, answer := c.faults.transfer()
	c.pace.wait(c.cfg.Timing, len(w))
	c.mu.Lock()
	defer c.release()
	switch {
	case c.closed:
		return ErrClosed
	case fails:
		return ErrTransfer
	}
	c.err, c.transferring = nil, true
	defer func() { c.transferring = false }()
	c.tick()
	if dies {
		c.losePower()
	}
	if r == nil {
		if cap(c.scratch) < len(w) {
			c.scratch = make([]byte, len(w))
		}
		r = c.scratch[:len(w)]
	}
	c.exchange(w, r, answer, limit)
	c.faults.noise(r)
	if c.trace != nil {
		c.writeTrace(w, r)
	}
	if c.cfg.Lax {
		return nil
	}
	return c.err
}

// exchange decides who answers a frame.
func (c *Chip) exchange(w, r []byte, answer Answer, limit int) {
	clear(r)
	switch {
	case len(w) > limit:
		c.violation("transfer of %d bytes; at most %d are possible", len(w), limit)
	case answer == AnswerOnes:
		for i := range r {
			r[i] = 0xFF
		}
	case answer == AnswerZeroes || c.inReset:
	case answer == AnswerUnreset || c.dead:
		c.unreset(w, r)
	case w[0] == targetChip:
		c.chipFrame(w, r)
	case w[0] == targetRadioA || w[0] == targetRadioB:
		c.radioFrame(int(w[0]-targetRadioA), w[1:], r[1:])
	default:
		c.violation("SPI multiplexer byte 0x%02X; 0 is the chip, 1 and 2 are the radios", w[0])
	}
}

// chipFrame is a burst of register or memory accesses. The address advances,
// except in the receive FIFO.
func (c *Chip) chipFrame(w, r []byte) {
	if len(w) <= writeHeader {
		c.violation("frame of %d bytes to the chip; target, two bytes of address and data are needed", len(w))
		return
	}
	c.frame = frameState{}
	a := reg.Addr(w[1]&^writeFlag)<<8 | reg.Addr(w[2])
	if w[1]&writeFlag != 0 {
		for _, v := range w[writeHeader:] {
			c.write(a, v)
			a++
		}
		return
	}
	if len(w) == readHeader {
		c.violation("read of 0x%04X without data: the dummy byte comes first", uint(a))
	}
	if a == reg.RXFIFO {
		c.drain(r[readHeader:])
		return
	}
	for i := readHeader; i < len(r); i++ {
		r[i] = c.read(a)
		a++
	}
}

// unreset answers as a chip that never saw its reset.
func (c *Chip) unreset(w, r []byte) {
	if w[0] != targetChip || len(w) <= readHeader || w[1]&writeFlag != 0 {
		return
	}
	a := reg.Addr(w[1])<<8 | reg.Addr(w[2])
	for i := readHeader; i < len(r); i++ {
		switch {
		case a == reg.CommonVersion.Addr():
			r[i] = unresetVersion
		case a >= firstRegister && a < endRegisters:
			r[i] = c.file.initial[a-firstRegister]
		}
		a++
	}
}
