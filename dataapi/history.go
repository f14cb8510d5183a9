package dataapi

import (
	"reflect"
	"sync"
	"time"

	"gatewayd/nsedge"
)

// How long messages can be replayed.
const (
	longMemory  = 48 * time.Hour // uplinks and downlinks
	shortMemory = time.Hour      // all other types
)

// history remembers the last events, in memory, and in a file if there is one.
// It is bounded by age and by bytes: what doesn't fit makes the oldest go.
// Events are kept, not messages: those are made for whoever asks, in the shape
// that they ask for.
type history struct {
	file   *historyFile // nil: it ends with the process
	mu     sync.Mutex
	shelf  [2]shelf // long, short
	last   uint64   // number of the newest event; the first is 1
	locked int      // most events looked at while the lock is held
}

// shelf holds events of one lifetime, oldest first.
type shelf struct {
	events []past
	first  int // position of events[0], counted from the beginning of time
	bytes  int
	most   int // bytes
	age    time.Duration
}

// past is an event that was delivered.
type past struct {
	number uint64 // in order of delivery
	kind   kind
	bytes  int32
	id     packetID
	at     time.Time // when it was recorded; its monotonic part decides its age
	event  nsedge.Event
}

// newHistory takes at most that many bytes, three quarters of them for
// uplinks and downlinks.
func newHistory(bytes int) *history {
	return &history{
		shelf:  [2]shelf{{most: bytes / 4 * 3, age: longMemory}, {most: bytes / 4, age: shortMemory}},
		locked: 256,
	}
}

// record remembers an event and returns its number.
func (h *history) record(k kind, ev nsedge.Event, id packetID) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := past{kind: k, id: id, at: time.Now(), event: ev}
	if h.file != nil {
		h.file.keep(p)
	}
	return h.add(p, p.at)
}

// restore remembers an event of an earlier process.
func (h *history) restore(p past) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.add(p, time.Now())
}

// add numbers an event and puts it on its shelf.
func (h *history) add(p past, now time.Time) uint64 {
	h.last++
	p.number, p.bytes = h.last, int32(sizeOf(p.event))
	s := &h.shelf[1]
	if p.kind&(uplink|downlink) != 0 {
		s = &h.shelf[0]
	}
	s.events = append(s.events, p)
	s.bytes += int(p.bytes)
	for i := range h.shelf {
		h.shelf[i].forget(now)
	}
	return p.number
}

// forget drops what is too old, and the oldest where there is too much.
func (s *shelf) forget(now time.Time) {
	for len(s.events) > 0 && (s.bytes > s.most || now.Sub(s.events[0].at) > s.age) {
		s.bytes -= int(s.events[0].bytes)
		s.events[0] = past{} // the array lives on
		s.events = s.events[1:]
		s.first++
	}
}

// newest is the number of the last event.
func (h *history) newest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// cursor is a place between two events: one position per shelf. What is
// dropped before a cursor came by is skipped.
type cursor struct{ at [2]int }

// end is the place after all events up to that number.
func (h *history) end(through uint64) cursor {
	h.mu.Lock()
	defer h.mu.Unlock()
	var c cursor
	for i, s := range h.shelf {
		n := len(s.events)
		for n > 0 && s.events[n-1].number > through {
			n--
		}
		c.at[i] = s.first + n
	}
	return c
}

// next returns the next event that is wanted and was delivered up to that
// number; ok is false where there is none. It holds the lock only for a
// moment at a time, however many events it looks at.
func (h *history) next(c *cursor, through uint64, wanted func(*past) bool) (p past, ok bool) {
	for {
		p, found, more := h.step(c, through, wanted)
		if found || !more {
			return p, found
		}
	}
}

func (h *history) step(c *cursor, through uint64, wanted func(*past) bool) (p past, found, more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for range h.locked {
		var at *past
		var from int
		for i := range h.shelf {
			s := &h.shelf[i]
			c.at[i] = max(c.at[i], s.first)
			if n := c.at[i] - s.first; n < len(s.events) && s.events[n].number <= through && (at == nil || s.events[n].number < at.number) {
				at, from = &s.events[n], i
			}
		}
		if at == nil {
			return past{}, false, false
		}
		c.at[from]++
		if now.Sub(at.at) <= h.shelf[from].age && wanted(at) {
			return *at, true, true
		}
	}
	return past{}, false, true
}

// back moves the cursor towards the past until n wanted events are after it,
// or to the beginning.
func (h *history) back(c *cursor, n int, wanted func(*past) bool) {
	for more := n > 0; more; {
		n, more = h.stepBack(c, n, wanted)
	}
}

func (h *history) stepBack(c *cursor, left int, wanted func(*past) bool) (int, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range h.locked {
		var at *past
		var from int
		for i := range h.shelf {
			s := &h.shelf[i]
			if n := c.at[i] - s.first; n > 0 && (at == nil || s.events[n-1].number > at.number) {
				at, from = &s.events[n-1], i
			}
		}
		if at == nil {
			return 0, false
		}
		c.at[from]--
		if wanted(at) {
			if left--; left == 0 {
				return 0, false
			}
		}
	}
	return left, true
}

// Costs in bytes of what an event holds besides its own struct.
const (
	pastSize       = 112 // past itself, with the spare room of a growing slice
	modulationSize = 48
	macCommandSize = 160
	tagSize        = 32
)

// sizeOf estimates what it costs to keep an event, bytes.
func sizeOf(ev nsedge.Event) int {
	n := pastSize + int(reflect.TypeOf(ev).Elem().Size()) + tagSize*len(ev.About().Tags)
	switch ev := ev.(type) {
	case *nsedge.UplinkEvent:
		n += cap(ev.Payload) + cap(ev.Encrypted) + modulationSize + macCommandSize*len(ev.Frame.MACCommands)
	case *nsedge.DownlinkEvent:
		n += cap(ev.Payload) + cap(ev.Encrypted) + modulationSize + macCommandSize*len(ev.Frame.MACCommands)
	case *nsedge.Notice:
		n += len(ev.Message) + 32
		if ev.Timing != nil {
			n += int(reflect.TypeFor[nsedge.Timing]().Size())
		}
	case *nsedge.Location:
		n += len(ev.Solutions) * int(reflect.TypeFor[nsedge.Solution]().Size())
	}
	return n
}
