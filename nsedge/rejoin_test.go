package nsedge

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// rejoin sends a rejoin-request and takes the join-accept, which begins the
// new session; it returns the frame of the request.
func (n *node) rejoin(kind lorawan.JoinType) []byte {
	n.b.Helper()
	phy, count := n.rejoinRequest(kind)
	n.hear(phy)
	time.Sleep(7 * time.Second)
	fs := n.b.air.frames()
	if len(fs) != 1 {
		n.b.Fatalf("%d frames, want the join-accept; events:%s", len(fs), describe(n.b.take()))
	}
	n.b.air.clear()
	n.acceptOf(fs[0].Payload, kind, count)
	return phy
}

var rejoinTypes = []lorawan.JoinType{lorawan.RejoinRequestType0, lorawan.RejoinRequestType1, lorawan.RejoinRequestType2}

func TestTheOldSessionIsGoodUntilTheRejoinedOneIsUsed(t *testing.T) {
	for _, kind := range rejoinTypes {
		scenario(t, func(b *bench) {
			n := b.joinedNode11(1, nil)
			old := n.fork()
			n.rejoin(kind)
			b.take()
			for range 2 { // the accept was lost, say
				old.send(frame{payload: []byte("old"), confirmed: true})
				one[*UplinkEvent](b, b.take())
				time.Sleep(4 * time.Second)
				old.onlyDownlink()
				b.take()
			}
			n.rekey()
			old.send(frame{payload: []byte("old")})
			if ups := all[*UplinkEvent](b.take()); len(ups) > 0 {
				b.Errorf("type %d: the old session works still", kind)
			}
		})
	}
}

// fork is the device as it is now, without what it hears from now on.
func (n *node) fork() *node {
	old, v := *n, *n.v11
	v.downs, v.apps = maps.Clone(v.downs), maps.Clone(v.apps)
	old.v11 = &v
	return &old
}

// A rejoin-request of type 1 does not tell in which session the device is, as
// join-accepts and the first uplinks of a session may be lost.
func TestADeviceMayBeInAnyOfTheSessionsThatItWasGiven(t *testing.T) {
	for _, kind := range rejoinTypes {
		for in := range 3 {
			for _, cut := range []bool{false, true} {
				for _, registered := range []bool{false, true} {
					scenario(t, func(b *bench) { rejoinedTwice(b, kind, in, cut, registered) })
				}
			}
		}
	}
}

// rejoinedTwice gives a device two more sessions, lets it use one of the
// three, and sees which of them are good afterwards.
func rejoinedTwice(b *bench, kind lorawan.JoinType, in int, cut, registered bool) {
	b.Helper()
	n := b.joinedNode11(1, nil)
	if registered { // the session was, not joined
		n.update(func(d *Device) { d.CounterDown += 100 })
	}
	sessions := []*node{n.fork()}
	for _, k := range []lorawan.JoinType{kind, lorawan.RejoinRequestType1} {
		n.rejoin(k)
		sessions = append(sessions, n.fork())
	}
	powerCut := func() {
		if cut {
			b.restart(b.store.afterPowerCut())
		}
		b.take()
	}
	powerCut()
	device := sessions[in]
	device.send(frame{payload: []byte("here")})
	one[*UplinkEvent](b, b.take())
	time.Sleep(4 * time.Second)
	b.air.clear()
	powerCut()
	for i, s := range sessions { // older ones first: a later one would end them
		s.send(frame{payload: []byte("still here")})
		if ups := all[*UplinkEvent](b.take()); len(ups) > 0 != (i >= in) {
			b.Errorf("type %d, used session %d (power cut %v, registered %v): %d uplinks in session %d", kind, in, cut, registered, len(ups), i)
		}
		time.Sleep(4 * time.Second)
		b.air.clear()
	}
}

// A device that is in a session that waits may ask for another one.
func TestARejoinInAnOlderWaitingSessionKeepsTheLaterOne(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.joinedNode11(1, nil)
		n.rejoin(lorawan.RejoinRequestType2)
		device := n.fork()
		n.rejoin(lorawan.RejoinRequestType1) // its accept is lost
		device.v11.rj1 = n.v11.rj1
		b.take()
		device.rejoin(lorawan.RejoinRequestType0)
		wantNotice(t, b.take(), Info, CodeActivated)
		b.restart(b.store.afterPowerCut())
		device.rekey()
		device.exchange()
	})
}

// However often the accepts are lost, what waits is bounded.
func TestOnlyTheLastSessionsWait(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.joinedNode11(1, nil)
		for range 5 {
			n.rejoin(lorawan.RejoinRequestType1)
		}
		d := b.edge.byEUI[n.eui]
		linked := 0
		for _, s := range b.edge.byAddr {
			for ; s != nil; s = s.next {
				linked++
			}
		}
		if len(d.pending) != maxPending || linked != 1+maxPending {
			t.Errorf("%d sessions wait, %d are looked for", len(d.pending), linked)
		}
		b.restart(b.store.afterPowerCut())
		n.rekey()
		n.rejoin(lorawan.RejoinRequestType1)
		n.rejoin(lorawan.RejoinRequestType1)
		n.join() // which ends what waits
		if d := b.edge.byEUI[n.eui]; len(d.pending) != 1 {
			t.Errorf("%d sessions wait after a join", len(d.pending))
		}
		n.rekey()
	})
}

func TestTheWindowsOfARejoinAreThoseOfTheSession(t *testing.T) {
	for _, kind := range rejoinTypes {
		scenario(t, func(b *bench) {
			n := b.joinedNode11(1, func(d *Device) { d.RX1Offset, d.RX2DataRate, d.RX1Delay = ptr(2), ptr(3), 4 })
			phy, _ := n.rejoinRequest(kind)
			u := n.hear(phy)
			time.Sleep(7 * time.Second)
			d := b.air.frames()[0]
			if m := d.Mod.(radio.LoRa); d.At != u.At.Add(5*time.Second) || m.SF != n.sf+2 {
				b.Errorf("type %d: join-accept after %v with %v", kind, d.At.Sub(u.At), d.Mod)
			}
		})
		scenario(t, func(b *bench) { // RX1 is refused
			n := b.joinedNode11(1, func(d *Device) { d.RX2DataRate = ptr(3) })
			b.air.refuse = func(d radio.Downlink) error {
				if d.Freq == 868_100_000 {
					return radio.ErrCollision
				}
				return nil
			}
			phy, _ := n.rejoinRequest(kind)
			u := n.hear(phy)
			time.Sleep(8 * time.Second)
			d := b.air.frames()[0]
			if m := d.Mod.(radio.LoRa); d.At != u.At.Add(6*time.Second) || m.SF != 9 {
				b.Errorf("type %d: join-accept after %v with %v", kind, d.At.Sub(u.At), d.Mod)
			}
		})
	}
}

func TestARejoinOfType2LeavesTheRadioAsItIs(t *testing.T) {
	for _, kind := range rejoinTypes {
		scenario(t, func(b *bench) {
			n := b.joinedNode11(1, nil)
			n.update(func(d *Device) { d.MaxDutyCycle, d.RX1Delay = ptr(4), 3 })
			if o := n.ordered(frame{payload: []byte("x")}); !slices.Equal(o, []byte{0x08, 3, 0x04, 4}) {
				b.Fatalf("FOpts % x", o)
			}
			n.send(frame{payload: []byte("x"), opts: []byte{0x08, 0x04}})
			time.Sleep(6 * time.Second)
			b.air.clear()
			n.rejoin(kind)
			b.restart(b.store.afterPowerCut()) // the radio of a session that waits is on the disk
			u := n.send(frame{payload: []byte("x"), opts: []byte{0x0b, 1}})
			time.Sleep(6 * time.Second)
			d := n.onlyDownlink()
			want := []byte{0x0b, 1}
			if kind != lorawan.RejoinRequestType2 {
				want = append(want, 0x04, 4) // the delay came with the join-accept
			}
			if o := fopts(d); d.At != u.At.Add(3*time.Second) || !slices.Equal(o, want) {
				b.Errorf("type %d: % x after %v, want % x after 3 s", kind, o, d.At.Sub(u.At), want)
			}
		})
	}
}

func TestReplayedRejoinRequestsAreRefused(t *testing.T) {
	for _, kind := range rejoinTypes {
		scenario(t, func(b *bench) {
			n := b.joinedNode11(1, nil)
			refused := func(what string, phy []byte, codes ...string) {
				b.Helper()
				b.air.clear()
				n.hear(phy)
				time.Sleep(8 * time.Second)
				evs := b.take()
				if len(b.air.frames()) > 0 || !slices.ContainsFunc(codes, func(c string) bool { return notice(evs, c) != nil }) {
					b.Errorf("type %d, %s: %d answers, want %v among%s", kind, what, len(b.air.frames()), codes, describe(evs))
				}
				b.air.clear()
			}
			lost, _ := n.rejoinRequest(kind) // nobody heard it but the attacker
			first := n.rejoin(kind)
			time.Sleep(time.Second)
			refused("at once", first, CodeRejoinReplay)
			refused("an older one", lost, CodeRejoinReplay)
			b.restart(b.store.afterPowerCut())
			refused("after a power cut", first, CodeRejoinReplay)
			n.rekey()
			refused("in the next session", first, CodeRejoinMIC, CodeRejoinReplay)
			n.rejoin(kind)
			n.rekey()
			b.restart(b.store.afterPowerCut())
			refused("two sessions later", first, CodeRejoinMIC, CodeRejoinReplay)
			forged, _ := n.rejoinRequest(kind)
			forged[len(forged)-1] ^= 1
			refused("forged", forged, CodeRejoinMIC)
		})
	}
}

// RJcount0 begins at 0 with each session, RJcount1 never does (LoRaWAN 1.1
// §6.2.4.1, §6.2.4.2).
func TestRejoinCountersOutliveSessionsAsTheyShould(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.joinedNode11(1, nil)
		for round := range 3 {
			for _, kind := range rejoinTypes {
				n.rejoin(kind)
				n.rekey()
				if n.v11.rj0 != 0 || int(n.v11.rj1) != round+min(int(kind), 1) {
					t.Errorf("round %d, type %d: RJcount0 %d, RJcount1 %d", round, kind, n.v11.rj0, n.v11.rj1)
				}
			}
			b.restart(b.store.afterPowerCut())
		}
		b.must(b.edge.ResetDevice(b.Context(), n.eui))
		n.v11.rj1 = 0
		n.rejoin(lorawan.RejoinRequestType1) // it was reset, too
	})
}

// A device may want another session before it has used the one that it was
// given: it has the keys, so the session is in use.
func TestARejoinInASessionThatWaitsActivatesIt(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.joinedNode11(1, nil)
		n.rejoin(lorawan.RejoinRequestType0)
		b.take()
		n.rejoin(lorawan.RejoinRequestType0)
		wantNotice(t, b.take(), Info, CodeActivated)
		b.restart(b.store.afterPowerCut())
		n.rekey()
		n.exchange()
	})
}

func TestBadRejoinsAreRefusedWithTheReason(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.joinedNode11(1, nil)
		for _, c := range []struct {
			name   string
			change func(*Device)
			kind   lorawan.JoinType
			level  Level
			code   string
		}{
			{"blocked", func(d *Device) { d.BlockUplink = true }, 0, Warning, CodeJoinBlocked},
			{"version", func(d *Device) { d.BlockUplink, d.Version = false, version104 }, 0, Warning, CodeRejoinUnsupported},
			{"JoinEUI", func(d *Device) { d.Version, d.AppEUI = version11, radio.EUI64{9} }, 1, Error, CodeJoinEUI},
			{"NwkKey", func(d *Device) { d.AppEUI, d.NwkKey = n.app, &Key{9} }, 1, Error, CodeRejoinMIC},
		} {
			n.update(c.change)
			phy, _ := n.rejoinRequest(c.kind)
			n.hear(phy)
			time.Sleep(8 * time.Second)
			if evs := b.take(); notice(evs, c.code) == nil || notice(evs, c.code).Level != c.level {
				t.Errorf("%s: no %v %s among%s", c.name, c.level, c.code, describe(evs))
			}
		}
		abp := b.abpNode11(2, nil)
		phy, _ := abp.rejoinRequest(0)
		abp.hear(phy)
		wantNotice(t, b.take(), Error, CodeJoinNotOTAA)
		foreign := phy
		foreign[2] ^= 1 // NetID
		n.update(func(d *Device) { d.NwkKey = &n.v11.nwkKey })
		phy, _ = n.rejoinRequest(0)
		phy[2] ^= 1
		n.hear(phy)
		wantNotice(t, b.take(), Error, CodeJoinFailed)
		for _, bad := range [][]byte{phy[:18], append(phy, 0), {0xc0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
			n.hear(bad)
		}
		if len(b.air.frames()) > 0 {
			t.Error("one of them was answered")
		}
	})
}

func FuzzParseRejoin(f *testing.F) {
	f.Add([]byte{0xc0, 0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 1, 2, 3, 4})
	f.Add([]byte{0xc0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		if kind, err := messageType(b); err != nil || kind != lorawan.RejoinRequest {
			return
		}
		q, err := parseRejoin(b)
		if err == nil && (q.kind > 2 || q.devEUI == radio.EUI64{} && q.kind > 2) {
			t.Errorf("% x: %+v", b, q)
		}
	})
}
