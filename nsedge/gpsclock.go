package nsedge

import (
	"fmt"
	"time"

	"gatewayd/radio"
)

// GPSClock relates the counter of the Air to GPS time. Both functions also
// tell what that time is worth at present. They are called by Run and must
// not block.
type GPSClock interface {
	// GPSTime is the time since the GPS epoch of a moment on the counter.
	GPSTime(radio.Instant) (time.Duration, TimeQuality)
	// InstantAt is the moment on the counter of a time since the GPS epoch, to
	// the nearest microsecond.
	InstantAt(time.Duration) (radio.Instant, TimeQuality)
}

// TimeQuality is what a gateway's GPS time is worth.
type TimeQuality struct {
	Source TimeSource
	Error  time.Duration // its bound, as far as that is known
}

// TimeSource says where GPS time comes from; a greater one is better.
type TimeSource uint8

// Sources of GPS time.
const (
	NoTime        TimeSource = iota // nobody vouches for any
	HostTime                        // the host's clock, steered by NTP
	SatelliteTime                   // a satellite receiver's pulses, or what they were a moment ago
)

// String is "none", "host" or "satellites".
func (s TimeSource) String() string {
	if s > SatelliteTime {
		return "unknown"
	}
	return [...]string{"none", "host", "satellites"}[s]
}

// Bounds of the time's error, and what the counter's whole microseconds add
// to it.
const (
	worstSatellite = time.Millisecond       // as coarse as a beacon can say
	worstHost      = 100 * time.Millisecond // NTP's own bound is far from what it achieves
	counterGrain   = 500 * time.Nanosecond
)

// precision is what a beacon says of its exactness: 10^(p-6) s (TS001-1.0.4
// §13.2). why is not empty where no beacons should be sent. By itself, that
// is without the mode "on", only time by satellite is good enough: devices of
// other networks listen on the same channel.
func (q TimeQuality) precision(m ClassBMode) (p int, why string) {
	switch {
	case q.Source == NoTime:
		return 0, "nobody vouches for the time: connect a satellite receiver, or let NTP steer the host's clock and set network.class_b to on"
	case q.Source == HostTime && m != ClassBOn:
		return 0, "time comes from the host's clock only: connect a satellite receiver, or set network.class_b to on"
	case q.Source == HostTime && q.Error > worstHost, q.Source == SatelliteTime && q.Error > worstSatellite:
		return 0, fmt.Sprintf("the time may be off by %v", q.Error)
	}
	limit := time.Microsecond
	for p = 0; p < 3 && q.Error+counterGrain > limit; p++ {
		limit *= 10
	}
	return p, ""
}

// ClassBMode says when beacons are sent.
type ClassBMode string

// Modes of class B.
const (
	ClassBAuto ClassBMode = "auto" // while the time comes from satellites
	ClassBOn   ClassBMode = "on"   // also by a host clock that is steered
	ClassBOff  ClassBMode = "off"
)
