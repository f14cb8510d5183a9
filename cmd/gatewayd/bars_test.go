package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// load keeps the receiver busy: perSlot foreign frames in each time slot, on
// random channels, in the gap between an answer's end and the next one. They
// are weaker than those of the devices, so that they lose where they meet.
// Their DevAddr is unknown: each goes through the whole uplink path.
func (w *world) load(perSlot int) (stop func()) {
	w.t.Helper()
	s, err := w.medium.Join(air.StationConfig{Name: "foreigners", PathLoss: 130}, nil)
	w.must(err)
	channels := w.region.Plan().MultiSF
	rnd := rand.New(rand.NewPCG(7, 7))
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		defer s.Leave()
		const gap = 125 * time.Millisecond // in each slot
		for {
			now := w.medium.Elapsed()
			select {
			case <-time.After((now-gap+slot)/slot*slot + gap - now):
			case <-quit:
				return
			}
			for range perSlot {
				payload := make([]byte, 13+rnd.IntN(20))
				for i := range payload {
					payload[i] = byte(rnd.Uint32())
				}
				payload[0] = 0x40 // unconfirmed data up
				frame := air.Frame{Payload: payload, Freq: channels[rnd.IntN(len(channels))], Mod: radio.LoRa{SF: 7, Bandwidth: 125_000}}
				if _, err := s.Transmit(frame, air.Immediately, 14); err != nil {
					w.t.Errorf("load: %v", err)
					return
				}
			}
		}
	})
	return func() { close(quit); done.Wait() }
}

// exactness counts what a run of many downlinks shows.
type exactness struct {
	mu                 sync.Mutex
	joins, rx1, missed int
	off                []string
}

func (x *exactness) see(e enddevice.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch e := e.(type) {
	case enddevice.Joined:
		x.joins++
		x.check(e.Arrival, 5*time.Second)
	case enddevice.Received:
		x.rx1++
		x.check(e.Arrival, time.Second)
	case enddevice.Rejected:
		x.off = append(x.off, fmt.Sprint(e.Reason))
	}
}

// check compares air time with what the window asks for, to the microsecond.
func (x *exactness) check(a enddevice.Arrival, want time.Duration) {
	if d := a.Start.Sub(a.Uplink.End); d != want || a.Window != "RX1" {
		x.off = append(x.off, fmt.Sprintf("%s at %v after the uplink's end, want RX1 at %v", a.Window, d, want))
	}
}

// The time slots of manyDownlinks. An uplink lasts 62 ms, its answer 51 ms;
// seven slots are 10 ms less than the second between the two, so that answers
// fall between uplinks and nobody is deaf when he is called.
const (
	slot    = 990 * time.Millisecond / 7
	devices = 22
	cycle   = devices * slot // 3.1 s: longer than both receive windows take
)

// manyDownlinks has devices join, then send in turns until n answers were
// transmitted.
func manyDownlinks(t *testing.T, n int) {
	inBubble(t, setup{lab: true}, func(w *world) {
		defer w.load(5)()
		app := w.connect("&types=downlink_request,error", func(a *as, m asMessage) {
			if m.Type == "downlink_request" {
				a.answer(m, "answer", nil)
			}
		})
		defer app.close()
		var seen exactness
		var joined, done sync.WaitGroup
		joined.Add(devices)
		for i := range devices {
			dev := w.device(byte(i+1), false, func(c *enddevice.Config) { c.Events = seen.see })
			done.Go(func() {
				defer dev.Close()
				w.joinInTurn(dev, i)
				joined.Done()
				joined.Wait()
				w.sendInTurn(dev, i, n/devices, &seen)
			})
		}
		done.Wait()
		seen.report(t)
		if bad := app.all("error"); len(bad) > 0 {
			t.Errorf("%d errors, the first: %v", len(bad), bad[0])
		}
		s := w.d.conc.Stats()
		t.Logf("%d downlinks in %v of air time; %d packets received, %d dropped, worst lateness of the driver's loop %v",
			s.Sent, w.medium.Elapsed().Round(time.Second), s.Packets, s.Dropped, s.WorstLateness)
	})
}

// waitForTurn sleeps until the next slot of device i.
func (w *world) waitForTurn(i int) {
	offset := time.Duration(i) * slot
	now := w.medium.Elapsed()
	time.Sleep((now-offset+cycle-1)/cycle*cycle + offset - now)
}

func (w *world) joinInTurn(dev *enddevice.Device, i int) {
	w.waitForTurn(i)
	if err := dev.Join(w.ctx); err != nil {
		w.t.Errorf("join: %v", err)
	}
}

func (w *world) sendInTurn(dev *enddevice.Device, i, count int, seen *exactness) {
	for range count {
		w.waitForTurn(i)
		r, err := dev.Send(w.ctx, 1, []byte("measurement"), false)
		if err != nil {
			w.t.Errorf("send: %v", err)
			return
		}
		if r.Downlink == nil {
			seen.mu.Lock()
			seen.missed++
			seen.mu.Unlock()
		}
	}
}

func (x *exactness) report(t *testing.T) {
	t.Helper()
	if len(x.off) > 0 {
		t.Errorf("%d not exact, the first: %s", len(x.off), x.off[0])
	}
	if x.joins != devices {
		t.Errorf("%d devices joined, want %d", x.joins, devices)
	}
	// A frame may be lost in the air, as the load is meant to do; but what is
	// transmitted is exact.
	if total := x.rx1 + x.missed; x.missed*100 > total {
		t.Errorf("%d of %d uplinks had no downlink", x.missed, total)
	}
	t.Logf("%d answers in RX1 and %d join-accepts, all 0 µs off; %d uplinks without", x.rx1, x.joins, x.missed)
}

// The bar is 10 000 downlinks. Under the race detector, which makes it slow,
// a tenth is enough: the instants don't depend on it.
func TestTenThousandDownlinksStartOnTheirMicrosecond(t *testing.T) {
	n := 10_000
	if raceEnabled || testing.Short() {
		n = 1_000
	}
	manyDownlinks(t, n)
}

// Where an acknowledgement stands by, the answer takes its place as late.
func TestAnswerToAConfirmedUplinkIsTakenUntilShortlyBeforeTheTransmission(t *testing.T) {
	for _, c := range []struct {
		hz           int
		before       time.Duration
		window, code string
	}{
		{8_000_000, 50 * time.Millisecond, "RX1", ""},
		{8_000_000, 6 * time.Millisecond, "RX1", ""},
		{2_000_000, 15 * time.Millisecond, "RX1", ""},
		{8_000_000, 0, "", nsedge.CodeDownlinkLate}, // the acknowledgement goes out
	} {
		t.Run(fmt.Sprintf("%v before at %d MHz", c.before, c.hz/1e6), func(t *testing.T) {
			if window, code := late(t, c.hz, c.before, true); window != c.window || code != c.code {
				t.Errorf("heard in %q with error %q, want %q and %q", window, code, c.window, c.code)
			}
		})
	}
}

// late has an AS answer so long before the planned transmission and tells in
// which window the device heard it, "" for none, and what error came.
func late(t *testing.T, hz int, before time.Duration, confirmed bool) (window, code string) {
	inBubble(t, setup{spiHz: hz, lab: true}, func(w *world) {
		app := w.connect("&types=downlink_request,error,warning", func(a *as, m asMessage) {
			if m.Type == "downlink_request" {
				time.Sleep(time.Until(m.txTime().Add(-before)))
				a.answer(m, "just in time", nil)
			}
		})
		defer app.close()
		dev := w.device(1, true, nil)
		defer dev.Close()
		r, err := dev.Send(w.ctx, 1, []byte("x"), confirmed)
		w.must(err)
		if r.Downlink != nil && len(r.Downlink.Payload) > 0 {
			window = r.Downlink.Window
			if r.Downlink.Offset != 0 {
				t.Errorf("%v off", r.Downlink.Offset)
			}
		}
		time.Sleep(3 * time.Second)
		if e := app.all("error"); len(e) > 0 {
			code = e[0].text("code")
		}
	})
	return window, code
}

func TestAnswerIsTakenUntilShortlyBeforeTheTransmission(t *testing.T) {
	for _, c := range []struct {
		hz     int
		before time.Duration
		window string
		code   string
	}{
		{8_000_000, 500 * time.Millisecond, "RX1", ""},
		{8_000_000, 6 * time.Millisecond, "RX1", ""},    // the bar at 8 MHz
		{2_000_000, 15 * time.Millisecond, "RX1", ""},   // the bar at 2 MHz
		{8_000_000, 0, "RX2", ""},                       // too late for RX1
		{8_000_000, -900 * time.Millisecond, "RX2", ""}, // RX2 is a second later
		{2_000_000, -900 * time.Millisecond, "RX2", ""},
		{8_000_000, -1000 * time.Millisecond, "", nsedge.CodeDownlinkLate}, // too late for both
		{8_000_000, -2000 * time.Millisecond, "", nsedge.CodeDownlinkLate},
	} {
		t.Run(fmt.Sprintf("%v before at %d MHz", c.before, c.hz/1e6), func(t *testing.T) {
			window, code := late(t, c.hz, c.before, false)
			if window != c.window || code != c.code {
				t.Errorf("heard in %q with error %q, want %q and %q", window, code, c.window, c.code)
			}
		})
	}
}
