package nsedge

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

func TestAReplayedUplinkIsRefused(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		first := n.encode(frame{payload: []byte("0")})
		n.hear(first)
		second := n.encode(frame{payload: []byte("1")})
		time.Sleep(3 * time.Second)
		n.hear(second)
		time.Sleep(3 * time.Second)
		n.send(frame{payload: []byte("2")})
		time.Sleep(3 * time.Second)
		b.take()
		for _, phy := range [][]byte{first, second} {
			n.hear(phy)
			evs := b.take()
			if len(all[*UplinkEvent](evs))+len(all[*DownlinkRequest](evs)) > 0 {
				t.Errorf("a replay was delivered:%s", describe(evs))
			}
			m := wantNotice(t, evs, Error, CodeUplinkReplay)
			if m.Device != n.eui || !strings.Contains(m.Message, "counter_up") {
				t.Errorf("notice %+v", m)
			}
			time.Sleep(3 * time.Second)
		}
	})
}

func TestARepeatedConfirmedUplinkIsAcknowledgedAgainButNotDeliveredTwice(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		phy := n.encode(frame{payload: []byte("x"), confirmed: true})
		n.hear(phy)
		time.Sleep(2100 * time.Millisecond)
		b.air.clear()
		b.take()
		n.freq = 868_300_000
		u := n.hear(phy)
		time.Sleep(4 * time.Second)
		evs := b.take()
		if ups := all[*UplinkEvent](evs); len(ups) != 0 {
			t.Errorf("delivered twice: %+v", ups[0])
		}
		wantNotice(t, evs, Warning, CodeUplinkRepeated)
		d := n.onlyDownlink()
		if !d.mac.FHDR.FCtrl.ACK || d.At != u.At.Add(time.Second) || d.Freq != 868_300_000 || d.mac.FHDR.FCnt != 1 {
			t.Errorf("answer to the repeat: %+v", d)
		}
	})
}

func TestARepeatThatNeverEndsIsAReplay(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		phy := n.encode(frame{payload: []byte("x"), confirmed: true})
		for range maxRepeats + 1 {
			n.hear(phy)
			time.Sleep(3 * time.Second)
		}
		b.take()
		b.air.clear()
		n.hear(phy)
		wantNotice(t, b.take(), Error, CodeUplinkReplay)
		time.Sleep(3 * time.Second)
		if fs := b.air.frames(); len(fs) > 0 {
			t.Error("it was answered")
		}
	})
}

func TestGhostsAreOneUplinkAndTheBetterCopyIsAnswered(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		phy := n.encode(frame{payload: []byte("x")})
		ghost, real := n.uplink(phy), n.uplink(phy)
		ghost.Freq, ghost.SNR, ghost.IFChain = 867_900_000, -12, 7
		real.At += 3
		b.air.up <- ghost
		b.air.up <- real
		synctest.Wait()
		evs := b.take()
		ups := all[*UplinkEvent](evs)
		if len(ups) != 2 || ups[0].Duplicate || !ups[1].Duplicate || ups[0].PacketHash != ups[1].PacketHash || ups[1].Radio.Freq != real.Freq {
			t.Fatalf("uplinks %+v", ups)
		}
		wantNotice(t, evs, Warning, CodeTooClose)
		b.answer(DownlinkResponse{PacketHash: one[*DownlinkRequest](t, evs).PacketHash, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); d.Freq != real.Freq || d.At != real.At.Add(time.Second) {
			t.Errorf("answered on %d Hz, %v after the better copy", d.Freq, d.At.Sub(real.At))
		}
	})
}

// Copies come out of the concentrator together, but its answer may overtake
// the second one.
func TestTheBetterCopyIsKnownBeforeTheAnswerIsSent(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		for range 50 {
			phy := n.encode(frame{payload: []byte("x")})
			ghost, real := n.uplink(phy), n.uplink(phy)
			ghost.Freq, ghost.SNR = 867_900_000, -12
			b.air.up <- ghost
			synctest.Wait()
			busy := make(chan error, 1)
			go func() { busy <- b.edge.do(b.Context(), func() { time.Sleep(time.Millisecond) }) }()
			synctest.Wait() // the edge does something else, so that both wait
			b.air.up <- real
			b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
			time.Sleep(4 * time.Second)
			if d := n.onlyDownlink(); d.Freq != real.Freq {
				t.Fatalf("answered on %d Hz", d.Freq)
			}
			b.must(<-busy)
		}
	})
}

func TestAnotherGatewaysCopyIsADuplicateAndCounts(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		phy := n.encode(frame{payload: []byte("x"), opts: []byte{0x02}}) // LinkCheckReq
		n.hear(phy)
		u := n.uplink(phy)
		u.Gateway, u.At = radio.EUI64{9}, 5 // counts on its own
		time.Sleep(100 * time.Millisecond)
		b.air.up <- u
		u.Freq += 200_000 // its ghost is no third gateway
		time.Sleep(4 * time.Second)
		ups := all[*UplinkEvent](b.take())
		if len(ups) != 2 || !ups[1].Duplicate || ups[1].Gateway != u.Gateway {
			t.Fatalf("uplinks %+v", ups)
		}
		// SNR 5 dB at SF7 is 12.5 dB above the floor of -7.5 dB; two gateways.
		if d := n.onlyDownlink(); !slices.Equal(fopts(d), []byte{0x02, 12, 2}) {
			t.Errorf("LinkCheckAns % x", fopts(d))
		}
	})
}

func TestTheMICDecidesAmongDevicesWithOneAddress(t *testing.T) {
	scenario(t, func(b *bench) {
		a, c, d := newNode(b, 1), newNode(b, 2), newNode(b, 3)
		c.addr, d.addr = a.addr, a.addr
		for _, n := range []*node{a, c, d} {
			b.register(n.abp())
		}
		for _, n := range []*node{c, a, d} {
			n.send(frame{payload: []byte("x")})
			if up := one[*UplinkEvent](t, b.take()); up.Device != n.eui {
				t.Errorf("taken for %v, sent by %v", up.Device, n.eui)
			}
		}
		if err := b.edge.DeleteDevice(b.Context(), c.eui); err != nil {
			t.Fatal(err)
		}
		a.send(frame{payload: []byte("x")})
		one[*UplinkEvent](t, b.take())
		d.send(frame{payload: []byte("x")})
		one[*UplinkEvent](t, b.take())
		c.send(frame{payload: []byte("x")})
		wantNotice(t, b.take(), Error, CodeUplinkMIC)
	})
}

func TestCountersGoOnPast16Bits(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.CounterUp = 65_530 })
		for _, c := range []uint32{65_530, 65_535, 65_536, 65_540, 131_000, 131_073, 197_000} {
			n.send(frame{payload: []byte("x"), counter: &c})
			if up := one[*UplinkEvent](t, b.take()); up.Counter != c {
				t.Errorf("counter %d, want %d", up.Counter, c)
			}
			time.Sleep(3 * time.Second)
			b.take()
		}
	})
}

func TestTwoByteCountersWrap(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.CountersSize = 2 })
		for _, c := range []uint32{40_000 - 20_000, 40_000, 65_535, 0, 1} {
			n.send(frame{payload: []byte("x"), counter: &c})
			if up := one[*UplinkEvent](t, b.take()); up.Counter != c {
				t.Errorf("counter %d, want %d", up.Counter, c)
			}
			time.Sleep(3 * time.Second)
			b.take()
		}
		n.send(frame{payload: []byte("y"), counter: ptr(uint32(65_535))})
		wantNotice(t, b.take(), Error, CodeUplinkReplay)
	})
}

func TestTheStrictPolicyRefusesGapsAndRestarts(t *testing.T) {
	scenario(t, func(b *bench) {
		strict := b.abpNode(1, func(d *Device) { d.StrictCounter = true })
		relaxed := b.abpNode(2, nil)
		for _, n := range []*node{strict, relaxed} {
			n.send(frame{payload: []byte("x"), counter: ptr(uint32(7))})
			one[*UplinkEvent](t, b.take())
		}
		strict.send(frame{payload: []byte("x"), counter: ptr(uint32(8 + maxGap))})
		wantNotice(t, b.take(), Error, CodeUplinkGap)
		strict.send(frame{payload: []byte("x"), counter: ptr(uint32(0))})
		wantNotice(t, b.take(), Error, CodeUplinkReplay)
		strict.send(frame{payload: []byte("x"), counter: ptr(uint32(7 + maxGap))})
		one[*UplinkEvent](t, b.take())

		relaxed.send(frame{payload: []byte("x"), counter: ptr(uint32(8 + maxGap))})
		one[*UplinkEvent](t, b.take())
		again := relaxed.encode(frame{payload: []byte("x"), counter: ptr(uint32(0))})
		relaxed.hear(again)
		evs := b.take()
		one[*UplinkEvent](t, evs)
		wantNotice(t, evs, Warning, CodeUplinkRestarted)
		relaxed.send(frame{payload: []byte("x"), counter: ptr(uint32(9))})
		one[*UplinkEvent](t, b.take())
		time.Sleep(3 * time.Second)
		b.take()
		relaxed.hear(again) // the same frame again is no restart
		wantNotice(t, b.take(), Error, CodeUplinkReplay)
	})
}

func TestADeviceThatIsOutOfStepByATurnIsFoundAgain(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x"), counter: ptr(uint32(70_000))})
		if up := one[*UplinkEvent](t, b.take()); up.Counter != 70_000 {
			t.Errorf("counter %d", up.Counter)
		}
	})
}

func TestBlockedUplinksAreDroppedWithAWarning(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.BlockUplink = true })
		n.send(frame{payload: []byte("x"), confirmed: true})
		evs := b.take()
		wantNotice(t, evs, Warning, CodeUplinkBlocked)
		time.Sleep(4 * time.Second)
		if len(all[*UplinkEvent](evs)) > 0 || len(b.air.frames()) > 0 {
			t.Error("it was delivered or answered")
		}
	})
}

func TestBlockedDownlinksAreNotSent(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.BlockDownlink = true })
		n.send(frame{payload: []byte("x"), confirmed: true})
		evs := b.take()
		one[*UplinkEvent](t, evs)
		wantNotice(t, evs, Warning, CodeDownlinkBlocked)
		b.refused(StatusRequest{Device: n.eui}, CodeDownlinkBlocked)
		b.refused(Claim{Device: n.eui}, CodeDownlinkBlocked)
		time.Sleep(4 * time.Second)
		if len(all[*DownlinkRequest](evs)) > 0 || len(b.air.frames()) > 0 {
			t.Error("there was a downlink")
		}
	})
}

func TestWhatIsNoUplinkIsDroppedAndCounted(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		good := n.encode(frame{payload: []byte("x")})
		bad := n.uplink(good)
		bad.CRC = radio.BadCRC
		b.air.up <- bad
		n.hear(append([]byte{0x60}, good[1:]...)) // a downlink of another gateway
		n.hear(append([]byte{0xe0}, good[1:]...)) // proprietary
		n.hear(append([]byte{0x41}, good[1:]...)) // another major version
		n.hear(good[:11])
		n.hear(nil)
		other := slices.Clone(good)
		other[1] ^= 1 // another address
		n.hear(other)
		n.hear(append([]byte{0xc0, 0}, good[2:]...)) // a rejoin-request that is too short
		unknown := newNode11(b, 9)
		phy, _ := unknown.rejoinRequest(lorawan.RejoinRequestType1)
		n.hear(phy)
		evs := b.take()
		wantNotice(t, evs, Warning, CodeJoinUnknown)
		if len(evs) != 1 {
			t.Errorf("events:%s", describe(evs))
		}
		s := b.edge.Stats()
		if s.BadCRC != 1 || s.Downlinks != 1 || s.Foreign != 3 || s.Malformed != 4 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestAFrameOutsideTheRegionIsDeliveredWithAWarning(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.freq = 902_300_000
		n.send(frame{payload: []byte("x"), confirmed: true})
		evs := b.take()
		one[*UplinkEvent](t, evs)
		wantNotice(t, evs, Warning, CodeOutsideBand)
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); d.Freq != 869_525_000 { // RX2 is known all the same
			t.Errorf("answered on %d Hz", d.Freq)
		}
	})
}

func TestAnUplinkThatCantBeRecordedIsNotDelivered(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		b.store.err = radio.ErrStopped // any error
		n.send(frame{payload: []byte("x")})
		evs := b.take()
		wantNotice(t, evs, Error, CodeServer)
		if len(all[*UplinkEvent](evs)) > 0 {
			t.Error("it was delivered")
		}
	})
}
