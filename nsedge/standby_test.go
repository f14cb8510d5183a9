package nsedge

import (
	"context"
	"strings"
	"testing"
	"time"

	"gatewayd/radio"
)

// rx1In sleeps until so long before the start of RX1 and returns the request.
func (b *bench) rx1In(before time.Duration) *DownlinkRequest {
	b.Helper()
	req := one[*DownlinkRequest](b, b.take())
	time.Sleep(time.Until(req.TXTime) - before)
	return req
}

func TestAnAcknowledgementStandsByBeforeTheCutOff(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x"), confirmed: true})
		req := b.rx1In(standbyAhead + lead + defaultMargin + time.Millisecond)
		if fs := b.air.frames(); len(fs) != 0 {
			t.Errorf("%d frames %v before RX1: the application's time is cut short", len(fs), time.Until(req.TXTime))
		}
		time.Sleep(2 * time.Millisecond)
		if fs := b.air.frames(); len(fs) != 1 {
			t.Fatalf("%d frames stand by", len(fs))
		}
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); !d.mac.FHDR.FCtrl.ACK || d.mac.FHDR.FCnt != 0 {
			t.Errorf("downlink %+v", d.mac.FHDR)
		}
	})
}

// Until the transmitter's lead an answer goes out in place of what stands by,
// with the counter that was announced: the other frame never is on the air.
func TestAnAnswerTakesThePlaceOfTheAcknowledgement(t *testing.T) {
	for name, encrypted := range map[string]bool{"plaintext": false, "encrypted by the application": true} {
		t.Run(name, func(t *testing.T) {
			scenario(t, func(b *bench) {
				n := b.abpNode(1, nil)
				u := n.send(frame{payload: []byte("x"), confirmed: true})
				req := b.rx1In(lead)
				a := DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("late, but in time")}
				if encrypted {
					a.Encrypted, a.Payload = crypt(n.ses, false, n.addr, req.Counter, a.Payload), nil
				}
				b.answer(a)
				time.Sleep(4 * time.Second)
				d := n.onlyDownlink()
				if string(d.payload) != "late, but in time" || !d.mac.FHDR.FCtrl.ACK || d.At != u.At.Add(time.Second) || d.mac.FHDR.FCnt != req.Counter {
					t.Errorf("downlink %+v %q", d.mac.FHDR, d.payload)
				}
				evs := b.take()
				if ev := one[*DownlinkEvent](t, evs); ev.Counter != req.Counter || ev.Timing.Window != "RX1" {
					t.Errorf("event %+v", ev)
				}
				for _, x := range all[*Notice](evs) {
					if x.Level != Info {
						t.Errorf("%s: %s", x.Code, x.Message)
					}
				}
				if c := n.exchange(); c != 1 {
					t.Errorf("the next counter is %d", c)
				}
			})
		})
	}
}

func TestAnAnswerThatComesAfterTheAcknowledgementWasArmedIsRefused(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x"), confirmed: true})
		req := b.rx1In(lead - 500*time.Microsecond)
		r := b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")}, CodeDownlinkLate)
		if !strings.Contains(r.Message, "2ms after the deadline of RX1") {
			t.Errorf("message %q", r.Message)
		}
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("z"), QueueIfLate: true})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); !d.mac.FHDR.FCtrl.ACK || len(d.payload) > 0 {
			t.Errorf("downlink %+v", d.mac.FHDR)
		}
		n.send(frame{payload: []byte("x")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); string(d.payload) != "z" || d.mac.FHDR.FCnt != 1 {
			t.Errorf("downlink %+v", d.mac.FHDR)
		}
	})
}

func TestAKeptAnswerStandsByForANewerOne(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		req := b.rx1In(-3 * time.Second)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("old"), QueueIfLate: true})
		b.take()
		n.send(frame{payload: []byte("x")})
		b.rx1In(2 * lead)
		b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("new")})
		wantNotice(t, b.take(), Warning, CodeDownlinkReplaced)
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); string(d.payload) != "new" || d.mac.FHDR.FCnt != 0 {
			t.Errorf("downlink %q, counter %d", d.payload, d.mac.FHDR.FCnt)
		}
	})
}

// An Air that does not say whether it made the exchange: its reports do.
func TestAnAnswerThatTheAirLeftOutIsToldAsLate(t *testing.T) {
	scenario(t, func(b *bench) {
		b.air.refuse = func(d radio.Downlink) error {
			if d.Replaces != 0 {
				return context.DeadlineExceeded
			}
			return nil
		}
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x"), confirmed: true})
		req := b.rx1In(2 * lead)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); len(d.payload) != 0 {
			t.Errorf("downlink %q", d.payload)
		}
		evs := b.take()
		one[*DownlinkEvent](t, evs)
		wantNotice(t, evs, Error, CodeDownlinkLate)
		if c := n.exchange(); c != 1 {
			t.Errorf("the next counter is %d", c)
		}
	})
}

// What stood by and was not sent in RX1 stands by for RX2.
func TestAnAnswerTakesThePlaceOfTheSecondTry(t *testing.T) {
	scenario(t, func(b *bench) {
		b.air.fail = func(d radio.Downlink) error {
			if d.Freq == 868_100_000 {
				return radio.ErrTooLate
			}
			return nil
		}
		n := b.abpNode(1, nil)
		u := n.send(frame{payload: []byte("x"), confirmed: true})
		req := b.rx1In(-500 * time.Millisecond)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); string(d.payload) != "y" || d.At != u.At.Add(2*time.Second) || d.mac.FHDR.FCnt != 0 {
			t.Errorf("downlink %q, counter %d, %v after the uplink", d.payload, d.mac.FHDR.FCnt, d.At.Sub(u.At))
		}
	})
}

// The frame that is replaced spends no duty cycle, the one that stays does.
func TestTheLedgerHoldsWhatGoesOut(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		for i, size := range []int{20, 250} { // the second does not fit
			n.send(frame{payload: []byte("x"), confirmed: true})
			req := b.rx1In(2 * lead)
			err := b.edge.Answer(b.Context(), DownlinkResponse{PacketHash: req.PacketHash, Payload: make([]byte, size)})
			if (err == nil) != (i == 0) {
				t.Fatalf("%d bytes: %v", size, err)
			}
			time.Sleep(4 * time.Second)
		}
		var onAir time.Duration
		for _, d := range b.air.frames() {
			onAir += d.Mod.Airtime(len(d.Payload))
		}
		x, err := b.edge.Explain(b.Context(), n.eui)
		b.must(err)
		var used time.Duration
		for _, u := range x.Duty {
			used += u.Used
		}
		if len(b.air.frames()) != 2 || used != onAir {
			t.Errorf("%d frames, %v on the air, %v accounted", len(b.air.frames()), onAir, used)
		}
	})
}

// Neither is "nobody answered" true when an answer was refused.
func TestNobodyAnsweredIsNotSaidOfARefusedAnswer(t *testing.T) {
	scenario(t, func(b *bench) {
		b.air.refuse = func(radio.Downlink) error { return radio.ErrCollision }
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		b.refused(DownlinkResponse{Device: n.eui, Payload: []byte("y")}, CodeDownlinkFailed)
		time.Sleep(4 * time.Second)
		if x := notice(b.take(), CodeDownlinkNoAnswer); x != nil {
			t.Error(x.Message)
		}
		n.send(frame{payload: []byte("x")})
		time.Sleep(4 * time.Second)
		wantNotice(t, b.take(), Warning, CodeDownlinkNoAnswer)
	})
}
