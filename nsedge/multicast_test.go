package nsedge

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/classb"
	"gatewayd/radio"
)

// group registers a multicast group.
func (b *bench) group(id byte, class string, change func(*Device)) *node {
	b.Helper()
	return b.abpNode(id, func(d *Device) {
		d.Class, d.Multicast = class, true
		if class == "B" {
			d.PingSlots.Periodicity = ptr(0)
		}
		if change != nil {
			change(d)
		}
	})
}

// tell has payloads sent to a group.
func (n *node) tell(payloads ...string) {
	n.b.Helper()
	for _, p := range payloads {
		n.b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte(p), Port: 200})
	}
}

func TestAGroupHasOneOrderedQueue(t *testing.T) {
	for _, class := range []string{"B", "C"} {
		t.Run(class, func(t *testing.T) {
			underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
				g := b.group(1, class, func(d *Device) { d.RX2DataRate, d.RX2Freq = ptr(5), 868_300_000 })
				var hashes []PacketHash
				for range 8 {
					hashes = append(hashes, g.claim().PacketHash)
				}
				for i, hash := range hashes {
					b.answer(DownlinkResponse{PacketHash: hash, Payload: []byte{byte(i)}})
				}
				time.Sleep(time.Minute)
				_, sent := b.split()
				if len(sent) != 8 {
					t.Fatalf("%d frames, want 8:%s", len(sent), describe(b.take()))
				}
				var end radio.Instant
				for i, d := range sent {
					r := g.decode(d)
					if r.payload[0] != byte(i) || r.mac.FHDR.FCnt != uint32(i) || r.kind != lorawan.UnconfirmedDataDown || r.mac.FHDR.FCtrl != (lorawan.FCtrl{}) {
						t.Errorf("frame %d: %+v %v", i, r.mac, r.payload)
					}
					if d.At < end {
						t.Errorf("frame %d overlaps the one before", i)
					}
					end = d.At.Add(d.Mod.Airtime(len(d.Payload)))
					if class == "B" {
						g.wantPing(d, 0)
					} else if d.Freq != 868_300_000 || d.Mod.(radio.LoRa).SF != 7 {
						t.Errorf("frame %d on %d Hz, %v", i, d.Freq, d.Mod)
					}
				}
			})
		})
	}
}

func TestFramesToAGroupAreRepeatedAsTheyAre(t *testing.T) {
	for _, class := range []string{"B", "C"} {
		t.Run(class, func(t *testing.T) {
			underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
				g := b.group(1, class, func(d *Device) { d.Repeat = 2 })
				g.tell("one")
				time.Sleep(30 * time.Second)
				g.tell("two")
				time.Sleep(30 * time.Second)
				_, sent := b.split()
				if len(sent) != 6 {
					t.Fatalf("%d frames:%s", len(sent), describe(b.take()))
				}
				for i, d := range sent {
					if r := g.decode(d); r.mac.FHDR.FCnt != uint32(i/3) || string(d.Payload) != string(sent[i/3*3].Payload) {
						t.Errorf("frame %d has counter %d", i, r.mac.FHDR.FCnt)
					}
				}
			})
		})
	}
}

// Repetitions that go out behind newer frames do not turn the counter back.
func TestRepetitionsLeaveTheCounterAlone(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		g := b.group(1, "B", func(d *Device) { d.Repeat = 1 })
		g.tell("one", "two", "three")
		for sent := 0; sent < 4; { // and one again
			time.Sleep(100 * time.Millisecond)
			_, others := b.split()
			sent = len(others)
		}
		time.Sleep(200 * time.Millisecond) // it has been on the air
		if c := g.claim().Counter; c != 3 {
			t.Errorf("the next counter is %d, want 3", c)
		}
		time.Sleep(30 * time.Second)
		_, sent := b.split()
		var got []string
		for _, d := range sent {
			r := g.decode(d)
			got = append(got, fmt.Sprint(r.mac.FHDR.FCnt, " ", string(r.payload)))
		}
		if want := []string{"0 one", "1 two", "2 three", "0 one", "1 two", "2 three"}; !slices.Equal(got, want) {
			t.Errorf("sent %q", got)
		}
	})
}

// A group's counter is as durable as a device's.
func TestAGroupsCounterIsNotUsedAgain(t *testing.T) {
	scenario(t, func(b *bench) {
		b.abpNode(9, nil).send(frame{payload: []byte("counter")})
		time.Sleep(4 * time.Second)
		g := b.group(1, "C", nil)
		g.tell("before")
		time.Sleep(4 * time.Second)
		b.restart(b.store.afterPowerCut())
		b.air.clear()
		n := newNode(b, 9)
		n.up = 1
		n.send(frame{payload: []byte("counter")})
		time.Sleep(4 * time.Second)
		again := newNode(b, 1)
		again.tell("after")
		time.Sleep(4 * time.Second)
		if d := again.onlyDownlink(); d.mac.FHDR.FCnt < 1 || string(d.payload) != "after" {
			t.Errorf("counter %d after a power cut", d.mac.FHDR.FCnt)
		}
	})
}

func TestNobodySendsAsAGroup(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, sky *atomic.Pointer[TimeQuality]) {
		g := b.group(1, "B", nil)
		g.send(frame{payload: []byte("x")})
		if evs := all[*UplinkEvent](b.take()); len(evs) > 0 {
			t.Error("an uplink of a group was delivered")
		}
		b.refused(StatusRequest{Device: g.eui}, CodeDownlinkNoWindow)
		req := g.claim()
		b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("x"), Confirmed: true}, CodeDownlinkPayload)
		sky.Store(&TimeQuality{})
		time.Sleep(time.Minute)
		r := b.refused(Claim{Device: g.eui}, CodeDownlinkNoWindow)
		if r.Field != "device" {
			t.Errorf("%+v", r)
		}
		time.Sleep(classb.Period)
	})
}

func TestGroupsAreChecked(t *testing.T) {
	scenario(t, func(b *bench) {
		for i, c := range []struct {
			field  string
			change func(*Device)
		}{
			{"activation", func(d *Device) { d.Activation, d.AppKey = OTAA, &Key{1} }},
			{"dev_class", func(d *Device) { d.Class = "A" }},
			{"ping_slot.periodicity", func(d *Device) { d.Class = "B" }},
			{"ping_slot.periodicity", func(d *Device) { d.PingSlots.Periodicity = ptr(8) }},
			{"ping_slot.freq", func(d *Device) { d.PingSlots.Freq = 915_000_000 }},
			{"ping_slot.datarate", func(d *Device) { d.PingSlots.DataRate = ptr(12) }},
			{"repeat", func(d *Device) { d.Repeat = 4 }},
			{"repeat", func(d *Device) { d.Multicast, d.Repeat = false, 1 }},
		} {
			d := newNode(b, byte(i)).abp()
			d.Class, d.Multicast = "C", true
			c.change(&d)
			err := b.edge.CreateDevice(b.Context(), d)
			var r *Refusal
			if !errors.As(err, &r) || r.Field != c.field {
				t.Errorf("%d: %v, want a refusal of %s", i, err, c.field)
			}
		}
	})
}

// What a group is comes back from the disk, and a change of it counts at once.
func TestAGroupIsStored(t *testing.T) {
	scenario(t, func(b *bench) {
		g := b.group(1, "B", func(d *Device) {
			d.Repeat, d.PingSlots = 1, PingSlots{Periodicity: ptr(4), Freq: 868_100_000, DataRate: ptr(2)}
		})
		b.restart(b.store)
		d, err := b.edge.Device(b.Context(), g.eui)
		if err != nil || !d.Multicast || d.Repeat != 1 || *d.PingSlots.Periodicity != 4 || d.PingSlots.Freq != 868_100_000 || *d.PingSlots.DataRate != 2 {
			t.Errorf("%+v, %v", d, err)
		}
		_, err = b.edge.UpdateDevice(b.Context(), g.eui, func(d *Device) error { d.PingSlots.Periodicity = ptr(6); return nil })
		b.must(err)
		b.must(b.edge.do(b.Context(), func() {
			if p := b.edge.byEUI[g.eui].session().pings(); p.Periodicity != 6 || p.Freq != 868_100_000 || p.DR != 2 {
				err = fmt.Errorf("%+v", p)
			}
		}))
		b.must(err)
	})
}

// A group that becomes a device is heard, and the other way round; counters
// go on.
func TestAGroupMayBecomeADevice(t *testing.T) {
	scenario(t, func(b *bench) {
		g := b.group(1, "C", nil)
		g.send(frame{payload: []byte("as a group")})
		g.tell("one")
		time.Sleep(4 * time.Second)
		b.take()
		turn := func(group bool) {
			_, err := b.edge.UpdateDevice(b.Context(), g.eui, func(d *Device) error { d.Multicast = group; return nil })
			b.must(err)
		}
		turn(false)
		g.send(frame{payload: []byte("as a device")})
		if n := len(all[*UplinkEvent](b.take())); n != 1 {
			t.Errorf("%d uplinks of a device", n)
		}
		time.Sleep(4 * time.Second)
		turn(true)
		g.send(frame{payload: []byte("as a group")})
		if n := len(all[*UplinkEvent](b.take())); n != 0 {
			t.Errorf("%d uplinks of a group", n)
		}
		b.air.clear()
		g.tell("two")
		time.Sleep(4 * time.Second)
		if d := g.onlyDownlink(); d.mac.FHDR.FCnt < 1 {
			t.Errorf("counter %d again", d.mac.FHDR.FCnt)
		}
	})
}

// EN 300 220: 1 % of an hour in the sub-band of 868.3 MHz, ping slots or not.
func TestTheDutyCycleBindsPingSlotsToo(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		g := b.group(1, "B", func(d *Device) {
			d.PingSlots = PingSlots{Periodicity: ptr(0), Freq: 868_300_000, DataRate: ptr(0)}
		})
		const frames = 20
		refused := 0 // at once where the slot is near, else later
		for range frames {
			var r *Refusal
			if err := b.edge.Answer(b.Context(), DownlinkResponse{PacketHash: g.claim().PacketHash, Payload: make([]byte, 51)}); errors.As(err, &r) && r.Code == CodeDownlinkDutyCycle {
				refused++
			}
			time.Sleep(10 * time.Second)
			if notice(b.take(), CodeDownlinkDutyCycle) != nil {
				refused++
			}
		}
		_, sent := b.split()
		var onAir time.Duration
		for _, d := range sent {
			onAir += d.Mod.Airtime(len(d.Payload))
		}
		if len(sent)+refused != frames || onAir > 36*time.Second || onAir < 33*time.Second {
			t.Errorf("%d frames, %v in less than an hour, %d refused", len(sent), onAir, refused)
		}
		time.Sleep(time.Hour)
		b.air.clear()
		g.tell("again")
		time.Sleep(10 * time.Second)
		g.onlyOther()
	})
}
