package concentrator

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"gatewayd/concentrator/gnss"
	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

const (
	// pulseGap is how far a receiver's message must be from any pulse, so that
	// it is certain which one it speaks of.
	pulseGap = 5 * time.Millisecond
	// pulseLate is how old the last pulse may be when one comes each second.
	pulseLate = time.Second + 100*time.Microsecond
	// pulseError is what latching a pulse costs: a tick, and the receiver's
	// own granularity.
	pulseError = 100 * time.Nanosecond
	// wander is how much the rate of an oscillator with temperature
	// compensation changes while it is not watched, in parts per billion.
	wander = 500
	// holdover is the error at which time without pulses counts as lost: 200 s.
	holdover = 100 * time.Microsecond
)

// TimeQuality says where absolute time comes from; a larger one is better.
type TimeQuality uint8

// Qualities of time.
const (
	NoTime          TimeQuality = iota // the chip doesn't run
	HostClock                          // the host's clock, and nobody knows how right it is
	HostDisciplined                    // the host's clock as NTP keeps it
	GNSSPulse                          // pulses of a satellite receiver, or the counter's own rate for 200 s after them
)

// String is "none", "host", "host-disciplined" or "gnss".
func (q TimeQuality) String() string {
	switch q {
	case HostClock:
		return "host"
	case HostDisciplined:
		return "host-disciplined"
	case GNSSPulse:
		return "gnss"
	}
	return "none"
}

// TimeState is how well absolute time is known.
type TimeState struct {
	Quality TimeQuality
	Error   time.Duration // estimated bound; 0 with NoTime and HostClock, where nobody knows
	Leap    int           // GPS time minus UTC, seconds

	Drift    float64       // ppm that the counter runs fast, by the last two good pulses; 0 before
	PulseAge time.Duration // since the last good pulse; 0 if there never was one
}

// Trusted tells whether anything may be made of the time.
func (s TimeState) Trusted() bool { return s.Quality >= HostDisciplined }

// Time tells how well absolute time is known at present.
func (c *Concentrator) Time() TimeState {
	s := c.session()
	if s == nil || s.published.Load() == nil {
		return TimeState{Leap: c.leap(nil)}
	}
	return s.timeState(time.Now())
}

// GPSTime converts an Instant to the time since the GPS epoch; the state
// tells how well. It is 0 while time is not trusted.
func (c *Concentrator) GPSTime(i radio.Instant) (time.Duration, TimeState) {
	s := c.session()
	if s == nil || s.published.Load() == nil {
		return 0, TimeState{Leap: c.leap(nil)}
	}
	state := s.timeState(time.Now())
	return s.gpsTime(s.published.Load(), state, ticksOf(i)), state
}

// InstantAt is the inverse of GPSTime: the Instant at which a transmission
// that belongs to a GPS time has to start. It is 0 while time is not trusted.
func (c *Concentrator) InstantAt(gps time.Duration) (radio.Instant, TimeState) {
	s := c.session()
	if s == nil || s.published.Load() == nil {
		return 0, TimeState{Leap: c.leap(nil)}
	}
	state := s.timeState(time.Now())
	switch state.Quality {
	case GNSSPulse:
		// Half a microsecond more: the nearest Instant, not the one before it.
		return (s.related.Load().ticks(gps) + ticksPerMicrosecond/2).instant(), state
	case HostDisciplined:
		return s.published.Load().project(gnss.ToUTC(gps, state.Leap)).instant(), state
	}
	return 0, state
}

// leap is GPS time minus UTC: as configured, as the receiver says, or the
// constant.
func (c *Concentrator) leap(r *relation) int {
	heard := 0
	if r != nil {
		heard = r.leap
	}
	return cmp.Or(c.cfg.LeapSeconds, heard, gnss.LeapSeconds)
}

// timeState judges the sources of time at a host time. Any goroutine.
func (s *session) timeState(now time.Time) TimeState {
	r := s.related.Load()
	state := TimeState{Quality: HostClock, Leap: s.c.leap(r)}
	if r != nil {
		state.PulseAge = now.Sub(r.heard)
		if r.slope != 0 {
			state.Drift = (r.slope - 1) * 1e6
		}
		if e := r.accuracy + pulseError + state.PulseAge/1e6*wander/1e3; r.confirmed && e <= holdover {
			state.Quality, state.Error = GNSSPulse, e
			return state
		}
	}
	if s.c.cfg.HostClock == nil {
		return state
	}
	if ok, within := s.c.cfg.HostClock(); ok {
		state.Quality, state.Error = HostDisciplined, within
	}
	return state
}

// gpsTime is the time since the GPS epoch at t, 0 where it is not trusted.
func (s *session) gpsTime(k *clock, state TimeState, t ticks) time.Duration {
	switch state.Quality {
	case GNSSPulse:
		return s.related.Load().time(t)
	case HostDisciplined:
		return gnss.FromUTC(k.host(t), state.Leap)
	}
	return 0
}

// fix pairs the second that the receiver names with the counter at its pulse.
// It costs one frame, which is a look at the counter, too.
func (s *session) fix(f gnss.Fix) error {
	before := s.latched
	pulse, now, err := s.pulse()
	if err != nil {
		return err
	}
	n := &s.c.stats
	// One that stands still looks new once in a turn of the counter.
	if s.latched == before || (now-pulse).duration() > pulseLate {
		n.pulsesMissed.Add(1)
		return nil
	}
	// The message speaks of the last pulse before it. If the counter was read
	// when another one had come, its second is a later one.
	gps, said := f.GPS, s.clock.project(f.At)
	for pulse > said {
		gps, said = gps+time.Second, said+ticksPerSec
	}
	if gap := (said - pulse).duration(); gap < pulseGap || gap > time.Second-pulseGap {
		n.pulsesRefused.Add(1)
		return nil
	}
	if !s.relation.sync(pulse, gps) {
		n.pulsesRefused.Add(1)
		return nil
	}
	n.pulses.Add(1)
	s.relation.heard, s.relation.accuracy, s.relation.leap = s.clock.host(pulse), f.Accuracy, f.Leap
	r := s.relation
	s.related.Store(&r)
	return nil
}

// pulse reads the counter at the last pulse together with the counter. Both
// have 32 bits; one count of turns serves for both, because the pulse is the
// one of these values next below the counter. A read that tears is seen by
// the clock, or by the rate that comes of it.
func (s *session) pulse() (pulse, now ticks, err error) {
	begin := time.Now()
	var b [8]byte
	if err := s.drv.bus.read(reg.TimestampPPSMsb2.Addr(), b[:]); err != nil {
		return 0, 0, fmt.Errorf("read the counter at the last pulse: %w", err)
	}
	s.c.stats.counterReads.Add(1)
	low := binary.BigEndian.Uint32(b[4:])
	s.latched = binary.BigEndian.Uint32(b[:])
	half := time.Since(begin) / 2
	r := reading{low, begin.Add(half), half}
	expected := s.clock.project(r.at)
	now = s.clock.unroll(low, expected)
	if (now - expected).duration().Abs() > s.clock.tolerance(r.at)/2+r.doubt {
		if err := s.lookAtCounter(); err != nil {
			return 0, 0, err
		}
		now, low = s.clock.ticks, s.clock.trigger(s.clock.ticks) // a little later
	} else {
		if err := s.clock.sample(low, r.at); err != nil {
			return 0, 0, err
		}
		s.publish()
	}
	return now - ticks(low-s.latched), now, nil
}
