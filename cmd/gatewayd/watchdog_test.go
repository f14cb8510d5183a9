package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/sx1302sim"
)

// listener is a supervisor that remembers what it was told, and when.
type listener struct {
	mu   sync.Mutex
	told []string
	fed  []time.Time
}

func (l *listener) notify(state string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, state)
	if state == "WATCHDOG=1" {
		l.fed = append(l.fed, time.Now())
	}
	return nil
}

// since counts how often it was fed since a moment.
func (l *listener) since(t time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.fed {
		if at.After(t) {
			n++
		}
	}
	return n
}

func (l *listener) heard(prefix string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.told {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}

// hangingPort is a port whose transfers never end once it hangs, as those of
// a driver of the kernel that is stuck.
type hangingPort struct {
	spi.PortCloser
	hangs   atomic.Bool
	release chan struct{}
}

func (p *hangingPort) Connect(f physic.Frequency, m spi.Mode, bits int) (spi.Conn, error) {
	c, err := p.PortCloser.Connect(f, m, bits)
	return hangingConn{c, p}, err
}

type hangingConn struct {
	spi.Conn
	port *hangingPort
}

func (c hangingConn) Tx(w, r []byte) error {
	if c.port.hangs.Load() {
		<-c.port.release
	}
	return c.Conn.Tx(w, r)
}

func (c hangingConn) TxPackets(p []spi.Packet) error {
	if c.port.hangs.Load() {
		<-c.port.release
	}
	return c.Conn.TxPackets(p)
}

// supervised runs a daemon that a supervisor watches.
func supervised(t *testing.T, f func(w *world, l *listener, port *hangingPort)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{})
		l := &listener{}
		port := &hangingPort{PortCloser: w.parts.hardware.Port, release: make(chan struct{})}
		w.parts.hardware.Port = port
		w.parts.supervisor = &supervisor{l.notify, 30 * time.Second}
		var err error
		w.d, err = newDaemon(w.cfg, w.parts)
		w.must(err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.d.Run(ctx) }()
		time.Sleep(5 * time.Second)
		f(w, l, port)
		cancel()
		close(port.release)
		if err := <-done; err != nil {
			t.Logf("what hung has failed: %v", err)
		}
		w.close()
	})
}

// A daemon that works feeds the watchdog well before its time is up, also
// while it looks after a chip that fails.
func TestAWorkingDaemonFeedsItsWatchdog(t *testing.T) {
	supervised(t, func(w *world, l *listener, _ *hangingPort) {
		if !l.heard("READY=1") {
			t.Errorf("told %q", l.told)
		}
		began := time.Now()
		time.Sleep(5 * time.Minute)
		if n := l.since(began); n < 29 || n > 31 {
			t.Errorf("fed %d times in 5 minutes, every 10 s is wanted", n)
		}
		w.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerZeroes })
		began = time.Now()
		time.Sleep(time.Minute)
		if w.d.ready(t.Context()) == nil {
			t.Error("ready without a chip")
		}
		if n := l.since(began); n < 5 {
			t.Errorf("fed %d times in a minute of restarts", n)
		}
		w.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerNormal })
	})
}

// A daemon whose driver hangs in a transfer is not kept alive by a goroutine
// that has nothing to do with it.
func TestAHungDriverStarvesTheWatchdog(t *testing.T) {
	supervised(t, func(_ *world, l *listener, port *hangingPort) {
		time.Sleep(time.Minute)
		port.hangs.Store(true)
		hung := time.Now()
		time.Sleep(5 * time.Minute)
		if n := l.since(hung.Add(20 * time.Second)); n > 0 {
			t.Errorf("fed %d times after it hung", n)
		}
		if !l.heard("STATUS=the concentrator's driver has not touched its bus") {
			t.Errorf("told %q", l.told)
		}
	})
}

// The protocol is systemd's: a datagram to the socket that the environment
// names.
func TestTheSupervisorIsFoundInTheEnvironment(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if s, err := systemd(); s != nil || err != nil {
		t.Errorf("%v, %v: there is none", s, err)
	}
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	s, err := systemd()
	if err != nil || s.every != 30*time.Second {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := s.notify("READY=1"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"STATUS=starting", "READY=1"} {
		b := make([]byte, 100)
		n, err := conn.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("heard %q, %v, want %q", b[:n], err, want)
		}
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if _, err := systemd(); err == nil || !strings.Contains(err.Error(), "WATCHDOG_USEC") {
		t.Errorf("got %v", err)
	}
}
