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

		group := enddevice.Group{DevAddr: enddevice.DevAddr{3: 9}, NwkSKey: randomKey(), AppSKey: randomKey(), Class: "B", Periodicity: 1}
		groupAddr, groupNwk, groupApp := nsedge.DevAddr(group.DevAddr), nsedge.Key(group.NwkSKey), nsedge.Key(group.AppSKey)
		s.must(s.edge.CreateDevice(s.Context(), nsedge.Device{
			DevEUI: radio.EUI64{2, 7: 9}, Activation: nsedge.ABP, Class: "B", Multicast: true, PingSlots: nsedge.PingSlots{Periodicity: &group.Periodicity},
			DevAddr: &groupAddr, NwkSKey: &groupNwk, AppSKey: &groupApp,
		}))
		abp := &enddevice.Session{DevAddr: enddevice.DevAddr{3: 1}, NwkSKey: randomKey(), AppSKey: randomKey()}
		addr, nwk, app := nsedge.DevAddr(abp.DevAddr), nsedge.Key(abp.NwkSKey), nsedge.Key(abp.AppSKey)
		eui := radio.EUI64{2, 7: 1}
		s.must(s.edge.CreateDevice(s.Context(), nsedge.Device{DevEUI: eui, Activation: nsedge.ABP, Class: "B", DevAddr: &addr, NwkSKey: &nwk, AppSKey: &app}))
		heard := map[string]int{}
		d, err := enddevice.New(enddevice.Config{
			DevEUI: eui, Region: s.region, ABP: abp, DataRate: 5, NoDutyCycle: true, Seed: 1, Class: "B", Periodicity: 2,
			Interval: time.Minute, Groups: []enddevice.Group{group},
			Events: func(ev enddevice.Event) {
				mu.Lock()
				defer mu.Unlock()
				switch ev := ev.(type) {
				case enddevice.Received:
					heard[ev.Window+" "+string(ev.Payload)]++
				case enddevice.BeaconMissed:
					heard["missed"]++
				}
			},
		}, s.medium)
		s.must(err)
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
		if by := claim(radio.EUI64{2, 7: 9}); !slices.Contains(by, second) {
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
