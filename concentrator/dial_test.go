package concentrator

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// echoServer answers each frame with its bytes inverted.
func echoServer(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	return "unix:" + path
}

func echo(c net.Conn) {
	defer c.Close()
	for {
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(c, body); err != nil || bytes.HasPrefix(body, []byte("die")) {
			return
		}
		for i := range body {
			body[i] ^= 0xFF
		}
		if _, err := c.Write(body); err != nil {
			return
		}
	}
}

func dialled(t *testing.T) (spi.PortCloser, spi.Conn) {
	t.Helper()
	p, err := DialSPI(echoServer(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	c, err := p.Connect(8*physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

func TestTheSocketCarriesChipSelectFrames(t *testing.T) {
	p, c := dialled(t)
	if err := p.LimitSpeed(physic.MegaHertz); err != nil {
		t.Error(err)
	}
	r := make([]byte, 3)
	for range 3 {
		if err := c.Tx([]byte{0, 1, 2}, r); err != nil || !bytes.Equal(r, []byte{0xFF, 0xFE, 0xFD}) {
			t.Errorf("% x, %v", r, err)
		}
	}
	if err := c.Tx([]byte{1}, nil); err != nil {
		t.Error(err)
	}
	if err := c.TxPackets([]spi.Packet{{W: []byte{7}, R: r[:1]}, {W: []byte{8}}}); err != nil || r[0] != 0xF8 {
		t.Errorf("% x, %v", r, err)
	}
	if l, ok := c.(conn.Limits); !ok || l.MaxTxSize() != maxFrame || c.Duplex() != conn.Full {
		t.Error("limits")
	}
	if !strings.HasPrefix(c.String(), "unix:/") {
		t.Error(c.String())
	}
}

func TestTheSocketRefusesWhatItCannotCarry(t *testing.T) {
	p, c := dialled(t)
	if _, err := p.Connect(0, spi.Mode3, 8); err == nil {
		t.Error("mode 3 taken")
	}
	if err := c.Tx([]byte{1, 2}, make([]byte, 1)); err == nil {
		t.Error("2 out, 1 in taken")
	}
	if err := c.TxPackets([]spi.Packet{{W: []byte{1}, KeepCS: true}}); err == nil {
		t.Error("a frame of several packets taken")
	}
	for _, path := range []string{"", "unix:", "/dev/spidev0.0"} {
		if _, err := DialSPI(path); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, err := DialSPI("unix:" + filepath.Join(t.TempDir(), "nobody")); err == nil {
		t.Error("connected to nobody")
	}
}

func TestAfterAFailureTheSocketConnectsAnew(t *testing.T) {
	p, c := dialled(t)
	r := make([]byte, 3)
	if err := c.Tx([]byte("die"), r); err == nil {
		t.Fatal("no error though the other end went away")
	}
	if err := c.Tx([]byte{1, 2, 3}, r); err != nil || r[0] != 0xFE {
		t.Errorf("% x, %v", r, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Tx([]byte{1}, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestASilentSocketIsAnErrorNotAHang(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	go func() { _, _ = io.Copy(io.Discard, there) }() // takes all, says nothing
	p := socketPort{&socket{path: "nobody", conn: timeless{here}}}
	if err := p.Tx([]byte{1}, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// timeless makes every deadline 10 ms.
type timeless struct{ net.Conn }

func (c timeless) SetDeadline(d time.Time) error {
	if d.IsZero() {
		return errors.New("no deadline")
	}
	return c.Conn.SetDeadline(time.Now().Add(10 * time.Millisecond))
}

func FuzzSocketAnswer(f *testing.F) {
	f.Add([]byte{1, 2, 3}, 3)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, answer []byte, n int) {
		n = min(max(n, 0), 100)
		here, there := net.Pipe()
		go func() {
			_, _ = io.ReadFull(there, make([]byte, 4+n))
			_, _ = there.Write(answer)
			there.Close()
		}()
		p := socketPort{&socket{path: "nobody", conn: here}}
		r := make([]byte, n)
		err := p.Tx(make([]byte, n), r)
		if (err == nil) != (len(answer) >= n) {
			t.Errorf("%d bytes wanted, %d came: %v", n, len(answer), err)
		}
		p.Close()
		here.Close()
	})
}
