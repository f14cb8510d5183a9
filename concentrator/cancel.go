package concentrator

import (
	"context"
	"fmt"

	"gatewayd/radio"
)

// abortLooks is how many looks at its state a transmitter gets to come free
// after its trigger was taken back; the vendor's library grants it 1 s.
const abortLooks = 200

// Cancel withdraws the downlink with an ID: it is not sent, or its emission
// ends at once. Its Report then says [radio.ErrCancelled]. An ID that is not
// on its way gives [ErrUnknownDownlink]; so does one that has been sent.
func (c *Concentrator) Cancel(ctx context.Context, id uint64) error {
	if err := c.ask(ctx, request{cancel: id, answer: make(chan error, 1)}); err != nil {
		return fmt.Errorf("cancel downlink %d: %w", id, err)
	}
	return nil
}

// ask puts a request to the loop and waits for its answer.
func (c *Concentrator) ask(ctx context.Context, r request) error {
	s := c.session()
	if s == nil {
		return radio.ErrStopped
	}
	select {
	case s.requests <- r:
	case <-s.done:
		return radio.ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-r.answer:
		return err
	case <-s.done:
		select { // it may have answered just before
		case err := <-r.answer:
			return err
		default:
			return radio.ErrStopped
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// serve answers a request.
func (s *session) serve(r request) {
	if r.t != nil {
		r.answer <- s.admit(r.t)
		return
	}
	r.answer <- s.cancel(r.cancel)
}

// cancel withdraws a transmission. An error of the bus ends the run later, at
// the next look at the transmitter.
func (s *session) cancel(id uint64) error {
	x := &s.tx
	for i, t := range x.queue {
		if t.d.ID != id {
			continue
		}
		x.queue = append(x.queue[:i:i], x.queue[i+1:]...)
		if x.prepared == t {
			x.prepared = nil
		}
		s.fail(t, radio.ErrCancelled)
		return s.abandon(t)
	}
	t := x.active
	if t == nil || t.d.ID != id {
		return ErrUnknownDownlink
	}
	if err := s.abort(t); err != nil {
		s.broken = true
		return err
	}
	return nil
}

// abort ends the active transmission.
func (s *session) abort(t *transmission) error {
	if err := s.finish(radio.ErrCancelled); err != nil {
		return err
	}
	if t.listen != nil && t.listen.verdict != settled {
		if err := s.abandon(t); err != nil {
			return err
		}
	}
	for range abortLooks {
		if status, err := s.status(t.chain); err != nil || status.free() {
			return err
		}
	}
	return fmt.Errorf("%w: it doesn't come free after its trigger was taken back", ErrTransmitter)
}
