package sx1302sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// serve starts the socket of a chip and returns how to connect to it.
func serve(t *testing.T, c *Chip) func() net.Conn {
	t.Helper()
	return serveOn(t, c.Serve)
}

// serveOn serves anything on a socket and returns how to connect to it.
func serveOn(t *testing.T, run func(context.Context, net.Listener) error) func() net.Conn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus.sock")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func() net.Conn {
		conn, err := new(net.Dialer).DialContext(t.Context(), "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

func frame(b ...byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

func TestSocketCarriesChipSelectFrames(t *testing.T) {
	dial := serve(t, newChip(t, Config{}))
	conn := dial()
	two := append(frame(0, 0x80|0x56, 0x43, 0xA5), frame(0, 0x56, 0x43, 0, 0)...)
	if _, err := conn.Write(two); err != nil {
		t.Fatal(err)
	}
	r := make([]byte, 4+5)
	if _, err := io.ReadFull(conn, r); err != nil || r[8] != 0xA5 {
		t.Errorf("answer %x, %v", r, err)
	}
}

func TestMalformedFramesEndTheirClientOnly(t *testing.T) {
	c := newChip(t, Config{})
	dial := serve(t, c)
	good := dial()
	for _, b := range [][]byte{{0, 0, 0, 0}, {0, 1, 0, 1}, {0xFF, 0xFF, 0xFF, 0xFF}, {0x47, 0x45, 0x54, 0x20}} {
		bad := dial()
		if _, err := bad.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := bad.SetReadDeadline(time.Now().Add(socketPatience / 2)); err != nil {
			t.Fatal(err)
		}
		if _, err := bad.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("% x: client not disconnected at once: %v", b, err)
		}
	}
	if _, err := good.Write(frame(0, 0x56, 0x06, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if r := make([]byte, 5); true {
		if _, err := io.ReadFull(good, r); err != nil || r[4] != 0x10 {
			t.Errorf("the other client got %x, %v", r, err)
		}
	}
}

func TestViolationsOverTheSocketAreAnsweredAndCounted(t *testing.T) {
	c := newChip(t, Config{})
	conn := serve(t, c)()
	if _, err := conn.Write(frame(0, 0x5F, 0x00, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil || c.Violations() != 1 {
		t.Errorf("%v, %d violations", err, c.Violations())
	}
}

func TestFailedTransferEndsTheClient(t *testing.T) {
	c := newChip(t, Config{})
	conn := serve(t, c)()
	c.Faults().Set(func(m *Misbehaviour) { m.FailTransfer = 1 })
	if _, err := conn.Write(frame(0, 0x56, 0x06, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 5)); !errors.Is(err, io.EOF) {
		t.Errorf("read after a failed transfer: %v, want EOF", err)
	}
}

func TestClientsAreServedAtTheSameTime(t *testing.T) {
	dial := serve(t, newChip(t, Config{}))
	var all sync.WaitGroup
	for i := range maxClients {
		conn := dial()
		all.Go(func() {
			w := frame(0, 0x56, 0x06, 0, 0)
			for range 50 {
				r := make([]byte, 5)
				if _, err := conn.Write(w); err != nil {
					t.Error(i, err)
					return
				}
				if _, err := io.ReadFull(conn, r); err != nil || r[4] != 0x10 {
					t.Errorf("client %d: %x, %v", i, r, err)
					return
				}
			}
		})
	}
	all.Wait()
	extra := dial()
	if _, err := extra.Read(make([]byte, 1)); err == nil {
		t.Error("client number 17 was not turned away")
	}
}

// pipe is a net.Conn whose requests are given and whose answers are lost.
type pipe struct {
	net.Conn
	in  *bytes.Reader
	out int
}

func (p *pipe) Read(b []byte) (int, error)       { return p.in.Read(b) }
func (p *pipe) Write(b []byte) (int, error)      { p.out += len(b); return len(b), nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

// FuzzSocket feeds any bytes to the socket: nothing panics, each frame that is
// complete and well formed gets as many bytes back, in order.
func FuzzSocket(f *testing.F) {
	f.Add(frame(0, 0x56, 0x06, 0, 0))
	f.Add(append(frame(1, 0xC0, 0), frame(2, 0x1D, 1, 2, 0, 0)...))
	f.Add([]byte{0, 0, 0})
	f.Add(append(frame(0, 0xD2, 0, 1), frame(0, 0x40, 0, 0, 0, 0)...))
	f.Add(frame(bytes.Repeat([]byte{0x80}, 5000)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := New(Config{Radios: [2]RadioKind{SX1250, SX1257}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		want := 0
		for rest := b; len(rest) >= 4; {
			n := int(binary.BigEndian.Uint32(rest))
			if n == 0 || n > maxSocketFrame || len(rest) < 4+n {
				break
			}
			want, rest = want+n, rest[4+n:]
		}
		p := &pipe{in: bytes.NewReader(b)}
		err = serveClient(p, spiFrames(c.transfer))
		if p.out != want {
			t.Errorf("%d bytes answered, want %d (%v)", p.out, want, err)
		}
	})
}
