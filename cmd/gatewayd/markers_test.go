package main

import (
	"sync"
	"testing"
	"time"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// edge is a change of a line, in the medium's time.
type edge struct {
	pin  board.Pin
	high bool
	at   time.Duration
}

// scope is an oscilloscope on emulated GPIO lines.
type scope struct {
	medium *air.Medium

	mu    sync.Mutex
	edges []edge
}

func (s *scope) Out(p board.Pin, high bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edges = append(s.edges, edge{p, high, s.medium.Elapsed()})
	return nil
}

// of are the edges of a line since the last call.
func (s *scope) of(p board.Pin) (out []edge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.edges[:0]
	for _, e := range s.edges {
		if e.pin == p {
			out = append(out, e)
		} else {
			rest = append(rest, e)
		}
	}
	s.edges = rest
	return out
}

// near tells whether an edge is where it should be: the counter and the host's
// clock agree to what a look at the counter takes on the bus.
func (e edge) near(high bool, at time.Duration, late time.Duration) bool {
	const doubt = 50 * time.Microsecond
	return e.high == high && e.at >= at-doubt && e.at <= at+late+doubt
}

// Markers rise and fall with what is on the air.
func TestMarkersShowTransmissionsReceptionsAndWindows(t *testing.T) {
	const tx, rx, window = 5, 6, 13
	inBubble(t, setup{
		change: func(c *config.Config) {
			c.Lab = config.Lab{Enabled: true, MarkerTX: tx, MarkerRX: rx, MarkerWindow: window}
		},
		parts: func(p *parts) { p.markers = &scope{medium: p.hardware.Medium} },
	}, func(w *world) {
		s := w.parts.markers.(*scope)
		app := w.connect("", func(a *as, m asMessage) {
			if m.Type == "downlink_request" {
				a.answer(m, "hello device", nil)
			}
		})
		defer app.close()
		sent := make(chan air.Transmission, 10)
		defer w.watchGateway(func(t air.Transmission) { sent <- t })()
		dev := w.device(1, false, nil)
		defer dev.Close()
		w.must(dev.Join(w.ctx))
		time.Sleep(time.Second)
		for _, pin := range []board.Pin{tx, rx, window} {
			s.of(pin)
		}
		<-sent // the join-accept
		r, err := dev.Send(w.ctx, 3, []byte("hello network"), false)
		w.must(err)
		time.Sleep(3 * time.Second)
		if len(sent) != 1 || len(r.Uplinks) != 1 {
			t.Fatalf("%d downlinks, %d uplinks", len(sent), len(r.Uplinks))
		}
		since := func(i radio.Instant) time.Duration { return time.Duration(i) * time.Microsecond }
		down, up := <-sent, r.Uplinks[0]
		if e := s.of(tx); len(e) != 2 || !e[0].near(true, since(down.Start), 0) || !e[1].near(false, since(down.End), 0) {
			t.Errorf("a downlink from %v to %v has the edges %v", since(down.Start), since(down.End), e)
		}
		// A frame is found by the next look into the receive buffer.
		if e := s.of(rx); len(e) != 2 || !e[0].near(true, since(up.End), 15*time.Millisecond) || e[1].at != e[0].at+time.Millisecond {
			t.Errorf("an uplink that ended at %v has the edges %v", since(up.End), e)
		}
		begin := since(up.End) + time.Second
		if e := s.of(window); len(e) != 4 || !e[0].near(true, begin, 0) || e[1].high || !e[2].near(true, begin+time.Second, 0) || e[3].high {
			t.Errorf("windows at %v and a second later have the edges %v", begin, e)
		}
	})
}
