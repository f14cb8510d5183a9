package dataapi

import (
	"math"
	"time"

	"gatewayd/nsedge"
)

// replay is what a connection still has to hear of the past. It is pulled by
// the connection's writer whenever nothing new waits: the new never waits for
// the old, and costs no memory.
type replay struct {
	history *history
	cursor  cursor
	through uint64 // what came later, the connection hears anyway
	wanted  func(*past) bool
	mark    bool // tell the client when it is through
}

// window is a span of meta.time, both ends included; zero is open.
type window struct{ from, to int64 } // unix µs

func (w window) holds(t time.Time) bool {
	at := t.Round(time.Microsecond).UnixMicro()
	return (w.from == 0 || at >= w.from) && (w.to == 0 || at <= w.to)
}

// unixMicro turns seconds into the window's unit.
func unixMicro(seconds float64) int64 { return int64(math.Round(seconds * 1e6)) }

// replayOf returns what a request asks for of the events up to that number,
// nil if it asks for none.
func (h *history) replayOf(r *request, through uint64) *replay {
	if r.last == 0 && r.from == 0 {
		if r.mark {
			return &replay{history: h, mark: true}
		}
		return nil
	}
	span := window{from: unixMicro(r.from)}
	p := &replay{history: h, through: through, mark: r.mark, wanted: func(p *past) bool {
		return span.holds(p.event.About().Time) && r.filter.match(p.kind, p.event)
	}}
	if r.last > 0 {
		p.cursor = h.end(through)
		h.back(&p.cursor, r.last, p.wanted)
	}
	return p
}

// replayEnd tells a client that asked for it that the replay is through; its
// time is that of the connection's start: what comes later, it hears as new.
func replayEnd(opened time.Time) *nsedge.Notice {
	return &nsedge.Notice{Meta: nsedge.Meta{Time: opened}, Level: nsedge.Info, Code: codeHistoryEnd, Message: "the replay is complete"}
}

// next returns the next event of the past; ok is false at the end.
func (p *replay) next() (past, bool) { return p.history.next(&p.cursor, p.through, p.wanted) }
