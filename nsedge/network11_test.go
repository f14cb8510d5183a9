package nsedge_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// of11 makes a device one of LoRaWAN 1.1 that joins.
func of11(c *enddevice.Config, d *nsedge.Device) {
	key := nsedge.Key{1, 1, d.DevEUI[7]}
	c.Version, c.NwkKey = "1.1", enddevice.Key(key)
	d.Version, d.NwkKey = "1.1", &key
}

// abp11 makes a device a personalised one of LoRaWAN 1.1.
func abp11(c *enddevice.Config, d *nsedge.Device) {
	n := d.DevEUI[7]
	addr, fnwk, snwk, enc, app := nsedge.DevAddr{0, 0, 0, n}, nsedge.Key{n, 1}, nsedge.Key{n, 2}, nsedge.Key{n, 3}, nsedge.Key{n, 4}
	c.Version, d.Version = "1.1", "1.1"
	c.ABP = &enddevice.Session{
		DevAddr: enddevice.DevAddr(addr), NwkSKey: enddevice.Key(fnwk), SNwkSIntKey: enddevice.Key(snwk), NwkSEncKey: enddevice.Key(enc), AppSKey: enddevice.Key(app),
	}
	d.Activation, d.AppKey = nsedge.ABP, nil
	d.DevAddr, d.NwkSKey, d.SNwkSIntKey, d.NwkSEncKey, d.AppSKey = &addr, &fnwk, &snwk, &enc, &app
}

func euiOf(id byte) radio.EUI64 { return radio.EUI64{1, 2, 3, 4, 5, 6, 7, id} }

// chat sends uplinks, every second one confirmed, until the edge and the
// device have confirmed to each other what is new.
func (w *world) chat(d *enddevice.Device, n int) {
	w.t.Helper()
	for i := range n {
		res, err := d.Send(w.t.Context(), 1, []byte{byte(i)}, i%2 == 1)
		if err != nil {
			w.t.Fatalf("uplink %d: %v", i, err)
		}
		if i%2 == 1 && (!res.Acked || len(res.Uplinks) != 1) {
			w.t.Errorf("uplink %d: %+v", i, res)
		}
		time.Sleep(20 * time.Second)
	}
}

func TestDevicesOf11AndOf10ShareAGateway(t *testing.T) {
	inWorld(t, "EU868", func(w *world) {
		n := 0
		w.answers(func(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
			if n++; n%3 == 0 {
				return nil // a bare frame has another counter
			}
			return &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("ok"), Confirmed: n%2 == 0}
		})
		for id, change := range []func(*enddevice.Config, *nsedge.Device){nil, of11, abp11, func(c *enddevice.Config, d *nsedge.Device) {
			of11(c, d)
			c.Class, d.Class = "C", "C"
		}} {
			d := w.device(byte(id+1), change)
			if id != 2 {
				if err := d.Join(w.t.Context()); err != nil {
					w.t.Fatal(err)
				}
			}
			w.chat(d, 12)
			if s := d.State(); s.Indicate || id > 0 != s.V11 || id == 3 && !s.ModeKnown || s.V11 && (s.AFCntDown == 0 || s.FCntDown == 0) {
				t.Errorf("device %d: %+v", id+1, s)
			}
		}
		w.noErrors()
	})
}

func TestRejoinsGiveANewSession(t *testing.T) {
	for kind := range 3 {
		inWorld(t, "EU868", func(w *world) {
			d := w.device(1, func(c *enddevice.Config, dev *nsedge.Device) {
				of11(c, dev)
				dev.RX1Delay, dev.MaxDutyCycle = 3, new(3)
			})
			if err := d.Join(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			w.chat(d, 4)
			before := d.State()
			for range 3 {
				if err := d.Rejoin(w.t.Context(), kind); err != nil {
					w.t.Fatalf("type %d: %v", kind, err)
				}
				after := d.State()
				if after.DevAddr == before.DevAddr || after.NwkSKey == before.NwkSKey || after.FCntUp != 0 || !after.Indicate || after.RX1Delay != 3 {
					w.t.Errorf("type %d: %+v", kind, after)
				}
				if kept := after.MaxDuty == before.MaxDuty; kept != (kind == 2) {
					w.t.Errorf("type %d: the radio kept its settings: %v", kind, kept)
				}
				w.chat(d, 4)
				if d.State().Indicate {
					w.t.Errorf("type %d: RekeyConf did not come", kind)
				}
				before = d.State()
			}
			w.noErrors()
		})
	}
}

func TestANetworkForcesARejoin(t *testing.T) {
	for _, kind := range []int{0, 2} {
		inWorld(t, "EU868", func(w *world) {
			d := w.device(1, of11)
			if err := d.Join(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			w.chat(d, 2)
			before := d.State().DevAddr
			if err := w.edge.ForceRejoin(w.t.Context(), euiOf(1), kind); err != nil {
				w.t.Fatal(err)
			}
			w.chat(d, 6)
			if s := d.State(); s.DevAddr == before || s.Indicate || s.FCntUp > 6 {
				w.t.Errorf("type %d: %+v", kind, s)
			}
			var r *nsedge.Refusal
			if err := w.edge.ForceRejoin(w.t.Context(), euiOf(1), 1); !errors.As(err, &r) {
				w.t.Errorf("type 1 was forced: %v", err)
			}
			w.noErrors()
		})
	}
}

// RejoinParamSetupReq: 2^(0+4) uplinks; ADRParamSetupReq: 2^3 and 2^2.
func TestADeviceRejoinsAsOftenAsItIsTold(t *testing.T) {
	inWorld(t, "EU868", func(w *world) {
		d := w.device(1, func(c *enddevice.Config, dev *nsedge.Device) {
			of11(c, dev)
			dev.RejoinParam, dev.ADRParam = &nsedge.RejoinParam{Time: 15, Count: 0}, &nsedge.ADRParam{Limit: 3, Delay: 2}
		})
		if err := d.Join(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		addrs := map[enddevice.DevAddr]bool{}
		for range 20 {
			w.chat(d, 2)
			addrs[d.State().DevAddr] = true
		}
		if s := d.State(); s.AckLimit != 8 || s.AckDelay != 4 || s.RejoinCount != 16 || s.RejoinTime != 1<<25*time.Second {
			w.t.Errorf("%+v", s)
		}
		if len(addrs) != 3 {
			w.t.Errorf("%d sessions in 40 uplinks, want 3", len(addrs))
		}
		w.noErrors()
	})
}

func TestADeviceOf11IsOneOf10InANetworkOf10(t *testing.T) {
	inWorld(t, "EU868", func(w *world) {
		d := w.device(1, func(c *enddevice.Config, dev *nsedge.Device) {
			of11(c, dev)
			dev.Version, dev.AppKey, dev.NwkKey = "1.0.4", dev.NwkKey, nil
		})
		if err := d.Join(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.chat(d, 4)
		if s := d.State(); s.V11 || s.Indicate {
			w.t.Errorf("%+v", s)
		}
		if err := d.Rejoin(w.t.Context(), 0); !errors.Is(err, enddevice.ErrNotJoined) {
			w.t.Errorf("a rejoin in a network of 1.0: %v", err)
		}
		w.noErrors()
	})
}

// A network that never confirms the keys does not have the device for ever
// (LoRaWAN 1.1 §6.2.4.4).
func TestADeviceWhoseKeysAreNotConfirmedJoinsAgain(t *testing.T) {
	inWorld(t, "EU868", func(w *world) {
		d := w.device(1, of11)
		if err := d.Join(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.edge.UpdateDevice(w.t.Context(), euiOf(1), func(d *nsedge.Device) error { d.BlockDownlink = true; return nil }); err != nil {
			w.t.Fatal(err)
		}
		for range 64 {
			if _, err := d.Send(w.t.Context(), 1, []byte("x"), false); err != nil {
				w.t.Fatal(err)
			}
		}
		if _, err := d.Send(w.t.Context(), 1, []byte("x"), false); !errors.Is(err, enddevice.ErrNotJoined) || d.State().Joined {
			w.t.Errorf("after 64 uplinks: %v", err)
		}
	})
}

func TestWhoHearsARejoinRequestCanNotUseIt(t *testing.T) {
	inWorld(t, "EU868", func(w *world) {
		d := w.device(1, of11)
		if err := d.Join(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		var heard []byte
		ear := &listener{hear: func(b []byte) {
			if lorawan.MType(b[0]>>5) == lorawan.RejoinRequest {
				heard = b
			}
		}}
		ear.station = w.eavesdrop(ear)
		for _, kind := range []int{0, 1} {
			w.chat(d, 4)
			if err := d.Rejoin(w.t.Context(), kind); err != nil {
				w.t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			for _, when := range []string{"before", "after"} {
				if when == "after" {
					w.chat(d, 4)
				}
				before := w.joins()
				ear.say(w, heard)
				time.Sleep(10 * time.Second)
				if w.joins() != before {
					w.t.Errorf("type %d: played back %s the first uplink, it was answered", kind, when)
				}
			}
		}
	})
}

// listener is an attacker's station.
type listener struct {
	station *air.Station
	hear    func([]byte)
}

func (l *listener) Began(air.Reception) {}

func (l *listener) Ended(r air.Reception) {
	if r.Outcome == air.Clear {
		l.hear(bytes.Clone(r.Payload))
	}
}

func (w *world) eavesdrop(l *listener) *air.Station {
	w.t.Helper()
	eui := radio.EUI64{0xbb}
	s, err := w.m.Join(air.StationConfig{Gateway: &eui}, l)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// say transmits a recorded frame.
func (l *listener) say(w *world, frame []byte) {
	w.t.Helper()
	mod, err := w.region.DataRate(5)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := l.station.Transmit(air.Frame{Payload: frame, Freq: 868_100_000, Mod: mod}, air.Immediately, 14); err != nil {
		w.t.Fatal(err)
	}
}

// joins counts the join-accepts that were sent.
func (w *world) joins() int {
	return w.count(func(ev nsedge.Event) bool {
		d, ok := ev.(*nsedge.DownlinkEvent)
		return ok && lorawan.MType(d.Frame.MType) == lorawan.JoinAccept
	})
}
