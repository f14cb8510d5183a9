package bridge

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

const (
	// exchangeTimeout bounds one exchange. A message of the largest size takes
	// less than 20 ms on USB and SPI; the firmware gives up on its own SPI after 100 ms.
	exchangeTimeout = 500 * time.Millisecond
	// quiet is how long the line must be silent before the first request. The
	// microcontroller forgets half a request after 100 ms of silence.
	quiet = 110 * time.Millisecond
	// quietLimit is how long that is waited for.
	quietLimit = time.Second

	// MaxFrame is the longest chip-select frame of a [Port].
	MaxFrame = 4096
	// maxGroup is how many frames travel in one message.
	maxGroup = 255

	// KnownVersion is the firmware that this package is written for, without
	// the first letter (V for a release).
	KnownVersion = "01.00.00"
)

// Line is a stream of bytes with deadlines: a tty, a pipe.
type Line interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Config says where the microcontroller is.
type Config struct {
	Name string               // for people, e.g. "usb:/dev/ttyACM0"
	Dial func() (Line, error) // opens the line; called again after a failure
	Log  *slog.Logger         // nil: silent
}

// Port is the SPI port behind a microcontroller. It is port and connection
// in one; its methods may be called from any goroutine.
type Port struct {
	cfg Config

	turn   chan struct{} // holds a token while somebody uses what follows
	line   Line          // nil after a failure
	in     *bufio.Reader
	closed bool
	last   byte // identifier of the last request
	info   Info
	out    []byte // scratch: the request
	answer []byte // scratch: the payload of the answer
}

// New connects, and asks the microcontroller who it is.
func New(cfg Config) (*Port, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Port{cfg: cfg, turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	defer p.done()
	if err := p.connect(); err != nil {
		return nil, fmt.Errorf("%v: %w", p, err)
	}
	return p, nil
}

// done ends a turn.
func (p *Port) done() { <-p.turn }

// Info is what the microcontroller told when it was last connected to.
func (p *Port) Info() Info {
	p.turn <- struct{}{}
	defer p.done()
	return p.info
}

// String implements conn.Resource.
func (p *Port) String() string { return p.cfg.Name }

// Connect implements spi.Port; the firmware has its own SPI clock.
func (p *Port) Connect(_ physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	if mode != spi.Mode0 || bits != 8 {
		return nil, fmt.Errorf("%v: mode %v with %d bits, only mode 0 with 8 bits exists", p, mode, bits)
	}
	return p, nil
}

// LimitSpeed implements spi.PortCloser; the firmware has its own SPI clock.
func (p *Port) LimitSpeed(physic.Frequency) error { return nil }

// MaxTxSize implements conn.Limits.
func (p *Port) MaxTxSize() int { return MaxFrame }

// Duplex implements conn.Conn.
func (p *Port) Duplex() conn.Duplex { return conn.Full }

// Groups tells that frames of one TxPackets call travel together, so that
// many cost hardly more than one.
func (p *Port) Groups() bool { return true }

// Close implements io.Closer.
func (p *Port) Close() error {
	p.turn <- struct{}{}
	defer p.done()
	p.closed = true
	return p.hangUp()
}

// Tx implements conn.Conn: one chip-select frame.
func (p *Port) Tx(w, r []byte) error { return p.TxPackets([]spi.Packet{{W: w, R: r}}) }

// TxPackets implements spi.Conn: each packet is a chip-select frame. Those
// that fit into one message travel together. After an error some of them may
// have been carried.
func (p *Port) TxPackets(list []spi.Packet) error { return p.frames(SX1302, list) }

func (p *Port) frames(to Target, list []spi.Packet) error {
	for _, x := range list {
		if err := checkPacket(x); err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
	}
	p.turn <- struct{}{}
	defer p.done()
	for len(list) > 0 {
		n, size := 0, 0
		for n < len(list) && n < maxGroup && size+frameHead+len(list[n].W) <= MaxSPI {
			size += frameHead + len(list[n].W)
			n++
		}
		if err := p.carry(to, list[:n]); err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
		list = list[n:]
	}
	return nil
}

func checkPacket(x spi.Packet) error {
	switch {
	case x.KeepCS:
		return errors.New("frames of several packets are not supported")
	case x.BitsPerWord != 0 && x.BitsPerWord != 8:
		return fmt.Errorf("%d bits a word, only 8 exist", x.BitsPerWord)
	case len(x.W) == 0 || len(x.W) > MaxFrame:
		return fmt.Errorf("frame of %d bytes, 1 to %d are possible", len(x.W), MaxFrame)
	case len(x.R) != 0 && len(x.R) != len(x.W):
		return fmt.Errorf("%d bytes out and %d in, they must be as many", len(x.W), len(x.R))
	}
	return nil
}

// carry exchanges one message of frames.
func (p *Port) carry(to Target, list []spi.Packet) error {
	b, err := p.exchange(MultipleSPI, func(b []byte) []byte {
		for i, x := range list {
			b = Request{Number: byte(i), Kind: ReadWrite, Target: to, Data: x.W}.Append(b)
		}
		return b
	})
	if err != nil {
		return err
	}
	for i, x := range list {
		var a Answer
		a, b, err = NextAnswer(b)
		switch {
		case err != nil:
		case a.Number != byte(i) || a.Kind != ReadWrite:
			err = fmt.Errorf("%w: frame %d of %d is answered as number %d, kind %d", ErrAnswer, i, len(list), a.Number, a.Kind)
		case a.Result != Done:
			return fmt.Errorf("%w frame %d of %d: %v", ErrRefused, i, len(list), a.Result)
		case len(a.Data) != len(x.W):
			err = fmt.Errorf("%w: frame %d of %d: %d bytes for %d", ErrAnswer, i, len(list), len(a.Data), len(x.W))
		}
		if err != nil {
			return p.broken(err)
		}
		copy(x.R, a.Data)
	}
	return nil
}

// exchange sends a request and returns the payload of its answer, which is
// valid until the next one. Whatever goes wrong ends the connection, but for
// a plain refusal: the two ends are out of step.
func (p *Port) exchange(o Order, payload func([]byte) []byte) ([]byte, error) {
	if p.closed {
		return nil, net.ErrClosed
	}
	if p.line == nil {
		if err := p.connect(); err != nil {
			return nil, err
		}
	}
	b, err := p.talk(o, payload)
	if err != nil && !errors.Is(err, ErrRefused) {
		return nil, p.broken(err)
	}
	return b, err
}

// broken ends the connection because of err.
func (p *Port) broken(err error) error {
	_ = p.hangUp() // err says more
	return err
}

func (p *Port) hangUp() error {
	if p.line == nil {
		return nil
	}
	l := p.line
	p.line, p.in = nil, nil
	return l.Close()
}

// connect opens the line, waits until it is silent, and asks who is there.
func (p *Port) connect() error {
	l, err := p.cfg.Dial()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLine, err)
	}
	p.line, p.in = l, bufio.NewReaderSize(l, MaxPayload+HeaderSize)
	if err := p.silence(); err != nil {
		return p.broken(err)
	}
	b, err := p.talk(Ping, nil)
	if err != nil {
		return p.broken(err)
	}
	info, err := ParseInfo(b)
	if err != nil {
		return p.broken(err)
	}
	p.note(info)
	return nil
}

// note keeps who answered, and tells what is odd about it.
func (p *Port) note(i Info) {
	if i == p.info {
		return
	}
	before := p.info
	p.info = i
	if before != (Info{}) {
		p.cfg.Log.Warn("another USB concentrator answers", "port", p.cfg.Name, "before", fmt.Sprintf("%x", before.UniqueID), "now", fmt.Sprintf("%x", i.UniqueID))
	}
	if i.Version == "" || i.Version[1:] != KnownVersion {
		p.cfg.Log.Warn("USB concentrator with firmware that is not known to work", "port", p.cfg.Name, "version", i.Version, "known", "V"+KnownVersion)
	}
}

// silence reads until nothing has come for a while.
func (p *Port) silence() error {
	var b [64]byte
	end := time.Now().Add(quietLimit)
	for n := 0; time.Now().Before(end); {
		if err := p.line.SetReadDeadline(time.Now().Add(quiet)); err != nil {
			return failure(err)
		}
		k, err := p.line.Read(b[:])
		if n += k; errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return failure(err)
		}
	}
	return fmt.Errorf("%w: it talks without being asked for %v; is this the device of a GNSS receiver?", ErrAnswer, quietLimit)
}

// talk is one request and its answer.
func (p *Port) talk(o Order, payload func([]byte) []byte) ([]byte, error) {
	p.last++
	b := Header{}.Append(p.out[:0])
	if payload != nil {
		b = payload(b)
	}
	Header{ID: p.last, Size: len(b) - HeaderSize, Order: o}.Append(b[:0])
	p.out = b
	end := time.Now().Add(exchangeTimeout)
	if err := errors.Join(p.line.SetReadDeadline(end), p.line.SetWriteDeadline(end)); err != nil {
		return nil, failure(err)
	}
	if _, err := p.line.Write(b); err != nil {
		return nil, fmt.Errorf("send: %w", failure(err))
	}
	return p.listen(o)
}

// listen waits for the answer to the last request and skips what was late.
func (p *Port) listen(o Order) ([]byte, error) {
	for {
		var head [HeaderSize]byte
		if _, err := io.ReadFull(p.in, head[:]); err != nil {
			return nil, failure(err)
		}
		h := ParseHeader(head[:])
		if h.Size > MaxPayload {
			return nil, fmt.Errorf("%w: a message of %d bytes, at most %d are possible", ErrAnswer, h.Size, MaxPayload)
		}
		if cap(p.answer) < h.Size {
			p.answer = make([]byte, h.Size, MaxPayload)
		}
		p.answer = p.answer[:h.Size]
		if _, err := io.ReadFull(p.in, p.answer); err != nil {
			return nil, failure(err)
		}
		switch {
		case h.ID != p.last:
			continue // the answer to a request that was given up
		case h.Order == NotUnderstood:
			return nil, fmt.Errorf("%w order %d of %d bytes: its firmware %q doesn't understand it", ErrRefused, o, len(p.out)-HeaderSize, p.info.Version)
		case h.Order != AnswerTo(o):
			return nil, fmt.Errorf("%w: order 0x%02X answers order %d", ErrAnswer, byte(h.Order), o)
		}
		return p.answer, nil
	}
}

// failure sorts an error of the line.
func failure(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w within %v", ErrNoAnswer, exchangeTimeout)
	}
	return fmt.Errorf("%w: %w; was it unplugged?", ErrLine, err)
}
