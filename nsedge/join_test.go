package nsedge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// join lets a device with its key at the edge join in RX1.
func (n *node) join() {
	n.b.Helper()
	n.hear(n.joinRequest())
	time.Sleep(7 * time.Second)
	fs := n.b.air.frames()
	if len(fs) != 1 {
		n.b.Fatalf("%d frames, want the join-accept; events:%s", len(fs), describe(n.b.take()))
	}
	n.b.air.clear()
	n.accept(fs[0].Payload)
}

func TestAJoinIsAcceptedInRX1AndTheSessionWorks(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		u := n.hear(n.joinRequest())
		time.Sleep(7 * time.Second)
		d := b.air.frames()[0]
		b.air.clear()
		if d.At != u.At.Add(5*time.Second) || d.Freq != u.Freq {
			t.Errorf("join-accept %v after the request, on %d Hz", d.At.Sub(u.At), d.Freq)
		}
		a := n.accept(d.Payload)
		if a.HomeNetID.String() != "000001" || a.RXDelay != 1 || a.CFList == nil || a.JoinNonce == 0 || a.DevAddr[0]&0xfe != 0x02 { // NwkID 1 of NetID 000001
			t.Errorf("join-accept %+v", a)
		}
		evs := b.take()
		wantNotice(t, evs, Info, CodeJoinAccepted)
		if ev := one[*DownlinkEvent](t, evs); ev.DevAddr != n.addr || ev.Timing.Window != "RX1" {
			t.Errorf("event %+v", ev)
		}
		n.send(frame{payload: []byte("hi")})
		evs = b.take()
		if up := one[*UplinkEvent](t, evs); string(up.Payload) != "hi" || up.DevAddr != n.addr {
			t.Errorf("uplink %+v", up)
		}
		wantNotice(t, evs, Info, CodeActivated)
		b.answer(DownlinkResponse{PacketHash: one[*DownlinkRequest](t, evs).PacketHash, Payload: []byte("ho")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); string(d.payload) != "ho" || d.mac.FHDR.FCnt != 0 {
			t.Errorf("downlink %+v", d)
		}
	})
}

func TestAJoinThatMissesRX1IsAcceptedInRX2(t *testing.T) {
	scenario(t, func(b *bench) {
		b.air.refuse = func(d radio.Downlink) error {
			if d.Freq == 868_100_000 {
				return radio.ErrCollision
			}
			return nil
		}
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		u := n.hear(n.joinRequest())
		time.Sleep(8 * time.Second)
		if d := b.air.frames()[0]; d.At != u.At.Add(6*time.Second) || d.Freq != 869_525_000 {
			t.Errorf("join-accept %v after the request, on %d Hz", d.At.Sub(u.At), d.Freq)
		}
	})
}

func TestTheOldSessionIsGoodUntilTheNewOneIsUsed(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		n.join()
		n.send(frame{payload: []byte("1")})
		old := *n
		time.Sleep(3 * time.Second)
		b.take()
		n.join()
		b.take()
		old.send(frame{payload: []byte("2")}) // the accept was lost, say
		one[*UplinkEvent](t, b.take())
		time.Sleep(3 * time.Second)
		b.take()
		n.send(frame{payload: []byte("3")})
		one[*UplinkEvent](t, b.take())
		old.send(frame{payload: []byte("4")})
		if ups := all[*UplinkEvent](b.take()); len(ups) > 0 {
			t.Error("the old session works still")
		}
	})
}

func TestBadJoinsAreRefusedWithTheReason(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		abp := b.abpNode(2, nil)
		blocked := newNode(b, 3)
		spec := blocked.otaa(KeysAtNS)
		spec.BlockUplink = true
		b.register(spec)
		first := n.joinRequest()
		n.hear(first)
		time.Sleep(10 * time.Second)
		b.take()
		n.hear(first)
		m := wantNotice(t, b.take(), Error, CodeJoinReplay)
		if !strings.Contains(m.Message, "DevNonce 0000") {
			t.Errorf("message %q", m.Message)
		}
		wrong := *n
		wrong.appKey[0]++
		wrong.send2(wrong.joinRequest())
		wantNotice(t, b.take(), Error, CodeJoinMIC)
		wrong = *n
		wrong.app[0]++
		wrong.send2(wrong.joinRequest())
		wantNotice(t, b.take(), Error, CodeJoinEUI)
		abp.send2(abp.joinRequest())
		wantNotice(t, b.take(), Error, CodeJoinNotOTAA)
		blocked.send2(blocked.joinRequest())
		wantNotice(t, b.take(), Warning, CodeJoinBlocked)
		unknown := newNode(b, 9)
		unknown.send2(unknown.joinRequest())
		if m := wantNotice(t, b.take(), Warning, CodeJoinUnknown); m.Device != unknown.eui {
			t.Errorf("about %v", m.Device)
		}
		n.hear(first[:22])
		if evs := b.take(); len(evs) > 0 {
			t.Errorf("events:%s", describe(evs))
		}
		if fs := b.air.frames(); len(fs) != 1 {
			t.Errorf("%d join-accepts, want 1", len(fs))
		}
	})
}

func (n *node) send2(phy []byte) { n.hear(phy); time.Sleep(8 * time.Second) }

func TestEachJoinHasAnotherJoinNonceAndAddress(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		nonces, addrs := map[uint32]bool{}, map[DevAddr]bool{}
		for range 5 {
			n.hear(n.joinRequest())
			time.Sleep(8 * time.Second)
			a := n.accept(b.air.frames()[0].Payload)
			b.air.clear()
			nonces[uint32(a.JoinNonce)], addrs[n.addr] = true, true
			b.restart(b.store.afterPowerCut())
		}
		if len(nonces) != 5 || len(addrs) < 4 {
			t.Errorf("%d JoinNonces, %d addresses", len(nonces), len(addrs))
		}
	})
}

func TestADevNonceIsRefusedAfterAPowerCut(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		request := n.joinRequest()
		n.hear(request)
		time.Sleep(8 * time.Second)
		b.restart(b.store.afterPowerCut())
		b.take()
		n.hear(request)
		wantNotice(t, b.take(), Error, CodeJoinReplay)
	})
}

// asJoin plays the AS that holds the AppKey.
func (n *node) asJoin(req *JoinRequest) JoinResponse {
	b := n.b
	w := &window{join: &joining{kind: lorawan.JoinRequestType, keys: &joinKeys{nwk: n.appKey}}}
	phy, err := b.edge.joinAccept(w, 77, joined{addr: req.DevAddr, rxDelay: 1})
	b.must(err)
	nwk, _ := sessionKeys(n.appKey, 77, req.NetID, req.DevNonce)
	return JoinResponse{PacketHash: req.PacketHash, NwkSKey: nwk, Accept: phy[1:]}
}

func TestAnASWithTheKeyMakesTheJoinAccept(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtApp))
		u := n.hear(n.joinRequest())
		req := one[*JoinRequest](t, b.take())
		if req.Device != n.eui || req.Application != n.app || req.DevNonce != 0 || req.NetID != [3]byte{0, 0, 1} || len(req.CFList) != 16 {
			t.Errorf("request %+v", req)
		}
		a := n.asJoin(req)
		bad := a
		bad.Accept = a.Accept[:15]
		b.refused(bad, CodeJoinResponseInvalid)
		time.Sleep(4 * time.Second)
		b.answer(a)
		b.refused(a, CodeJoinResponseUnknown)
		time.Sleep(4 * time.Second)
		d := b.air.frames()[0]
		b.air.clear()
		if d.At != u.At.Add(5*time.Second) || d.Payload[0] != 0x20 || !slices.Equal(d.Payload[1:], a.Accept) {
			t.Errorf("join-accept % x, %v after the request", d.Payload, d.At.Sub(u.At))
		}
		n.accept(d.Payload)
		wantNotice(t, b.take(), Info, CodeJoinResponse)
		n.send(frame{payload: []byte("x")})
		if up := one[*UplinkEvent](t, b.take()); up.Payload != nil || string(crypt(n.ses, true, n.addr, 0, up.Encrypted)) != "x" {
			t.Errorf("uplink %+v", up)
		}
	})
}

func TestAnASThatDoesNotAnswerAJoinIsAnError(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtApp))
		phy := n.joinRequest()
		n.hear(phy)
		req := one[*JoinRequest](t, b.take())
		other := n.joinRequest()
		n.hear(other)
		wantNotice(t, b.take(), Info, CodeJoinDuplicate)
		time.Sleep(7 * time.Second)
		wantNotice(t, b.take(), Error, CodeJoinNoAnswer)
		b.refused(n.asJoin(req), CodeJoinNoAnswer)
		n.hear(phy) // it was not used up
		b.answer(n.asJoin(one[*JoinRequest](t, b.take())))
		time.Sleep(7 * time.Second)
		if len(b.air.frames()) != 1 {
			t.Error("the second try failed")
		}
		n.hear(phy)
		wantNotice(t, b.take(), Error, CodeJoinReplay)
	})
}

func TestAJoinThatTheStoreCantRecordIsNotAccepted(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		b.store.err = radio.ErrStopped // any error
		n.hear(n.joinRequest())
		time.Sleep(8 * time.Second)
		wantNotice(t, b.take(), Error, CodeServer)
		if len(b.air.frames()) > 0 {
			t.Error("a join-accept was sent")
		}
	})
}

func TestRX1DelayIsGivenInTheJoinAcceptAndKept(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		spec := n.otaa(KeysAtNS)
		spec.RX1Delay = 5
		b.register(spec)
		n.join()
		b.restart(b.store)
		u := n.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(8 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(5*time.Second) {
			t.Errorf("RX1 %v after the uplink", d.At.Sub(u.At))
		}
	})
}
