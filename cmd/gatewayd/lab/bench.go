package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/lab"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// Config of a Bench.
type Config struct {
	Target Target // the device under test
	Seed   uint64 // of virtual devices
}

// Target is the device that is tested.
type Target struct {
	Virtual string         // name of a software device, "healthy" being one that does all right; "" is a real one
	Device  map[string]any // as the verb "device" takes it

	// Start switches a real one on, from off, or asks somebody to; nil: it is on.
	Start func(context.Context) error
	// Cycle switches a real one off and on again; nil: only somebody can.
	Cycle func(context.Context) error
}

// Bench is one laboratory: what happened so far, and the devices in it. Verbs
// may be called from any goroutine; those about one device, one after another.
type Bench struct {
	cfg    Config
	edge   atomic.Pointer[nsedge.Edge] // nil until the gateway has begun
	layer  *lab.Layer
	region *region.Region
	medium *air.Medium // of virtual devices; nil on a real radio

	gateway radio.EUI64

	mu     sync.Mutex
	events []event
	gone   int                        // events before those, dropped; indexes count them
	heard  map[heardKey]radio.Instant // ends of uplinks, to place raw frames by
	more   chan struct{}              // closed and made anew with each event

	devices map[radio.EUI64]*subject
	last    radio.EUI64 // the device that verbs mean if they name none
	dut     radio.EUI64 // the device under test, if nobody named it; zero until then
}

// put adds a device, in place of one with the same name.
func (b *Bench) put(s *subject) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.next = map[string]int{"": b.gone + len(b.events)}
	b.devices[s.eui], b.last = s, s.eui
}

// from is where an expectation of a kind goes on in the events.
func (b *Bench) from(s *subject, kind string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := s.next[kind]; ok {
		return at
	}
	return s.next[""]
}

func (b *Bench) goOn(s *subject, kind string, at int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.next[kind] = at
}

// event is what the network server told, and when.
type event struct {
	nsedge.Event
	at time.Time
}

type heardKey struct {
	tmst uint32
	freq radio.Hertz
}

// mostEvents are kept; who waits for older ones finds them gone.
const mostEvents = 100_000

// New makes a bench. [Bench.Publish] must be told of all events, and the
// bench must be an observer of the layer.
func New(cfg Config) *Bench {
	return &Bench{cfg: cfg, more: make(chan struct{}), devices: map[radio.EUI64]*subject{}, heard: map[heardKey]radio.Instant{}}
}

// Attach gives the bench the layer whose observer it is.
func (b *Bench) Attach(layer *lab.Layer) { b.layer = layer }

// Begin gives the bench the network, before the first verb. The medium is nil
// on a real radio, where there are no virtual devices.
func (b *Bench) Begin(gateway radio.EUI64, edge *nsedge.Edge, reg *region.Region, medium *air.Medium) {
	b.gateway, b.region, b.medium = gateway, reg, medium
	b.edge.Store(edge)
}

// Publish takes an event of the network server. It never blocks.
func (b *Bench) Publish(e nsedge.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) == mostEvents {
		half := mostEvents / 2
		b.events, b.gone = slices.Clone(b.events[half:]), b.gone+half
	}
	b.events = append(b.events, event{e, time.Now()})
	close(b.more)
	b.more = make(chan struct{})
}

// Heard implements lab.Observer.
func (b *Bench) Heard(u radio.Uplink) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.heard) > mostEvents {
		clear(b.heard)
	}
	b.heard[heardKey{u.Tmst, u.Freq}] = u.At
}

// Sent implements lab.Observer.
func (b *Bench) Sent(radio.Downlink, radio.Report) {}

// Close switches the virtual devices off.
func (b *Bench) Close() {
	b.mu.Lock()
	all := slices.Collect(maps.Values(b.devices))
	b.mu.Unlock()
	for _, s := range all {
		s.off()
	}
}

// TimeoutError says that what was expected did not come.
type TimeoutError struct {
	What   string
	Within time.Duration
	Seen   string // what came instead
}

// Error implements error.
func (e *TimeoutError) Error() string {
	if e.Seen == "" {
		return fmt.Sprintf("no %s within %v; nothing at all came", e.What, e.Within)
	}
	return fmt.Sprintf("no %s within %v; what came instead: %s", e.What, e.Within, e.Seen)
}

// await returns the first event from index *next on that fits, and moves *next
// behind it.
func (b *Bench) await(ctx context.Context, next *int, within time.Duration, what string, fits func(nsedge.Event) bool) (event, error) {
	over := time.NewTimer(within)
	defer over.Stop()
	from := *next
	for at := from; ; {
		b.mu.Lock()
		for at = max(at, b.gone); at < b.gone+len(b.events); at++ {
			if fits(b.events[at-b.gone].Event) {
				e := b.events[at-b.gone]
				b.mu.Unlock()
				*next = at + 1
				return e, nil
			}
		}
		more := b.more
		b.mu.Unlock()
		select {
		case <-more:
		case <-over.C:
			return event{}, &TimeoutError{what, within, b.story(from)}
		case <-ctx.Done():
			return event{}, fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// count is how many events there were.
func (b *Bench) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gone + len(b.events)
}

const mostTold = 8

// story tells the last events from an index on, for the reader of a failure.
func (b *Bench) story(from int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.events[min(max(from-b.gone, 0), len(b.events)):]
	if len(list) > mostTold {
		list = list[len(list)-mostTold:]
	}
	text := ""
	for _, e := range list {
		if text != "" {
			text += "; "
		}
		text += tell(e.Event)
	}
	return text
}

// tell is an event in a few words.
func tell(e nsedge.Event) string {
	switch e := e.(type) {
	case *nsedge.UplinkEvent:
		return fmt.Sprintf("uplink #%d port %d DR%d %.1f MHz", e.Counter, e.Port, e.Radio.DataRate, e.Radio.Freq.MHz())
	case *nsedge.DownlinkEvent:
		return fmt.Sprintf("downlink #%d in %s", e.Counter, e.Timing.Window)
	case *nsedge.DownlinkRequest:
		return "window"
	case *nsedge.JoinRequest:
		return "join-request"
	case *nsedge.StatusResponse:
		return fmt.Sprintf("status: battery %d", e.Battery)
	case *nsedge.Notice:
		return fmt.Sprintf("%s %s", e.Level, e.Code)
	default:
		return fmt.Sprintf("%T", e)
	}
}
