package flight

import (
	"context"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// Port is a port of which the recorder is told each frame. A driver can't tell
// it from the one below.
func (r *Recorder) Port(below spi.Port) spi.Port {
	if r == nil {
		return below
	}
	return &port{below, r.bus}
}

type port struct {
	spi.Port
	bus *bus
}

// Connect implements spi.Port.
func (p *port) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	below, err := p.Port.Connect(f, mode, bits)
	if err != nil {
		return nil, err
	}
	return &connection{below, p.bus}, nil
}

type connection struct {
	spi.Conn
	bus *bus
}

// Tx implements spi.Conn.
func (c *connection) Tx(w, r []byte) error {
	err := c.Conn.Tx(w, r)
	if len(w) > 0 {
		c.bus.frame(w, r, err)
	}
	return err
}

// TxPackets implements spi.Conn.
func (c *connection) TxPackets(packets []spi.Packet) error {
	err := c.Conn.TxPackets(packets)
	for _, p := range packets {
		if len(p.W) > 0 {
			c.bus.frame(p.W, p.R, err)
		}
	}
	return err
}

// MaxTxSize implements conn.Limits; 0 is unknown.
func (c *connection) MaxTxSize() int {
	if l, ok := c.Conn.(conn.Limits); ok {
		return l.MaxTxSize()
	}
	return 0
}

// Groups tells whether frames travel together, as to a USB card.
func (c *connection) Groups() bool {
	g, ok := c.Conn.(interface{ Groups() bool })
	return ok && g.Groups()
}

// Reset is a reset pulse of which the recorder is told; nil if there is none.
func (r *Recorder) Reset(pulse func(context.Context) error) func(context.Context) error {
	if r == nil || pulse == nil {
		return pulse
	}
	return func(ctx context.Context) error {
		r.bus.mark(kindReset)
		return pulse(ctx)
	}
}

// Hold is the same for the reset line that is held.
func (r *Recorder) Hold(hold func() error) func() error {
	if r == nil || hold == nil {
		return hold
	}
	return func() error {
		r.bus.mark(kindHold)
		return hold()
	}
}
