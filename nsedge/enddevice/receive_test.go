package enddevice_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/enddevice"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// RX1 opens exactly RECEIVE_DELAY1 after the uplink, RX2 a second later; the
// device reports to the microsecond what arrives beside it.
func TestWindowsAreExact(t *testing.T) {
	symbol := 1024 * time.Microsecond // SF7, both windows
	tests := []struct {
		name      string
		tolerance time.Duration
		window    int
		shift     time.Duration
		heard     bool
	}{
		{"RX1", 0, 1, 0, true},
		{"RX2", 0, 2, 0, true},
		{"RX1 two symbols early", 0, 1, -2 * symbol, true},
		{"RX1 earlier", 0, 1, -2*symbol - time.Microsecond, false},
		{"RX1 three symbols late", 0, 1, 3 * symbol, true},
		{"RX1 later", 0, 1, 3*symbol + time.Microsecond, false},
		{"RX2 later", 0, 2, 3*symbol + time.Microsecond, false},
		{"tolerated", 20 * time.Microsecond, 1, -20 * time.Microsecond, true},
		{"not tolerated, early", 20 * time.Microsecond, 1, -21 * time.Microsecond, false},
		{"not tolerated, late", 20 * time.Microsecond, 2, 21 * time.Microsecond, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			abp(t, "EU868", enddevice.Config{DataRate: 5, Tolerance: tt.tolerance}, func(t *testing.T, n *network, d *enddevice.Device) {
				n.once(reply{window: 1, options: []lorawan.MACCommand{{CID: lorawan.RXParamSetupReq, Payload: &lorawan.RXParamSetupReqPayload{
					Frequency: 869_525_000, DLSettings: lorawan.DLSettings{RX2DataRate: 5},
				}}}})
				must(t, d, 1, nil)
				n.once(reply{window: tt.window, shift: tt.shift, port: new(uint8(1)), payload: []byte("x"), dr: new(5)})
				r := must(t, d, 1, []byte("y"))
				if !tt.heard {
					if r.Downlink != nil {
						t.Errorf("heard %+v", r.Downlink)
					}
					return
				}
				want := time.Duration(tt.window)*time.Second + tt.shift
				if r.Downlink == nil || r.Downlink.Delay != want || r.Downlink.Offset != tt.shift || r.Downlink.Window != fmt.Sprintf("RX%d", tt.window) {
					t.Errorf("downlink %+v", r.Downlink)
				}
				if r.Downlink != nil && r.Downlink.Start.Sub(r.Uplinks[0].End) != want {
					t.Errorf("on the air %v after the uplink", r.Downlink.Start.Sub(r.Uplinks[0].End))
				}
			})
		})
	}
}

// RP002 §2.6.7: RX1 of US915 is on 923.3 MHz + 600 kHz * (channel mod 8),
// 500 kHz wide.
func TestWindowsOfOtherRegions(t *testing.T) {
	for _, name := range []string{"US915-2", "AU915-1", "AS923-1", "CN470-1", "KR920", "IN865"} {
		abp(t, name, enddevice.Config{DataRate: 3, NoDutyCycle: true}, func(t *testing.T, n *network, d *enddevice.Device) {
			for window := 1; window <= 2; window++ {
				n.once(reply{window: window, port: new(uint8(1)), payload: []byte("x")})
				r := must(t, d, 1, nil)
				if r.Downlink == nil || r.Downlink.Offset != 0 {
					t.Errorf("%s: nothing in RX%d", name, window)
				} else if m, ok := r.Downlink.Mod.(radio.LoRa); name == "US915-2" && (!ok || m.Bandwidth != 500_000) {
					t.Errorf("%s: %v", name, r.Downlink.Mod)
				}
			}
		})
	}
}

func TestClassCReceivesAtAnyTime(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5, Class: "C"}, func(t *testing.T, n *network, d *enddevice.Device) {
		// Right after the uplink, before RX1, and RX1 all the same.
		n.once(reply{window: -1, port: new(uint8(1)), payload: []byte("now"), dr: new(0)},
			reply{window: 2, shift: time.Second, port: new(uint8(2)), payload: []byte("later"), dr: new(0)})
		must(t, d, 1, nil)
		if err := d.Listen(t.Context(), n.m.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range n.events {
			if r, ok := e.(enddevice.Received); ok {
				got = append(got, r.Window+" "+string(r.Payload))
			}
		}
		if strings.Join(got, ", ") != "RXC now, RXC later" {
			t.Errorf("received %v", got)
		}
		n.once(reply{window: 1, port: new(uint8(1)), payload: []byte("in RX1")})
		if r := must(t, d, 1, nil); r.Downlink == nil || r.Downlink.Window != "RX1" {
			t.Errorf("%+v", r.Downlink)
		}
	})
}

// Downlinks before RX1 don't keep the device from RX1, nor several in a row
// from each other.
func TestClassCReceivesManyDownlinks(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5, Class: "C"}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 1, options: []lorawan.MACCommand{rxParams(869_525_000, 5, 0)}})
		must(t, d, 1, nil)
		n.rx2DR = 5
		n.once(reply{window: -1}, reply{window: -1, shift: 200 * time.Millisecond}, reply{window: 1},
			reply{window: 2, shift: 10 * time.Second}, reply{window: 2, shift: 11 * time.Second})
		if r := must(t, d, 1, nil); r.Downlink == nil || r.Downlink.Window != "RX1" || r.Downlink.FCnt != 3 {
			t.Errorf("%+v", r.Downlink)
		}
		if err := d.Listen(t.Context(), n.m.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, e := range n.events {
			if _, ok := e.(enddevice.Received); ok {
				got++
			}
		}
		if got != 6 || len(n.rejected()) > 0 {
			t.Errorf("%d downlinks received of 6, rejected %v", got, n.rejected())
		}
	})
}

// A class C device acknowledges without waiting for its next report.
func TestClassCAcknowledgesSoon(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5, Class: "C", Interval: time.Hour}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 2, shift: 10 * time.Minute, mtype: lorawan.ConfirmedDataDown, port: new(uint8(1)), payload: []byte("act")})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
		defer cancel()
		if err := d.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if len(n.uplinks) != 2 || !n.last().mac.FHDR.FCtrl.ACK || n.last().Start.Sub(n.uplinks[0].End) > 11*time.Minute {
			t.Errorf("%d uplinks, the last at %d: %+v", len(n.uplinks), n.last().Start, n.last().mac)
		}
	})
}

// DR7 of EU868 is FSK, in both directions (RP002 §2.5.3).
func TestFSK(t *testing.T) {
	s := enddevice.State{
		Joined: true, Session: session, DataRate: 7, RX1Delay: 1, RX2Freq: 869_525_000,
		Channels: []enddevice.Channel{{Index: 3, Freq: 868_800_000, MinDR: 7, MaxDR: 7, Enabled: true}},
	}
	with(t, "EU868", enddevice.Config{State: &s, NoDutyCycle: true}, func(t *testing.T, n *network, d *enddevice.Device) {
		for _, shift := range []time.Duration{0, 480 * time.Microsecond, 481 * time.Microsecond} { // three bytes at 50 kb/s
			n.once(reply{window: 1, shift: shift, port: new(uint8(1)), payload: []byte("fast")})
			r := must(t, d, 1, []byte("fsk"))
			if _, ok := n.last().Mod.(radio.FSK); !ok || string(n.last().payload) != "fsk" {
				t.Errorf("uplink %+v", n.last())
			}
			if (r.Downlink != nil) != (shift <= 480*time.Microsecond) {
				t.Errorf("%v late: %+v", shift, r.Downlink)
			}
		}
	})
}

// What happens to thirty devices on the same channels depends on the seed
// only, not on how goroutines are scheduled; and they do disturb each other.
func TestRunsWithOneSeedAreEqual(t *testing.T) {
	run := func(seed uint64) (out []string, lost int) {
		with(t, "EU868", enddevice.Config{}, func(t *testing.T, n *network, _ *enddevice.Device) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
			defer cancel()
			l := &outcomes{}
			if _, err := n.m.Join(air.StationConfig{Gateway: new(radio.EUI64{0xBB})}, l); err != nil {
				t.Fatal(err)
			}
			n.answer = nil
			var all sync.WaitGroup
			for i := range byte(30) {
				d, err := enddevice.New(enddevice.Config{
					DevEUI: radio.EUI64{7: i}, Region: n.region, ABP: &session, Seed: seed, DataRate: int(i) % 3,
					Interval: 10 * time.Second, Jitter: 5 * time.Second, NoDutyCycle: true,
				}, n.m)
				if err != nil {
					t.Fatal(err)
				}
				all.Go(func() { _ = d.Run(ctx) })
			}
			all.Wait()
			out, lost = l.lines, l.lost
		})
		slices.Sort(out)
		return out, lost
	}
	a, lost := run(1)
	b, _ := run(1)
	c, _ := run(2)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Errorf("%d, %d and %d receptions: equal with one seed %v, with another %v", len(a), len(b), len(c), slices.Equal(a, b), slices.Equal(a, c))
	}
	if len(a) < 2000 || lost < len(a)/20 {
		t.Errorf("%d of %d lost", lost, len(a))
	}
}

// outcomes notes what a gateway makes of every frame.
type outcomes struct {
	lines []string
	lost  int
}

func (o *outcomes) Began(air.Reception) {}
func (o *outcomes) Ended(r air.Reception) {
	if r.Outcome != air.Clear {
		o.lost++
	}
	o.lines = append(o.lines, fmt.Sprint(r.Start, r.From, r.Freq, r.Outcome, r.Payload))
}
