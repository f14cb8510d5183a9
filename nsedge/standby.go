package nsedge

import (
	"context"
	"errors"
	"time"

	"gatewayd/radio"
)

// What has to go out even if no application answers, an acknowledgement or MAC
// commands or a kept answer, is given to the Air a little before the cut-off.
// There it stands by: a host that stops for a moment at the cut-off delays
// nothing, and an answer that comes until then takes its place. The Air does
// both in one step ([radio.Downlink.Replaces]), so one of the two goes out, and
// the answer may carry the counter of the frame that never was on the air.

// standbyAhead is how long before its cut-off a frame begins to stand by.
const standbyAhead = 250 * time.Millisecond

// firstTick is when an open window acts for the first time.
func (w *window) firstTick() time.Time {
	if w.kind == dataWindow {
		return w.slots[0].cutoff.Add(-standbyAhead)
	}
	return w.slots[0].cutoff
}

// standBy schedules the frame that goes out if no answer comes.
func (e *Edge) standBy(w *window) {
	if w.kind != dataWindow || w.waiting != nil {
		return
	}
	c := &content{}
	switch {
	case w.dev.queued != nil:
		c, w.dev.queued = w.dev.queued, nil
	case !e.frameDue(w):
		return
	}
	c.standby = true
	if err := e.send(w, c); err != nil {
		e.log.Debug("nothing stands by", "device", w.dev.spec.DevEUI, "err", err)
		if c.app {
			w.dev.queued = c // the cut-off tries again, and tells
		}
	}
}

// standby is the frame of w that an answer may still replace; nil if there is
// none.
func (e *Edge) standby(w *window) *flight {
	if fl := e.flights[w.flight]; w.state == sent && fl != nil && fl.c.standby {
		return fl
	}
	return nil
}

// answerable tells whether an answer may still go out in w.
func (e *Edge) answerable(w *window) bool { return w.state < sent || e.standby(w) != nil }

// nextDown is the counter of the next frame in w, from an application or not.
// That of a frame which stands by is free again if it is replaced.
func (e *Edge) nextDown(w *window, app bool) uint32 {
	next := w.s.downCounter(app).next
	if old := e.standby(w); old != nil && w.s.downCounter(old.c.app).next == next && old.counter+1 == *next {
		return old.counter
	}
	return *next
}

// counterOf is the counter that c will carry.
func (e *Edge) counterOf(w *window, c *content) uint32 {
	if c.counter != nil {
		return *c.counter
	}
	return e.nextDown(w, c.app)
}

// handOver gives a frame to an Air, in the place of old if that is not nil.
func (e *Edge) handOver(air Air, d radio.Downlink, old *flight) error {
	if old != nil {
		d.Replaces = old.w.flight
	}
	ctx, cancel := context.WithTimeout(e.running, scheduleWait)
	defer cancel()
	err := air.Schedule(ctx, d)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		// It may have been taken: the frame counts as sent, a report may tell.
		e.log.Warn("the air did not answer in time", "downlink", d.ID)
		if old != nil {
			old.replaced = true
		}
		return nil
	case err == nil && old != nil:
		delete(e.flights, d.Replaces)
	}
	return err
}

// stoodBy deals with the fate of a frame that stood by, where the Air did not
// say in time whether another took its place: it did not if this one was sent.
func (e *Edge) stoodBy(fl *flight, failed bool) {
	w := fl.w
	next := e.flights[w.flight]
	switch {
	case fl.replaced && !failed && next != nil:
		delete(e.flights, w.flight)
		next.slot.gw.ledger.cancel(next.airtime)
		e.tooLate(w, next.c)
	case w.waiting != nil && e.standby(w) == nil: // an answer, for its counter
		c := w.waiting
		w.waiting = nil
		e.tooLate(w, c)
	}
}
