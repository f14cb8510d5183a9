package bridge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// card is a microcontroller whose answers a test decides on: it is asked for
// the bytes that answer a request.
type card struct {
	t      *testing.T
	answer func(h Header, payload []byte) []byte // nil result: silence
	greet  []byte                                // sent when it is connected to
	hangUp bool                                  // at the next request
	dials  int
	refuse error // of the next dials
	seen   []Header
	log    bytes.Buffer
}

// well answers as a working card does; SPI frames come back inverted.
func well(h Header, payload []byte) []byte {
	out := Header{}.Append(nil)
	switch h.Order {
	case Ping:
		out = Info{Version: "V01.00.00"}.Append(out)
	case GetStatus:
		out = Status{Uptime: time.Second, Celsius: 31.25}.Append(out)
	case WritePin, Restart:
		out = append(out, byte(Done))
	case MultipleSPI:
		for len(payload) > 0 {
			r, rest, _ := NextRequest(payload)
			a := Answer{Number: r.Number, Kind: r.Kind}
			for _, v := range r.Data {
				a.Data = append(a.Data, ^v)
			}
			out, payload = a.Append(out), rest
		}
	}
	Header{ID: h.ID, Size: len(out) - HeaderSize, Order: AnswerTo(h.Order)}.Append(out[:0])
	return out
}

func (c *card) dial() (Line, error) {
	c.dials++
	if c.refuse != nil {
		return nil, c.refuse
	}
	host, far := net.Pipe()
	go func() {
		defer far.Close()
		if c.greet != nil {
			_, _ = far.Write(c.greet)
		}
		for {
			var head [HeaderSize]byte
			if _, err := io.ReadFull(far, head[:]); err != nil || c.hangUp {
				return
			}
			h := ParseHeader(head[:])
			payload := make([]byte, h.Size)
			if _, err := io.ReadFull(far, payload); err != nil {
				return
			}
			c.seen = append(c.seen, h)
			if b := c.answer(h, payload); b != nil {
				if _, err := far.Write(b); err != nil {
					return
				}
			}
		}
	}()
	return host, nil
}

func (c *card) config() Config {
	return Config{Name: "usb:test", Dial: c.dial, Log: slog.New(slog.NewTextHandler(&c.log, nil))}
}

// bench runs f on a port at a card, in virtual time.
func bench(t *testing.T, f func(t *testing.T, c *card, p *Port)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &card{t: t, answer: well}
		p, err := New(c.config())
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		f(t, c, p)
	})
}

func TestFramesOfOneCallTravelTogether(t *testing.T) {
	bench(t, func(t *testing.T, c *card, p *Port) {
		before := len(c.seen)
		var list []spi.Packet
		for i := range 20 {
			w := bytes.Repeat([]byte{byte(i)}, i+1)
			list = append(list, spi.Packet{W: w, R: make([]byte, len(w))})
		}
		if err := p.TxPackets(list); err != nil {
			t.Fatal(err)
		}
		for i, x := range list {
			if x.R[i] != ^byte(i) {
				t.Errorf("frame %d brought % x", i, x.R)
			}
		}
		if n := len(c.seen) - before; n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
		// Two frames of 4 kB don't fit into one.
		long := []spi.Packet{{W: make([]byte, MaxFrame)}, {W: make([]byte, MaxFrame)}, {W: []byte{1}, R: make([]byte, 1)}}
		if err := p.TxPackets(long); err != nil {
			t.Fatal(err)
		}
		if n := len(c.seen) - before; n != 3 {
			t.Errorf("%d messages, want 3", n)
		}
	})
}

func TestImpossibleFramesAreRefusedBeforeTheyAreSent(t *testing.T) {
	bench(t, func(t *testing.T, c *card, p *Port) {
		n := len(c.seen)
		for _, x := range []spi.Packet{
			{}, {W: make([]byte, MaxFrame+1)}, {W: []byte{1, 2}, R: []byte{0}}, {W: []byte{1}, KeepCS: true}, {W: []byte{1}, BitsPerWord: 16},
		} {
			if err := p.TxPackets([]spi.Packet{x}); err == nil {
				t.Errorf("%d bytes out, %d in, keep %v, %d bits: carried", len(x.W), len(x.R), x.KeepCS, x.BitsPerWord)
			}
		}
		if _, err := p.Connect(physic.MegaHertz, spi.Mode3, 8); err == nil {
			t.Error("mode 3 accepted")
		}
		if len(c.seen) != n {
			t.Error("something was sent")
		}
	})
}

func TestEachFailureHasItsTypeAndTheNextCallRecovers(t *testing.T) {
	spoil := func(f func(b []byte) []byte) func(Header, []byte) []byte {
		return func(h Header, payload []byte) []byte { return f(well(h, payload)) }
	}
	for _, c := range []struct {
		name   string
		answer func(Header, []byte) []byte
		want   error
	}{
		{"silence", func(Header, []byte) []byte { return nil }, ErrNoAnswer},
		{"half an answer", spoil(func(b []byte) []byte { return b[:len(b)-1] }), ErrNoAnswer},
		{"half a header", spoil(func(b []byte) []byte { return b[:2] }), ErrNoAnswer},
		{"another request's answer only", spoil(func(b []byte) []byte { b[0]++; return b }), ErrNoAnswer},
		{"an answer to another order", spoil(func(b []byte) []byte { b[3]++; return b }), ErrAnswer},
		{"an impossible size", spoil(func(b []byte) []byte { b[1] = 0xFF; return b }), ErrAnswer},
		{"an answer that is too short", spoil(func(b []byte) []byte { b[2] -= 2; return b[:len(b)-2] }), ErrAnswer},
		{"another frame's number", spoil(func(b []byte) []byte { b[4]++; return b }), ErrAnswer},
		{"another kind", spoil(func(b []byte) []byte { b[5]++; return b }), ErrAnswer},
		{"fewer bytes than were sent", spoil(func(b []byte) []byte { b[8]--; return b }), ErrAnswer},
		{"not understood", func(h Header, _ []byte) []byte { return Header{ID: h.ID, Order: NotUnderstood}.Append(nil) }, ErrRefused},
		{"failed", func(h Header, _ []byte) []byte {
			return append(Header{ID: h.ID, Size: 5, Order: AnswerTo(MultipleSPI)}.Append(nil), 0, 1, 1, 0, 0)
		}, ErrRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			bench(t, func(t *testing.T, m *card, p *Port) {
				m.answer = func(h Header, payload []byte) []byte {
					if h.Order != MultipleSPI {
						return well(h, payload)
					}
					return c.answer(h, payload)
				}
				began := time.Now()
				w, r := []byte{1, 2, 3}, make([]byte, 3)
				if err := p.Tx(w, r); !errors.Is(err, c.want) || !strings.Contains(err.Error(), "usb:test") {
					t.Errorf("%v, want %v and the port's name", err, c.want)
				}
				if d := time.Since(began); d > exchangeTimeout {
					t.Errorf("it took %v", d)
				}
				synctest.Wait() // for the card's end of the old connection
				m.answer = well
				if err := p.Tx(w, r); err != nil || r[2] != ^byte(3) {
					t.Errorf("the next transfer: % x, %v", r, err)
				}
				if want := map[bool]int{true: 1, false: 2}[errors.Is(c.want, ErrRefused)]; m.dials != want {
					t.Errorf("%d connections, want %d", m.dials, want)
				}
			})
		})
	}
}

func TestTheSX1261HasItsOwnChipSelect(t *testing.T) {
	bench(t, func(t *testing.T, c *card, p *Port) {
		var targets []Target
		c.answer = func(h Header, payload []byte) []byte {
			r, _, _ := NextRequest(payload)
			targets = append(targets, r.Target)
			return well(h, payload)
		}
		radio, err := p.SX1261().Connect(physic.MegaHertz, spi.Mode0, 8)
		if err != nil {
			t.Fatal(err)
		}
		r := make([]byte, 2)
		if err := errors.Join(radio.Tx([]byte{0x80, 0}, r), p.Tx([]byte{0}, nil)); err != nil || r[1] != 0xFF {
			t.Errorf("% x, %v", r, err)
		}
		if len(targets) != 2 || targets[0] != SX1261 || targets[1] != SX1302 {
			t.Error(targets)
		}
		if _, err := p.SX1261().Connect(physic.MegaHertz, spi.Mode1, 8); err == nil {
			t.Error("mode 1 accepted")
		}
	})
}

// What comes late belongs to a request that was given up; it must not be
// taken for the answer to the next one.
func TestLateAnswersAreSkipped(t *testing.T) {
	bench(t, func(t *testing.T, c *card, p *Port) {
		c.answer = func(h Header, payload []byte) []byte {
			late := well(Header{ID: h.ID - 1, Order: MultipleSPI}, unhex(t, "00 01 00 0001 55"))
			return append(late, well(h, payload)...)
		}
		r := make([]byte, 1)
		if err := p.Tx([]byte{0x0F}, r); err != nil || r[0] != 0xF0 {
			t.Errorf("% x, %v", r, err)
		}
		if c.dials != 1 {
			t.Errorf("%d connections", c.dials)
		}
	})
}

func TestAnUnpluggedCardIsALineErrorUntilItIsBack(t *testing.T) {
	bench(t, func(t *testing.T, c *card, p *Port) {
		c.hangUp = true
		if err := p.Tx([]byte{1}, nil); !errors.Is(err, ErrLine) || !strings.Contains(err.Error(), "unplugged") {
			t.Error(err)
		}
		c.refuse = os.ErrNotExist
		if err := p.Tx([]byte{1}, nil); !errors.Is(err, ErrLine) || !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		c.hangUp, c.refuse = false, nil
		if err := p.Reset(t.Context()); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := p.Tx([]byte{1}, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestADeviceThatIsNoCardIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		card card
		want error
	}{
		{"silent", card{answer: func(Header, []byte) []byte { return nil }}, ErrNoAnswer},
		{"talkative", card{greet: bytes.Repeat([]byte("$GPRMC,,V,,,,,,,,,,N*53\r\n"), 500), answer: well}, nil},
		{"echoing", card{answer: func(h Header, _ []byte) []byte { return h.Append(nil) }}, ErrAnswer},
		{"with another identity", card{answer: func(h Header, _ []byte) []byte {
			return append(Header{ID: h.ID, Size: 3, Order: AnswerTo(Ping)}.Append(nil), 1, 2, 3)
		}}, ErrAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, err := New(c.card.config())
				if err == nil {
					p.Close()
				}
				if !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
		})
	}
}

// A GNSS receiver has such a device, too, and never stops talking.
func TestADeviceThatNeverStopsTalkingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := func() (Line, error) {
			host, far := net.Pipe()
			go func() {
				for {
					if _, err := far.Write([]byte("$GPRMC")); err != nil {
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
			}()
			return host, nil
		}
		began := time.Now()
		if _, err := New(Config{Name: "usb:gnss", Dial: dial}); !errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), "GNSS") {
			t.Error(err)
		}
		if d := time.Since(began); d > quietLimit+quiet {
			t.Errorf("it took %v", d)
		}
		time.Sleep(time.Second) // the talker notices
	})
}

func TestUnknownFirmwareIsToldAndUsed(t *testing.T) {
	bench(t, func(t *testing.T, c *card, p *Port) {
		if c.log.Len() != 0 {
			t.Errorf("log: %s", &c.log)
		}
		c.answer = func(h Header, payload []byte) []byte {
			return bytes.Replace(well(h, payload), []byte("V01.00.00"), []byte("D02.01.00"), 1)
		}
		c.hangUp = true
		_ = p.Tx([]byte{1}, nil)
		c.hangUp = false
		if err := p.Tx([]byte{1}, nil); err != nil {
			t.Fatal(err)
		}
		if v := p.Info().Version; v != "D02.01.00" || !strings.Contains(c.log.String(), "D02.01.00") {
			t.Errorf("version %s, log: %s", v, &c.log)
		}
	})
}

func TestTheCardsPinsAndThermometer(t *testing.T) {
	bench(t, func(t *testing.T, c *card, p *Port) {
		var pins []string
		c.answer = func(h Header, payload []byte) []byte {
			if h.Order == WritePin {
				pins = append(pins, string([]byte{'A' + payload[0], '0' + payload[1], '=', '0' + payload[2]}))
			}
			return well(h, payload)
		}
		if err := p.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.Hold(); err != nil {
			t.Fatal(err)
		}
		// The order of the vendor's library, and then reset for good.
		if got := strings.Join(pins, " "); got != "A1=1 A2=1 A2=0 A8=0 A8=1 A2=1" {
			t.Error(got)
		}
		if v, err := p.Temperature(); err != nil || v != 31.25 {
			t.Errorf("%v, %v", v, err)
		}
		c.answer = func(h Header, _ []byte) []byte {
			return Status{NoTemp: true}.Append(Header{ID: h.ID, Size: StatusSize, Order: AnswerTo(GetStatus)}.Append(nil))
		}
		if _, err := p.Temperature(); !errors.Is(err, ErrNoThermometer) {
			t.Error(err)
		}
		c.answer = func(h Header, _ []byte) []byte {
			return append(Header{ID: h.ID, Size: 1, Order: AnswerTo(h.Order)}.Append(nil), byte(Failed))
		}
		if err := p.Restart(); !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
		if err := p.Hold(); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "PA2") {
			t.Error(err)
		}
		c.answer = well
		if err := errors.Join(p.Restart(), p.Boot()); err != nil {
			t.Error(err)
		}
	})
}

func TestAResetEndsWithItsContext(t *testing.T) {
	bench(t, func(t *testing.T, _ *card, p *Port) {
		ctx, cancel := context.WithTimeout(t.Context(), pulse/2)
		defer cancel()
		if err := p.Reset(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
