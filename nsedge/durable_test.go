package nsedge

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// exchange sends an uplink, answers it, and returns the downlink's counter.
func (n *node) exchange() uint32 {
	n.b.Helper()
	n.send(frame{payload: []byte("x")})
	req := one[*DownlinkRequest](n.b, n.b.take())
	n.b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")})
	time.Sleep(3 * time.Second)
	d := n.onlyDownlink()
	n.b.take()
	return d.mac.FHDR.FCnt
}

func TestNoDownlinkCounterIsUsedTwiceAcrossPowerCuts(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		last := -1
		for cut := range 30 {
			for range 1 + cut*7%90 {
				c := int(n.exchange())
				if c <= last {
					t.Fatalf("counter %d after %d", c, last)
				}
				last = c
			}
			b.restart(b.store.afterPowerCut())
			time.Sleep(10 * time.Minute) // each power cut costs some of the hour's duty cycle
		}
		if last > 30*(90+reserve) {
			t.Errorf("%d counters were wasted", last)
		}
	})
}

func TestADownlinkWaitsUntilItsCounterIsOnTheDisk(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		b.store.syncsTake(1200 * time.Millisecond) // RX1 is over by then
		u := n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")})
		time.Sleep(1100 * time.Millisecond)
		if len(b.air.frames()) > 0 {
			t.Fatal("sent with a counter that a power cut would forget")
		}
		time.Sleep(2 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(2*time.Second) || string(d.payload) != "y" {
			t.Errorf("downlink %v after the uplink", d.At.Sub(u.At))
		}
		// From now on there is a reserve.
		b.take()
		u = n.send(frame{payload: []byte("x")})
		b.answer(DownlinkResponse{PacketHash: one[*DownlinkRequest](t, b.take()).PacketHash, Payload: []byte("y")})
		time.Sleep(3 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(time.Second) {
			t.Errorf("downlink %v after the uplink", d.At.Sub(u.At))
		}
	})
}

func TestADiskThatDoesNotSyncStopsDownlinksWithAnError(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		b.store.syncsTake(time.Minute)
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")})
		time.Sleep(5 * time.Second)
		if n := wantNotice(t, b.take(), Error, CodeDownlinkLate); n.Timing == nil || n.Timing.Late != "ns" || n.Timing.Margin <= 0 {
			t.Errorf("timing %+v", n.Timing)
		}
		if len(b.air.frames()) > 0 {
			t.Error("it was sent")
		}
	})
}

func TestSessionsSurviveAKill(t *testing.T) {
	scenario(t, func(b *bench) {
		abp, otaa := b.abpNode(1, nil), newNode(b, 2)
		b.register(otaa.otaa(KeysAtNS))
		otaa.join()
		for range 3 {
			abp.exchange()
			otaa.exchange()
		}
		confirmed := abp.encode(frame{payload: []byte("c"), confirmed: true})
		abp.hear(confirmed)
		time.Sleep(4 * time.Second)
		b.restart(b.store) // the journal was written, if not synced
		b.take()
		abp.hear(confirmed)
		evs := b.take()
		if len(all[*UplinkEvent](evs)) > 0 {
			t.Error("an uplink was delivered twice")
		}
		wantNotice(t, evs, Warning, CodeUplinkRepeated)
		time.Sleep(4 * time.Second)
		b.air.clear()
		b.take()
		if c := otaa.exchange(); c < 3 {
			t.Errorf("downlink counter %d", c)
		}
		old := otaa.up
		otaa.up = 1
		otaa.send(frame{payload: []byte("x")})
		wantNotice(t, b.take(), Error, CodeUplinkReplay)
		otaa.up = old
		d, err := b.edge.Device(b.Context(), otaa.eui)
		if err != nil || d.CounterUp != old || *d.DevAddr != otaa.addr || d.LastActivity.IsZero() || d.LastJoin.IsZero() {
			t.Errorf("device %+v, %v", d, err)
		}
	})
}

func TestASessionActivatedJustBeforeAPowerCutStillWorks(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		n.join()
		n.exchange()
		n.join()
		n.send(frame{payload: []byte("x")})
		time.Sleep(4 * time.Second)
		cut := b.store.afterPowerCut()
		b.restart(cut)
		b.take()
		n.send(frame{payload: []byte("x")})
		one[*UplinkEvent](t, b.take())
	})
}

func TestStatesComeBackAsTheyWere(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		c := counters{up: rnd.Uint32(), mark: rnd.Uint32() >> rnd.IntN(32), seen: rnd.Int64() >> rnd.IntN(64)}
		if rnd.IntN(2) == 0 {
			c.appMark, c.conf = rnd.Uint32(), confirmed{uint16(rnd.Uint32()), uint16(rnd.Uint32()), uint16(rnd.Uint32())}
		}
		for _, p := range [][]byte{c.last[:], c.first[0][:], c.first[1][:]} {
			for i := range p {
				p[i] = byte(rnd.Uint32())
			}
		}
		b := c.appendState(nil, 200)
		if len(b) > 51 {
			t.Errorf("%d bytes", len(b))
		}
		got, gen, err := decodeState(b)
		if err != nil || got != c || gen != 200 {
			t.Fatalf("%+v became %+v, generation %d, %v", c, got, gen, err)
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add((&counters{up: 5, mark: 64, seen: 1}).appendState(nil, 3))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, gen, err := decodeState(b)
		if err != nil {
			return
		}
		again, gen2, err := decodeState(c.appendState(nil, gen))
		if err != nil || again != c || gen != gen2 {
			t.Errorf("% x: %+v became %+v, %v", b, c, again, err)
		}
	})
}

func FuzzDecodeJoinState(f *testing.F) {
	j := joinState{joins: 3, nonce: 3, standing: standing{sessions: []joined{{gen: 130, keys: keys{hasApp: true}, at: 5}, {gen: 131}}}, nonces: nonces{{0, 2}, {9, 9}}}
	f.Add(j.encode())
	j.sessions[1].keys, j.sessions[1].keep, j.rejoin1, j.rejoin0, j.rejoin0In = keys{v11: true}, &settings{RX2DR: 3}, 7, 1, 131
	f.Add(j.encode())
	j.registered = true
	f.Add(j.encode())
	j.sessions, j.registered = append(j.sessions, joined{gen: 132}), false
	f.Add(j.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := decodeJoinState(b)
		if err != nil || b == nil {
			return
		}
		again, err := decodeJoinState(j.encode())
		if err != nil || !reflect.DeepEqual(j, again) {
			t.Errorf("% x: %+v became %+v, %v", b, j, again, err)
		}
	})
}

func FuzzDecodeDocument(f *testing.F) {
	d := newNode(nil, 1).abp()
	doc, _ := encodeDocument(&d, 3)
	f.Add(doc)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, gen, err := decodeDocument(b)
		if err != nil {
			return
		}
		doc, err := encodeDocument(d, gen)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := decodeDocument(doc)
		if err != nil || again.DevEUI != d.DevEUI || !same(again.NwkSKey, d.NwkSKey) {
			t.Errorf("%s: %v", b, err)
		}
	})
}

func TestNonceSetsKnowWhatWasAdded(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, limit := range []uint32{40, 400, 1 << 16} {
		var set nonces
		truth := map[uint16]bool{}
		for range 300 {
			n := uint16(rnd.Uint32N(limit))
			if set.has(n) != truth[n] {
				t.Fatalf("has(%d) is %v in %v", n, set.has(n), set)
			}
			if !truth[n] {
				set, truth[n] = set.add(n), true
			}
		}
		r := reader{b: set.append(nil)}
		if got := r.nonces(); r.failed || !reflect.DeepEqual(got, set) {
			t.Fatalf("%v became %v", set, got)
		}
	}
	var set nonces
	for n := range 1 << 16 {
		set = set.add(uint16(n))
	}
	if len(set) != 1 || len(set.append(nil)) > 8 {
		t.Errorf("a device that counts needs %d bytes", len(set.append(nil)))
	}
}

func TestABrokenStoreIsAnErrorAtTheStart(t *testing.T) {
	for _, bucket := range []string{bucketDevices, bucketJoins, ""} {
		s := newStore()
		if bucket == "" {
			s.states[[8]byte{1}] = []byte{99}
		} else if err := s.Put(bucket, bytes.Repeat([]byte{1}, 8), []byte("?")); err != nil {
			t.Fatal(err)
		}
		_, err := New(testConfig(t, s), newAir(), func(Event) {})
		if !errors.Is(err, errDocument) && !errors.Is(err, errJoinState) && !errors.Is(err, errState) {
			t.Errorf("bucket %q: %v", bucket, err)
		}
	}
	if _, err := New(Config{}, newAir(), func(Event) {}); err == nil {
		t.Error("an empty Config is accepted")
	}
	if _, err := New(Config{Region: mustRegion(t, "EU868")}, newAir(), func(Event) {}); err == nil {
		t.Error("a Config without a store is accepted")
	}
	if _, err := New(testConfig(t, newStore()), nil, nil); err == nil {
		t.Error("no Air is accepted")
	}
}
