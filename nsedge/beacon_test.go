package nsedge

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatewayd/nsedge/classb"
	"gatewayd/radio"
)

// skyClock is the GPS time of a fakeAir: that of the host, with a quality.
type skyClock struct {
	air *fakeAir
	q   *atomic.Pointer[TimeQuality]
}

func (c skyClock) GPSTime(i radio.Instant) (time.Duration, TimeQuality) {
	gps, _ := HostGPS(c.air.moment(i))
	return gps, *c.q.Load()
}

func (c skyClock) InstantAt(gps time.Duration) (radio.Instant, TimeQuality) {
	at := c.air.instant(c.air.zero)
	zero, _ := HostGPS(c.air.zero)
	return at.Add(gps - zero), *c.q.Load()
}

// underSky is a scenario with a satellite receiver, in a region.
func underSky(t *testing.T, name string, change func(*Config), f func(b *bench, sky *atomic.Pointer[TimeQuality])) {
	t.Helper()
	var q atomic.Pointer[TimeQuality]
	q.Store(&TimeQuality{Source: SatelliteTime, Error: 150 * time.Nanosecond})
	var b *bench
	scenarioOn(t, func(made *bench) { b = made }, func(c *Config) {
		c.Region = mustRegion(t, name)
		c.Clock = skyClock{b.air, &q}
		if change != nil {
			change(c)
		}
	}, func(b *bench) {
		b.abpNode(200, nil).send(frame{payload: []byte("the counter is known by it")})
		time.Sleep(10 * time.Second)
		b.take()
		b.air.clear()
		f(b, &q)
	})
}

// gpsOf is the GPS time at which a frame begins.
func (b *bench) gpsOf(d radio.Downlink) time.Duration {
	gps, _ := HostGPS(b.air.moment(d.At))
	return gps
}

// split tells beacons from other frames.
func (b *bench) split() (beacons, others []radio.Downlink) {
	for _, d := range b.air.frames() {
		if m, ok := d.Mod.(radio.LoRa); ok && m.Implicit {
			beacons = append(beacons, d)
		} else {
			others = append(others, d)
		}
	}
	return beacons, others
}

// TS001-1.0.4 §13.5: a beacon every 128 s of GPS time, 1.5 ms later; its
// channel by RP002.
func TestBeaconsAreOnTheGPSGrid(t *testing.T) {
	for _, name := range []string{"EU868", "US915-2", "AS923-1", "CN470-1", "IN865"} {
		t.Run(name, func(t *testing.T) {
			underSky(t, name, func(c *Config) {
				c.Position = func() (Position, bool) { return Position{Lat: 48.2, Lng: 16.37}, true }
			}, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
				time.Sleep(20 * classb.Period)
				r := b.edge.cfg.Region
				beacons, others := b.split()
				if len(beacons) != 20 || len(others) != 0 {
					t.Fatalf("%d beacons and %d other frames in 20 periods", len(beacons), len(others))
				}
				for _, d := range beacons {
					at := b.gpsOf(d) - 1500*time.Microsecond
					if at%(128*time.Second) != 0 {
						t.Errorf("a beacon %v after the GPS grid", at%(128*time.Second))
					}
					freq, _ := r.BeaconChannel(int64(at / (128 * time.Second)))
					if d.Freq != freq || d.Mod != radio.Modulation(r.Beacon()) {
						t.Errorf("a beacon on %d Hz, %+v", d.Freq, d.Mod)
					}
					if eirp, _ := r.EIRP(freq); d.Power != eirp {
						t.Errorf("a beacon of %v dBm, %v is allowed", d.Power, eirp)
					}
					got, err := classb.Decode(r.Beacon().SF, d.Payload, at)
					lat, lng, ok := got.Position()
					if err != nil || got.Time != at || got.Precision != 0 || !ok || int(lat*10+.5) != 482 || int(lng*100+.5) != 1637 {
						t.Errorf("%+v, %v", got, err)
					}
				}
				if s := b.edge.ClassB(); !s.Active || s.Sent != 20 || s.Missed != 0 || s.Why != "" || time.Since(s.Last) > classb.Period {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// Without a position the gateway tells its NetID and number.
func TestAGatewayWithoutPositionTellsItsIdentity(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		time.Sleep(classb.Period)
		beacons, _ := b.split()
		if len(beacons) != 1 {
			t.Fatalf("%d beacons", len(beacons))
		}
		got, err := classb.Decode(9, beacons[0].Payload, b.gpsOf(beacons[0]))
		if want := [6]byte{1, 0, 0, 1, 0, 0x50}; err != nil || got.InfoDesc != 3 || got.Info != want {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// Beacons say how exact they are, and stop when that can't be said any more.
func TestBeaconsFollowTheQualityOfTime(t *testing.T) {
	for _, c := range []struct {
		mode ClassBMode
		q    TimeQuality
		want int // -1: none
	}{
		{ClassBAuto, TimeQuality{SatelliteTime, 500 * time.Nanosecond}, 0},
		{ClassBAuto, TimeQuality{SatelliteTime, 501 * time.Nanosecond}, 1},
		{ClassBAuto, TimeQuality{SatelliteTime, 80 * time.Microsecond}, 2},
		{ClassBAuto, TimeQuality{SatelliteTime, 500 * time.Microsecond}, 3},
		{ClassBAuto, TimeQuality{SatelliteTime, 1001 * time.Microsecond}, -1},
		{ClassBAuto, TimeQuality{HostTime, 100 * time.Microsecond}, -1},
		{ClassBAuto, TimeQuality{NoTime, 0}, -1},
		{ClassBOn, TimeQuality{NoTime, 0}, -1},
		{ClassBOn, TimeQuality{HostTime, 20 * time.Millisecond}, 3},
		{ClassBOn, TimeQuality{HostTime, 101 * time.Millisecond}, -1},
		{ClassBOff, TimeQuality{SatelliteTime, 0}, -1},
	} {
		underSky(t, "EU868", func(cfg *Config) { cfg.ClassB = c.mode }, func(b *bench, sky *atomic.Pointer[TimeQuality]) {
			time.Sleep(4 * classb.Period)
			b.air.clear()
			sky.Store(&c.q)
			time.Sleep(20 * time.Second) // what was prepared may go out
			b.air.clear()
			time.Sleep(4 * classb.Period)
			beacons, _ := b.split()
			s := b.edge.ClassB()
			if c.want < 0 {
				if len(beacons) != 0 || s.Active || s.Why == "" {
					t.Errorf("%s, %+v: %d beacons, %+v", c.mode, c.q, len(beacons), s)
				}
				return
			}
			if len(beacons) != 4 || !s.Active || s.Precision != c.want {
				t.Fatalf("%s, %+v: %d beacons, %+v", c.mode, c.q, len(beacons), s)
			}
			for _, d := range beacons {
				if got, err := classb.Decode(9, d.Payload, b.gpsOf(d)); err != nil || got.Precision != c.want {
					t.Errorf("%s, %+v: precision %d, %v", c.mode, c.q, got.Precision, err)
				}
			}
			sky.Store(&TimeQuality{})
			time.Sleep(classb.Period)
			b.air.clear()
			time.Sleep(2 * classb.Period)
			if beacons, _ := b.split(); len(beacons) > 0 || b.edge.ClassB().Active {
				t.Errorf("%d beacons without time", len(beacons))
			}
		})
	}
}

func TestABeaconThatIsNotSentIsCounted(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		becomes := func(refuse, fail func(radio.Downlink) error) {
			b.air.mu.Lock()
			defer b.air.mu.Unlock()
			b.air.refuse, b.air.fail = refuse, fail
		}
		becomes(func(radio.Downlink) error { return radio.ErrTooLate }, nil)
		time.Sleep(classb.Period)
		becomes(nil, func(radio.Downlink) error { return radio.ErrStopped })
		time.Sleep(classb.Period)
		becomes(nil, nil)
		time.Sleep(classb.Period)
		if s := b.edge.ClassB(); s.Missed != 2 || s.Sent != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// An answer that would be on the air with the beacon goes out in RX2.
func TestNothingIsSentOverABeacon(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		n := b.abpNode(1, nil)
		for i, early := range []time.Duration{1300 * time.Millisecond, 1100 * time.Millisecond, 1010 * time.Millisecond, 950 * time.Millisecond, 850 * time.Millisecond, 600 * time.Millisecond} {
			now, _ := HostGPS(time.Now())
			time.Sleep(classb.Start(now) + classb.Period - now - early)
			n.sf = 9
			u := n.send(frame{payload: []byte("x"), confirmed: true})
			b.answer(DownlinkResponse{Device: n.eui, Payload: make([]byte, 20)})
			time.Sleep(10 * time.Second)
			beacons, others := b.split()
			if len(beacons) != 1 || len(others) != 1 {
				t.Fatalf("case %d: %d beacons, %d others:%s", i, len(beacons), len(others), describe(b.take()))
			}
			end := func(d radio.Downlink) radio.Instant { return d.At.Add(d.Mod.Airtime(len(d.Payload))) }
			d, beacon := others[0], beacons[0]
			if d.At < end(beacon).Add(lead) && beacon.At < end(d).Add(lead) {
				t.Errorf("case %d: a frame at %v of the beacon", i, d.At.Sub(beacon.At))
			}
			if in := d.At.Sub(u.At); in != time.Second && in != 2*time.Second {
				t.Errorf("case %d: %v after the uplink", i, in)
			}
			b.air.clear()
		}
	})
}

// A region's regulator may forbid more: the ledger counts beacons as it counts
// everything.
func TestBeaconsAreOnTheDutyLedger(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		time.Sleep(10 * classb.Period)
		x, err := b.edge.Explain(b.Context(), newNode(b, 200).eui)
		if err != nil {
			t.Fatal(err)
		}
		took, used := mustRegion(t, "EU868").Beacon().Airtime(17), time.Duration(0)
		for _, u := range x.Duty {
			if u.Band == "P" { // 869.525 MHz
				used = u.Used
			}
		}
		if used != 10*took {
			t.Errorf("sub-band P: %v used, ten beacons are %v", used, 10*took)
		}
	})
}

func TestTheBeaconFrequencyCanBeChanged(t *testing.T) {
	underSky(t, "EU868", func(c *Config) { c.BeaconFreq = 868_500_000 }, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		time.Sleep(classb.Period)
		if beacons, _ := b.split(); len(beacons) != 1 || beacons[0].Freq != 868_500_000 {
			t.Errorf("%+v", beacons)
		}
	})
	underSky(t, "EU868", func(c *Config) { c.BeaconFreq = 868_650_000 }, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		time.Sleep(classb.Period)
		if s := b.edge.ClassB(); s.Active || !strings.Contains(s.Why, "forbids") {
			t.Errorf("%+v", s)
		}
	})
}
