package nsedge

import (
	"context"
	"errors"
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

// ClassB tells what class B is at present.
func (e *Edge) ClassB() (s ClassBState) {
	_ = e.do(context.Background(), func() { s = e.beacons.ClassBState }) // fails only by its context
	return s
}

// wait is the time until the next look.
func (b *beaconing) wait(now time.Time) time.Duration { return max(b.due.Sub(now), 0) }

// tick looks at the time and prepares the next beacon when it is near.
func (e *Edge) tickBeacons(now time.Time) {
	b := &e.beacons
	if now.Before(b.due) {
		return
	}
	b.due = now.Add(beaconLook)
	if b.Mode == ClassBOff || e.cfg.Clock == nil {
		b.Why = "class B is off"
		b.due = now.Add(time.Hour)
		return
	}
	at, ok := e.local.now()
	gps, q := time.Duration(0), TimeQuality{}
	if ok {
		gps, q = e.cfg.Clock.GPSTime(at)
	}
	if gps <= 0 {
		q = TimeQuality{}
	}
	b.Time = q
	p, why := q.precision(b.Mode)
	if why == "" {
		why = e.beaconRefused()
	}
	if e.turnBeacons(why, p); why != "" {
		return
	}
	b.next = classb.Start(gps) + classb.Period
	b.start = now.Add(b.next + classb.BeaconDelay - gps)
	if left := b.next - gps; left > beaconAhead {
		b.due = now.Add(min(left-beaconAhead, beaconLook))
		return
	}
	e.sendBeacon()
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
func (e *Edge) turnBeacons(why string, precision int) {
	b := &e.beacons
	active := why == ""
	switch {
	case active != b.Active && active:
		e.log.Info("class B: beacons begin", "time", b.Time.Source.String(), "error", b.Time.Error, "precision", precision)
	case active != b.Active:
		e.log.Warn("class B: beacons stop", "reason", why, "time", b.Time.Source.String(), "error", b.Time.Error)
	case active && precision != b.Precision:
		e.log.Info("class B: beacons are of another precision", "time", b.Time.Source.String(), "error", b.Time.Error, "precision", precision)
	case !active && why != b.Why:
		e.log.Info("class B: no beacons", "reason", why)
	}
	if b.Active, b.Why, b.Precision = active, why, precision; !active {
		b.next = 0
		return
	}
	if precision > 0 && e.cfg.BeaconFreq == 0 && !b.warned {
		b.warned = true // TS001-1.0.4 §13.2
		e.log.Warn("class B: beacons that are not precise to a microsecond should not be on the region's beacon channel: set network.beacon_freq", "precision", precision)
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

// sendBeacon gives the next beacon to the Air.
func (e *Edge) sendBeacon() {
	b := &e.beacons
	err := e.launchBeacon()
	if err == nil {
		return
	}
	b.Missed++
	e.log.Warn("class B: beacon not sent", "err", err)
}

func (e *Edge) launchBeacon() error {
	b := &e.beacons
	mod := e.cfg.Region.Beacon()
	phy, err := e.composeBeacon(mod.SF)
	if err != nil {
		return err
	}
	at, _ := e.cfg.Clock.InstantAt(b.next + classb.BeaconDelay)
	freq, dr := e.beaconChannel(classb.Count(b.next))
	eirp, _ := e.cfg.Region.EIRP(freq)
	s := slot{name: "beacon", at: at, start: b.start, freq: freq, dr: dr, mod: mod, power: eirp - radio.DBm(e.cfg.AntennaGain)}
	if b.spent, err = e.local.ledger.check(&s, mod.Airtime(len(phy)), e.cfg.IgnoreDutyCycle); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(e.running, scheduleWait)
	defer cancel()
	e.lastID++
	err = e.local.Air.Schedule(ctx, radio.Downlink{ID: e.lastID, Payload: phy, At: s.at, Freq: s.freq, Mod: s.mod, Power: s.power})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) { // then it may have been taken
		return err
	}
	b.id = e.lastID
	e.account(e.local, b.spent)
	return nil
}

// composeBeacon makes the bytes of the next beacon.
func (e *Edge) composeBeacon(sf uint8) ([]byte, error) {
	b := classb.Beacon{Time: e.beacons.next, Precision: e.beacons.Precision}
	eui := e.cfg.Gateway
	b.SetIdentity(e.cfg.NetID, uint32(eui[5])<<16|uint32(eui[6])<<8|uint32(eui[7]))
	if e.cfg.Position != nil {
		if p, ok := e.cfg.Position(); ok {
			b.SetPosition(p.Lat, p.Lng)
		}
	}
	return b.Encode(sf)
}

// beaconReport takes the fate of a beacon; it is false if r is of something else.
func (e *Edge) beaconReport(r *radio.Report) bool {
	b := &e.beacons
	if r.ID != b.id || b.id == 0 {
		return false
	}
	b.id = 0
	if r.Err != nil {
		b.Missed++
		e.local.ledger.cancel(b.spent)
		e.log.Warn("class B: beacon not sent", "err", r.Err)
		return true
	}
	b.Sent++
	b.Last = time.Now()
	e.log.Debug("beacon", "started", r.Started, "margin", r.Margin(), "precision", b.Precision)
	return true
}

// beaconTaken tells whether a frame would be on the air when a beacon has to
// be, or so near to it that the transmitter is busy; and until when.
func (e *Edge) beaconTaken(start time.Time, took time.Duration) (until time.Time, taken bool) {
	b := &e.beacons
	if !b.Active || b.next == 0 {
		return until, false
	}
	mod := e.cfg.Region.Beacon()
	size := classb.Size(mod.SF)
	gap := e.local.Air.Lead(radio.Downlink{Mod: mod, Payload: probe[:size]}) + e.cfg.Margin
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
