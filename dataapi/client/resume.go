package client

import (
	"container/list"
	"time"
)

// What is asked for again after a break: events are not published in the exact
// order of their times.
const overlap = 5 * time.Second

// mostSeen bounds the ids that are remembered.
const mostSeen = 1 << 16

// progress knows from which time on the history has to be asked for, and
// which messages of that came already.
//
// Past messages come in order, but new ones go before them: as long as the
// past is not through, only past ones move the position.
type progress struct {
	position time.Time // everything up to here was handed over; zero: the past is unknown and not wanted
	newest   time.Time // of all that was handed over
	catching bool      // past messages are still to come
	seen     map[string]*list.Element
	order    *list.List // of ids, oldest first
}

func newProgress(since time.Time) *progress {
	return &progress{position: since, newest: since, seen: map[string]*list.Element{}, order: list.New()}
}

// from is the time to ask for when connecting, zero for none.
func (p *progress) from() time.Time {
	if p.position.IsZero() {
		return time.Time{}
	}
	return p.position.Add(-overlap)
}

// connected: the past is to come, be it an empty one.
func (p *progress) connected() { p.catching = true }

// caughtUp notes that the past is through, and from when on all was new.
func (p *progress) caughtUp(since time.Time) {
	p.catching = false
	p.advance(since)
	p.advance(p.newest)
}

func (p *progress) advance(to time.Time) {
	if to.After(p.position) {
		p.position = to
	}
}

// take tells whether a message is new to the application.
func (p *progress) take(m *Meta) bool {
	at := m.Time.Time()
	if at.After(p.newest) {
		p.newest = at
	}
	if !p.catching || m.History {
		p.advance(at)
	}
	if m.PacketID == "" {
		return true // of no history
	}
	if e, again := p.seen[m.PacketID]; again {
		p.order.MoveToBack(e)
		return false
	}
	p.seen[m.PacketID] = p.order.PushBack(m.PacketID)
	if p.order.Len() > mostSeen {
		oldest := p.order.Front()
		delete(p.seen, p.order.Remove(oldest).(string))
	}
	return true
}
