package nsedge

import (
	"fmt"
	"time"

	"gatewayd/radio"
)

// rank orders what may meet at the transmitter: a join-accept goes before an
// acknowledgement or MAC commands, these go before data.
type rank uint8

const (
	rankData rank = iota
	rankMust
	rankJoin
)

func (w *window) rank() rank {
	switch {
	case w.kind == joinWindow:
		return rankJoin
	case w.must || w.kind == dataWindow && w.s.urgentDue():
		return rankMust
	}
	return rankData
}

// Sizes of the frames that time is kept for: a join-accept with a CFList, and
// a bare data frame with full FOpts.
const (
	joinAcceptSize = 1 + 12 + 16 + micSize
	bareFrameSize  = frameOverhead - 1 + maxFOpts
)

// reserve keeps the transmitter free for a frame that has to go out.
func (e *Edge) reserve(w *window) {
	if w.rank() > rankData {
		e.reserved[w] = struct{}{}
	}
}

// kept is when a window's frame has to go out, as it looks now.
func (w *window) kept() (s *slot, took time.Duration) {
	s = &w.slots[0]
	if w.state > beforeRX1 || s.err != nil {
		s = &w.slots[1]
	}
	if s.err != nil {
		return nil, 0
	}
	size := bareFrameSize
	if w.kind == joinWindow {
		size = joinAcceptSize
	}
	return s, s.mod.Airtime(size)
}

// yield tells whether a frame has to make room for a beacon, or for one that is
// more important and not sent yet. Nothing that the Air has taken is ever taken back.
// The error wraps radio.ErrCollision.
func (e *Edge) yield(w *window, s *slot, took time.Duration) error {
	if until, taken := e.beaconTaken(s.gw, s.start, took); taken {
		return fmt.Errorf("%w: the transmitter is kept for a beacon; it is free at %s", radio.ErrCollision, clockTime(until))
	}
	for other := range e.reserved {
		if other.state >= sent {
			delete(e.reserved, other)
			continue
		}
		o, needs := other.kept()
		if other == w || o == nil || o.gw != s.gw || other.rank() <= w.rank() {
			continue
		}
		gap := o.start.Sub(o.cutoff)
		if s.start.Before(o.start.Add(needs+gap)) && o.start.Before(s.start.Add(took+gap)) {
			what := "an acknowledgement or MAC commands"
			if other.kind == joinWindow {
				what = "a join-accept"
			}
			return fmt.Errorf("%w: the transmitter is kept for %s to device %v from %s on; it is free at %s", radio.ErrCollision, what,
				other.dev.spec.DevEUI, clockTime(o.start), clockTime(o.start.Add(needs+gap)))
		}
	}
	return nil
}

// clockTime shows a moment to the millisecond.
func clockTime(t time.Time) string { return t.UTC().Format("15:04:05.000") }
