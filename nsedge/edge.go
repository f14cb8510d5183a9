package nsedge

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// Config is what an [Edge] needs to know. Region and Store are required.
type Config struct {
	Region  *region.Region
	NetID   [3]byte     // most significant byte first; 0 and 1 are for private networks
	Gateway radio.EUI64 // the gateway behind the Air
	Others  []Gateway   // further ones; a downlink goes out by the one that suits best
	Store   Store
	Log     *slog.Logger // nil discards
	Random  io.Reader    // of addresses and packet hashes; nil is crypto/rand. For runs that can be repeated.

	// GPS is the time since the GPS epoch of a moment on the host clock; false
	// while the clock is not trusted. nil: never. [HostGPS] trusts it always.
	GPS func(time.Time) (time.Duration, bool)
	// Clock ties the counter of the Air to GPS time. nil: no class B by this gateway.
	Clock GPSClock
	// ClassB says when beacons are sent; "" is [ClassBAuto].
	ClassB ClassBMode
	// BeaconFreq is where beacons are sent; 0 is the region's channel, or
	// channels. Class B devices are told.
	BeaconFreq radio.Hertz
	// Position is the gateway's, for beacons; nil, or false, while unknown.
	Position func() (Position, bool)
	// AntennaGain is taken off the EIRP that the region allows.
	AntennaGain radio.DB
	// Heard is told of each frame that the Air heard, whosever it is; it must
	// neither block nor change it. nil: nobody.
	Heard func(radio.Uplink)
	// IgnoreDutyCycle is for a lab behind a cable.
	IgnoreDutyCycle bool
	// ADR decides about data rates; nil is [ReferenceADR].
	ADR ADRFunc
	// ADRMargin is what ADR keeps above the demodulation floor. 0 is 10 dB.
	ADRMargin radio.DB
	// Margin is the time that the edge allows itself between a cut-off and the
	// moment at which the Air must have the frame: a busy host wakes late. 0 is 1.5 ms.
	Margin time.Duration
}

const (
	defaultMargin  = 1500 * time.Microsecond
	scheduleWait   = 100 * time.Millisecond // for the Air to take or refuse a frame
	backgroundJobs = 64                     // joins that are worked on at the same time
)

// Edge is the network server. Its state belongs to [Edge.Run] while that
// runs; all other methods hand Run what to do, or do it themselves while
// nobody runs it.
type Edge struct {
	cfg     Config
	log     *slog.Logger
	publish func(Event)

	gateways []*gateway // of which the first is
	local    *gateway   // the one that the edge runs on

	token chan struct{} // holds a value while nobody runs the edge
	calls chan call
	done  chan func() // results of background jobs
	docs  sync.Mutex  // orders changes of documents; never held by Run

	// Everything below belongs to the one who owns the edge.
	running    context.Context //nolint:containedctx // the life of one Run; nil while not running
	byEUI      map[radio.EUI64]*device
	byAddr     map[DevAddr]*session
	order      []*device // by DevEUI
	firstJoin  uint32    // no JoinNonce up to it is used; set by load, after a restore
	heard      heard
	windows    map[PacketHash]*window
	timers     timers
	flights    map[uint64]*flight
	lastID     uint64
	reserved   map[*window]struct{} // that have something more important than data to send
	reserver   reserver
	dutySaving bool // the ledgers are on their way to the disk
	dutyOpen   bool // the disk knows that something may be sent
	jobCount   int
	bands      map[string]*region.Region // that devices name
	dwell      region.Dwell              // that devices assume after a reset
	dwelling   map[region.Dwell]*region.Region
	salt       [16]byte // makes packet hashes unique to this process
	frames     uint64
	ended      error       // why Run has to end: all gateways are gone
	far        chan func() // what the other gateways heard and reported
	scratch    []byte
	stats      Stats
}

// call is work that a caller hands to Run.
type call struct {
	work func()
	done chan struct{}
}

// New loads the devices and their sessions from the store. publish is called
// by Run, must not block, and must not change the event.
func New(cfg Config, air Air, publish func(Event)) (*Edge, error) {
	switch {
	case cfg.Region == nil:
		return nil, errors.New("nsedge: Config.Region is missing: look one up with region.Lookup")
	case cfg.Store == nil:
		return nil, errors.New("nsedge: Config.Store is missing: open one with store.Open")
	case air == nil || publish == nil:
		return nil, errors.New("nsedge: an Air and a publish function are needed")
	}
	cfg.Margin = cmp.Or(cfg.Margin, defaultMargin)
	cfg.ClassB = cmp.Or(cfg.ClassB, ClassBAuto)
	cfg.ADRMargin = cmp.Or(cfg.ADRMargin, defaultADRMargin)
	if cfg.ADR == nil {
		cfg.ADR = ReferenceADR
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	gateways, err := gatewaysOf(&cfg, air)
	if err != nil {
		return nil, err
	}
	plain, err := region.Lookup(cfg.Region.Short())
	if err != nil {
		return nil, fmt.Errorf("nsedge: %w", err)
	}
	e := &Edge{
		cfg: cfg, log: cfg.Log, publish: publish, gateways: gateways, local: gateways[0],
		token: make(chan struct{}, 1), calls: make(chan call), done: make(chan func(), backgroundJobs),
		byEUI: map[radio.EUI64]*device{}, byAddr: map[DevAddr]*session{},
		heard: newHeard(), windows: map[PacketHash]*window{}, reserved: map[*window]struct{}{}, flights: map[uint64]*flight{},
		bands: map[string]*region.Region{}, dwell: plain.Dwell(), dwelling: map[region.Dwell]*region.Region{},
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if _, err := io.ReadFull(cfg.Random, e.salt[:]); err != nil {
		return nil, fmt.Errorf("nsedge: %w", err)
	}
	if err := e.load(); err != nil {
		return nil, fmt.Errorf("nsedge: load: %w", err)
	}
	e.openDuty()
	e.token <- struct{}{}
	return e, nil
}

// Run serves until ctx ends or the Air closes its channels; it returns the
// reason. It may be called again afterwards.
func (e *Edge) Run(ctx context.Context) error {
	select {
	case <-e.token: // a second Run waits for the end of the first
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	e.running = ctx
	deaf := e.listen(ctx)
	defer func() {
		e.running = nil
		cancel()
		deaf()
		e.finishJobs()
		e.endDuty()
		e.token <- struct{}{}
	}()
	e.reserver.restart()
	e.beginDuty()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for e.ended == nil {
		now := time.Now()
		timer.Reset(min(e.timers.wait(now), e.beaconWait(now)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case u, ok := <-e.local.uplinks():
			if ok {
				e.receive(u)
			} else {
				e.lose(e.local, "uplinks")
			}
		case r, ok := <-e.local.reports():
			if ok {
				e.report(r)
			} else {
				e.lose(e.local, "reports")
			}
		case work := <-e.far:
			work()
		case c := <-e.calls:
			e.hearWaiting()
			c.work()
			close(c.done)
		case result := <-e.done:
			e.jobCount--
			result()
		case <-timer.C:
		}
		e.expire(time.Now())
		e.tickBeacons(time.Now())
	}
	return e.ended
}

// hearWaiting receives what has been heard already: the better copy of a
// frame must be known before the answer to it.
func (e *Edge) hearWaiting() {
	for range len(e.local.uplinks()) + len(e.far) {
		select {
		case u, ok := <-e.local.uplinks():
			if ok {
				e.receive(u)
			}
		case work := <-e.far:
			work()
		default:
			return
		}
	}
}

// do has work done by the edge's owner: by Run, or right here if nobody runs
// it. The work is done or not done at all when do returns.
func (e *Edge) do(ctx context.Context, work func()) error {
	c := call{work: work, done: make(chan struct{})}
	select {
	case e.calls <- c:
		<-c.done // Run never waits long
		return nil
	case <-e.token:
		work()
		e.token <- struct{}{}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// background runs job off the owner's goroutine, and then what it returns on
// it; when the edge has stopped meanwhile, running is nil. It tells whether
// the job could be taken.
func (e *Edge) background(job func(context.Context) func()) bool {
	if e.running == nil || e.jobCount >= backgroundJobs {
		return false
	}
	e.jobCount++
	ctx := e.running
	go func() { e.done <- job(ctx) }() // ends: done has room for all jobs, and Run waits for them
	return true
}

// finishJobs waits for the jobs and applies their results. It goes on serving
// calls, as a job may wait for a caller that holds docs.
func (e *Edge) finishJobs() {
	for e.jobCount > 0 {
		select {
		case result := <-e.done:
			e.jobCount--
			result()
		case c := <-e.calls:
			c.work()
			close(c.done)
		}
	}
}

// Answer takes what an AS asks for. nil means that it was taken; a *[Refusal]
// says why not. What goes wrong later is published as a [Notice].
func (e *Edge) Answer(ctx context.Context, a Answer) error {
	var err error
	if ctxErr := e.do(ctx, func() { err = e.answer(a) }); ctxErr != nil {
		return ctxErr
	}
	return err
}

func (e *Edge) answer(a Answer) error {
	if e.running == nil {
		return refuse(CodeStopped, "", "the network server does not run: try again when it does")
	}
	switch a := a.(type) {
	case DownlinkResponse:
		return e.answerDownlink(a)
	case JoinResponse:
		return e.answerJoin(a)
	case StatusRequest:
		return e.answerStatus(a)
	case Claim:
		return e.answerClaim(a)
	}
	return refuse(CodeServer, "", "an answer of type %T is unknown", a)
}

// refuse makes a *Refusal that is an error.
func refuse(code, field, format string, args ...any) error {
	return &Refusal{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}
