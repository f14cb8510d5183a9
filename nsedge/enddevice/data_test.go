package enddevice_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
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

func key(t *testing.T, s string) (k enddevice.Key) {
	t.Helper()
	if err := k.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return k
}

// The frame is the example of github.com/anthonykirby/lora-packet, README,
// with its keys: MIC and encryption as published.
func TestUplinkEqualsThePublishedFrame(t *testing.T) {
	s := enddevice.Session{
		DevAddr: enddevice.DevAddr{0x49, 0xBE, 0x7D, 0xF1}, FCntUp: 2,
		NwkSKey: key(t, "44024241ed4ce9a68c6a8bc055233fd3"), AppSKey: key(t, "ec925802ae430ca77fd3dd73cb2cc588"),
	}
	with(t, "EU868", enddevice.Config{ABP: &s, DataRate: 5}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.nwk, n.app = lorawan.AES128Key(s.NwkSKey), lorawan.AES128Key(s.AppSKey)
		must(t, d, 1, []byte("test"))
		if got := hex.EncodeToString(n.last().Payload); got != "40f17dbe4900020001954378762b11ff0d" {
			t.Errorf("frame %s", got)
		}
	})
}

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
				n.once(reply{window: tt.window, shift: tt.shift, port: new(uint8(1)), payload: []byte("x"), dr: new(5)})
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

// Without an acknowledgement a confirmed uplink is repeated with the same
// counter, at least a second after RX2, and not after the acknowledgement.
func TestConfirmedUplinkIsRepeatedUntilAcknowledged(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5, Retries: 4}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.answer = func(uplink) []reply {
			switch len(n.uplinks) {
			case 2: // a downlink without ACK doesn't end it
				return []reply{{window: 1, port: new(uint8(1)), payload: []byte{1}}}
			case 3:
				return []reply{{window: 2, ctrl: lorawan.FCtrl{ACK: true}}}
			}
			return nil
		}
		r, err := d.Send(t.Context(), 2, []byte("sure"), true)
		if err != nil || !r.Acked || len(r.Uplinks) != 3 || r.Downlink.Window != "RX2" {
			t.Fatalf("%+v, %v", r, err)
		}
		for i, up := range n.uplinks {
			if up.phy.MHDR.MType != lorawan.ConfirmedDataUp || string(up.Payload) != string(n.uplinks[0].Payload) {
				t.Errorf("repetition %d is another frame", i)
			}
			if i > 0 {
				if gap := up.Start.Sub(n.uplinks[i-1].End); gap < 3*time.Second {
					t.Errorf("repetition %d after %v", i, gap)
				}
			}
		}
		n.answer = nil
		r, err = d.Send(t.Context(), 2, []byte("sure"), true)
		if !errors.Is(err, enddevice.ErrNoAck) || len(r.Uplinks) != 4 || r.FCnt != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestConfirmedDownlinkIsAcknowledgedOnce(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 1, mtype: lorawan.ConfirmedDataDown, port: new(uint8(1)), payload: []byte{1}})
		if r := must(t, d, 1, []byte{1}); !r.Downlink.Confirmed {
			t.Errorf("%+v", r.Downlink)
		}
		must(t, d, 1, []byte{2})
		if !n.last().mac.FHDR.FCtrl.ACK {
			t.Error("no ACK")
		}
		must(t, d, 1, []byte{3})
		if n.last().mac.FHDR.FCtrl.ACK {
			t.Error("ACK twice")
		}
	})
}

// Counters have 32 bits of which 16 are sent (§4.3.1.5).
func TestDownlinkCounters(t *testing.T) {
	type step struct {
		fcnt uint32
		ok   bool
	}
	tests := []struct {
		name    string
		cfg     enddevice.Config
		next    uint32
		counter []step
	}{
		{"in order", enddevice.Config{}, 0, []step{{0, true}, {1, true}, {5, true}}},
		{"replay", enddevice.Config{}, 0, []step{{3, true}, {3, false}, {2, false}, {4, true}}},
		{"over 16 bits", enddevice.Config{}, 0xFFFE, []step{{0xFFFE, true}, {0x10000, true}, {0x10001, true}}},
		{"far ahead, 1.0.4", enddevice.Config{}, 0, []step{{40_000, true}}},
		{"far ahead, 1.0.3", enddevice.Config{Version: "1.0.3"}, 0, []step{{16_383, true}, {16_384 + 16_384, false}, {16_384 + 16_383, true}}},
		{"16 bits", enddevice.Config{Counter16: true}, 0xFFFF, []step{{0xFFFF, true}, {0, false}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.DataRate = 5
			s := session
			s.FCntDown = tt.next
			tt.cfg.ABP = &s
			with(t, "EU868", tt.cfg, func(t *testing.T, n *network, d *enddevice.Device) {
				for _, c := range tt.counter {
					n.once(reply{window: 1, fcnt: &c.fcnt, port: new(uint8(1)), payload: []byte("data")})
					r := must(t, d, 1, nil)
					if (r.Downlink != nil) != c.ok {
						t.Errorf("counter %d: %+v, rejected %v", c.fcnt, r.Downlink, n.rejected())
					}
					if r.Downlink != nil && (r.Downlink.FCnt != c.fcnt || string(r.Downlink.Payload) != "data") {
						t.Errorf("counter %d: %d %q", c.fcnt, r.Downlink.FCnt, r.Downlink.Payload)
					}
				}
			})
		})
	}
}

func TestForeignAndForgedDownlinksAreNotTaken(t *testing.T) {
	for name, tt := range map[string]struct {
		reply    reply
		rejected bool
	}{
		"MIC":     {reply{window: 1, wrongMIC: true, port: new(uint8(1)), payload: []byte{1}}, true},
		"address": {reply{window: 1, otherAddr: true}, false},
		"uplink":  {reply{window: 1, raw: []byte{0x40, 0xDA, 0x1B, 0x01, 0x26, 0, 0, 0, 1, 2, 3, 4}}, false},
		"noise":   {reply{window: 1, raw: []byte{0x60}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			abp(t, "EU868", enddevice.Config{DataRate: 5}, func(t *testing.T, n *network, d *enddevice.Device) {
				n.once(tt.reply, reply{window: 2, fcnt: new(uint32(9)), port: new(uint8(1)), payload: []byte("right")})
				r := must(t, d, 1, nil)
				if r.Downlink == nil || string(r.Downlink.Payload) != "right" || (len(n.rejected()) > 0) != tt.rejected {
					t.Errorf("%+v, rejected %v", r.Downlink, n.rejected())
				}
			})
		})
	}
}

func TestUplinkCountersRunOut(t *testing.T) {
	for _, tt := range []struct {
		last  uint32
		short bool
	}{{0xFFFF, true}, {0xFFFF_FFFE, false}} {
		s := session
		s.FCntUp = tt.last
		with(t, "EU868", enddevice.Config{ABP: &s, DataRate: 5, Counter16: tt.short}, func(t *testing.T, n *network, d *enddevice.Device) {
			n.fcntUpHigh = tt.last &^ 0xFFFF
			must(t, d, 1, nil)
			if _, err := d.Send(t.Context(), 1, nil, false); !errors.Is(err, enddevice.ErrCounter) {
				t.Errorf("after %d: %v", tt.last, err)
			}
		})
	}
}

// RP002 §2.5.6, table for devices without a repeater: 51 bytes at DR0, 242 at DR5.
func TestPayloadsHaveALimit(t *testing.T) {
	for dr, size := range map[int]int{0: 51, 5: 242} {
		abp(t, "EU868", enddevice.Config{DataRate: dr, NoDutyCycle: true}, func(t *testing.T, n *network, d *enddevice.Device) {
			must(t, d, 1, make([]byte, size))
			if _, err := d.Send(t.Context(), 1, make([]byte, size+1), false); !errors.Is(err, enddevice.ErrPayloadSize) {
				t.Errorf("%d bytes at DR%d: %v", size+1, dr, err)
			}
			if s := d.State(); s.FCntUp != 1 {
				t.Errorf("FCntUp %d after a refused payload", s.FCntUp)
			}
			// Where a request has no room it waits for the next frame.
			if err := d.RequestLinkCheck(t.Context()); err != nil {
				t.Fatal(err)
			}
			must(t, d, 1, make([]byte, size))
			if len(n.last().options) != 0 {
				t.Errorf("options %+v", n.last().options)
			}
			must(t, d, 0, nil)
			if o := n.last().options; len(o) != 1 || o[0].CID != lorawan.LinkCheckReq || n.last().mac.FPort != nil {
				t.Errorf("options %+v", o)
			}
		})
	}
}

// EU868, sub-bands L and M: 1 % each (EN 300 220): after a frame of time T
// its sub-band is closed for 99 T.
func TestDutyCycleIsRespected(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 0}, func(t *testing.T, _ *network, d *enddevice.Device) {
		first := must(t, d, 1, make([]byte, 20)).Uplinks[0]
		second := must(t, d, 1, make([]byte, 20)).Uplinks[0]
		want := first.End.Add(99 * first.End.Sub(first.Start))
		if second.Start != want {
			t.Errorf("second uplink at %d, want %d", second.Start, want)
		}
	})
}

func TestNoChannelForTheDataRate(t *testing.T) {
	s := enddevice.State{Joined: true, Session: session, DataRate: 6, Channels: []enddevice.Channel{{Freq: 868_100_000, MaxDR: 5, Enabled: true}}}
	with(t, "EU868", enddevice.Config{State: &s}, func(t *testing.T, _ *network, d *enddevice.Device) {
		if _, err := d.Send(t.Context(), 1, nil, false); !errors.Is(err, enddevice.ErrNoChannel) {
			t.Errorf("%v", err)
		}
	})
}

// All eight default channels of a sub-band are used, at random, and the same
// ones with the same seed.
func TestChannelsAreChosenAtRandom(t *testing.T) {
	use := func(seed uint64) (order []radio.Hertz) {
		abp(t, "US915-2", enddevice.Config{DataRate: 3, Seed: seed}, func(t *testing.T, n *network, d *enddevice.Device) {
			for range 64 {
				must(t, d, 1, nil)
				order = append(order, n.last().Freq)
			}
		})
		return order
	}
	a, b, c := use(1), use(1), use(2)
	if fmt.Sprint(a) != fmt.Sprint(b) || fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("the order doesn't depend on the seed only")
	}
	counts := map[radio.Hertz]int{}
	for _, f := range a {
		counts[f]++
	}
	for f := radio.Hertz(903_900_000); f <= 905_300_000; f += 200_000 {
		if counts[f] == 0 || counts[f] > 24 {
			t.Errorf("%d Hz %d times of 64", f, counts[f])
		}
	}
	if len(counts) != 8 {
		t.Errorf("channels %v", counts)
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

func TestADeviceThatLeftCantSend(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5}, func(t *testing.T, _ *network, d *enddevice.Device) {
		d.Close()
		if _, err := d.Send(t.Context(), 1, nil, false); !errors.Is(err, air.ErrLeft) {
			t.Errorf("%v", err)
		}
		if err := d.Run(t.Context()); !errors.Is(err, air.ErrLeft) {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestKeysNeverPrint(t *testing.T) {
	k := key(t, "44024241ed4ce9a68c6a8bc055233fd3")
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k)
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s %x", k, k, k, k, "-"), log.String()} {
		if strings.Contains(strings.ToLower(s), "4402") || strings.Contains(s, "0x44") {
			t.Errorf("printed %s", s)
		}
	}
	if err := new(enddevice.Key).UnmarshalText([]byte("44")); err == nil || strings.Contains(err.Error(), "44") {
		t.Errorf("short key: %v", err)
	}
	if err := new(enddevice.DevAddr).UnmarshalText([]byte("xyz")); err == nil {
		t.Error("bad DevAddr: no error")
	}
}
