package enddevice_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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

// EU868, sub-band Q: no limit up to 5 mW ERP, which is 9 dBm EIRP.
func TestWeakTransmissionsNeedNoPause(t *testing.T) {
	for power, free := range map[int]bool{3: false, 4: true} { // 10 and 8 dBm
		s := enddevice.State{
			Joined: true, Session: session, DataRate: 5, TXPower: power, RX1Delay: 1, RX2Freq: 869_525_000,
			Channels: []enddevice.Channel{{Index: 3, Freq: 869_800_000, MaxDR: 5, Enabled: true}},
		}
		with(t, "EU868", enddevice.Config{State: &s}, func(t *testing.T, _ *network, d *enddevice.Device) {
			a, b := must(t, d, 1, make([]byte, 100)).Uplinks[0], must(t, d, 1, make([]byte, 100)).Uplinks[0]
			if paused := b.Start.Sub(a.End) >= 99*a.End.Sub(a.Start); paused == free {
				t.Errorf("TX power %d: next uplink after %v", power, b.Start.Sub(a.End))
			}
		})
	}
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
