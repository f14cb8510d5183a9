package air

import (
	"cmp"
	"container/heap"
	"slices"
	"sync"
	"time"

	"gatewayd/radio"
)

const (
	// history is how long ended transmissions are kept at least: windows may
	// begin that far in the past, and gateways may be half as late.
	history = 2 * time.Second
	// lateness is how late a gateway may ask for a transmission.
	lateness = time.Second
	// longest is the longest time on the air of a frame.
	longest = 2 * time.Minute
)

// Config of a Medium. The zero value is sensible.
type Config struct {
	Seed        uint64        // of everything random: fading, which bytes a collision damages
	PathLoss    radio.DB      // between stations that state none; 0 means 100 dB
	NoiseFigure radio.DB      // of every receiver; 0 means 6 dB
	Capture     radio.DB      // by how much a frame must exceed another one like it; 0 means 6 dB
	Fading      radio.DB      // standard deviation of the path loss from frame to frame; 0 is none
	Grace       time.Duration // how long after its end a window waits for a gateway that is late; 0 means 200 ms
}

func (c Config) withDefaults() Config {
	c.PathLoss = cmp.Or(c.PathLoss, 100)
	c.NoiseFigure = cmp.Or(c.NoiseFigure, 6)
	c.Capture = cmp.Or(c.Capture, 6)
	c.Grace = cmp.Or(c.Grace, 200*time.Millisecond)
	return c
}

// Medium is the air. All methods may be called from any goroutine.
type Medium struct {
	cfg   Config
	start time.Time

	mu        sync.Mutex // guards all below and the state of stations
	closed    bool
	running   bool // some goroutine is in run
	timer     *time.Timer
	agenda    agenda
	sequence  uint64 // of events, breaks ties
	lastID    uint64
	anonymous int
	stations  []*Station
	kept      []*transmission // on the air or ended lately, by Start
	windows   []*window
	observers []*observer
}

// transmission is the medium's record of one.
type transmission struct {
	Transmission
	by      *Station
	count   uint64        // how many the station had sent before
	planned radio.Instant // End without an abort
	begun   bool
	ended   bool
	aborted bool
	done    func(Transmission) // after the end; nil if nobody cares
	event   *event             // next start or end
}

type observer struct{ f func(Transmission) }

// New makes a medium whose air time is 0 now.
func New(cfg Config) *Medium {
	return &Medium{cfg: cfg.withDefaults(), start: time.Now()}
}

// Elapsed is the air time.
func (m *Medium) Elapsed() time.Duration { return time.Since(m.start) }

// Now is the air time in whole microseconds.
func (m *Medium) Now() radio.Instant { return radio.Instant(m.Elapsed() / time.Microsecond) }

// Gateways returns the identities of the gateways, in the order they joined.
func (m *Medium) Gateways() []radio.EUI64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []radio.EUI64
	for _, s := range m.stations {
		if s.cfg.Gateway != nil {
			out = append(out, *s.cfg.Gateway)
		}
	}
	return out
}

// Observe calls f at the start of every transmission, with the rules of a
// Listener, until stop is called.
func (m *Medium) Observe(f func(Transmission)) (stop func()) {
	o := &observer{f}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.observers = append(m.observers, o)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.observers = slices.DeleteFunc(m.observers, func(x *observer) bool { return x == o })
	}
}

// Close ends everything: all stations leave, no Listener is called any more.
func (m *Medium) Close() {
	m.mu.Lock()
	stations := slices.Clone(m.stations)
	m.closed = true
	m.agenda = nil
	if m.timer != nil {
		m.timer.Stop()
	}
	m.mu.Unlock()
	for _, s := range stations {
		s.Leave()
	}
}

// event is something that happens at a moment of air time.
type event struct {
	at    radio.Instant
	order uint8 // at the same instant: ends, then starts, then windows
	seq   uint64
	index int
	do    func() []func() // under the lock; returns what to call without it
}

const (
	orderEnd uint8 = iota
	orderStart
	orderWindow
)

// plan puts an event on the agenda. The lock is held.
func (m *Medium) plan(at radio.Instant, order uint8, do func() []func()) *event {
	m.sequence++
	e := &event{at: at, order: order, seq: m.sequence, do: do}
	heap.Push(&m.agenda, e)
	if e.index == 0 {
		m.arm()
	}
	return e
}

// unplan takes an event off the agenda if it is still there. The lock is held.
func (m *Medium) unplan(e *event) {
	if e != nil && e.index >= 0 && e.index < len(m.agenda) && m.agenda[e.index] == e {
		heap.Remove(&m.agenda, e.index)
	}
}

// arm sets the timer for the first event. The lock is held.
func (m *Medium) arm() {
	if m.running || m.closed || len(m.agenda) == 0 {
		return
	}
	wait := time.Duration(m.agenda[0].at)*time.Microsecond - m.Elapsed()
	if m.timer == nil {
		m.timer = time.AfterFunc(wait, m.run)
		return
	}
	m.timer.Reset(wait)
}

// run does all events that are due, in order, and calls what they return
// without the lock. Only one goroutine is ever inside.
func (m *Medium) run() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running {
		return
	}
	m.running = true
	for !m.closed && len(m.agenda) > 0 && m.agenda[0].at <= m.Now() {
		e := heap.Pop(&m.agenda).(*event)
		calls := e.do()
		m.mu.Unlock()
		for _, f := range calls {
			f()
		}
		m.mu.Lock()
	}
	m.running = false
	m.arm()
}

// agenda is a heap of events.
type agenda []*event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(a[i].at, a[j].at), cmp.Compare(a[i].order, a[j].order), cmp.Compare(a[i].seq, a[j].seq)) < 0
}
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}
func (a *agenda) Push(x any) {
	e := x.(*event)
	e.index = len(*a)
	*a = append(*a, e)
}
func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	old[len(old)-1] = nil
	e.index = -1
	*a = old[:len(old)-1]
	return e
}
