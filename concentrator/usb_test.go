package concentrator

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/bridge"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
)

// usbTransaction is what each way through USB is taken to last: one of its
// milliseconds until it is asked for, at most.
const usbTransaction = time.Millisecond

// slowLine is a line on which each write lasts.
type slowLine struct{ bridge.Line }

func (l slowLine) Write(b []byte) (int, error) {
	time.Sleep(usbTransaction)
	return l.Line.Write(b)
}

// usbBench is a bench whose chip is on a USB card that can be unplugged.
type usbBench struct {
	*testBench
	port    *bridge.Port
	host    net.Conn // nil while it is unplugged
	stopped chan error
	gone    bool
}

func newUSBBench(t *testing.T, cfg Config) *usbBench {
	t.Helper()
	u := &usbBench{testBench: newBench(t, eu868(t), fast, nil)}
	var err error
	u.port, err = bridge.New(bridge.Config{Name: "usb:test", Dial: u.dial, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.SX1261.Port != nil {
		cfg.SX1261.Port = u.port.SX1261()
	}
	cfg.Reset, cfg.HoldReset = u.port.Reset, u.port.Hold
	if u.Concentrator, err = New(u.port, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(u.port.Close(), <-u.stopped); err != nil {
			t.Error(err)
		}
	})
	return u
}

// dial plugs the card in, if it isn't gone.
func (u *usbBench) dial() (bridge.Line, error) {
	if u.gone {
		return nil, os.ErrNotExist
	}
	if u.stopped != nil {
		if err := <-u.stopped; err != nil { // the one before
			return nil, err
		}
	}
	var far net.Conn
	u.host, far = net.Pipe()
	u.stopped = make(chan error, 1)
	go func() { u.stopped <- u.chip.ServeUSB(context.Background(), slowLine{far}, sx1302sim.USB{}) }()
	return slowLine{u.host}, nil
}

func (u *usbBench) unplug() {
	u.gone = true
	u.host.Close()
}

func TestAUSBCardReceivesAndTransmitsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUSBBench(t, eu868(t))
		u.run()
		s := u.Stats()
		t.Logf("start: %v, %d frames, %d bytes; %v an exchange", s.StartTime.Round(time.Millisecond), s.StartFrames, s.StartBytes, s.BusOverhead.Round(time.Microsecond))
		if s.StartTime > 2*time.Second {
			t.Errorf("the start took %v", s.StartTime)
		}
		dev := u.device()
		for i := range 20 {
			tx := dev.say("over USB", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
			up := <-u.Uplinks()
			if string(up.Payload) != "over USB" || up.At != tx.End+1_000_000 {
				t.Fatalf("uplink %q at %d, want %d", up.Payload, up.At, tx.End+1_000_000)
			}
			down := radio.Downlink{ID: uint64(i), Payload: make([]byte, 222), At: up.At + 1_000_000, Freq: 868_100_000, Mod: radio.LoRa{SF: 7, Bandwidth: 125_000, InvertIQ: true}, Power: 14}
			lead := u.Lead(down)
			heard := dev.hear(down)
			// As late as it is allowed.
			time.Sleep(time.Duration(down.At-u.instant())*time.Microsecond - lead - 2*time.Millisecond)
			if err := u.Schedule(context.Background(), down); err != nil {
				t.Fatal(err)
			}
			if r := <-u.Reports(); r.Err != nil || r.Started != down.At {
				t.Fatalf("report %+v", r)
			}
			if h := <-heard; h.err != nil || h.Start != down.At-1_000_000 {
				t.Fatalf("heard %+v", h)
			}
		}
		t.Logf("lead for 222 bytes: %v", u.Lead(radio.Downlink{Payload: make([]byte, 222), Mod: radio.LoRa{SF: 7, Bandwidth: 125_000}}).Round(10*time.Microsecond))
		u.stop()
	})
}

// The card's microcontroller carries frames for both chips in turn.
func TestAUSBCardListensBeforeItTalks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUSBBench(t, as923(t))
		u.run()
		for i := range 3 {
			down := as923Downlink(uint64(i), u.instant()+300_000, 923_200_000)
			heard := u.device().hear(down)
			if err := u.Schedule(context.Background(), down); err != nil {
				t.Fatal(err)
			}
			if r := <-u.Reports(); r.Err != nil || r.Started != down.At {
				t.Fatalf("report %+v", r)
			}
			if h := <-heard; h.err != nil {
				t.Fatal(h.err)
			}
		}
		u.stop()
	})
}

func TestAnUnpluggedUSBCardEndsTheRunAndTheNextRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUSBBench(t, eu868(t))
		u.run()
		before, _ := u.Now()
		down := radio.Downlink{ID: 7, Payload: []byte{1}, At: before + 5_000_000, Freq: 868_100_000, Mod: radio.LoRa{SF: 7, Bandwidth: 125_000}, Power: 14}
		if err := u.Schedule(context.Background(), down); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		u.unplug()
		if err := <-u.done; !errors.Is(err, ErrTransfer) || !errors.Is(err, bridge.ErrLine) {
			t.Errorf("Run: %v", err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("noticed after %v", d)
		}
		if r := <-u.Reports(); r.ID != 7 || !errors.Is(r.Err, radio.ErrStopped) {
			t.Errorf("report %+v", r)
		}
		if err := u.Run(context.Background()); !errors.Is(err, bridge.ErrLine) || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Run without the card: %v", err)
		}
		u.gone = false
		u.run()
		if now, ok := u.Now(); !ok || now <= before {
			t.Errorf("Instants go back: %d after %d", now, before)
		}
		dev := u.device()
		dev.say("again", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
		if up := <-u.Uplinks(); string(up.Payload) != "again" {
			t.Errorf("uplink %q", up.Payload)
		}
		u.stop()
	})
}

// A card that stops answering is noticed within the budget of polls.
func TestAMuteUSBCardEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUSBBench(t, eu868(t))
		u.run()
		began := time.Now()
		u.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.FailTransfer = 1 })
		if err := waitFor(u, 100*time.Millisecond); err != nil {
			t.Fatalf("one failed frame ended the run: %v", err)
		}
		u.chip.Close() // from now on every frame fails
		err := <-u.done
		if !errors.Is(err, ErrTransfer) || !errors.Is(err, bridge.ErrRefused) {
			t.Errorf("Run: %v", err)
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("noticed after %v", d)
		}
	})
}

// waitFor lets time go by and returns why Run has ended meanwhile.
func waitFor(u *usbBench, d time.Duration) error {
	select {
	case err := <-u.done:
		return err
	case <-time.After(d):
		return nil
	}
}
