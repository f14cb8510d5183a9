package nsedge

import (
	"context"
	"errors"
	"slices"
	"time"

	"gatewayd/nsedge/classb"
	"gatewayd/radio"
)

const (
	// beaconAhead is when a beacon is given to the Air: early enough for a
	// busy host, and so late that the last pulse per second is a fresh one.
	beaconAhead = 1500 * time.Millisecond
	// beaconLook is how often the time's quality is looked at.
	beaconLook = 10 * time.Second
)

// ClassBState is what class B is at present.
type ClassBState struct {
	Mode      ClassBMode
	Active    bool   // beacons are sent, and ping slots can be used
	Why       string // not; "" if Active
	Time      TimeQuality
	Precision int       // of the beacons: the time is exact to 10^(Precision-6) s
	Last      time.Time // host time of the last beacon on the air; zero before the first
	Sent      uint64
	Missed    uint64 // beacons that the transmitter refused or failed to send
}

// beaconing is the beacons and what they depend on.
type beaconing struct {
	ClassBState
	due    time.Time     // of the next look
	next   time.Duration // GPS time of the beacon to come; 0 while not active
	start  time.Time     // the same on the host clock, with BeaconDelay
	id     uint64        // of the one that the Air has; 0: none
	spent  entry         // its time on air
	warned bool          // of coarse beacons on the channel of precise ones
}

// ClassB tells what class B is at present in the gateway that the edge runs on.
func (e *Edge) ClassB() ClassBState {
	s, _ := e.ClassBOf(e.cfg.Gateway)
	return s
}

// ClassBOf tells what class B is at present in a gateway, if it is one of the
// edge's.
func (e *Edge) ClassBOf(gateway radio.EUI64) (s ClassBState, known bool) {
	_ = e.do(context.Background(), func() { // fails only by its context
		if g := e.gateway(gateway); g != nil {
			s, known = g.beacons.ClassBState, true
		}
	})
	return s, known
}

// beaconWait is the time until the next look.
func (e *Edge) beaconWait(now time.Time) time.Duration {
	due := e.local.beacons.due
	for _, g := range e.gateways[1:] {
		if g.beacons.due.Before(due) {
			due = g.beacons.due
		}
	}
	return max(due.Sub(now), 0)
}

// tickBeacons lets each gateway look at the time.
func (e *Edge) tickBeacons(now time.Time) {
	for _, g := range e.gateways {
		if !now.Before(g.beacons.due) {
			e.tickBeacon(g, now)
		}
	}
}

// tickBeacon looks at a gateway's time and prepares its next beacon when that
// is near.
func (e *Edge) tickBeacon(g *gateway, now time.Time) {
	b := &g.beacons
	b.due = now.Add(beaconLook)
	if b.Mode == ClassBOff || g.Clock == nil {
		b.Why = "class B is off"
		b.due = now.Add(time.Hour)
		return
	}
	at, ok := g.now()
	gps, q := time.Duration(0), TimeQuality{}
	if ok {
		gps, q = g.Clock.GPSTime(at)
	}
	if gps <= 0 {
		q = TimeQuality{}
	}
	b.Time = q
	p, why := q.precision(b.Mode)
	if why == "" {
		why = e.beaconRefused()
	}
	if e.turnBeacons(g, why, p); why != "" {
		return
	}
	b.next = classb.Start(gps) + classb.Period
	b.start = now.Add(b.next + classb.BeaconDelay - gps)
	if left := b.next - gps; left > beaconAhead {
		b.due = now.Add(min(left-beaconAhead, beaconLook))
		return
	}
	e.sendBeacon(g)
	b.due = b.start.Add(time.Second)
}

// beaconRefused says why the region can't have beacons at all.
func (e *Edge) beaconRefused() string {
	freq, _ := e.beaconChannel(0)
	if _, ok := e.cfg.Region.EIRP(freq); !ok {
		return "the region forbids transmissions on the beacon's channel"
	}
	return ""
}

// turnBeacons notes whether beacons are sent, and tells when that changes.
func (e *Edge) turnBeacons(g *gateway, why string, precision int) {
	b, log := &g.beacons, e.log.With("gateway", g.EUI)
	active := why == ""
	switch {
	case active != b.Active && active:
		log.Info("class B: beacons begin", "time", b.Time.Source.String(), "error", b.Time.Error, "precision", precision)
	case active != b.Active:
		log.Warn("class B: beacons stop", "reason", why, "time", b.Time.Source.String(), "error", b.Time.Error)
	case active && precision != b.Precision:
		log.Info("class B: beacons are of another precision", "time", b.Time.Source.String(), "error", b.Time.Error, "precision", precision)
	case !active && why != b.Why:
		log.Info("class B: no beacons", "reason", why)
	}
	if b.Active, b.Why, b.Precision = active, why, precision; !active {
		b.next = 0
		return
	}
	if precision > 0 && e.cfg.BeaconFreq == 0 && !b.warned {
		b.warned = true // TS001-1.0.4 §13.2
		log.Warn("class B: beacons that are not precise to a microsecond should not be on the region's beacon channel: set network.beacon_freq", "precision", precision)
	}
}

// beaconChannel is where the beacon of a period goes out.
func (e *Edge) beaconChannel(period int64) (radio.Hertz, int) {
	freq, dr := e.cfg.Region.BeaconChannel(period)
	if e.cfg.BeaconFreq != 0 {
		freq = e.cfg.BeaconFreq
	}
	return freq, dr
}

// sendBeacon gives the next beacon to a gateway's Air.
func (e *Edge) sendBeacon(g *gateway) {
	if err := e.launchBeacon(g); err != nil {
		g.beacons.Missed++
		e.log.Warn("class B: beacon not sent", "gateway", g.EUI, "err", err)
	}
}

func (e *Edge) launchBeacon(g *gateway) error {
	b := &g.beacons
	mod := e.cfg.Region.Beacon()
	phy, err := e.composeBeacon(g, mod.SF)
	if err != nil {
		return err
	}
	at, _ := g.Clock.InstantAt(b.next + classb.BeaconDelay)
	freq, dr := e.beaconChannel(classb.Count(b.next))
	eirp, _ := e.cfg.Region.EIRP(freq)
	s := slot{gw: g, name: "beacon", at: at, start: b.start, freq: freq, dr: dr, mod: mod, power: eirp - radio.DBm(g.AntennaGain)}
	if b.spent, err = e.mayTransmit(&s, mod.Airtime(len(phy))); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(e.running, scheduleWait)
	defer cancel()
	e.lastID++
	err = g.Air.Schedule(ctx, radio.Downlink{ID: e.lastID, Payload: phy, At: s.at, Freq: s.freq, Mod: s.mod, Power: s.power})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) { // then it may have been taken
		return err
	}
	b.id = e.lastID
	e.account(g, b.spent)
	return nil
}

// composeBeacon makes the bytes of a gateway's next beacon.
func (e *Edge) composeBeacon(g *gateway, sf uint8) ([]byte, error) {
	b := classb.Beacon{Time: g.beacons.next, Precision: g.beacons.Precision}
	eui := g.EUI
	b.SetIdentity(e.cfg.NetID, uint32(eui[5])<<16|uint32(eui[6])<<8|uint32(eui[7]))
	if g.Position != nil {
		if p, ok := g.Position(); ok {
			b.SetPosition(p.Lat, p.Lng)
		}
	}
	return b.Encode(sf)
}

// beaconReport takes the fate of a beacon; it is false if r is of something else.
func (e *Edge) beaconReport(r *radio.Report) bool {
	i := slices.IndexFunc(e.gateways, func(g *gateway) bool { return g.beacons.id == r.ID && r.ID != 0 })
	if i < 0 {
		return false
	}
	g := e.gateways[i]
	b := &g.beacons
	b.id = 0
	if r.Err != nil {
		b.Missed++
		g.ledger.cancel(b.spent)
		e.log.Warn("class B: beacon not sent", "gateway", g.EUI, "err", r.Err)
		return true
	}
	b.Sent++
	b.Last = time.Now()
	e.log.Debug("beacon", "gateway", g.EUI, "started", r.Started, "margin", r.Margin(), "precision", b.Precision)
	return true
}

// beaconTaken tells whether a gateway's frame would be on the air when its
// beacon has to be, or so near to it that the transmitter is busy; and until when.
func (e *Edge) beaconTaken(g *gateway, start time.Time, took time.Duration) (until time.Time, taken bool) {
	b := &g.beacons
	if !b.Active || b.next == 0 {
		return until, false
	}
	mod := e.cfg.Region.Beacon()
	size := classb.Size(mod.SF)
	gap := g.Air.Lead(radio.Downlink{Mod: mod, Payload: probe[:size]}) + e.cfg.Margin
	for begin := b.start; ; begin = begin.Add(classb.Period) {
		until = begin.Add(mod.Airtime(size) + gap)
		if begin.Add(-gap).After(start.Add(took)) {
			return until, false
		}
		if start.Before(until) {
			return until, true
		}
	}
}
