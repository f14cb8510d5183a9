package sx1302sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// maxSX1261Clock is the fastest SPI clock of the companion (data sheet).
const maxSX1261Clock = 16 * physic.MegaHertz

// SX1261Port returns the port of the companion radio: a chip select of its
// own on the same bus. Its reset line is that of the chip: SetReset.
func (c *Chip) SX1261Port() spi.PortCloser { return &companionPort{c} }

type companionPort struct{ chip *Chip }

func (p *companionPort) String() string { return "sx1302sim/sx1261" }

// Close does nothing: Chip.Close ends the chip.
func (p *companionPort) Close() error { return nil }

// LimitSpeed is accepted and means nothing: Config.Timing decides.
func (p *companionPort) LimitSpeed(f physic.Frequency) error { return (&port{p.chip}).LimitSpeed(f) }

// Connect implements spi.Port.
func (p *companionPort) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	if mode != spi.Mode0 || bits != 8 || f < 0 || f > maxSX1261Clock {
		return nil, fmt.Errorf("sx1302sim/sx1261: %v, %d bits, %v; only mode 0, 8 bits, up to %v is spoken", mode, bits, f, maxSX1261Clock)
	}
	return &companionBus{p.chip}, nil
}

type companionBus struct{ chip *Chip }

func (b *companionBus) String() string      { return "sx1302sim/sx1261" }
func (b *companionBus) Duplex() conn.Duplex { return conn.Full }

// MaxTxSize implements conn.Limits.
func (b *companionBus) MaxTxSize() int { return maxFrame }

// Tx is one chip-select frame.
func (b *companionBus) Tx(w, r []byte) error {
	if len(w) == 0 || len(r) != 0 && len(r) != len(w) {
		return fmt.Errorf("sx1302sim/sx1261: %d bytes to write and %d to read; a command is needed, and as many bytes to read or none", len(w), len(r))
	}
	return b.chip.transferSX1261(w, r)
}

// TxPackets implements spi.Conn: each packet is a frame.
func (b *companionBus) TxPackets(packets []spi.Packet) error {
	for _, p := range packets {
		if p.KeepCS {
			return errors.New("sx1302sim/sx1261: frames of several packets are not supported")
		}
		if err := b.Tx(p.W, p.R); err != nil {
			return err
		}
	}
	return nil
}

// ServeSX1261 is Serve for the companion's chip select.
func (c *Chip) ServeSX1261(ctx context.Context, l net.Listener) error {
	return serveFrames(ctx, l, c.log, spiFrames(c.transferSX1261))
}

// sx1261Busy is how long BUSY of the companion stays high.
func (c *Chip) sx1261Busy() time.Duration {
	c.mu.Lock()
	defer c.release()
	c.tick()
	return durationOf(c.sx1261.busy - c.now)
}

// resetSX1261 drives the companion's own reset line, where it has one.
func (c *Chip) resetSX1261() {
	c.mu.Lock()
	defer c.release()
	c.tick()
	c.sx1261.end(c)
	c.sx1261.reset()
}

// transferSX1261 carries one frame to the companion. r is nil or as long as w.
func (c *Chip) transferSX1261(w, r []byte) error {
	c.bus <- struct{}{}
	defer func() { <-c.bus }()
	c.pace.wait(c.cfg.Timing, len(w))
	c.mu.Lock()
	defer c.release()
	fault := c.faults.companion()
	switch {
	case c.closed:
		return ErrClosed
	case c.faults.failSX1261():
		return ErrTransfer
	}
	c.err, c.transferring = nil, true
	defer func() { c.transferring = false }()
	c.tick()
	if r == nil {
		r = make([]byte, len(w))
	}
	clear(r)
	switch {
	case len(w) > maxFrame:
		c.violation("transfer of %d bytes to the SX1261; at most %d are possible", len(w), maxFrame)
	case !fault.Mute && !c.inReset:
		c.sx1261.transfer(c, w, r)
	}
	if c.trace != nil {
		c.traceSX1261(w, r)
	}
	if c.cfg.Lax {
		return nil
	}
	return c.err
}

// traceSX1261 writes the line of one transfer.
func (c *Chip) traceSX1261(w, r []byte) {
	if err := traceCommand(c.trace, "sx1261", w[0], w[1:], r[1:]); err != nil {
		c.log.Warn("bus trace ends: write failed", "err", err)
		c.trace = nil
	}
}
