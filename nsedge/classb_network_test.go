package nsedge_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/classb"
	"gatewayd/nsedge/enddevice"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// sky is the exact GPS time of a medium.
type sky struct {
	zero time.Duration // at the begin of air time
	mu   sync.Mutex
	lost bool
}

func (s *sky) quality() nsedge.TimeQuality {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		return nsedge.TimeQuality{}
	}
	return nsedge.TimeQuality{Source: nsedge.SatelliteTime, Error: 100 * time.Nanosecond}
}

func (s *sky) lose(lost bool) { s.mu.Lock(); defer s.mu.Unlock(); s.lost = lost }

func (s *sky) GPSTime(i radio.Instant) (time.Duration, nsedge.TimeQuality) {
	return s.zero + time.Duration(i)*time.Microsecond, s.quality()
}

func (s *sky) InstantAt(gps time.Duration) (radio.Instant, nsedge.TimeQuality) {
	return radio.Instant((gps - s.zero) / time.Microsecond), s.quality()
}

// classBWorld is a world with GPS time, an observer that holds every
// transmission of the gateway against the rules, and devices that claim.
type classBWorld struct {
	*world
	sky *sky

	mu      sync.Mutex
	addrs   map[[4]byte]int // periodicities
	uplinks map[[4]byte]air.Transmission
	pings   map[string]int // slots used, by address and time
	sent    int            // frames in ping slots
	beacons int
	windows int // frames in RX1 and RX2
	heard   map[string]int
	payload map[string]bool
}

func inClassBWorld(t *testing.T, region string, f func(*classBWorld)) {
	t.Helper()
	s := &sky{}
	inWorldOf(t, region, func(c *nsedge.Config) {
		s.zero, _ = nsedge.HostGPS(time.Now())
		c.Clock, c.IgnoreDutyCycle = s, true
	}, func(w *world) {
		c := &classBWorld{
			world: w, sky: s, addrs: map[[4]byte]int{}, uplinks: map[[4]byte]air.Transmission{},
			pings: map[string]int{}, heard: map[string]int{}, payload: map[string]bool{},
		}
		defer w.m.Observe(c.observe)()
		f(c)
	})
}

// always stands for the periodicity of class C.
const always = -1

// observe is told of every transmission. It knows the rules by itself: the
// beacon grid, the delays, and the formula of TS001-1.0.4 §12.2 by way of the
// published values that package classb is tested with.
func (c *classBWorld) observe(tx air.Transmission) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gps := c.sky.zero + time.Duration(tx.Start)*time.Microsecond
	addr := func() (a [4]byte) {
		if len(tx.Payload) > 5 {
			a = [4]byte{tx.Payload[4], tx.Payload[3], tx.Payload[2], tx.Payload[1]}
		}
		return a
	}()
	m, _ := tx.Mod.(radio.LoRa)
	switch {
	case tx.From != gateway.String():
		c.uplinks[addr] = tx
	case m.Implicit:
		c.beacons++
		if (gps-classb.BeaconDelay)%classb.Period != 0 {
			c.t.Errorf("a beacon %v off the grid", (gps-classb.BeaconDelay)%classb.Period)
		}
	case tx.Payload[0]>>5 == 1: // join-accept
	case c.inWindow(addr, tx):
		c.windows++
	default:
		c.sent++
		periodicity, known := c.addrs[addr]
		if periodicity == always {
			return
		}
		if next := classb.NextPing(gps, addr, periodicity); !known || next != gps {
			c.t.Errorf("%v: a frame to %x outside of its slots, %v before the next", gps, addr, next-gps)
		}
		slot := fmt.Sprint(addr, gps)
		if c.pings[slot]++; c.pings[slot] > 1 {
			c.t.Errorf("two frames to %x in one slot", addr)
		}
		up := c.uplinks[addr]
		if rx1 := up.End.Add(time.Second); tx.End > rx1 && tx.Start < rx1.Add(time.Second) {
			c.t.Errorf("a frame to %x over its RX1 and RX2", addr)
		}
	}
}

func (c *classBWorld) inWindow(addr [4]byte, tx air.Transmission) bool {
	up := c.uplinks[addr]
	d := tx.Start.Sub(up.End)
	return up.ID != 0 && (d == time.Second || d == 2*time.Second)
}

// classB registers a device of class B, activated by personalisation.
func (c *classBWorld) classB(i byte, periodicity int, change func(*enddevice.Config)) *enddevice.Device {
	addr := enddevice.DevAddr{0x26, 1, 0, i}
	c.addrs[addr] = periodicity
	return c.device(i, func(cfg *enddevice.Config, dev *nsedge.Device) {
		s := enddevice.Session{DevAddr: addr, NwkSKey: enddevice.Key{1, i}, AppSKey: enddevice.Key{2, i}}
		cfg.Class, cfg.Periodicity, cfg.ABP, cfg.AppKey = "B", periodicity, &s, enddevice.Key{}
		cfg.CrystalPPM, cfg.NoDutyCycle, cfg.DataRate = float64(int(i)%39-19), true, 5
		cfg.Interval, cfg.Jitter = 10*time.Minute, 5*time.Minute
		dev.Class, dev.Activation, dev.AppKey = "B", nsedge.ABP, nil
		dev.DevAddr, dev.NwkSKey, dev.AppSKey = (*nsedge.DevAddr)(&addr), (*nsedge.Key)(&s.NwkSKey), (*nsedge.Key)(&s.AppSKey)
		cfg.Events = func(ev enddevice.Event) { c.told(i, ev) }
		if change != nil {
			change(cfg)
		}
	})
}

func (c *classBWorld) told(i byte, ev enddevice.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch ev := ev.(type) {
	case enddevice.Received:
		c.heard[ev.Window]++
		if ev.Group != nil {
			c.heard["group"]++
		}
		if ev.Payload != nil {
			c.payload[fmt.Sprint(i, " ", string(ev.Payload))] = true
		}
	case enddevice.Beacon:
		c.heard["beacon"]++
	case enddevice.BeaconMissed:
		c.heard["missed"]++
	case enddevice.ClassChanged:
		c.heard["class "+ev.Class]++
	case enddevice.Rejected:
		c.t.Errorf("device %d rejected a frame: %v", i, ev.Reason)
	}
}

// n is how often something was heard.
func (c *classBWorld) n(what string) int { c.mu.Lock(); defer c.mu.Unlock(); return c.heard[what] }

// run runs devices until stop is called.
func (c *classBWorld) run(devices ...*enddevice.Device) (stop func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	var running sync.WaitGroup
	for _, d := range devices {
		running.Go(func() { _ = d.Run(ctx) })
	}
	return func() { cancel(); running.Wait() }
}

// A device finds time and beacon, is sent frames in its slots, goes on without
// beacons for two hours, and is then in class A again.
func TestASoftwareDeviceOfClassB(t *testing.T) {
	for _, region := range []string{"EU868", "US915-2", "AS923-1", "IN865"} {
		t.Run(region, func(t *testing.T) {
			inClassBWorld(t, region, func(c *classBWorld) {
				d := c.classB(1, 4, nil)
				defer c.run(d)()
				c.answers(func(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
					if time.Until(req.Deadline) < time.Minute { // of an uplink
						return nil
					}
					return &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: fmt.Appendf(nil, "%d", req.Counter)}
				})
				time.Sleep(20 * time.Minute)
				if c.n("class B") != 1 || c.n("beacon") < 5 || c.n("missed") > 0 {
					t.Fatalf("%v", c.heard)
				}
				claim := func() int {
					before := c.n("ping")
					if err := c.edge.Answer(c.t.Context(), nsedge.Claim{Device: eui(1)}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(30 * time.Second)
					return c.n("ping") - before
				}
				for range 5 {
					if claim() != 1 {
						t.Fatalf("a frame in a ping slot was not heard: %v", c.heard)
					}
				}
				c.sky.lose(true) // no beacons, and no pings
				time.Sleep(100 * time.Minute)
				c.sky.lose(false)
				time.Sleep(15 * time.Second)
				if lost := c.n("missed"); lost < 40 || c.n("class A") != 0 || claim() != 1 {
					t.Errorf("after 100 minutes without beacons: %v", c.heard)
				}
				time.Sleep(3 * classb.Period)
				c.sky.lose(true)
				time.Sleep(130 * time.Minute)
				if c.n("class A") != 1 {
					t.Errorf("after 130 minutes without beacons: %v", c.heard)
				}
				c.noErrors()
			})
		})
	}
}

// long is set for the whole of what is otherwise a short form.
func long() bool { return os.Getenv("GATEWAYD_CLASS_B") == "full" }

// A whole network of class B: 100 devices for 24 hours with
// GATEWAYD_CLASS_B=full, else 15 for two hours. Each device is claimed every
// quarter of an hour, a third of the frames is confirmed. What the observer sees is the proof: no transmission outside of a
// slot, one in a slot, none over RX1 and RX2, all beacons on the grid.
func TestANetworkOfClassB(t *testing.T) {
	devices, hours := byte(15), 2
	if long() {
		devices, hours = 100, 24
	}
	inClassBWorld(t, "EU868", func(c *classBWorld) {
		var all []*enddevice.Device
		for i := range devices {
			all = append(all, c.classB(i+1, int(i)%8, nil))
		}
		defer c.run(all...)()
		n := 0
		c.answers(func(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
			if time.Until(req.Deadline) < time.Minute { // of an uplink
				return nil
			}
			n++
			return &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: fmt.Appendf(nil, "%d", n), Confirmed: n%3 == 0}
		})
		time.Sleep(time.Hour) // the devices get to class B
		c.mu.Lock()
		if c.heard["class B"] != int(devices) {
			t.Errorf("%d of %d devices are in class B", c.heard["class B"], devices)
		}
		c.mu.Unlock()
		claims := 0
		for range (hours - 1) * 4 {
			for i := range devices {
				if err := c.edge.Answer(c.t.Context(), nsedge.Claim{Device: eui(i + 1)}); err != nil {
					t.Errorf("claim of device %d: %v", i+1, err)
				}
				claims++
				time.Sleep(15 * time.Minute / time.Duration(devices))
			}
		}
		time.Sleep(5 * time.Minute)
		state := c.edge.ClassB()
		c.mu.Lock()
		defer c.mu.Unlock()
		delivered := len(c.payload)
		t.Logf("%d claims, %d frames in ping slots, %d heard there; %d payloads delivered; %d beacons, heard %d times and missed %d times; %d frames in RX1 and RX2",
			claims, c.sent, c.heard["ping"], delivered, c.beacons, c.heard["beacon"], c.heard["missed"], c.windows)
		// A frame is lost where the device itself sends, or two devices do.
		if c.sent < claims || delivered < claims*99/100 {
			t.Errorf("%d of %d frames were sent, %d delivered", c.sent, claims, delivered)
		}
		if want := (hours*3600 + 300) / 128; c.beacons < want-3 || c.beacons > want || int(state.Sent) != c.beacons || state.Missed != 0 {
			t.Errorf("%d beacons, want %d; %+v", c.beacons, want, state)
		}
		if c.heard["class A"] > 0 || c.heard["missed"]*50 > c.heard["beacon"] {
			t.Errorf("%v", c.heard)
		}
	})
}

// Devices of a group hear what is sent to it, once, though it is sent three
// times, and beside what is for them alone.
func TestDevicesOfAGroupHearIt(t *testing.T) {
	for _, class := range []string{"B", "C"} {
		t.Run(class, func(t *testing.T) {
			inClassBWorld(t, "EU868", func(c *classBWorld) {
				group := enddevice.Group{DevAddr: enddevice.DevAddr{0x26, 1, 9, 9}, NwkSKey: enddevice.Key{9}, AppSKey: enddevice.Key{8}, Class: class, Periodicity: 1}
				spec := nsedge.Device{
					DevEUI: eui(200), Activation: nsedge.ABP, Class: class, Multicast: true, Repeat: 2,
					DevAddr: (*nsedge.DevAddr)(&group.DevAddr), NwkSKey: (*nsedge.Key)(&group.NwkSKey), AppSKey: (*nsedge.Key)(&group.AppSKey),
				}
				if class == "B" {
					spec.PingSlots.Periodicity = &group.Periodicity
					c.addrs[group.DevAddr] = group.Periodicity
				} else {
					dr := 4
					group.Freq, group.DataRate = 868_300_000, &dr
					c.addrs[group.DevAddr] = always
					spec.RX2Freq, spec.RX2DataRate = group.Freq, &dr
				}
				if err := c.edge.CreateDevice(c.t.Context(), spec); err != nil {
					t.Fatal(err)
				}
				var all []*enddevice.Device
				for i := range byte(5) {
					all = append(all, c.member(i+1, class, group))
				}
				defer c.run(all...)()
				c.answers(func(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
					if time.Until(req.Deadline) < time.Minute {
						return nil
					}
					return &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: fmt.Appendf(nil, "%d", req.Counter)}
				})
				time.Sleep(40 * time.Minute)
				for range 10 {
					if err := c.edge.Answer(c.t.Context(), nsedge.Claim{Device: spec.DevEUI}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(20 * time.Second)
				}
				time.Sleep(time.Minute)
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.heard["group"] != 50 || len(c.payload) != 50 {
					t.Errorf("five devices heard %d of ten frames: %v", c.heard["group"], c.heard)
				}
			})
		})
	}
}

// member is a device of a group.
func (c *classBWorld) member(i byte, class string, g enddevice.Group) *enddevice.Device {
	if class == "B" {
		return c.classB(i, int(i), func(cfg *enddevice.Config) { cfg.Groups = []enddevice.Group{g} })
	}
	return c.device(i, func(cfg *enddevice.Config, dev *nsedge.Device) {
		cfg.Class, dev.Class, cfg.Groups = "C", "C", []enddevice.Group{g}
		cfg.Interval, cfg.Jitter = 10*time.Minute, 5*time.Minute
		cfg.Events = func(ev enddevice.Event) { c.told(i, ev) }
	})
}
