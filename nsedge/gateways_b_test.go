package nsedge

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge/classb"
	"gatewayd/radio"
)

// pair is two gateways with GPS time each, whose counters have nothing to do
// with each other.
type pair struct {
	*bench
	far  *fakeAir
	time [2]atomic.Pointer[TimeQuality] // of the local one and the far one
}

func underOneSky(t *testing.T, f func(p *pair)) {
	t.Helper()
	p := &pair{}
	for i := range p.time {
		p.time[i].Store(&TimeQuality{Source: SatelliteTime, Error: 150 * time.Nanosecond})
	}
	var made *bench
	scenarioOn(t, func(b *bench) {
		made, p.far = b, newAir()
		p.far.zero = p.far.zero.Add(-77*time.Second - 123457*time.Microsecond)
	}, func(cfg *Config) {
		cfg.Clock = skyClock{made.air, &p.time[0]}
		cfg.Others = []Gateway{{EUI: farEUI, Air: p.far, Clock: skyClock{p.far, &p.time[1]}, Position: func() (Position, bool) { return Position{Lat: 48.2, Lng: 16.37}, true }}}
	}, func(b *bench) {
		p.bench = b
		u := b.abpNode(200, nil).send(frame{payload: []byte("the counters are known by it")})
		heardFar(p.far, u, -70)
		time.Sleep(10 * time.Second)
		p.forget()
		f(p)
	})
}

func (p *pair) forget() {
	p.take()
	p.air.clear()
	p.far.clear()
}

// lose takes a gateway its time, and waits until it has noticed.
func (p *pair) lose(i int) {
	p.time[i].Store(&TimeQuality{})
	time.Sleep(2 * beaconLook)
	p.forget()
}

// broadcast is what a gateway sent, and when by GPS time.
type broadcast struct {
	radio.Downlink
	by  string
	gps time.Duration
}

// emissions are those of both gateways by time: beacons, or what is none.
func (p *pair) emissions(beacons bool) (out []broadcast) {
	synctest.Wait()
	for by, a := range map[string]*fakeAir{"local": p.air, "far": p.far} {
		for _, d := range a.frames() {
			if d.Mod.(radio.LoRa).Implicit == beacons {
				gps, _ := HostGPS(a.moment(d.At))
				out = append(out, broadcast{d, by, gps})
			}
		}
	}
	slices.SortFunc(out, func(x, y broadcast) int {
		if x.gps != y.gps {
			return int(x.gps - y.gps)
		}
		return strings.Compare(x.by, y.by)
	})
	p.air.clear()
	p.far.clear()
	return out
}

// both are the names of the gateways that sent, in order.
func both(es []broadcast) string {
	var names []string
	for _, e := range es {
		names = append(names, e.by)
	}
	return strings.Join(names, " ")
}

func TestEveryGatewayWithTimeSendsBeacons(t *testing.T) {
	underOneSky(t, func(p *pair) {
		time.Sleep(3 * classb.Period)
		got := p.emissions(true)
		if both(got) != "far local far local far local" {
			t.Fatalf("beacons by %s", both(got))
		}
		for i := 0; i < len(got); i += 2 {
			far, errFar := classb.Decode(9, got[i].Payload, got[i].gps)
			local, errLocal := classb.Decode(9, got[i+1].Payload, got[i+1].gps)
			if errFar != nil || errLocal != nil || got[i].gps != got[i+1].gps || far.Time != local.Time || (got[i].gps-classb.BeaconDelay)%classb.Period != 0 {
				t.Errorf("beacons at %v and %v: %+v, %+v", got[i].gps, got[i+1].gps, far, local)
			}
			if lat, _, ok := far.Position(); !ok || int(lat*10+.5) != 482 || local.InfoDesc != 3 {
				t.Errorf("not each its own identity: %+v, %+v", far, local)
			}
		}
		p.lose(1)
		time.Sleep(3 * classb.Period)
		if got := both(p.emissions(true)); got != "local local local" {
			t.Errorf("beacons by %s", got)
		}
		local, _ := p.edge.ClassBOf(gatewayEUI)
		far, known := p.edge.ClassBOf(farEUI)
		if !known || !local.Active || local != p.edge.ClassB() || local.Sent != 6 || far.Active || far.Sent != 3 || far.Why == "" {
			t.Errorf("%+v, %+v", local, far)
		}
		if _, known := p.edge.ClassBOf(radio.EUI64{9}); known {
			t.Error("a third gateway is known")
		}
	})
}

// inB registers a device of class B, which the far gateway hears better.
func (p *pair) inB(id byte) *node {
	p.Helper()
	n := p.bench.inB(id, 0, nil)
	heardFar(p.far, n.send(frame{classB: true, payload: []byte("x")}), -50)
	time.Sleep(4 * time.Second)
	p.forget()
	return n
}

// The gateway that hears a device best sends in its ping slots; if it can't,
// the next one does.
func TestPingSlotsGoByTheGatewayThatHearsBest(t *testing.T) {
	for name, c := range map[string]struct {
		before func(p *pair)
		want   string
	}{
		"the best one":    {func(*pair) {}, "far"},
		"it is busy":      {func(p *pair) { p.far.refuse = func(radio.Downlink) error { return radio.ErrCollision } }, "local"},
		"it has no time":  {func(p *pair) { p.lose(1) }, "local"},
		"only it has any": {func(p *pair) { p.lose(0) }, "far"},
		"it is gone":      {func(p *pair) { close(p.far.up); time.Sleep(2 * beaconLook); p.forget() }, "local"},
	} {
		t.Run(name, func(t *testing.T) {
			underOneSky(t, func(p *pair) {
				n := p.inB(1)
				c.before(p)
				for range 3 {
					p.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("y")})
					time.Sleep(5 * time.Second)
				}
				got := p.emissions(false)
				if len(got) != 3 {
					t.Fatalf("%d frames:%s", len(got), describe(p.take()))
				}
				for _, e := range got {
					if e.by != c.want || classb.NextPing(e.gps, n.addr, 0) != e.gps || string(n.decode(e.Downlink).payload) != "y" {
						t.Errorf("a frame by %s, %v before the next slot", e.by, classb.NextPing(e.gps, n.addr, 0)-e.gps)
					}
				}
				eui := map[string]radio.EUI64{"local": gatewayEUI, "far": farEUI}[c.want]
				if ev := all[*DownlinkEvent](p.take()); len(ev) == 0 || ev[0].Gateway != eui {
					t.Errorf("events %+v", ev)
				}
			})
		})
	}
}

// A claim of a class B device that insists on a gateway goes by that one, or is
// refused with the reason.
func TestAClaimMayInsistOnAGatewaysPingSlots(t *testing.T) {
	underOneSky(t, func(p *pair) {
		n := p.inB(1)
		for by, eui := range map[string]*radio.EUI64{"local": &gatewayEUI, "far": &farEUI} {
			p.take()
			p.answer(Claim{Device: n.eui, Gateway: eui})
			p.answer(DownlinkResponse{PacketHash: one[*DownlinkRequest](t, p.take()).PacketHash, Payload: []byte("y")})
			time.Sleep(10 * time.Second)
			if got := both(p.emissions(false)); got != by {
				t.Errorf("by %q, want %s", got, by)
			}
		}
		p.lose(1)
		r := p.refused(Claim{Device: n.eui, Gateway: &farEUI}, CodeGatewayNotLive)
		if r.Field != "gateway" || !strings.Contains(r.Message, "no ping slots: nobody vouches for the time") {
			t.Errorf("%s: %s", r.Field, r.Message)
		}
		x, err := p.edge.Explain(p.Context(), n.eui)
		if err != nil || len(x.Windows) != 1 || x.Windows[0].Gateway != gatewayEUI {
			t.Errorf("%+v, %v", x, err)
		}
	})
}

// What is for a group is sent by each gateway, one after the other, and each
// frame by all of them before the next one.
func TestEveryGatewaySendsWhatIsForAGroup(t *testing.T) {
	for _, class := range []string{"B", "C"} {
		t.Run(class, func(t *testing.T) {
			underOneSky(t, func(p *pair) {
				g := p.group(1, class, func(d *Device) { d.Repeat, d.RX2DataRate = 1, ptr(5) })
				g.tell("one", "two")
				time.Sleep(time.Minute)
				got := p.emissions(false)
				var frames []string
				end := time.Duration(0)
				for _, e := range got {
					r := g.decode(e.Downlink)
					frames = append(frames, fmt.Sprint(r.mac.FHDR.FCnt, string(r.payload), " ", e.by))
					if e.gps < end {
						t.Errorf("two at the same time, the second by %s", e.by)
					}
					if end = e.gps + e.Mod.Airtime(len(e.Payload)); class == "B" && classb.NextPing(e.gps, g.addr, 0) != e.gps {
						t.Errorf("%s sends outside of a slot", e.by)
					}
				}
				if want := []string{"0one local", "0one far", "1two local", "1two far", "0one local", "0one far", "1two local", "1two far"}; !slices.Equal(frames, want) {
					t.Errorf("sent %q", frames)
				}
				if evs := all[*DownlinkEvent](p.take()); len(evs) != 8 || evs[0].Gateway != gatewayEUI || evs[1].Gateway != farEUI {
					t.Errorf("%d events", len(evs))
				}
			})
		})
	}
}

// A gateway that can't send what is for a group is told about; the others do.
func TestAGroupIsServedByTheGatewaysThatCan(t *testing.T) {
	for name, c := range map[string]struct {
		before func(p *pair)
		insist *radio.EUI64
		want   string
		told   bool
	}{
		"one refuses":      {func(p *pair) { p.far.refuse = func(radio.Downlink) error { return radio.ErrFrequency } }, nil, "local", true},
		"the first":        {func(p *pair) { p.air.refuse = func(radio.Downlink) error { return radio.ErrFrequency } }, nil, "far", true},
		"one fails":        {func(p *pair) { p.air.fail = func(radio.Downlink) error { return radio.ErrStopped } }, nil, "far", true},
		"one has no time":  {func(p *pair) { p.lose(0) }, nil, "far", false},
		"one is insisted":  {func(*pair) {}, &farEUI, "far", false},
		"one is gone":      {func(p *pair) { close(p.far.up); time.Sleep(2 * beaconLook); p.forget() }, nil, "local", false},
		"one is very busy": {func(p *pair) { p.far.refuse = func(radio.Downlink) error { return radio.ErrCollision } }, nil, "local", true},
	} {
		t.Run(name, func(t *testing.T) {
			underOneSky(t, func(p *pair) {
				g := p.group(1, "B", nil)
				c.before(p)
				for range 2 {
					p.answer(Claim{Device: g.eui, Gateway: c.insist})
					reqs := all[*DownlinkRequest](p.take())
					p.answer(DownlinkResponse{PacketHash: reqs[0].PacketHash, Payload: []byte("y")})
					time.Sleep(2 * pingLife)
				}
				if got := both(p.emissions(false)); got != c.want+" "+c.want {
					t.Errorf("sent by %q, want %s twice", got, c.want)
				}
				if told := notice(p.take(), CodeDownlinkFailed); (told != nil) != c.told {
					t.Errorf("told %+v", told)
				}
			})
		})
	}
}
