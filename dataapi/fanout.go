package dataapi

import (
	"context"
	"errors"
	"math/bits"
	"sync"

	"github.com/gorilla/websocket"

	"gatewayd/nsedge"
)

// Publish hands an event to all connections that want it. It never blocks and
// may be called from any goroutine. Events that come while 4096 others wait
// for Run are dropped and counted.
func (s *Server) Publish(ev nsedge.Event) {
	k := kindOf(ev)
	if k == 0 {
		return // the set of events is closed
	}
	select {
	case s.events <- ev:
		s.metrics.published[bits.TrailingZeros16(uint16(k))].Inc()
	default:
		s.metrics.dropped.Inc()
	}
}

// Run hands events to connections until the context ends; then it closes the
// connections: 1001, or 1012 if the cause is [ErrRestart]. It may run once.
func (s *Server) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("run the data api: it ran already")
	}
	defer s.running.Store(false)
	if file := s.history.file; file != nil {
		writing, stop := context.WithCancel(context.WithoutCancel(ctx))
		var done sync.WaitGroup
		done.Go(func() { file.run(writing, s.log) })
		defer done.Wait()
		defer stop() // after the last event
	}
	s.links.open(ctx)
	s.startLinks()
	for {
		select {
		case <-ctx.Done():
			close(s.ending)
			s.deliverRest()
			s.links.stopAll()
			s.shutdown(ctx)
			return nil
		case ev := <-s.events:
			s.tell(ev)
		}
	}
}

// deliverRest hands on what was published before the end.
func (s *Server) deliverRest() {
	for {
		select {
		case ev := <-s.events:
			s.tell(ev)
		default:
			return
		}
	}
}

// tell delivers an event, and where the device is if that can be told.
func (s *Server) tell(ev nsedge.Event) {
	s.deliver(ev)
	if up, ok := ev.(*nsedge.UplinkEvent); ok {
		if where := s.locator.locate(up); where != nil {
			s.metrics.published[bits.TrailingZeros16(uint16(location))].Inc()
			s.deliver(where)
		}
	}
}

// deliver encodes the event once for each shape that somebody wants.
func (s *Server) deliver(ev nsedge.Event) {
	k := kindOf(ev)
	id := newPacketID()
	s.requests.note(ev)
	var texts [shapes][]byte
	text := func(shape shape) []byte {
		if texts[shape] == nil {
			texts[shape] = s.encode(ev, id, shape)
		}
		return texts[shape]
	}
	var frames [shapes]*frame
	s.mu.RLock()
	defer s.mu.RUnlock()
	number := s.history.record(k, ev, id) // under the lock: who registers hears it either as past or as new
	for c := range s.subscribers {
		if !c.filter.match(k, ev) {
			continue
		}
		shape := c.shape.of(k)
		if frames[shape] == nil {
			frames[shape] = textFrame(text(shape))
		}
		c.offer(frames[shape])
	}
	s.links.mu.RLock()
	defer s.links.mu.RUnlock()
	for _, l := range s.links.byID {
		l.offer(k, ev, id, number, text)
	}
}

// encode makes a message, and counts it.
func (s *Server) encode(ev nsedge.Event, id packetID, shape shape) []byte {
	s.metrics.encoded.Inc()
	text := s.encoder.event(ev, id, shape)
	if o := s.cfg.Observer; o != nil {
		o.Message("out", "", text)
	}
	return text
}

// shutdown ends all connections, politely within the time for that.
func (s *Server) shutdown(ctx context.Context) {
	code, reason := websocket.CloseGoingAway, "gatewayd stops"
	if errors.Is(context.Cause(ctx), ErrRestart) {
		code, reason = websocket.CloseServiceRestart, "gatewayd restarts"
	}
	s.mu.Lock()
	s.stopped = true
	for c := range s.subscribers {
		c.end(code, reason)
	}
	s.mu.Unlock()
	polite, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.CloseTimeout)
	defer cancel()
	go func() {
		s.open.Wait()
		cancel()
	}()
	<-polite.Done()
	s.kill()
	s.jobs.running.Wait()
	s.mu.RLock()
	for c := range s.subscribers {
		if c.conn != nil {
			_ = c.conn.Close() // it had its time
		}
	}
	s.mu.RUnlock()
	s.open.Wait()
}
