package concentrator

import "time"

// An immediate transmission starts as soon as the transmitter can have it. It
// is given the first instant that its lead and what is queued leave, and then
// sent like any other: so its Report has the same proof of its time, which
// the chip's own immediate trigger doesn't give.

// soonMargin is added to the lead, so that the moment is not missed at once.
const soonMargin = time.Millisecond

// move gives a transmission another start.
func (t *transmission) move(at ticks, kind RadioType) {
	length := t.end - t.at
	t.d.At = (at + ticksPerMicrosecond - 1).instant()
	t.at = ticksOf(t.d.At)
	t.trigger = t.at - ticks(t.startDelay(kind))
	t.end = t.at + length
	t.report.Planned = t.d.At
}

// soonest moves an immediate transmission to the first place that is free.
func (s *session) soonest(t *transmission, now ticks, lead time.Duration) {
	kind := s.drv.cfg.Radios[t.chain].Type
	t.move(now+ticksIn(lead+soonMargin), kind)
	for _, o := range s.tx.all() { // by time
		if t.conflict(o, lead, s.c.Lead(o.d)) || o == s.tx.active && t.at < o.at {
			t.move(o.end+ticksIn(lead+soonMargin), kind)
		}
	}
}
