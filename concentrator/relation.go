package concentrator

import (
	"math"
	"time"
)

const (
	// slopeLimit is by how much the counter may run fast or slow against the
	// pulses: the crystals of gateways are better than 10 ppm.
	slopeLimit = 10e-6
	// slopePatience is how many aberrant pulses in a row are the truth.
	slopePatience = 3
	ticksPerSec   = 1_000_000 * ticksPerMicrosecond
)

// relation ties the counter to GPS time by one pulse, and knows how fast the
// counter runs. Its arithmetic is the reference's, in ticks of 31.25 ns where
// that has microseconds (tables/gps_sync, tables/gps_time); the zero value
// knows nothing.
type relation struct {
	at    ticks         // the pulse
	gps   time.Duration // since the GPS epoch, at the pulse
	slope float64       // seconds of the counter in a second, between the last two good pulses; 0 means 1
	bad   int           // aberrant pulses since the last good one

	confirmed bool          // the last pulse agreed with the one before it
	heard     time.Time     // when the pulse came, host clock
	accuracy  time.Duration // of the pulse as the receiver estimates it
	leap      int           // GPS time minus UTC
}

// sync takes the next pulse. It is false where the pulse is not believed: the
// counter ran fast or slow by more than 10 ppm since the last good one. The
// third such pulse in a row is taken as a new beginning.
func (r *relation) sync(at ticks, gps time.Duration) bool {
	seconds := float64(gps-r.gps) / float64(time.Second)
	slope := float64(at-r.at) / ticksPerSec / seconds
	good := seconds != 0 && slope <= 1+slopeLimit && slope >= 1-slopeLimit
	if good {
		r.bad, r.slope = 0, slope
	} else if r.bad++; r.bad < slopePatience {
		return false
	}
	r.at, r.gps, r.confirmed = at, gps, good
	return true
}

// rate is the slope.
func (r *relation) rate() float64 {
	if r.slope == 0 {
		return 1
	}
	return r.slope
}

// time is the GPS time at t, in whole nanoseconds toward the pulse.
func (r *relation) time(t ticks) time.Duration {
	whole, part := math.Modf(float64(t-r.at) / (ticksPerSec * r.rate()))
	return r.gps + time.Duration(whole)*time.Second + time.Duration(part*1e9)
}

// ticks is the inverse of time, in whole ticks toward the pulse.
func (r *relation) ticks(gps time.Duration) ticks {
	seconds := float64(gps/time.Second-r.gps/time.Second) + 1e-9*float64(gps%time.Second-r.gps%time.Second)
	return r.at + ticks(seconds*ticksPerSec*r.rate())
}
