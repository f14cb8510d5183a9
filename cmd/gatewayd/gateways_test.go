package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/board"
	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// site is one network server with two gateways, each a driver on a simulated
// chip, in one medium.
type site struct {
	*testing.T
	medium *air.Medium
	region *region.Region
	chips  [2]*concentrator.Concentrator
	stop   [2]func()
	edge   *nsedge.Edge
	before func(*nsedge.DownlinkRequest) // an answer
	sky    bool                          // each has a satellite receiver

	mu     sync.Mutex
	events []nsedge.Event
	sent   int // transmissions of the gateways, as heard by a third party
}

// Began implements air.Listener.
func (s *site) Began(air.Reception) {}

// Ended implements air.Listener.
func (s *site) Ended(r air.Reception) {
	if l, ok := r.Mod.(radio.LoRa); ok && l.InvertIQ {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sent++
	}
}

// take returns and forgets what was published and counted since.
func (s *site) take() (events []nsedge.Event, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, sent = s.events, s.sent
	s.events, s.sent = nil, 0
	return events, sent
}

func (s *site) must(err error) {
	if err != nil {
		s.Helper()
		s.Fatal(err)
	}
}

// gatewayAt puts a driver on a chip into the medium.
func (s *site) gatewayAt(eui radio.EUI64, start uint32, loss radio.DB) (*concentrator.Concentrator, func()) {
	timing := sx1302sim.Timing{Hz: 8_000_000, PerTransfer: 30 * time.Microsecond, Exact: true}
	e := board.Emulation{EUI: eui, Start: start, Medium: s.medium, Timing: &timing, Place: air.StationConfig{PathLoss: loss}}
	var receiver *gnss.Receiver
	if s.sky {
		e.PPM = float64(eui[7])*11 - 18
		receiver = gnss.New(gnss.Config{Open: underSky(&e), UBlox: true, LeapSeconds: gnss.LeapSeconds})
	}
	hw, chip, err := board.Emulate(e)
	s.must(err)
	cfg, err := radioConfig(hw, s.region, nil)
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var others sync.WaitGroup
	if s.sky {
		cfg.Fixes, cfg.LeapSeconds = receiver.Fixes(), gnss.LeapSeconds
		others.Go(func() { _ = receiver.Run(ctx) })
	}
	cfg.Firmware = concentrator.EmulatedFirmware()
	c, err := concentrator.New(hw.Port, cfg)
	s.must(err)
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-c.Started()
	return c, sync.OnceFunc(func() {
		cancel()
		s.must(<-done)
		others.Wait()
		if n := chip.Violations(); n != 0 {
			s.Errorf("%d violations", n)
		}
		s.must(hw.Close())
	})
}

// two runs f with a site whose first gateway hears devices better by 20 dB.
func two(t *testing.T, sky bool, f func(s *site)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &site{T: t, medium: air.New(air.Config{Seed: 1}), sky: sky}
		defer s.medium.Close()
		var err error
		s.region, err = region.Lookup("EU868")
		s.must(err)
		st, err := store.Open(dir, store.Options{})
		s.must(err)
		euis := [2]radio.EUI64{{7: 1}, {7: 2}}
		for i, loss := range []radio.DB{100, 120} {
			s.chips[i], s.stop[i] = s.gatewayAt(euis[i], uint32(i)*3_000_000_000, loss)
		}
		_, err = s.medium.Join(air.StationConfig{Name: "ear", PathLoss: 60}, s)
		s.must(err)
		requests := make(chan *nsedge.DownlinkRequest, 10)
		s.edge, err = nsedge.New(nsedge.Config{
			Region: s.region, Gateway: euis[0], Store: st, Clock: gpsClock{s.chips[0]},
			Others: []nsedge.Gateway{{EUI: euis[1], Air: s.chips[1], Clock: gpsClock{s.chips[1]}}},
		}, s.chips[0], func(ev nsedge.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, ev)
			if r, ok := ev.(*nsedge.DownlinkRequest); ok {
				requests <- r
			}
		})
		s.must(err)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = s.edge.Run(ctx) })
		running.Go(func() { s.answer(ctx, requests) })
		f(s)
		cancel()
		running.Wait()
		s.stop[0]()
		s.stop[1]()
		s.must(st.Close())
	})
}

// answer is the application: 100 ms after a request.
func (s *site) answer(ctx context.Context, requests <-chan *nsedge.DownlinkRequest) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-requests:
			time.Sleep(100 * time.Millisecond)
			if s.before != nil {
				s.before(r)
			}
			if err := s.edge.Answer(ctx, nsedge.DownlinkResponse{PacketHash: r.PacketHash, Payload: []byte("ok"), HasPayload: true}); err != nil {
				s.Errorf("answer: %v", err)
			}
		}
	}
}

// exchange sends an uplink; its answer must come from a gateway in a window, and
// be the only transmission in it but for extra ones of the test's own.
func (s *site) exchange(d *enddevice.Device, gateway byte, window string, copies, extra int) {
	s.Helper()
	res, err := d.Send(s.Context(), 1, []byte("hello"), true)
	s.must(err)
	if res.Downlink == nil || string(res.Downlink.Payload) != "ok" || res.Downlink.Window != window || len(res.Uplinks) != 1 {
		s.Fatalf("%d uplinks, downlink %+v", len(res.Uplinks), res.Downlink)
	}
	time.Sleep(5 * time.Second)
	events, sent := s.take()
	var downs []*nsedge.DownlinkEvent
	duplicates, firsts := 0, 0
	for _, ev := range events {
		switch ev := ev.(type) {
		case *nsedge.DownlinkEvent:
			downs = append(downs, ev)
		case *nsedge.UplinkEvent:
			if firsts++; ev.Duplicate {
				firsts, duplicates = firsts-1, duplicates+1
			}
		}
	}
	if len(downs) != 1 || downs[0].Gateway != (radio.EUI64{7: gateway}) || downs[0].Timing.Window != window {
		s.Errorf("downlinks %+v, want one by gateway %d in %s", downs, gateway, window)
	}
	if firsts != 1 || duplicates != copies || sent != 1+extra {
		s.Errorf("%d uplinks, %d duplicates, %d transmissions: want 1, %d, %d", firsts, duplicates, sent, copies, 1+extra)
	}
}

// The gateway that hears a device best answers it; when its transmitter is
// busy, or it is gone, the other one does. There is one answer in any case.
func TestTwoGatewaysServeOneNetwork(t *testing.T) {
	two(t, false, func(s *site) {
		abp := &enddevice.Session{DevAddr: enddevice.DevAddr{3: 1}, NwkSKey: randomKey(), AppSKey: randomKey()}
		addr, nwk, app := nsedge.DevAddr(abp.DevAddr), nsedge.Key(abp.NwkSKey), nsedge.Key(abp.AppSKey)
		eui := radio.EUI64{2, 7: 1}
		s.must(s.edge.CreateDevice(s.Context(), nsedge.Device{DevEUI: eui, Activation: nsedge.ABP, Encryption: nsedge.KeysAtNS, DevAddr: &addr, NwkSKey: &nwk, AppSKey: &app}))
		d, err := enddevice.New(enddevice.Config{DevEUI: eui, Region: s.region, ABP: abp, DataRate: 5, NoDutyCycle: true, Seed: 1}, s.medium)
		s.must(err)
		defer d.Close()

		s.exchange(d, 1, "RX1", 1, 0)

		s.before = func(r *nsedge.DownlinkRequest) { // something long is over RX1
			now, _ := s.chips[0].Now()
			s.must(s.chips[0].Schedule(s.Context(), radio.Downlink{
				ID: 1 << 40, Payload: make([]byte, 20), At: now.Add(time.Until(r.TXTime) - 200*time.Millisecond), Freq: 869_525_000,
				Mod: radio.LoRa{SF: 12, Bandwidth: 125_000, InvertIQ: true, NoCRC: true}, Power: 14,
			}))
		}
		s.exchange(d, 2, "RX1", 1, 1)

		s.before = func(*nsedge.DownlinkRequest) { s.stop[0]() } // between uplink and answer
		s.exchange(d, 2, "RX1", 1, 0)

		s.before = nil // for good
		s.exchange(d, 2, "RX1", 0, 0)

		now, _ := s.chips[1].Now()
		if err := s.chips[0].Schedule(s.Context(), radio.Downlink{At: now}); !errors.Is(err, radio.ErrStopped) {
			t.Errorf("a gateway that is gone says %v", err)
		}
	})
}
