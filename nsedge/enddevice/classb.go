package enddevice

import (
	"context"
	"math"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/classb"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// A class B device finds GPS time by DeviceTimeReq, then looks for a beacon
// with a receiver that it opens for as long as it may be wrong. Two beacons
// tell it how far off its crystal is. Without beacons it goes on for two hours
// with windows that widen, then it is back in class A.

const (
	// timeGrain is what DeviceTimeAns cuts off: 1/256 s.
	timeGrain = 4 * time.Millisecond
	// beaconGrain is how exactly the device knows when a beacon began.
	beaconGrain = time.Millisecond
	// crystal is how far off a crystal may be, in ppm, steadied how much of
	// that is left when two beacons have shown it.
	crystal  = 20
	steadied = 1
	// searches is how many beacons are looked for before asking for the time
	// again.
	searches = 3
	// beaconEnd is when the beacon is over and uplinks may begin, after its
	// begin: the longest lasts 0.31 s.
	beaconEnd = 400 * time.Millisecond
)

// tracker is what the device knows of GPS time. Instants are what the world
// sees; the device itself only counts with its crystal.
type tracker struct {
	timed  bool          // at and gps belong together
	at     radio.Instant // of the last beacon, or of the uplink with DeviceTimeReq
	gps    time.Duration
	grain  time.Duration // by how much that may be wrong
	locked bool          // by a beacon, less than two hours ago
	told   bool          // the network knows the periodicity
	rate   float64       // ppm that the crystal is fast, as beacons showed
	steady bool          // rate is known
	missed int           // beacons in a row
	next   time.Duration // of the next beacon that was not looked for
	busy   radio.Instant // when the receiver was last in use
}

// classB tells whether the device listens in ping slots.
func (d *Device) classB() bool { return d.b.locked && d.b.told }

// instant is when the device believes a GPS time to be: its crystal is off,
// and it corrects what it knows of that.
func (d *Device) instant(gps time.Duration) radio.Instant {
	b := &d.b
	return b.at.Add(time.Duration(float64(gps-b.gps) * (1 + b.rate*1e-6) / (1 + d.cfg.CrystalPPM*1e-6)))
}

// gpsAt is the inverse of instant.
func (d *Device) gpsAt(at radio.Instant) time.Duration {
	b := &d.b
	return b.gps + time.Duration(float64(at.Sub(b.at))*(1+d.cfg.CrystalPPM*1e-6)/(1+b.rate*1e-6))
}

// doubt is how far off instant may be.
func (d *Device) doubt(gps time.Duration) time.Duration {
	ppm := float64(crystal)
	if d.b.steady {
		ppm = steadied
	}
	return d.b.grain + time.Duration(math.Abs(float64(gps-d.b.gps))*ppm*1e-6)
}

// askB adds the requests by which a device gets to class B.
func (d *Device) askB() {
	if d.cfg.Class != "B" {
		return
	}
	if !d.b.timed {
		d.ask(lorawan.DeviceTimeReq, nil)
	}
	if !d.b.told {
		d.ask(lorawan.PingSlotInfoReq, &lorawan.PingSlotInfoReqPayload{Periodicity: uint8(d.cfg.Periodicity)})
	}
}

// obeyB carries out the MAC commands of class B.
func (d *Device) obeyB(down *Downlink) {
	if d.cfg.Class != "B" {
		return
	}
	for _, c := range d.heeded(down.Commands) {
		switch p := c.Payload.(type) {
		case *lorawan.DeviceTimeAnsPayload:
			if !d.b.locked && down.Uplink.ID != 0 {
				d.setTime(down.Uplink.End, p.TimeSinceGPSEpoch, timeGrain)
			}
		case *lorawan.PingSlotChannelReqPayload:
			if down.Window != "ping" { // LoRaWAN 1.1 §14.3
				before := d.st.clone()
				d.say(lorawan.PingSlotChannelAns, d.pingChannel(p), true)
				d.feigned(c.CID, before)
			}
		case *lorawan.BeaconFreqReqPayload:
			ok := p.Frequency == 0 || d.region.Contains(radio.Hertz(p.Frequency))
			if ok {
				d.st.BeaconFreq = radio.Hertz(p.Frequency)
			}
			d.say(lorawan.BeaconFreqAns, &lorawan.BeaconFreqAnsPayload{BeaconFrequencyOK: ok}, false)
		case nil:
			if c.CID == lorawan.PingSlotInfoAns {
				was := d.classB()
				d.b.told = true
				d.classChanged(was)
			}
		}
	}
}

// pingChannel carries out PingSlotChannelReq (§14.2).
func (d *Device) pingChannel(p *lorawan.PingSlotChannelReqPayload) *lorawan.PingSlotChannelAnsPayload {
	_, err := d.region.Downlink(int(p.DR))
	ans := &lorawan.PingSlotChannelAnsPayload{
		ChannelFrequencyOK: p.Frequency == 0 || d.region.Contains(radio.Hertz(p.Frequency)),
		DataRateOK:         err == nil,
	}
	if ans.ChannelFrequencyOK && ans.DataRateOK {
		dr := int(p.DR)
		d.st.PingFreq, d.st.PingDR = radio.Hertz(p.Frequency), &dr
	}
	return ans
}

// setTime makes a moment the one that others are reckoned from.
func (d *Device) setTime(at radio.Instant, gps, grain time.Duration) {
	b := &d.b
	b.timed, b.at, b.gps, b.grain, b.missed = true, at, gps, grain, 0
	b.next = classb.Start(gps) + classb.Period
}

// beaconSlot is the window of the next beacon.
func (d *Device) beaconSlot() slot {
	begin := d.b.next + classb.BeaconDelay
	freq, _ := d.region.BeaconChannel(classb.Count(d.b.next))
	if d.st.BeaconFreq != 0 {
		freq = d.st.BeaconFreq
	}
	return d.slotAt("beacon", begin, freq, d.region.Beacon())
}

// slotAt is a window around a GPS time.
func (d *Device) slotAt(name string, begin time.Duration, freq radio.Hertz, mod radio.Modulation) slot {
	at, doubt := d.instant(begin), d.doubt(begin)
	return slot{Window: air.Window{Freq: freq, Mod: mod, From: at.Add(-doubt), Until: at.Add(doubt)}, name: name, at: at}
}

// pingSlot is the next ping slot from a moment on: the device's own, or one of
// its groups. ok is false where there is none.
func (d *Device) pingSlot(from radio.Instant) (best slot, ok bool) {
	gps := d.gpsAt(from)
	try := func(addr [4]byte, periodicity int, freq radio.Hertz, dr *int) {
		begin := classb.NextPing(gps+d.doubt(gps), addr, periodicity)
		channel, rate := d.region.PingChannel(addr, classb.Count(begin))
		if freq != 0 {
			channel = freq
		}
		if dr != nil {
			rate = *dr
		}
		mod, err := d.region.Downlink(rate)
		if err != nil {
			return
		}
		if s := d.slotAt("ping", begin, channel, mod); !ok || s.From < best.From {
			best, ok = s, true
		}
	}
	if !d.b.locked {
		return best, false
	}
	if d.b.told && !d.has(DeafPings) {
		try(d.pingAddr(), d.cfg.Periodicity, d.st.PingFreq, d.st.PingDR)
	}
	for _, g := range d.cfg.Groups {
		if g.Class == "B" {
			try(g.DevAddr, g.Periodicity, g.Freq, g.DataRate)
		}
	}
	return best, ok
}

// pingSlots are those that begin within a time.
func (d *Device) pingSlots(from, until radio.Instant) (out []slot) {
	for {
		s, ok := d.pingSlot(from)
		if !ok || s.Until >= until {
			return out
		}
		out = append(out, s)
		from = s.Until + 1
	}
}

// idleB listens to beacons and in ping slots until the given air time; urgent
// is as with idle.
func (d *Device) idleB(ctx context.Context, until radio.Instant) (urgent bool, err error) {
	for !urgent {
		s, ok, err := d.nextB(ctx, until)
		if err != nil {
			return false, err
		}
		if !ok {
			return false, d.m.Wait(ctx, until)
		}
		was := false
		heard, err := d.listen(ctx, air.Transmission{}, []slot{s}, func(a Arrival) bool {
			if d.take(ctx) != nil {
				return false
			}
			defer d.release()
			d.b.busy = max(d.b.busy, a.End)
			if s.name == "beacon" {
				was = d.classB()
				return d.beacon(a)
			}
			down := d.receive(a)
			urgent = down != nil && (down.Confirmed || down.Pending)
			return true
		})
		switch {
		case err != nil:
			return false, err
		case s.name == "beacon" && heard:
			urgent = !was && d.State().Joined && d.inB(ctx) // the network should know
		case s.name == "beacon":
			if urgent, err = d.beaconMissed(ctx); err != nil {
				return false, err
			}
		}
	}
	return true, ctx.Err()
}

// lateWake is how long ago a window may have begun: the medium tells with a
// delay that one is over.
const lateWake = time.Second

// nextB is the next window that begins before until.
func (d *Device) nextB(ctx context.Context, until radio.Instant) (s slot, ok bool, err error) {
	if err := d.take(ctx); err != nil {
		return s, false, err
	}
	defer d.release()
	if !d.b.timed {
		return s, false, nil
	}
	from := max(d.b.busy, d.m.Now().Add(-lateWake))
	for s = d.beaconSlot(); s.Until < from; s = d.beaconSlot() { // over while the device sent
		d.b.next += classb.Period
	}
	if p, found := d.pingSlot(from); found && p.From < s.From {
		s = p
	}
	if ok = s.From < until; ok {
		d.b.busy = s.Until + 1
	}
	return s, ok, nil
}

// inB is classB for those who don't hold the turn.
func (d *Device) inB(ctx context.Context) bool {
	if d.take(ctx) != nil {
		return false
	}
	defer d.release()
	return d.classB()
}

// beacon takes a beacon; false if it was something else.
func (d *Device) beacon(a Arrival) bool {
	b := &d.b
	got, err := classb.Decode(d.region.Beacon().SF, a.Payload, d.gpsAt(a.Start))
	if err != nil || got.Time != b.next {
		return false
	}
	begin := got.Time + classb.BeaconDelay
	if b.locked { // the crystal against two beacons
		b.rate = (float64(a.Start.Sub(b.at))*(1+d.cfg.CrystalPPM*1e-6)/float64(begin-b.gps) - 1) * 1e6
		b.steady = true
	}
	was := d.classB()
	d.setTime(a.Start, begin, beaconGrain)
	b.next = got.Time + classb.Period
	b.locked = true
	d.emit(Beacon{Arrival: a, Beacon: got})
	d.classChanged(was)
	return true
}

// beaconMissed notes that no beacon came; true if the device is in class A
// now, which the network should know.
func (d *Device) beaconMissed(ctx context.Context) (left bool, err error) {
	if err := d.take(ctx); err != nil {
		return false, err
	}
	defer d.release()
	b := &d.b
	b.missed++
	b.next += classb.Period
	d.emit(BeaconMissed{InARow: b.missed})
	was := d.classB()
	if b.locked && b.next-b.gps > d.beaconless() || !b.locked && b.missed >= searches {
		told := b.told
		*b = tracker{told: told, busy: b.busy}
	}
	d.classChanged(was)
	return was && !d.classB(), nil
}

func (d *Device) classChanged(was bool) {
	switch is := d.classB(); {
	case is && !was:
		d.emit(ClassChanged{"B"})
	case was && !is:
		d.emit(ClassChanged{"A"})
	}
}

// avoidBeacon waits while an uplink and its windows would keep the device
// from hearing the next beacon.
func (d *Device) avoidBeacon(ctx context.Context) error {
	if d.cfg.Class != "B" {
		return nil
	}
	if err := d.take(ctx); err != nil {
		return err
	}
	var end radio.Instant
	if d.b.timed && d.st.Joined {
		for d.beaconSlot().Until < d.m.Now() {
			d.b.next += classb.Period
		}
		s := d.beaconSlot()
		// The longest uplink, RX1, RX2 and the begin of a frame there.
		busy := 3*time.Second + time.Duration(d.st.RX1Delay+1)*time.Second
		if d.m.Now().Add(busy) > s.From {
			end = s.Until.Add(beaconEnd)
		}
	}
	d.release()
	if end == 0 {
		return nil
	}
	return d.Listen(ctx, end)
}
