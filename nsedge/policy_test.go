package nsedge

import (
	"strings"
	"testing"
	"time"

	"gatewayd/radio"
)

func TestAnUplinkThatCouldNotBeRecordedIsDeliveredWhenItComesAgain(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		phy := n.encode(frame{payload: []byte("x"), confirmed: true})
		b.store.err = radio.ErrStopped // any error
		n.hear(phy)
		wantNotice(t, b.take(), Error, CodeServer)
		b.store.err = nil
		time.Sleep(3 * time.Second)
		n.hear(phy)
		one[*UplinkEvent](t, b.take())
		time.Sleep(3 * time.Second)
		n.onlyDownlink()
	})
}

func TestAnEchoedCounterIsNoOverride(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x"), confirmed: true})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(3 * time.Second) // the bare ACK took the counter
		b.air.clear()
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("late"), Counter: &req.Counter, QueueIfLate: true})
		n.send(frame{payload: []byte("x")})
		time.Sleep(3 * time.Second)
		if d := n.onlyDownlink(); string(d.payload) != "late" || d.mac.FHDR.FCnt != 1 {
			t.Errorf("downlink %+v", d)
		}
	})
}

func TestAKeptEncryptedAnswerWhoseCounterIsGoneIsAnError(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x"), confirmed: true})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(3 * time.Second)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Encrypted: []byte("late"), QueueIfLate: true})
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Encrypted: []byte("later"), QueueIfLate: true})
		wantNotice(t, b.take(), Warning, CodeDownlinkReplaced)
		n.send(frame{payload: []byte("x")})
		m := wantNotice(t, b.take(), Error, CodeDownlinkCounter)
		if !strings.Contains(m.Message, "again with counter 1") {
			t.Errorf("message %q", m.Message)
		}
	})
}

func TestAKeptEncryptedAnswerDoesNotOutliveItsSession(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		n.join()
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(3 * time.Second)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Encrypted: []byte("late"), QueueIfLate: true})
		n.join()
		b.take()
		n.send(frame{payload: []byte("x")})
		wantNotice(t, b.take(), Error, CodeDownlinkCounter)
		time.Sleep(3 * time.Second)
		if len(b.air.frames()) > 0 {
			t.Error("it was sent in the new session")
		}
	})
}

func TestTheLastDownlinkCounterEndsTheSession(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.CounterDown = maxCounter - 2 })
		n.high = 0xffff0000
		for want := uint32(maxCounter - 2); want < maxCounter; want++ {
			if c := n.exchange(); c != want {
				t.Errorf("counter %d, want %d", c, want)
			}
		}
		n.send(frame{payload: []byte("x")})
		r := b.refused(DownlinkResponse{Device: n.eui, Payload: []byte("y")}, CodeDownlinkCounter)
		if !strings.Contains(r.Message, "join again") {
			t.Errorf("message %q", r.Message)
		}
	})
}

func TestManyJoinsInVainDoNotMixSessionsUp(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		n.join()
		for range 3 {
			n.exchange()
		}
		// As many joins as there are generations: the last one's would be
		// that of the session in use, whose counters the journal holds.
		for range joinedGen {
			n.hear(n.joinRequest())
			time.Sleep(40 * time.Minute) // duty cycle
		}
		accepts := b.air.frames()
		n.accept(accepts[len(accepts)-1].Payload)
		b.restart(b.store)
		b.take()
		n.send(frame{payload: []byte("x")})
		if up := one[*UplinkEvent](t, b.take()); up.Counter != 0 || up.DevAddr != n.addr {
			t.Errorf("uplink %+v", up)
		}
	})
}

func TestTheStrictPolicyAppliesToTwoByteCounters(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.CountersSize, d.StrictCounter = 2, true })
		n.send(frame{payload: []byte("x"), counter: ptr(uint32(10))})
		one[*UplinkEvent](t, b.take())
		n.send(frame{payload: []byte("x"), counter: ptr(uint32(11 + maxGap))})
		wantNotice(t, b.take(), Error, CodeUplinkGap)
		n.send(frame{payload: []byte("y"), counter: ptr(uint32(0))})
		wantNotice(t, b.take(), Error, CodeUplinkReplay)
	})
}

func TestAFrameOutsideTheDevicesBandIsWarnedOf(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.Band = "US902-928" })
		n.send(frame{payload: []byte("x")})
		evs := b.take()
		one[*UplinkEvent](t, evs)
		if m := wantNotice(t, evs, Warning, CodeOutsideBand); !strings.Contains(m.Message, "US915") {
			t.Errorf("message %q", m.Message)
		}
	})
}

func TestAnAnswerIsMatchedByTheDeviceOfAJoinToo(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtApp))
		b.refused(JoinResponse{Device: n.eui, Accept: make([]byte, 16)}, CodeJoinResponseUnknown)
		b.refused(JoinResponse{Device: n.app, Accept: make([]byte, 16)}, CodeDeviceUnknown)
		b.refused(JoinResponse{PacketHash: PacketHash{1}, Accept: make([]byte, 16)}, CodeJoinResponseUnknown)
		n.hear(n.joinRequest())
		req := one[*JoinRequest](t, b.take())
		b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("x")}, CodeDownlinkUnknown)
		a := n.asJoin(req)
		a.PacketHash, a.Device = PacketHash{}, n.eui
		b.answer(a)
		time.Sleep(7 * time.Second)
		if len(b.air.frames()) != 1 {
			t.Error("no join-accept")
		}
	})
}

func TestKeysNeverPrintThemselves(t *testing.T) {
	d := newNode(nil, 1).abp()
	if s := d.NwkSKey.String() + d.NwkSKey.GoString(); strings.Contains(s, "01") {
		t.Error(s)
	}
	r := &Refusal{Code: "c", Message: "m"}
	if r.Error() != "c: m" || (&Refusal{Code: "c", Field: "f", Message: "m"}).Error() != "c: f: m" {
		t.Error(r)
	}
	if Error.String() != "error" || Warning.String() != "warning" || Info.String() != "info" {
		t.Error("levels")
	}
}
