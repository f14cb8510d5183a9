package concentrator

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// DialSPI connects to a chip behind a unix stream socket ("unix:PATH"). Each
// chip-select frame is a 32-bit big-endian length and that many bytes; the
// answer is as many bytes, without length. Every wait has a deadline, and
// after a failure the next transfer connects anew.
func DialSPI(path string) (spi.PortCloser, error) {
	s, err := dialSocket("SPI socket", path)
	if err != nil {
		return nil, err
	}
	return socketPort{s}, nil
}

// socketPort is both port and connection.
type socketPort struct{ *socket }

// Connect implements spi.Port; the socket has no clock.
func (p socketPort) Connect(_ physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	if mode != spi.Mode0 || bits != 8 {
		return nil, fmt.Errorf("%v: mode %v with %d bits, only mode 0 with 8 bits exists", p, mode, bits)
	}
	return p, nil
}

// LimitSpeed implements spi.PortCloser; the socket has no clock.
func (p socketPort) LimitSpeed(physic.Frequency) error { return nil }

// MaxTxSize implements conn.Limits.
func (p socketPort) MaxTxSize() int { return maxFrame }

// Duplex implements conn.Conn.
func (p socketPort) Duplex() conn.Duplex { return conn.Full }

// TxPackets implements spi.Conn: each packet is a frame of its own, as
// nothing here needs one that is kept.
func (p socketPort) TxPackets(list []spi.Packet) error {
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
func (p socketPort) Tx(w, r []byte) error {
	if len(r) == 0 {
		r = make([]byte, len(w)) // what comes back must be read
	}
	if len(r) != len(w) {
		return fmt.Errorf("SPI socket: %d bytes out and %d in, they must be as many", len(w), len(r))
	}
	return p.exchange(nil, w, r)
}

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
// Deadlines and failures are as with [DialSPI].
func DialI2C(path string) (i2c.BusCloser, error) {
	s, err := dialSocket("I2C socket", path)
	if err != nil {
		return nil, err
	}
	return socketI2C{s}, nil
}

type socketI2C struct{ *socket }

// SetSpeed implements i2c.Bus; the socket has no clock.
func (b socketI2C) SetSpeed(physic.Frequency) error { return nil }

// Tx implements i2c.Bus.
func (b socketI2C) Tx(addr uint16, w, r []byte) error {
	if addr > 0x7F || len(r) > mostI2CRead || len(w) > mostI2CWrite {
		return fmt.Errorf("I2C socket: address 0x%02X, %d bytes to write, %d to read: at most 0x7F, %d and %d", addr, len(w), len(r), mostI2CWrite, mostI2CRead)
	}
	response := make([]byte, 1+len(r))
	if err := b.exchange([]byte{byte(addr), byte(len(r))}, w, response); err != nil {
		return err
	}
	if response[0] != 0 {
		return fmt.Errorf("I2C address 0x%02X: %w", addr, errNoAcknowledge)
	}
	copy(r, response[1:])
	return nil
}
