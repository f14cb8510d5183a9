package main

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/classb"
	"gatewayd/nsedge/enddevice"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// Two gateways under one sky, whose crystals are 7 ppm slow and 4 ppm fast:
// both send the same beacon at the same microsecond, the better one reaches a
// device in its ping slots until it is gone, and what is for a group goes by
// each, one after the other.
func TestTwoGatewaysServeClassB(t *testing.T) {
	two(t, true, func(s *site) {
		var mu sync.Mutex
		beacons := map[radio.Instant][]string{} // who began one
		var frames []string                     // who sent another frame
		defer s.medium.Observe(func(tx air.Transmission) {
			mu.Lock()
			defer mu.Unlock()
			switch m, _ := tx.Mod.(radio.LoRa); {
			case m.Implicit:
				beacons[tx.Start] = append(beacons[tx.Start], tx.From)
			case m.InvertIQ:
				frames = append(frames, tx.From)
			}
		})()
		take := func() []string {
			mu.Lock()
			defer mu.Unlock()
			out := frames
			frames = nil
			return out
		}
		first, second := radio.EUI64{7: 1}.String(), radio.EUI64{7: 2}.String()

		heard := map[string]int{}
		d, eui, group := s.classB(func(ev enddevice.Event) {
			mu.Lock()
			defer mu.Unlock()
			switch ev := ev.(type) {
			case enddevice.Received:
				heard[ev.Window+" "+string(ev.Payload)]++
			case enddevice.BeaconMissed:
				heard["missed"]++
			}
		})
		defer d.Close()
		ctx, cancel := context.WithCancel(s.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = d.Run(ctx) })

		claim := func(eui radio.EUI64) []string {
			take()
			s.must(s.edge.Answer(s.Context(), nsedge.Claim{Device: eui}))
			time.Sleep(15 * time.Second)
			return take()
		}
		time.Sleep(classb.Period)
		if by := claim(eui); !slices.Contains(by, first) || slices.Contains(by, second) {
			t.Errorf("to the device sent %v", by)
		}
		if by := claim(group); !slices.Contains(by, second) {
			t.Errorf("to the group sent %v", by)
		}
		s.stop[0]()
		time.Sleep(time.Second)
		if by := claim(eui); !slices.Contains(by, second) || slices.Contains(by, first) {
			t.Errorf("to the device sent %v when the first gateway was gone", by)
		}
		cancel()
		running.Wait()

		together := 0
		for at, by := range beacons {
			slices.Sort(by)
			if slices.Equal(by, []string{first, second}) {
				together++
			} else {
				t.Errorf("a beacon by %v alone at %d", by, at)
			}
		}
		if together != 1 || heard["ping ok"] < 3 || heard["missed"] > 0 {
			t.Errorf("%d beacons by both; heard %v", together, heard)
		}
	})
}

// classB makes a device of class B and registers it, and a group that it belongs to.
func (s *site) classB(told func(enddevice.Event)) (d *enddevice.Device, eui, group radio.EUI64) {
	s.Helper()
	eui, group = radio.EUI64{2, 7: 1}, radio.EUI64{2, 7: 9}
	register := func(eui radio.EUI64, spec nsedge.Device) *enddevice.Session {
		own := &enddevice.Session{DevAddr: enddevice.DevAddr{3: eui[7]}, NwkSKey: randomKey(), AppSKey: randomKey()}
		addr, nwk, app := nsedge.DevAddr(own.DevAddr), nsedge.Key(own.NwkSKey), nsedge.Key(own.AppSKey)
		spec.DevEUI, spec.Activation, spec.Class = eui, nsedge.ABP, "B"
		spec.DevAddr, spec.NwkSKey, spec.AppSKey = &addr, &nwk, &app
		s.must(s.edge.CreateDevice(s.Context(), spec))
		return own
	}
	periodicity := 1
	shared := register(group, nsedge.Device{Multicast: true, PingSlots: nsedge.PingSlots{Periodicity: &periodicity}})
	d, err := enddevice.New(enddevice.Config{
		DevEUI: eui, Region: s.region, ABP: register(eui, nsedge.Device{}), DataRate: 5, NoDutyCycle: true, Seed: 1, Class: "B", Periodicity: 2,
		Interval: time.Minute, Events: told,
		Groups: []enddevice.Group{{DevAddr: shared.DevAddr, NwkSKey: shared.NwkSKey, AppSKey: shared.AppSKey, Class: "B", Periodicity: periodicity}},
	}, s.medium)
	s.must(err)
	return d, eui, group
}
