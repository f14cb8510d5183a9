package nsedge

import (
	"fmt"
	"testing"
	"time"

	"gatewayd/radio"
)

// classC registers a class C device that was heard, and whose windows are over.
func (b *bench) classC(id byte) *node {
	b.Helper()
	n := b.abpNode(id, func(d *Device) { d.Class = "C" })
	n.send(frame{payload: []byte("hello")})
	time.Sleep(4 * time.Second)
	b.take()
	return n
}

// claim opens a window and returns its request.
func (n *node) claim() *DownlinkRequest {
	n.b.Helper()
	n.b.take()
	n.b.answer(Claim{Device: n.eui})
	return one[*DownlinkRequest](n.b, n.b.take())
}

func TestAClassCDeviceIsAnsweredAtOnce(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.classC(1)
		time.Sleep(time.Hour)
		req := n.claim()
		// EU868, RX2: DR0 carries 51 bytes (RP002-1.0.3 table 8).
		if req.MaxSize != 51 || req.Counter != 0 || time.Until(req.TXTime) > 20*time.Millisecond {
			t.Errorf("request %+v", req)
		}
		time.Sleep(3 * time.Minute)
		asked := time.Now()
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("now"), Port: 7})
		time.Sleep(3 * time.Second)
		d := n.onlyDownlink()
		if string(d.payload) != "now" || d.Freq != 869_525_000 || d.Mod.(radio.LoRa).SF != 12 {
			t.Errorf("downlink %+v", d)
		}
		if after := b.air.moment(d.At).Sub(asked); after > 20*time.Millisecond {
			t.Errorf("sent %v after the answer", after)
		}
		ev := one[*DownlinkEvent](t, b.take())
		if ev.Timing.Window != "ClassC" || ev.Counter != 0 || string(ev.Payload) != "now" {
			t.Errorf("event %+v", ev)
		}
		b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("more")}, CodeDownlinkAnswered)
	})
}

func TestClassCClaimsAreChecked(t *testing.T) {
	scenario(t, func(b *bench) {
		silent := b.abpNode(9, func(d *Device) { d.Class = "C" })
		b.refused(Claim{Device: silent.eui}, CodeDownlinkNoWindow) // no frame was heard since the start
		n := b.classC(1)
		b.refused(Claim{Device: n.eui, Gateway: &radio.EUI64{1}}, CodeGatewayNotLive)
		b.answer(Claim{Device: n.eui, Gateway: &gatewayEUI})
		req := one[*DownlinkRequest](t, b.take())
		b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: make([]byte, 52)}, CodeDownlinkTooLong)
		b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("x"), Counter: ptr(req.Counter), Encrypted: []byte("y")}, CodeDownlinkPayload)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: make([]byte, 51)})
		time.Sleep(4 * time.Second)
		n.onlyDownlink()
		n.claim()
		time.Sleep(claimLife + time.Second)
		b.refused(DownlinkResponse{Device: n.eui, Payload: []byte("x")}, CodeDownlinkUnknown)
	})
}

func TestAClassCFrameStaysAwayFromRX1AndRX2(t *testing.T) {
	for _, after := range []time.Duration{0, 300 * time.Millisecond, 900 * time.Millisecond, 1500 * time.Millisecond, 2100 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			scenario(t, func(b *bench) {
				n := b.classC(1)
				req := n.claim()
				u := n.send(frame{payload: []byte("up")})
				time.Sleep(after)
				b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("x")})
				time.Sleep(6 * time.Second)
				d := n.onlyDownlink()
				start, end := d.At.Sub(u.At), d.At.Sub(u.At)+d.Mod.Airtime(len(d.Payload))
				rx1, rx2 := time.Second, 2*time.Second
				if start < rx2 && end > rx1 {
					t.Errorf("on the air from %v to %v after the uplink", start, end)
				}
				if start > max(after, rx2)+100*time.Millisecond {
					t.Errorf("only %v after the uplink", start)
				}
			})
		})
	}
}

func TestALateAnswerReachesAClassCDevice(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.classC(1)
		n.send(frame{payload: []byte("up"), confirmed: true})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(10 * time.Second)
		if d := n.onlyDownlink(); !d.mac.FHDR.FCtrl.ACK || d.mac.FHDR.FCnt != 0 {
			t.Errorf("ACK %+v", d)
		}
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("late")})
		time.Sleep(3 * time.Second)
		if d := n.onlyDownlink(); string(d.payload) != "late" || d.mac.FHDR.FCnt != 1 || d.mac.FHDR.FCtrl.ACK {
			t.Errorf("downlink %+v", d)
		}
		b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("later")}, CodeDownlinkAnswered)
	})
}

func TestClassCFramesKeepTheirOrder(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.classC(1)
		var reqs []*DownlinkRequest
		for range 4 {
			reqs = append(reqs, n.claim())
		}
		for i, req := range reqs {
			b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: fmt.Appendf(nil, "%d", i)})
		}
		time.Sleep(20 * time.Second)
		fs := b.air.frames()
		if len(fs) != 4 {
			t.Fatalf("%d frames, want 4; events:%s", len(fs), describe(b.take()))
		}
		for i, f := range fs {
			d := n.decode(f)
			if string(d.payload) != fmt.Sprint(i) || d.mac.FHDR.FCnt != uint32(i) {
				t.Errorf("frame %d: %q, counter %d", i, d.payload, d.mac.FHDR.FCnt)
			}
			if i > 0 && f.At < fs[i-1].At.Add(fs[i-1].Mod.Airtime(len(fs[i-1].Payload))+classCGuard) {
				t.Errorf("frame %d runs into the one before", i)
			}
		}
	})
}

func TestConfirmedClassCFramesWaitForTheirAcknowledgement(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.classC(1)
		first, second, third := n.claim(), n.claim(), n.claim()
		b.answer(DownlinkResponse{PacketHash: first.PacketHash, Payload: []byte("1"), Confirmed: true})
		b.answer(DownlinkResponse{PacketHash: second.PacketHash, Payload: []byte("2"), Confirmed: true})
		b.answer(DownlinkResponse{PacketHash: third.PacketHash, Payload: []byte("3")})
		time.Sleep(4 * time.Second)
		d := n.onlyDownlink()
		n.send(frame{ack: true})
		wantNotice(t, b.take(), Info, CodeDownlinkAcked)
		time.Sleep(4 * time.Second)
		if got := n.onlyDownlink(); string(got.payload) != "2" || string(d.payload) != "1" {
			t.Errorf("%q, then %q", d.payload, got.payload)
		}
		time.Sleep(4 * time.Second)
		if fs := b.air.frames(); len(fs) > 0 {
			t.Fatal("the third did not wait for the acknowledgement of the second")
		}
		time.Sleep(classCWait)
		n.onlyDownlink()
		wantNotice(t, b.take(), Warning, CodeDownlinkNotAcked)
	})
}

func TestABusyTransmitterDelaysAClassCFrame(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.classC(1)
		busy := time.Now().Add(2 * time.Second)
		b.air.refuse = func(radio.Downlink) error {
			if time.Now().Before(busy) {
				return radio.ErrCollision
			}
			return nil
		}
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("x")})
		time.Sleep(5 * time.Second)
		if d := n.onlyDownlink(); b.air.moment(d.At).Before(busy) {
			t.Error("sent too early")
		}
		b.air.refuse = func(radio.Downlink) error { return radio.ErrCollision }
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("x")})
		time.Sleep(classCLife + 2*time.Second)
		wantNotice(t, b.take(), Error, CodeDownlinkFailed)
	})
}

func TestAClassCFrameWaitsForItsCounterOnTheDisk(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.Class = "C" })
		b.store.syncsTake(5 * time.Second)
		n.send(frame{payload: []byte("x")})
		req := n.claim()
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		if len(b.air.frames()) > 0 {
			t.Fatal("sent with a counter that a power cut would forget")
		}
		time.Sleep(4 * time.Second)
		n.onlyDownlink()
	})
}
