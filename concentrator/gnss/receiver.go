package gnss

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// silence is how long a receiver may say nothing before the line is
	// opened anew: every receiver speaks once a second.
	silence = 10 * time.Second
	// reopen is the pause after a line that failed.
	reopen = 10 * time.Second
	// setUpAgain is how long NAV-TIMEGPS may be missing before a u-blox
	// receiver is asked for it again: it forgets when it loses power.
	setUpAgain = 10 * time.Second
	// prefer is how long NMEA keeps silent after a message that knows GPS time.
	prefer = 5 * time.Second
	// vouched is how long a fix counts for messages that don't tell (ZDA).
	vouched = 3 * time.Second
)

// ErrSilent says that nothing intelligible came from the receiver.
var ErrSilent = errors.New("the receiver says nothing")

// Line is an open serial line: reads have a deadline.
type Line interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
}

// Config of a [Receiver].
type Config struct {
	Open func(context.Context) (Line, error)
	// UBlox asks the receiver for NAV-TIMEGPS, once it is known that there is
	// a receiver: nothing is written to a line that says nothing.
	UBlox bool
	// LeapSeconds, if not 0, is GPS time minus UTC whatever the receiver says.
	LeapSeconds int
	Log         *slog.Logger // nil means none
}

// Status is what the receiver last said.
type Status struct {
	Open       bool // the line is open and the receiver speaks
	Messages   uint64
	Damaged    uint64
	Fix        Fixed
	Satellites int
	Position   *Position
	Last       Fix // zero before the first
}

// Receiver is a satellite receiver on a serial line. Create it with [New],
// start it with Run.
type Receiver struct {
	cfg   Config
	fixes chan Fix

	mu     sync.Mutex
	status Status
}

// New returns a Receiver that has not been started.
func New(cfg Config) *Receiver {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Receiver{cfg: cfg, fixes: make(chan Fix, 1)}
}

// Fixes carries at most one Fix a second. It holds the newest: a reader that
// is too slow loses the older one. It is never closed.
func (r *Receiver) Fixes() <-chan Fix { return r.fixes }

// Status returns what the receiver last said; from any goroutine.
func (r *Receiver) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Run reads the line until ctx ends, and then returns nil. A line that can't
// be opened, fails or says nothing is opened anew every 10 s; each new reason
// is logged once.
func (r *Receiver) Run(ctx context.Context) error {
	var reason string
	for {
		err := r.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.mu.Lock()
		was := r.status.Open
		r.status.Open = false
		r.mu.Unlock()
		if was || err.Error() != reason {
			reason = err.Error()
			r.cfg.Log.Warn("no time from the satellite receiver", "err", err, "again", reopen)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reopen):
		}
	}
}

// session is the life of one open line.
func (r *Receiver) session(ctx context.Context) error {
	line, err := r.cfg.Open(ctx)
	if err != nil {
		return err
	}
	defer line.Close()
	stop := context.AfterFunc(ctx, func() { line.Close() })
	defer stop()
	var (
		scanner = NewScanner(line)
		merge   = merger{override: r.cfg.LeapSeconds}
		asked   time.Time
	)
	for {
		if err := line.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return fmt.Errorf("satellite receiver: %w", err)
		}
		m, err := scanner.Next()
		if err != nil {
			return fmt.Errorf("satellite receiver: %w: %w", ErrSilent, err)
		}
		report, _ := Decode(m)
		fix, ok := merge.add(report, m.At)
		r.note(report, scanner.Damaged(), fix, ok)
		if ok {
			r.hand(fix)
		}
		if r.cfg.UBlox && m.At.Sub(merge.exact) > setUpAgain && m.At.Sub(asked) > setUpAgain {
			asked = m.At
			if _, err := line.Write(EnableTimeGPS()); err != nil {
				return fmt.Errorf("set up the satellite receiver: %w", err)
			}
		}
	}
}

// note keeps what a message says for Status.
func (r *Receiver) note(m Report, damaged uint64, fix Fix, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.status
	s.Open, s.Damaged = true, damaged
	s.Messages++
	if m.Fix != FixUnknown {
		s.Fix = m.Fix
	}
	s.Satellites = cmp.Or(m.Satellites, s.Satellites)
	if m.Position != nil {
		here := *m.Position
		if here.Altitude == 0 && s.Position != nil { // not every message has it
			here.Altitude = s.Position.Altitude
		}
		s.Position = &here
	}
	if ok {
		s.Last = fix
	}
}

// hand puts a fix into the channel, in place of one that nobody took.
func (r *Receiver) hand(f Fix) {
	for {
		select {
		case r.fixes <- f:
			return
		default:
		}
		select {
		case <-r.fixes:
		default:
		}
	}
}

// merger makes fixes of reports.
type merger struct {
	override int // leap seconds whatever the receiver says
	leap     *int
	exact    time.Time     // when a report last knew GPS time
	fixed    time.Time     // when a report last vouched for itself
	last     time.Duration // the second that was last named
}

// add returns a Fix if the report names a second that was not yet named. What
// is not on a whole second (receivers that measure more often than once a
// second) names none.
func (g *merger) add(r Report, at time.Time) (f Fix, ok bool) {
	if r.Leap != nil {
		g.leap = r.Leap
	}
	switch r.Fix {
	case FixGood:
		g.fixed = at
	case FixNone:
		g.fixed = time.Time{}
	}
	leap := LeapSeconds
	if g.leap != nil {
		leap = *g.leap
	}
	leap = cmp.Or(g.override, leap)
	gps := r.GPS
	switch {
	case g.fixed.IsZero() || at.Sub(g.fixed) > vouched:
		return f, false
	case gps != 0:
		g.exact = at
	case r.UTC.IsZero() || !g.exact.IsZero() && at.Sub(g.exact) < prefer:
		return f, false
	default:
		gps = FromUTC(r.UTC, leap)
	}
	second := gps.Round(time.Second)
	if (gps-second).Abs() > nearSecond || second == g.last {
		return f, false
	}
	g.last = second
	return Fix{At: at, GPS: second, Leap: leap, Accuracy: r.Accuracy, Source: r.Source}, true
}

// EnableTimeGPS is the one message that sets up a u-blox receiver: UBX-CFG-MSG,
// NAV-TIMEGPS once per navigation epoch on both serial ports. The vendor's
// packet forwarder sends the same 16 bytes.
func EnableTimeGPS() []byte {
	return EncodeUBX(classCFG, idCFGMsg, []byte{classNAV, idTimeGPS, 0, 1, 1, 0, 0, 0})
}
