package gnss_test

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

	"gatewayd/concentrator/gnss"
	"gatewayd/concentrator/gnss/gnsssim"
	"gatewayd/concentrator/tty"
)

const second = time.Second

var berlin = gnss.Position{Latitude: 52.52, Longitude: -13.405, Altitude: 34}

// rig is a Receiver on the line of a simulated one, in a synctest bubble.
type rig struct {
	*gnss.Receiver
	sim   *gnsssim.Receiver
	opens int
	log   bytes.Buffer
}

func newRig(t *testing.T, sim gnsssim.Config, cfg gnss.Config) *rig {
	t.Helper()
	r := &rig{sim: gnsssim.New(sim)}
	ctx, cancel := context.WithCancel(t.Context())
	if cfg.Open == nil {
		cfg.Open = func(context.Context) (gnss.Line, error) {
			near, far := net.Pipe()
			r.opens++
			go func() { _ = r.sim.Run(ctx, far) }()
			t.Cleanup(func() { far.Close() })
			return near, nil
		}
	}
	cfg.Log = slog.New(slog.NewTextHandler(&r.log, nil))
	r.Receiver = gnss.New(cfg)
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func TestEachSecondIsNamedOnce(t *testing.T) {
	for _, ubx := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			first := time.Now()
			r := newRig(t, gnsssim.Config{GPS: 1_384_035_218 * second, Talker: "GN", Position: berlin}, gnss.Config{UBlox: ubx})
			for n := range 60 {
				f := <-r.Fixes()
				if f.GPS != time.Duration(1_384_035_218+n)*second || f.At.Sub(first) < time.Duration(n)*second || f.At.Sub(first) > time.Duration(n)*second+second/2 || f.Leap != 18 {
					t.Fatalf("second %d: %+v", n, f)
				}
				if exact := f.Source == "NAV-TIMEGPS"; n > 5 && exact != ubx {
					t.Errorf("second %d comes from %s", n, f.Source)
				}
			}
			time.Sleep(second / 2) // the last second's other messages
			if s := r.Status(); !s.Open || s.Fix != gnss.FixGood || s.Satellites != 8 || s.Position == nil || s.Position.String() != berlin.String() || s.Messages < 180 || s.Damaged != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The receiver knows of a leap second before this program's constant does.
func TestTheReceiversLeapSecondsWin(t *testing.T) {
	for _, c := range []struct {
		name     string
		sim      gnsssim.Config
		override int
		leap     int
		offset   time.Duration // of GPS time
	}{
		{"UBX knows", gnsssim.Config{Leap: 19}, 0, 19, 0},
		{"NMEA does not", gnsssim.Config{Leap: 19, NoUBX: true}, 0, 18, -second},
		{"so it is configured", gnsssim.Config{Leap: 19, NoUBX: true}, 19, 19, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c.sim.GPS = 1_384_035_218 * second
			r := newRig(t, c.sim, gnss.Config{UBlox: true, LeapSeconds: c.override})
			time.Sleep(10*second + second/2)
			<-r.Fixes()
			f := <-r.Fixes()
			if f.Leap != c.leap || f.GPS != c.sim.GPS+11*second+c.offset {
				t.Errorf("%s: %+v", c.name, f)
			}
		})
	}
}

func TestNoFixNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, gnsssim.Config{Fix: func(n int) bool { return n >= 30 }}, gnss.Config{UBlox: true})
		start := time.Now()
		f := <-r.Fixes()
		if d := f.At.Sub(start); d < 30*second || d > 31*second {
			t.Errorf("first fix after %v", d)
		}
		if r.opens != 1 {
			t.Errorf("opened %d times", r.opens)
		}
	})
}

func TestANewestFixReplacesOneThatNobodyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, gnsssim.Config{GPS: 1000 * second}, gnss.Config{})
		time.Sleep(20*second + second/2)
		if f := <-r.Fixes(); f.GPS != 1020*second {
			t.Errorf("%+v", f)
		}
	})
}

// A receiver that lost power forgets what it was asked for; one that was
// pulled out comes back under the same name.
func TestASilentLineIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := 0
		open := func(context.Context) (gnss.Line, error) {
			if lines++; lines == 2 {
				return nil, errors.New("no such device")
			}
			near, far := net.Pipe()
			ctx, cancel := context.WithTimeout(t.Context(), 30*second)
			go func() { defer cancel(); _ = gnsssim.New(gnsssim.Config{}).Run(ctx, far) }()
			t.Cleanup(func() { cancel(); far.Close() })
			return near, nil
		}
		r := newRig(t, gnsssim.Config{}, gnss.Config{Open: open, UBlox: true})
		time.Sleep(45 * second)
		if r.Status().Open {
			t.Error("a line that has been silent for 15 s counts as open")
		}
		time.Sleep(35 * second)
		if s := r.Status(); lines != 3 || !s.Open {
			t.Errorf("%d lines, %+v", lines, s)
		}
		if n := strings.Count(r.log.String(), "level=WARN"); n != 2 {
			t.Errorf("%d warnings:\n%s", n, r.log.String())
		}
	})
}

func TestNothingIsWrittenToALineThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var far net.Conn
		r := newRig(t, gnsssim.Config{}, gnss.Config{UBlox: true, Open: func(context.Context) (gnss.Line, error) {
			var near net.Conn
			near, far = net.Pipe()
			return near, nil
		}})
		synctest.Wait()
		got := make(chan []byte)
		go func() { b, _ := io.ReadAll(far); got <- b }()
		time.Sleep(second)
		go func() { _, _ = far.Write([]byte("login: ")) }() // a console is no receiver
		if b := <-got; len(b) != 0 {
			t.Errorf("% X", b)
		}
		if r.Status().Open {
			t.Error("open")
		}
	})
}

// A pseudo terminal is a tty: this is the real way in, but for the UART.
func TestASerialLine(t *testing.T) {
	far, err := tty.NewTerminal()
	if err != nil {
		t.Skip(err)
	}
	defer far.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sim := gnsssim.New(gnsssim.Config{Delay: time.Millisecond})
	r := gnss.New(gnss.Config{UBlox: true, Open: func(ctx context.Context) (gnss.Line, error) { return gnss.OpenTTY(ctx, far.Path, 0) }})
	done := make(chan error, 2)
	go func() { done <- r.Run(ctx) }()
	go func() { done <- sim.Run(ctx, far) }()
	for exact := false; !exact; {
		select {
		case f := <-r.Fixes():
			exact = f.Source == "NAV-TIMEGPS" // asked for over the line
		case <-time.After(30 * second):
			t.Fatalf("no time; %+v", r.Status())
		}
	}
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestASerialLineHasDeadlines(t *testing.T) {
	far, err := tty.NewTerminal()
	if err != nil {
		t.Skip(err)
	}
	defer far.Close()
	line, err := gnss.OpenTTY(t.Context(), far.Path, 115200)
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	if err := line.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := line.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	// Raw: what would be special to a terminal comes through.
	want := []byte{3, 4, 0x11, 0x13, '\r', '\n', 0x1A, 0xFF, 0}
	if _, err := far.Write(want); err != nil {
		t.Fatal(err)
	}
	_ = line.SetReadDeadline(time.Now().Add(10 * second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(line, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("% X, %v", got, err)
	}
}

func TestALineThatCantBeOpenedSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		path string
		baud int
		want string
	}{
		{"/dev/ttyNONE", 0, "concentrator.gps"},
		{"/dev/null", 0, "is it a tty?"},
		{"/dev/null", 1234, "1234 baud; allowed are"},
	} {
		if _, err := gnss.OpenTTY(t.Context(), c.path, c.baud); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s at %d: %v", c.path, c.baud, err)
		}
	}
}
