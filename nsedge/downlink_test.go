package nsedge

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/brocaar/lorawan"
)

func TestAnAnswerGoesOutInRX1ToTheMicrosecond(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		u := n.send(frame{payload: []byte("hello")})
		evs := b.take()
		up := one[*UplinkEvent](t, evs)
		if string(up.Payload) != "hello" || up.Counter != 0 || up.Port != 1 || up.Device != n.eui || up.DevAddr != n.addr || up.Duplicate {
			t.Errorf("uplink %+v", up)
		}
		req := one[*DownlinkRequest](t, evs)
		if want := u.Time.Add(time.Second); !req.TXTime.Equal(want) {
			t.Errorf("tx_time %v, want %v", req.TXTime, want)
		}
		if req.PacketHash != up.PacketHash || req.Counter != 0 {
			t.Errorf("request %+v does not fit uplink %+v", req, up)
		}
		if req.MaxSize != 242 && req.MaxSize != 222 { // RP002-1.0.3 and 1.0.1, EU868 DR5
			t.Errorf("max_size %d", req.MaxSize)
		}
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("world"), HasPayload: true, Port: 7})
		time.Sleep(2 * time.Second)
		d := n.onlyDownlink()
		if d.At != u.At.Add(time.Second) || d.Freq != u.Freq || string(d.payload) != "world" || *d.mac.FPort != 7 {
			t.Errorf("downlink %+v", d)
		}
		evs = b.take()
		down := one[*DownlinkEvent](t, evs)
		if string(down.Payload) != "world" || down.Counter != 0 || down.Timing.Window != "RX1" || down.Timing.Margin != 4*time.Millisecond || down.Timing.Started != d.At {
			t.Errorf("downlink event %+v", down)
		}
		received, scheduled := wantNotice(t, evs, Info, CodeDownlinkReceived), wantNotice(t, evs, Info, CodeDownlinkScheduled)
		if slices.Index(evs, Event(received)) > slices.Index(evs, Event(scheduled)) {
			t.Errorf("scheduled before it came: %s", describe(evs))
		}
	})
}

func TestAnAnswerThatMissesRX1GoesToRX2(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		u := n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(time.Until(req.TXTime) - lead + time.Millisecond) // too late for the transmitter
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		d := n.onlyDownlink()
		if d.At != u.At.Add(2*time.Second) || d.Freq != 869_525_000 {
			t.Errorf("downlink at %v after the uplink, on %d Hz", d.At.Sub(u.At), d.Freq)
		}
		if ev := one[*DownlinkEvent](t, b.take()); ev.Timing.Window != "RX2" || ev.Timing.Late != "as" {
			t.Errorf("timing %+v", ev.Timing)
		}
	})
}

func TestAnAnswerUntilTheTransmittersLeadStillMakesRX1(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		u := n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(time.Until(req.TXTime) - lead)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(time.Second) {
			t.Errorf("downlink %v after the uplink", d.At.Sub(u.At))
		}
	})
}

func TestALaterAnswerIsRefusedAndSaysByHowMuch(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(2*time.Second + 30*time.Millisecond)
		wantNotice(t, b.take(), Warning, CodeDownlinkNoAnswer)
		r := b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")}, CodeDownlinkLate)
		if !strings.Contains(r.Message, "35.5ms after the deadline of RX2") || !strings.Contains(r.Message, "application was late") {
			t.Errorf("message %q", r.Message)
		}
		if g := r.Timing; g == nil || g.Window != "RX2" || g.Late != "as" || g.Margin.Round(time.Microsecond) != -35500*time.Microsecond || g.Planned == 0 || g.Armed != 0 {
			t.Errorf("timing %+v", g)
		}
		if fs := b.air.frames(); len(fs) != 0 {
			t.Errorf("%d frames on the air", len(fs))
		}
	})
}

func TestALateAnswerIsKeptForTheNextWindowIfWanted(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(3 * time.Second)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("old"), QueueIfLate: true})
		wantNotice(t, b.take(), Info, CodeDownlinkQueued)
		u := n.send(frame{payload: []byte("x")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); string(d.payload) != "old" || d.At != u.At.Add(time.Second) {
			t.Errorf("downlink %q, %v after the uplink", d.payload, d.At.Sub(u.At))
		}
	})
}

func TestANewAnswerReplacesAKeptOne(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(3 * time.Second)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("old"), QueueIfLate: true})
		n.send(frame{payload: []byte("x")})
		req = one[*DownlinkRequest](t, b.take())
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("new")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); string(d.payload) != "new" {
			t.Errorf("downlink %q", d.payload)
		}
		n.send(frame{payload: []byte("x")})
		time.Sleep(4 * time.Second)
		if fs := b.air.frames(); len(fs) != 0 {
			t.Errorf("the replaced answer was sent")
		}
	})
}

func TestAConfirmedUplinkIsAcknowledgedWithoutAnAnswer(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		u := n.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(4 * time.Second)
		d := n.onlyDownlink()
		if !d.mac.FHDR.FCtrl.ACK || d.mac.FPort != nil || d.At != u.At.Add(time.Second) || d.kind != lorawan.UnconfirmedDataDown {
			t.Errorf("downlink %+v, %v after the uplink", d.mac, d.At.Sub(u.At))
		}
		ev := one[*DownlinkEvent](t, b.take())
		if !ev.Frame.ACK || ev.Payload == nil || len(ev.Payload) > 0 {
			t.Errorf("event %+v", ev)
		}
	})
}

func TestAnAnswerCarriesTheAcknowledgement(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x"), confirmed: true})
		req := one[*DownlinkRequest](t, b.take())
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y"), Confirmed: true, Pending: true})
		b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("z")}, CodeDownlinkAnswered)
		time.Sleep(4 * time.Second)
		d := n.onlyDownlink()
		if c := d.mac.FHDR.FCtrl; !c.ACK || !c.FPending || d.kind != lorawan.ConfirmedDataDown {
			t.Errorf("downlink %+v", d.mac)
		}
		b.take()
		n.send(frame{payload: []byte("x")})
		wantNotice(t, b.take(), Warning, CodeDownlinkNotAcked)
	})
}

func TestALateAnswerAfterABareAckSaysWhy(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x"), confirmed: true})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(1500 * time.Millisecond)
		r := b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")}, CodeDownlinkLate)
		if !strings.Contains(r.Message, "ACK") || r.Timing == nil || r.Timing.Window != "RX1" || r.Timing.Late != "as" {
			t.Errorf("message %q, timing %+v", r.Message, r.Timing)
		}
		time.Sleep(4 * time.Second)
		n.onlyDownlink() // one frame a window
	})
}

func TestTheAcknowledgementOfAConfirmedDownlinkIsTold(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y"), Confirmed: true})
		time.Sleep(4 * time.Second)
		b.take()
		n.send(frame{payload: []byte("x"), ack: true})
		wantNotice(t, b.take(), Info, CodeDownlinkAcked)
	})
}

func TestADRACKReqIsAlwaysAnswered(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x"), adrAckReq: true})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); d.mac.FHDR.FCtrl.ACK {
			t.Error("an unconfirmed uplink was acknowledged")
		}
	})
}

func TestAnEncryptedPayloadIsSentAsItIs(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.Encryption, d.AppSKey = KeysAtApp, nil })
		n.send(frame{payload: []byte("x")})
		evs := b.take()
		if up := one[*UplinkEvent](t, evs); up.Payload != nil {
			t.Error("a plaintext was invented")
		}
		req := one[*DownlinkRequest](t, evs)
		b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y"), HasPayload: true}, CodeDownlinkNoKey)
		enc := crypt(n.ses, false, n.addr, req.Counter, []byte("secret"))
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Encrypted: enc})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); string(d.payload) != "secret" {
			t.Errorf("downlink %q", d.payload)
		}
		if ev := one[*DownlinkEvent](t, b.take()); ev.Payload != nil || !bytes.Equal(ev.Encrypted, enc) {
			t.Errorf("event %+v", ev)
		}
	})
}

func TestBadAnswersAreRefusedWithTheReason(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		h := req.PacketHash
		r := b.refused(DownlinkResponse{PacketHash: h, Payload: make([]byte, 243)}, CodeDownlinkTooLong)
		if r.Field != "payload" || !strings.Contains(r.Message, "max_size is") {
			t.Errorf("refusal %v", r)
		}
		b.refused(DownlinkResponse{PacketHash: h, Payload: []byte("y"), Port: 225}, CodeDownlinkPort)
		b.refused(DownlinkResponse{PacketHash: h, Payload: []byte("y"), Encrypted: []byte("y")}, CodeDownlinkPayload)
		b.refused(DownlinkResponse{PacketHash: PacketHash{1}, Payload: []byte("y")}, CodeDownlinkUnknown)
		b.refused(DownlinkResponse{Device: n.app, Payload: []byte("y")}, CodeDeviceUnknown)
		b.refused(StatusRequest{Device: n.app}, CodeDeviceUnknown)
		b.refused(StatusRequest{Device: n.eui, Gateway: &n.app}, CodeGatewayNotLive)
		b.answer(DownlinkResponse{Device: n.eui, Payload: make([]byte, req.MaxSize)})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); len(d.payload) != req.MaxSize {
			t.Errorf("%d bytes sent, %d wanted", len(d.payload), req.MaxSize)
		}
		b.refused(DownlinkResponse{Device: n.eui, Payload: []byte("y")}, CodeDownlinkUnknown)
	})
}

func TestACounterMayBeRaisedButNeverLowered(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		for _, want := range []uint32{1000, 1001} {
			n.send(frame{payload: []byte("x")})
			req := one[*DownlinkRequest](t, b.take())
			b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y"), Counter: ptr(want)})
			time.Sleep(4 * time.Second)
			if d := n.onlyDownlink(); d.mac.FHDR.FCnt != want || string(d.payload) != "y" {
				t.Errorf("counter %d, payload %q", d.mac.FHDR.FCnt, d.payload)
			}
			b.take()
		}
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		if req.Counter != 1002 {
			t.Errorf("next counter %d", req.Counter)
		}
		b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y"), Counter: ptr(uint32(1001))}, CodeDownlinkCounter)
	})
}

func TestAnEmptyAnswerIsSentWithAWarning(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, HasPayload: true, Port: 3})
		wantNotice(t, b.take(), Warning, CodeDownlinkEmpty)
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); *d.mac.FPort != 3 || len(d.payload) != 0 {
			t.Errorf("downlink %+v", d.mac)
		}
	})
}
