package concentrator

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

const (
	dialTimeout     = 5 * time.Second
	transferTimeout = 2 * time.Second
	socketScheme    = "unix:"
)

// DialSPI connects to a chip behind a unix stream socket ("unix:PATH"). Each
// chip-select frame is a 32-bit big-endian length and that many bytes; the
// answer is as many bytes, without length. Every wait has a deadline; after a
// failed transfer the two ends are out of step, so the port connects anew
// for the next one.
func DialSPI(path string) (spi.PortCloser, error) {
	name, ok := strings.CutPrefix(path, socketScheme)
	if !ok || name == "" {
		return nil, fmt.Errorf("%w: SPI socket %q: %sPATH is wanted", ErrConfig, path, socketScheme)
	}
	p := &socketPort{path: name}
	if err := p.dial(); err != nil {
		return nil, err
	}
	return p, nil
}

// socketPort is both port and connection.
type socketPort struct {
	path string

	mu     sync.Mutex
	conn   net.Conn // nil after a failure
	closed bool
	frame  []byte
}

func (p *socketPort) dial() error {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", p.path)
	if err != nil {
		return fmt.Errorf("SPI socket: %w", err)
	}
	p.conn = c
	return nil
}

// String implements conn.Resource.
func (p *socketPort) String() string { return socketScheme + p.path }

// Connect implements spi.Port; the socket has no clock.
func (p *socketPort) Connect(_ physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	if mode != spi.Mode0 || bits != 8 {
		return nil, fmt.Errorf("%v: mode %v with %d bits, only mode 0 with 8 bits exists", p, mode, bits)
	}
	return p, nil
}

// LimitSpeed implements spi.PortCloser; the socket has no clock.
func (p *socketPort) LimitSpeed(physic.Frequency) error { return nil }

// MaxTxSize implements conn.Limits.
func (p *socketPort) MaxTxSize() int { return maxFrame }

// Duplex implements conn.Conn.
func (p *socketPort) Duplex() conn.Duplex { return conn.Full }

// Close implements io.Closer.
func (p *socketPort) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.conn == nil {
		return nil
	}
	c := p.conn
	p.conn = nil
	return c.Close()
}

// TxPackets implements spi.Conn: each packet is a frame of its own, as
// nothing here needs one that is kept.
func (p *socketPort) TxPackets(list []spi.Packet) error {
	for _, x := range list {
		if x.KeepCS {
			return errors.New("SPI socket: frames of several packets are not supported")
		}
		if err := p.Tx(x.W, x.R); err != nil {
			return err
		}
	}
	return nil
}

// Tx implements conn.Conn.
func (p *socketPort) Tx(w, r []byte) error {
	if len(r) != 0 && len(r) != len(w) {
		return fmt.Errorf("SPI socket: %d bytes out and %d in, they must be as many", len(w), len(r))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	if p.conn == nil {
		if err := p.dial(); err != nil {
			return err
		}
	}
	if err := p.exchange(w, r); err != nil {
		_ = p.conn.Close()
		p.conn = nil
		return fmt.Errorf("SPI socket: %w", err)
	}
	return nil
}

func (p *socketPort) exchange(w, r []byte) error {
	if err := p.conn.SetDeadline(time.Now().Add(transferTimeout)); err != nil {
		return err
	}
	p.frame = binary.BigEndian.AppendUint32(p.frame[:0], uint32(len(w)))
	p.frame = append(p.frame, w...)
	if _, err := p.conn.Write(p.frame); err != nil {
		return err
	}
	if len(r) == 0 {
		r = p.frame[:len(w)]
	}
	_, err := io.ReadFull(p.conn, r)
	return err
}
