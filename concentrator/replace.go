package concentrator

import (
	"fmt"
	"slices"
	"time"

	"gatewayd/radio"
)

// A Downlink may take the place of one that waits ([radio.Downlink.Replaces]):
// an acknowledgement is scheduled early, and gives way when an application
// answers. One request does both, so that exactly one of the two goes out.

// replaceFrames and replaceBytes are what taking back an armed trigger costs:
// the trigger, and looks at the transmitter and at the counter.
const replaceFrames, replaceBytes = 5, 40

// replaceCost is what d costs beyond a Downlink that replaces nothing.
func (c *Config) replaceCost(b *bus, d radio.Downlink) time.Duration {
	if d.Replaces == 0 {
		return 0
	}
	return b.cost(replaceFrames, replaceBytes)
}

// replaced finds the transmission that t takes the place of; nil if t wants
// nobody's. One that is on the air, or about to be, stays.
func (s *session) replaced(t *transmission, now ticks) (*transmission, error) {
	id := t.d.Replaces
	if id == 0 {
		return nil, nil
	}
	x := &s.tx
	if i := slices.IndexFunc(x.queue, func(o *transmission) bool { return o.d.ID == id }); i >= 0 {
		return x.queue[i], nil
	}
	o := x.active
	switch {
	case o == nil || o.d.ID != id:
		return nil, fmt.Errorf("%w: downlink %d, in whose place it was to go, does not wait any more", radio.ErrTooLate, id)
	case x.phase != armed || o.listen != nil:
		return nil, fmt.Errorf("%w: downlink %d, in whose place it was to go, has begun", radio.ErrTooLate, id)
	}
	left, need := (o.trigger - now).duration(), s.drv.bus.cost(replaceFrames, replaceBytes)+armMargin
	if left < need {
		return nil, fmt.Errorf("%w: downlink %d, in whose place it was to go, is triggered in %v, %v are needed to take it back", radio.ErrTooLate, id, left, need)
	}
	return o, nil
}

// withdraw takes o back before its trigger. If the host stopped in between,
// so that a part of o may have been on the air, the error says that it is too
// late for another frame.
func (s *session) withdraw(o *transmission) error {
	x := &s.tx
	if o != x.active {
		return s.cancel(o.d.ID)
	}
	if err := s.clearTrigger(o.chain); err != nil {
		s.broken = true
		return err
	}
	if err := s.lookAtCounter(); err != nil { // by now the trigger is gone
		s.broken = true
		return err
	}
	begun := s.clock.ticks >= o.trigger
	if begun {
		o.report.Started = o.d.At
	}
	if err := s.abort(o); err != nil {
		s.broken = true
		return err
	}
	if begun {
		return fmt.Errorf("%w: downlink %d, in whose place it was to go, may have begun", radio.ErrTooLate, o.d.ID)
	}
	return nil
}
