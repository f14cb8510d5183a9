// Package lab is what a laboratory puts between a network server and its
// radio: a [Layer] that is itself an nsedge.Air, bends frames on their way by
// [Fault]s, sends and hears raw frames beside the network server's, and lets
// observers see everything.
//
// The network server and the driver don't know of it: where no laboratory is
// wanted there is no layer, and the normal path has no branch for it.
//
//	layer.go     the goroutine between both sides, raw frames, observers
//	fault.go     what a fault is, and which there are
//	armed.go     which faults are armed, what they hit, when they end
//	down.go      what they do to downlinks
//	up.go        what they do to uplinks
//	request.go   MAC commands by name
//	frame.go     the little of LoRaWAN that must be read and signed anew
package lab

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gatewayd/radio"
)

// Queues. A reader that is too slow loses the newest.
const (
	uplinkQueue = 256
	reportQueue = 256
	rawQueue    = 256
)

// rawIDs is the bit that marks a raw downlink; the network server counts its
// own from one.
const rawIDs = 1 << 63

// Observer sees frames as they are on the air: after the faults on the way
// down, before them on the way up. It must not block.
type Observer interface {
	Heard(radio.Uplink)
	Sent(radio.Downlink, radio.Report)
}

// Planner is an [Observer] that also wants to know of downlinks before they
// are on the air, when the air has taken them. It must not call the layer.
type Planner interface {
	Planned(radio.Downlink)
}

// Air is what a layer stands before, and itself is: an nsedge.Air.
type Air interface {
	Uplinks() <-chan radio.Uplink
	Reports() <-chan radio.Report
	Schedule(context.Context, radio.Downlink) error
	Lead(radio.Downlink) time.Duration
}

// Config of a Layer.
type Config struct {
	Air       Air
	Observers []Observer
	Log       *slog.Logger // slog.Default if nil
}

// Layer is an nsedge.Air with faults. Make it with [New], run it with
// [Layer.Run]. Its methods may be called from any goroutine.
type Layer struct {
	air     Air
	log     *slog.Logger
	uplinks chan radio.Uplink
	reports chan radio.Report
	late    chan radio.Uplink // delayed uplinks whose time has come

	mu      sync.Mutex
	armed   []*armed
	nextID  uint64 // of faults and raw downlinks
	flying  map[uint64]*flight
	joins   []join // recent join-requests, to know whose accept a downlink is
	book    map[radio.EUI64]Keys
	sources map[chan radio.Uplink]struct{}

	observers []Observer // replaced, never changed
}

// flight is a downlink that was taken, until its report.
type flight struct {
	sent  radio.Downlink // as it goes out
	asked radio.Downlink // as the network server, which is told of its own plan, wanted it
	bent  []Fault        // what hit it
	copy  uint64         // ID of a second copy; 0 is none
	ghost *time.Timer    // reports a downlink that was dropped; nil: it is in the air's hands

	done  chan<- radio.Report // told of a raw downlink's fate; nil for the network server's
	extra bool                // a copy that the network server knows nothing of
}

// New makes a layer around an air. It starts nothing.
func New(cfg Config) *Layer {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Layer{
		air: cfg.Air, log: cfg.Log, observers: slices.Clone(cfg.Observers),
		uplinks: make(chan radio.Uplink, uplinkQueue), reports: make(chan radio.Report, reportQueue), late: make(chan radio.Uplink),
		flying: map[uint64]*flight{}, book: map[radio.EUI64]Keys{}, sources: map[chan radio.Uplink]struct{}{},
	}
}

// Uplinks implements nsedge.Air: what the faults let through.
func (l *Layer) Uplinks() <-chan radio.Uplink { return l.uplinks }

// Reports implements nsedge.Air. A downlink that a fault dropped is reported
// as sent: the network server must not notice.
func (l *Layer) Reports() <-chan radio.Report { return l.reports }

// Lead implements nsedge.Air.
func (l *Layer) Lead(d radio.Downlink) time.Duration { return l.air.Lead(d) }

// Observe lets an observer see everything from now on; stop ends it.
func (l *Layer) Observe(o Observer) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.observers = append(slices.Clone(l.observers), o)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.observers = slices.DeleteFunc(slices.Clone(l.observers), func(x Observer) bool { return x == o })
	}
}

func (l *Layer) watching() []Observer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.observers
}

// Now is the counter of the air below; false while that can't tell.
func (l *Layer) Now() (radio.Instant, bool) {
	if c, ok := l.air.(interface{ Now() (radio.Instant, bool) }); ok {
		return c.Now()
	}
	return 0, false
}

// Run hands frames on until ctx ends.
func (l *Layer) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case u := <-l.air.Uplinks():
			l.hear(ctx, u)
		case u := <-l.late:
			l.deliver(u)
		case r := <-l.air.Reports():
			l.landed(r)
		}
	}
}

// hear takes an uplink off the air.
func (l *Layer) hear(ctx context.Context, u radio.Uplink) {
	for _, o := range l.watching() {
		o.Heard(u)
	}
	l.mu.Lock()
	for raw := range l.sources {
		select {
		case raw <- u:
		default: // a slow listener loses the newest
		}
	}
	l.remember(u)
	out := l.bendUp(u)
	l.mu.Unlock()
	for _, o := range out {
		if o.after <= 0 {
			l.deliver(o.frame)
			continue
		}
		time.AfterFunc(o.after, func() {
			select {
			case l.late <- o.frame:
			case <-ctx.Done():
			}
		})
	}
}

func (l *Layer) deliver(u radio.Uplink) {
	select {
	case l.uplinks <- u:
	default:
		l.log.Warn("lab: an uplink is lost: the network server doesn't keep up")
	}
}

// Schedule implements nsedge.Air: the downlink goes out as the faults want
// it. One that takes another's place is hit by what hit the other.
func (l *Layer) Schedule(ctx context.Context, d radio.Downlink) error {
	l.mu.Lock()
	old := l.flying[d.Replaces]
	var out bent
	if old != nil {
		out = l.bendAs(d, old.bent)
	} else {
		out = l.bendDown(d)
	}
	l.mu.Unlock()
	if old != nil && old.ghost != nil {
		if !old.ghost.Stop() {
			return fmt.Errorf("replace downlink %d: %w", d.Replaces, radio.ErrTooLate)
		}
		l.landed(radio.Report{ID: d.Replaces, Planned: old.asked.At, Err: radio.ErrCancelled})
		out.frame.Replaces = 0
	}
	f := &flight{sent: out.frame, asked: d, bent: out.by}
	if out.drop {
		l.pretend(f)
		return nil
	}
	if err := l.schedule(ctx, f); err != nil {
		if old == nil {
			l.unhit(out.by)
		}
		return err
	}
	if out.again > 0 {
		l.repeat(ctx, f, old, out.again)
	}
	return nil
}

// repeat schedules the second copy of a downlink.
func (l *Layer) repeat(ctx context.Context, f, old *flight, after time.Duration) {
	again := f.sent
	again.ID, again.Replaces, again.At = l.id(), 0, again.At.Add(after)
	if old != nil {
		again.Replaces = old.copy
	}
	if err := l.schedule(ctx, &flight{sent: again, extra: true}); err != nil {
		l.log.Warn("lab: the second copy of a downlink can't be sent", slog.Any("error", err))
		return
	}
	l.mu.Lock()
	f.copy = again.ID
	l.mu.Unlock()
}

func (l *Layer) schedule(ctx context.Context, f *flight) error {
	l.mu.Lock()
	l.flying[f.sent.ID] = f
	l.mu.Unlock()
	if err := l.air.Schedule(ctx, f.sent); err != nil {
		l.mu.Lock()
		delete(l.flying, f.sent.ID)
		l.mu.Unlock()
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flying[f.sent.ID] != f {
		return nil // it has failed already
	}
	for _, o := range l.observers {
		if p, ok := o.(Planner); ok {
			p.Planned(f.sent)
		}
	}
	return nil
}

// pretend reports a downlink that was dropped as sent, at about the time that
// it would have ended.
func (l *Layer) pretend(f *flight) {
	d := f.asked
	length := d.Mod.Airtime(len(d.Payload))
	r := radio.Report{ID: d.ID, Planned: d.At, Armed: d.At, Started: d.At, Ended: d.At.Add(length), Power: d.Power}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flying[d.ID] = f
	f.ghost = time.AfterFunc(l.air.Lead(d)+length, func() {
		l.mu.Lock()
		delete(l.flying, d.ID)
		l.mu.Unlock()
		l.report(r)
	})
}

func (l *Layer) report(r radio.Report) {
	select {
	case l.reports <- r:
	default:
		l.log.Warn("lab: a report is lost: the network server doesn't keep up")
	}
}

// landed hands a downlink's fate to who asked for it.
func (l *Layer) landed(r radio.Report) {
	l.mu.Lock()
	f, ok := l.flying[r.ID]
	delete(l.flying, r.ID)
	l.mu.Unlock()
	if !ok {
		l.report(r)
		return
	}
	if f.ghost == nil {
		for _, o := range l.watching() {
			o.Sent(f.sent, r)
		}
	}
	switch {
	case f.extra:
	case f.done != nil:
		f.done <- r // it has room for one
	default:
		if r.Err == nil { // the network server sees its own plan kept
			shift := f.asked.At.Sub(f.sent.At)
			r.Planned, r.Started, r.Ended = f.asked.At, r.Started.Add(shift), r.Ended.Add(shift)
		}
		l.report(r)
	}
}

func (l *Layer) id() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nextID++
	return rawIDs | l.nextID
}

// Send puts a raw frame on the air, any that the transmitter can make, and
// returns when it was sent. d.ID is not looked at. The error wraps one of
// radio's, or says that ctx ended.
func (l *Layer) Send(ctx context.Context, d radio.Downlink) (radio.Report, error) {
	done := make(chan radio.Report, 1)
	d.ID = l.id()
	if err := l.schedule(ctx, &flight{sent: d, done: done}); err != nil {
		return radio.Report{}, fmt.Errorf("send a raw frame: %w", err)
	}
	select {
	case r := <-done:
		return r, r.Err
	case <-ctx.Done():
		return radio.Report{}, fmt.Errorf("send a raw frame: %w", ctx.Err())
	}
}

// Listen returns everything that the demodulators give from now on: bad CRC,
// other networks, proprietary frames. Stop ends it. A slow reader loses the
// newest.
func (l *Layer) Listen() (frames <-chan radio.Uplink, stop func()) {
	c := make(chan radio.Uplink, rawQueue)
	l.mu.Lock()
	l.sources[c] = struct{}{}
	l.mu.Unlock()
	return c, func() {
		l.mu.Lock()
		delete(l.sources, c)
		l.mu.Unlock()
	}
}
