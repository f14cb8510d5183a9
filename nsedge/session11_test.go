package nsedge

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

func TestADeviceOf11JoinsAndIsRekeyed(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode11(b, 1)
		b.register(n.otaa11())
		u := n.hear(n.joinRequest())
		time.Sleep(7 * time.Second)
		d := b.air.frames()[0]
		b.air.clear()
		if d.At != u.At.Add(5*time.Second) {
			t.Errorf("join-accept %v after the request", d.At.Sub(u.At))
		}
		n.accept(d.Payload)
		b.take()
		for range 2 { // the first RekeyConf is lost
			if o := n.ordered(frame{payload: []byte("hi"), opts: []byte{0x0b, 1}}); !slices.Equal(o, []byte{0x0b, 1}) {
				t.Fatalf("FOpts % x, want RekeyConf", o)
			}
		}
		evs := b.take()
		wantNotice(t, evs, Info, CodeActivated)
		for _, up := range all[*UplinkEvent](evs) {
			if string(up.Payload) != "hi" || len(up.Frame.MACCommands) != 1 || up.Frame.MACCommands[0].Name != "RekeyInd" {
				t.Errorf("uplink %+v", up)
			}
		}
		for _, down := range all[*DownlinkEvent](evs) {
			if len(down.Frame.MACCommands) != 1 || down.Frame.MACCommands[0].Name != "RekeyConf" {
				t.Errorf("downlink %+v", down)
			}
		}
		if o := n.ordered(frame{payload: []byte("hi")}); len(o) > 0 {
			t.Errorf("FOpts % x without RekeyInd", o)
		}
	})
}

// AFCntDown counts what applications send, NFCntDown the rest (LoRaWAN 1.1
// §4.3.1.5); open11 sees to it that none comes twice.
func TestDownlinksOf11HaveTwoCounters(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode11(1, nil)
		for i, c := range []struct{ app, confirmed bool }{{true, true}, {false, true}, {true, false}, {false, true}, {true, true}} {
			n.send(frame{payload: []byte("x"), confirmed: c.confirmed, opts: []byte{0x02}})
			req := one[*DownlinkRequest](t, b.take())
			if want := []uint32{0, 1, 1, 2, 2}[i]; req.Counter != want {
				t.Errorf("uplink %d: counter %d is announced, want AFCntDown %d", i, req.Counter, want)
			}
			if c.app {
				b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("down")})
			}
			time.Sleep(4 * time.Second)
			d := n.onlyDownlink()
			if want := []uint32{0, 0, 1, 1, 2}[i]; d.mac.FHDR.FCnt != want || d.mac.FHDR.FCtrl.ACK != c.confirmed {
				t.Errorf("uplink %d: counter %d, want %d; ACK %v", i, d.mac.FHDR.FCnt, want, d.mac.FHDR.FCtrl.ACK)
			}
			if o := fopts(d); !slices.Equal(o, []byte{0x02, 12, 1}) || c.app != (string(d.payload) == "down") {
				t.Errorf("uplink %d: FOpts % x, payload %q", i, o, d.payload)
			}
		}
	})
}

func TestAnACKOf11IsSignedWithTheConfirmedCounter(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode11(1, nil)
		for range 3 {
			n.exchange()
		}
		n.send(frame{payload: []byte("x")})
		b.answer(DownlinkResponse{PacketHash: lastRequest(b).PacketHash, Payload: []byte("sure?"), Confirmed: true})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); d.kind != lorawan.ConfirmedDataDown || d.mac.FHDR.FCnt != 3 {
			t.Fatalf("downlink %+v", d)
		}
		b.restart(b.store) // killed: what was written is there
		wrong := *n
		v := *n.v11
		wrong.v11, v.confDown = &v, 7
		wrong.send(frame{payload: []byte("x"), ack: true})
		wantNotice(t, b.take(), Error, CodeUplinkMIC)
		n.send(frame{payload: []byte("x"), ack: true})
		one[*UplinkEvent](t, b.take())
	})
}

func lastRequest(b *bench) *DownlinkRequest {
	b.Helper()
	all := all[*DownlinkRequest](b.take())
	if len(all) == 0 {
		b.Fatal("no downlink_request")
	}
	return all[len(all)-1]
}

// Channel and data rate are part of the MIC (LoRaWAN 1.1 §4.4.1).
func TestAnUplinkOf11ReplayedOnAnotherChannelIsRefused(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode11(1, nil)
		phy := n.encode(frame{payload: []byte("x")})
		n.freq = 868_300_000
		n.hear(phy)
		wantNotice(t, b.take(), Error, CodeUplinkMIC)
		time.Sleep(time.Second)
		n.freq, n.sf = 868_100_000, 8
		n.hear(phy)
		wantNotice(t, b.take(), Error, CodeUplinkMIC)
		time.Sleep(time.Second)
		n.sf = 7
		n.hear(phy)
		one[*UplinkEvent](t, b.take())
		// On a channel that a personalised device may have by itself, and on
		// one that the edge was not told of.
		for _, c := range []struct {
			freq    radio.Hertz
			channel uint8
		}{{867_500_000, 5}, {869_100_000, 9}} {
			time.Sleep(5 * time.Second)
			b.take()
			n.freq, n.v11.channel = c.freq, c.channel
			n.send(frame{payload: []byte("x")})
			one[*UplinkEvent](t, b.take())
		}
	})
}

// A near device is heard on two channels at once; only with one of them its
// MIC is right.
func TestAGhostOf11IsNotTheEndOfAnUplink(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode11(1, nil)
		phy := n.encode(frame{payload: []byte("x")})
		n.freq = 868_300_000
		ghost := n.uplink(phy)
		n.freq = 868_100_000
		b.air.up <- ghost
		n.hear(phy)
		if up := one[*UplinkEvent](t, b.take()); up.Radio.Freq != 868_100_000 {
			t.Errorf("heard on %d Hz", up.Radio.Freq)
		}
	})
}

// In 1.1 a repetition of a frame has another MIC on another channel.
func TestARepetitionOf11OnAnotherChannelIsNotDeliveredTwice(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode11(1, nil)
		n.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(4 * time.Second)
		n.onlyDownlink()
		b.take()
		n.freq, n.v11.channel = 868_500_000, 2
		n.up--
		n.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(4 * time.Second)
		evs := b.take()
		wantNotice(t, evs, Warning, CodeUplinkRepeated)
		if len(all[*UplinkEvent](evs)) > 0 {
			t.Error("it was delivered twice")
		}
		n.onlyDownlink()
	})
}

func TestResetIndIsAnsweredAndTheDeviceSetUpAgain(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode11(1, nil)
		n.update(func(d *Device) { d.RX1Delay = 3 })
		if o := n.ordered(frame{payload: []byte("x"), opts: []byte{0x01, 1}}); !slices.Equal(o, []byte{0x01, 1, 0x08, 3}) {
			t.Fatalf("FOpts % x, want ResetConf and RXTimingSetupReq", o)
		}
		n.send(frame{payload: []byte("x"), opts: []byte{0x08}})
		time.Sleep(6 * time.Second)
		b.air.clear()
		u := n.send(frame{payload: []byte("again"), opts: []byte{0x01, 1}}) // its counters go on
		time.Sleep(6 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(time.Second) || !slices.Equal(fopts(d), []byte{0x01, 1, 0x08, 3}) {
			t.Errorf("answered after %v with % x: want ResetConf and RXTimingSetupReq after 1 s", d.At.Sub(u.At), fopts(d))
		}
	})
}

// A device of class B tells of its reset and of its ping slots in one uplink.
func TestPingSlotsBesideResetIndAreKept(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode11(1, func(d *Device) { d.Class = "B" })
		n.send(frame{opts: append([]byte{0x01, 1}, pingSlotInfo(3)...), payload: []byte("x")})
		time.Sleep(4 * time.Second)
		b.must(b.edge.do(b.Context(), func() {
			if p := b.edge.byEUI[n.eui].session().pings(); !p.Told || p.Periodicity != 3 {
				t.Errorf("%+v", p)
			}
		}))
	})
}

// ResetInd is of personalised devices, RekeyInd of joined ones, both of 1.1.
func TestIndicationsOfOthersAreNotAnswered(t *testing.T) {
	scenario(t, func(b *bench) {
		old, abp, otaa := b.abpNode(1, nil), b.abpNode11(2, nil), b.joinedNode11(3, nil)
		for i, c := range []struct {
			n    *node
			opts []byte
		}{{old, []byte{0x01, 1}}, {old, []byte{0x0b, 1}}, {old, []byte{0x20, 2}}, {abp, []byte{0x0b, 1}}, {otaa, []byte{0x01, 1}}, {otaa, []byte{0x0b, 0}}, {abp, []byte{0x01, 0}}, {abp, []byte{0x20, 1}}} {
			if o := c.n.ordered(frame{payload: []byte("x"), opts: c.opts}); len(o) > 0 {
				t.Errorf("case %d: answered % x", i, o)
			}
		}
	})
}

func TestAFallbackTo10HasTheKeysOf10(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Device, *node)
	}{
		{"its NwkKey is registered as app_key", func(d *Device, n *node) { d.AppKey = &n.v11.nwkKey }},
		{"both keys are registered", func(d *Device, n *node) { d.NwkKey = &n.v11.nwkKey }},
	} {
		t.Run(c.name, func(t *testing.T) {
			scenario(t, func(b *bench) {
				n := newNode11(b, 1)
				d := n.otaa(KeysAtNS)
				d.Version = version104
				c.change(&d, n)
				b.register(d)
				n.appKey, n.v11 = n.v11.nwkKey, nil // without OptNeg the device is one of 1.0
				n.join()
				n.send(frame{payload: []byte("x"), confirmed: true})
				if up := one[*UplinkEvent](t, b.take()); string(up.Payload) != "x" {
					t.Errorf("payload %q", up.Payload)
				}
				time.Sleep(4 * time.Second)
				n.onlyDownlink()
			})
		})
	}
}

func TestDevicesOfBothVersionsShareAnAddress(t *testing.T) {
	scenario(t, func(b *bench) {
		old := b.abpNode(1, nil)
		n := newNode11(b, 2)
		n.addr = old.addr
		b.register(n.abp11())
		for range 3 {
			for _, x := range []*node{old, n} {
				x.send(frame{payload: []byte("x"), confirmed: true})
				if up := one[*UplinkEvent](t, b.take()); up.Device != x.eui {
					t.Errorf("%v instead of %v", up.Device, x.eui)
				}
				time.Sleep(4 * time.Second)
				x.onlyDownlink()
				b.take()
			}
		}
	})
}

func TestASessionOf11OutlivesAPowerCut(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.joinedNode11(1, nil)
		for range 40 {
			n.exchange()
		}
		b.restart(b.store.afterPowerCut())
		for range 3 {
			n.send(frame{payload: []byte("x"), confirmed: true, opts: []byte{0x02}})
			req := one[*DownlinkRequest](t, b.take())
			if req.Counter < 40 {
				t.Errorf("AFCntDown %d again", req.Counter)
			}
			b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")})
			time.Sleep(4 * time.Second)
			n.onlyDownlink()
		}
		d, err := b.edge.Device(b.Context(), n.eui)
		if err != nil || d.SNwkSIntKey == nil || *d.SNwkSIntKey != n.v11.sInt || *d.NwkSEncKey != n.v11.enc || *d.NwkSKey != n.nwk || *d.AppSKey != n.ses {
			t.Errorf("device %+v, %v", d, err)
		}
	})
}

func TestDevicesOf11AreRegisteredWithAllTheirKeys(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode11(b, 1)
		for _, c := range []struct {
			field  string
			device Device
			change func(*Device)
		}{
			{"nwk_key", n.otaa11(), func(d *Device) { d.NwkKey = nil }},
			{"app_key", n.otaa11(), func(d *Device) { d.AppKey = nil }},
			{"snwksintkey", n.abp11(), func(d *Device) { d.NwkSEncKey = nil }},
			{"lorawan_version", n.abp11(), func(d *Device) { d.NwkSEncKey, d.SNwkSIntKey = nil, nil }},
			{"lorawan_version", n.abp11(), func(d *Device) { d.Version = version104 }},
			{"adr_ack", n.abp11(), func(d *Device) { d.ADRParam = &ADRParam{16, 0} }},
			{"rejoin", n.otaa11(), func(d *Device) { d.RejoinParam = &RejoinParam{-1, 0} }},
		} {
			c.change(&c.device)
			var r *Refusal
			if err := b.edge.CreateDevice(b.Context(), c.device); !asRefusal(err, &r) || r.Field != c.field {
				t.Errorf("%v, want a refusal of %s", err, c.field)
			}
		}
		b.register(n.abp11())
		n.update(func(d *Device) { d.Tags = []string{"new"} })
		if _, err := b.edge.UpdateDevice(b.Context(), n.eui, func(d *Device) error { d.CounterDownApp = 9; return nil }); err != nil {
			t.Error(err)
		}
		var r *Refusal
		if _, err := b.edge.UpdateDevice(b.Context(), n.eui, func(d *Device) error { d.CounterDownApp = 3; return nil }); !asRefusal(err, &r) || r.Field != "counter_down_app" {
			t.Errorf("AFCntDown went back: %v", err)
		}
	})
}

func asRefusal(err error, r **Refusal) bool { return errors.As(err, r) }

func TestASessionOf11MovesToAnotherGateway(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.joinedNode11(1, nil)
		n.rejoin(lorawan.RejoinRequestType1)
		n.rekey()
		n.rejoin(lorawan.RejoinRequestType2) // it waits for its first uplink
		var moving Exported
		b.must(b.edge.Export(b.Context(), func(x Exported) bool { moving = x; return true }))
		b.must(b.edge.DeleteDevice(b.Context(), n.eui))
		out, applied, err := b.edge.ChangeDevices(b.Context(), []Change{{DevEUI: n.eui, State: moving.State, Edit: func(d *Device, _ bool) error { *d = moving.Device.clone(); return nil }}}, BulkOptions{})
		if err != nil || !applied {
			t.Fatal(out, err)
		}
		n.rekey()
		n.exchange()
		n.v11.rj1 = 0
		phy, _ := n.rejoinRequest(lorawan.RejoinRequestType1)
		n.hear(phy)
		wantNotice(t, b.take(), Error, CodeRejoinReplay)
	})
}

// A repetition acknowledges what the frame did at first, whatever was answered
// to it since and got lost.
func TestARepeatedACKOf11IsUnderstood(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode11(1, nil)
		n.exchange() // so that no counter is 0
		n.send(frame{payload: []byte("x")})
		b.answer(DownlinkResponse{PacketHash: lastRequest(b).PacketHash, Payload: []byte("sure?"), Confirmed: true})
		time.Sleep(4 * time.Second)
		n.onlyDownlink()
		phy := n.encode(frame{payload: []byte("x"), confirmed: true, ack: true})
		for i := range 5 {
			n.hear(phy)
			evs := b.take()
			if m := notice(evs, CodeUplinkRepeated); (m != nil) != (i > 0) {
				t.Fatalf("transmission %d:%s", i+1, describe(evs))
			}
			b.answer(DownlinkResponse{PacketHash: one[*DownlinkRequest](t, evs).PacketHash, Payload: []byte("sure?"), Confirmed: true})
			time.Sleep(4 * time.Second) // all of them are lost
		}
	})
}
