package concentrator

import (
	"fmt"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/reg"
)

// The SPI framing: mode 0, one chip-select frame per access. The first byte
// chooses the target on the concentrator's bus, then two address bytes whose
// top bit says write; a read has one byte of turn-around before its data.
const (
	targetChip   = 0x00
	targetRadioA = 0x01 // radio B follows
	writeFlag    = 0x80

	writeHeader = 3
	readHeader  = 4

	// chunk is the most data bytes of one written frame, as the vendor's
	// library cuts them.
	chunk = 1024
	// maxFrame is the spidev driver's usual limit for one transfer.
	maxFrame = 4096
)

// bus carries frames and counts what they cost. It belongs to one goroutine;
// only the cost figures are read by others.
type bus struct {
	conn  spi.Conn
	hz    int64
	limit int // bytes in one frame
	tx    [maxFrame]byte
	rx    [maxFrame]byte

	grouping   bool         // frames can travel together: group.go
	collecting bool         // and now they do
	group      []spi.Packet // written, not sent

	frames, bytes, retries, failures atomic.Uint64
	overhead                         atomic.Int64 // ns per frame, smoothed
}

// overheadGuess is assumed until transfers have been timed.
const overheadGuess = 50 * time.Microsecond

// overheadMax bounds the smoothed overhead, so that a host that was busy
// doesn't look like a slow bus for ever.
const overheadMax = 500 * time.Microsecond

func newBus(port spi.Port, hz int64) (*bus, error) {
	c, err := port.Connect(physic.Frequency(hz)*physic.Hertz, spi.Mode0, 8)
	if err != nil {
		return nil, fmt.Errorf("connect %v: %w", port, err)
	}
	b := &bus{conn: c, hz: hz, limit: maxFrame}
	if l, ok := c.(conn.Limits); ok && l.MaxTxSize() > 0 {
		b.limit = min(maxFrame, l.MaxTxSize())
	}
	if b.limit < 64 {
		return nil, fmt.Errorf("%v carries only %d bytes a transfer; at least 64 are needed", port, b.limit)
	}
	b.overhead.Store(int64(overheadGuess))
	if b.grouping = groups(c); b.grouping {
		b.overhead.Store(int64(groupOverheadGuess))
	}
	return b, nil
}

// transfer clocks out the first n bytes of b.tx and returns what came in.
func (b *bus) transfer(n int) ([]byte, error) {
	err := b.exchange(1, n, func() error { return b.conn.Tx(b.tx[:n], b.rx[:n]) })
	if err != nil {
		return nil, err
	}
	return b.rx[:n], nil
}

// exchange lets do carry frames with n bytes in all, counts and times them.
func (b *bus) exchange(frames, n int, do func() error) error {
	begin := time.Now()
	err := do()
	b.frames.Add(uint64(frames))
	b.bytes.Add(uint64(n))
	if err != nil {
		b.failures.Add(1)
		return fmt.Errorf("%w: %w", ErrTransfer, err)
	}
	most := overheadMax
	if b.grouping {
		most = groupOverheadMax
	}
	extra := time.Since(begin) - b.clocked(n)
	extra = min(max(extra, 0), most)
	old := b.overhead.Load()
	b.overhead.Store(old + (int64(extra)-old)/32)
	return nil
}

// repeat is transfer with a second try: right for frames that do no harm
// twice, which is all but reads of the receive buffer.
func (b *bus) repeat(n int) ([]byte, error) {
	if err := b.send(); err != nil { // what was written before
		return nil, err
	}
	r, err := b.transfer(n)
	if err == nil {
		return r, nil
	}
	b.retries.Add(1)
	return b.transfer(n)
}

// clocked is how long n bytes take on the wire.
func (b *bus) clocked(n int) time.Duration {
	return time.Duration(int64(n) * 8 * int64(time.Second) / b.hz)
}

// cost estimates how long a number of frames with bytes in all take.
func (b *bus) cost(frames, bytes int) time.Duration {
	if b.grouping {
		frames = (frames + groupShare - 1) / groupShare
	}
	return b.costAlone(frames, bytes)
}

// costAlone is cost for frames that each wait for the one before.
func (b *bus) costAlone(frames, bytes int) time.Duration {
	return time.Duration(frames)*time.Duration(b.overhead.Load()) + b.clocked(bytes)
}

// write sends data to consecutive addresses of the chip.
func (b *bus) write(a reg.Addr, data []byte) error {
	return b.together(func() error { return b.writeFrames(a, data) })
}

func (b *bus) writeFrames(a reg.Addr, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), chunk, b.limit-writeHeader)
		b.tx[0], b.tx[1], b.tx[2] = targetChip, writeFlag|byte(a>>8), byte(a)
		copy(b.tx[writeHeader:], data[:n])
		var err error
		if b.collecting {
			err = b.collect(writeHeader + n)
		} else {
			_, err = b.repeat(writeHeader + n)
		}
		if err != nil {
			return fmt.Errorf("write %d bytes at 0x%04X: %w", n, uint16(a), err)
		}
		a += reg.Addr(n)
		data = data[n:]
	}
	return nil
}

// read fills data from consecutive addresses of the chip.
func (b *bus) read(a reg.Addr, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), b.limit-readHeader)
		r, err := b.repeat(b.readFrame(a, n))
		if err != nil {
			return fmt.Errorf("read %d bytes at 0x%04X: %w", n, uint16(a), err)
		}
		copy(data, r[readHeader:])
		a += reg.Addr(n)
		data = data[n:]
	}
	return nil
}

// readFIFO takes n bytes out of the receive buffer in one frame. It is never
// repeated: what a failed frame took is lost.
func (b *bus) readFIFO(n int) ([]byte, error) {
	r, err := b.transfer(b.readFrame(reg.RXFIFO, n))
	if err != nil {
		return nil, fmt.Errorf("read %d bytes of the receive buffer: %w", n, err)
	}
	return r[readHeader:], nil
}

func (b *bus) readFrame(a reg.Addr, n int) (frame int) {
	clear(b.tx[:readHeader+n])
	b.tx[0], b.tx[1], b.tx[2] = targetChip, byte(a>>8), byte(a)
	return readHeader + n
}

// radioPort carries SX1250 commands to one radio behind the chip.
type radioPort struct {
	bus *bus
	n   int // 0 or 1
}

// Command implements sx1250.Bus.
func (p radioPort) Command(op byte, args []byte) ([]byte, error) {
	b := p.bus
	b.tx[0], b.tx[1] = targetRadioA+byte(p.n), op
	copy(b.tx[2:], args)
	r, err := b.repeat(2 + len(args))
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), r[2:]...), nil
}
