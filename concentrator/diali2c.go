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

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Limits of a transfer over an I2C socket.
const (
	mostI2CRead  = 255
	mostI2CWrite = 4096
)

// errNoAcknowledge is what a transfer to an address without device ends in.
var errNoAcknowledge = errors.New("no device acknowledges")

// DialI2C connects to an I2C bus behind a unix stream socket ("unix:PATH").
// A request is a 32-bit big-endian length and that many bytes: the address,
// how many bytes to read, and the bytes to write before; the response is 0,
// or 1 where no device acknowledged, and as many bytes as were to be read.
// Every wait has a deadline, and after a failure the next transfer connects
// anew, as with [DialSPI].
func DialI2C(path string) (i2c.BusCloser, error) {
	name, ok := strings.CutPrefix(path, socketScheme)
	if !ok || name == "" {
		return nil, fmt.Errorf("%w: I2C socket %q: %sPATH is wanted", ErrConfig, path, socketScheme)
	}
	b := &socketI2C{path: name}
	if err := b.dial(); err != nil {
		return nil, err
	}
	return b, nil
}

type socketI2C struct {
	path string

	mu     sync.Mutex
	conn   net.Conn // nil after a failure
	closed bool
}

func (b *socketI2C) dial() error {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", b.path)
	if err != nil {
		return fmt.Errorf("I2C socket: %w", err)
	}
	b.conn = c
	return nil
}

// String implements conn.Resource.
func (b *socketI2C) String() string { return socketScheme + b.path }

// SetSpeed implements i2c.Bus; the socket has no clock.
func (b *socketI2C) SetSpeed(physic.Frequency) error { return nil }

// Close implements io.Closer.
func (b *socketI2C) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.conn == nil {
		return nil
	}
	c := b.conn
	b.conn = nil
	return c.Close()
}

// Tx implements i2c.Bus.
func (b *socketI2C) Tx(addr uint16, w, r []byte) error {
	if addr > 0x7F || len(r) > mostI2CRead || len(w) > mostI2CWrite {
		return fmt.Errorf("I2C socket: address 0x%02X, %d bytes to write, %d to read: at most 0x7F, %d and %d", addr, len(w), len(r), mostI2CWrite, mostI2CRead)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return net.ErrClosed
	}
	if b.conn == nil {
		if err := b.dial(); err != nil {
			return err
		}
	}
	acknowledged, err := b.exchange(addr, w, r)
	if err != nil {
		_ = b.conn.Close()
		b.conn = nil
		return fmt.Errorf("I2C socket: %w", err)
	}
	if !acknowledged {
		return fmt.Errorf("I2C address 0x%02X: %w", addr, errNoAcknowledge)
	}
	return nil
}

func (b *socketI2C) exchange(addr uint16, w, r []byte) (acknowledged bool, err error) {
	if err := b.conn.SetDeadline(time.Now().Add(transferTimeout)); err != nil {
		return false, err
	}
	request := binary.BigEndian.AppendUint32(nil, uint32(2+len(w)))
	request = append(append(request, byte(addr), byte(len(r))), w...)
	if _, err := b.conn.Write(request); err != nil {
		return false, err
	}
	response := make([]byte, 1+len(r))
	if _, err := io.ReadFull(b.conn, response); err != nil {
		return false, err
	}
	copy(r, response[1:])
	return response[0] == 0, nil
}
