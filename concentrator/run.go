package concentrator

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

const (
	// busyPoll is the pause after a look that found something.
	busyPoll = 500 * time.Microsecond
	// quietAfter is how long nothing must have been found for looks to become
	// rare: waking up is what a quiet gateway's processor time goes into.
	quietAfter = 30 * time.Second
)

// pollErrorBudget is how many polls may fail in a row before the chip is
// given up.
const pollErrorBudget = 3

// request is a Schedule or Cancel call on its way to the loop.
type request struct {
	t      *transmission // nil: a Cancel call
	cancel uint64        // the ID
	answer chan error    // holds one
}

// session is one run. All but requests, done and published belong to Run.
type session struct {
	c         *Concentrator
	requests  chan request
	scans     chan scanRequest
	done      chan struct{}
	published atomic.Pointer[clock]
	related   atomic.Pointer[relation] // nil before the first pulse

	drv   *driver
	clock *clock
	tx    transmitters

	relation relation // of this run: a reset may have stopped the counter
	pulses   pulses   // of this run, for fine time stamps
	latched  uint32   // the counter at the last pulse, as the chip shows it; 0 before the first

	heard      time.Time // when a look last found something
	partial    []byte    // of the receive buffer, not yet decoded
	empty      int       // looks at an empty buffer while something is partial
	fifoErrors int       // in a row
	pollErrors int       // in a row
	broken     bool      // a transmitter is in an unknown state: only a reset helps
	health     health
}

func newSession(c *Concentrator) *session {
	return &session{
		c: c, requests: make(chan request), scans: make(chan scanRequest), done: make(chan struct{}), clock: &c.clock,
		drv: &driver{cfg: &c.cfg, bus: c.bus, regs: newShadow(c.bus), log: c.cfg.Log, companion: newCompanion(c)},
	}
}

// Run starts the chip and works until ctx ends (then it returns nil) or the
// chip fails. On return everything that was scheduled has been reported, and
// the chip is held in reset if the board can do that, also after a panic. Run
// may be called again; only one runs at a time ([ErrRunning]).
func (c *Concentrator) Run(ctx context.Context) (err error) {
	s, err := c.begin()
	if err != nil {
		return err
	}
	defer c.end(s)
	defer func() { err = s.stop(ctx, err) }()

	begin, frames, octets := time.Now(), c.bus.frames.Load(), c.bus.bytes.Load()
	if err := s.drv.start(ctx); err != nil {
		return err
	}
	r, err := s.drv.counter()
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	s.clock.adopt(r.low, r.at)
	s.publish()
	took := time.Since(begin)
	frames, octets = c.bus.frames.Load()-frames, c.bus.bytes.Load()-octets
	s.announce(took, frames, octets)
	c.stats.starts.Add(1)
	c.stats.startNS.Store(uint64(took))
	c.stats.startFrames.Store(frames)
	c.stats.startBytes.Store(octets)
	c.receiving(s)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	if c.cfg.I2C != nil && c.cfg.Temperature == nil {
		go c.thermometer.watch(watching, c.cfg.I2C, c.cfg.Log)
	}
	if c.cfg.SX1261.Survey.Points > 0 {
		go c.measureSpectrum(watching)
	}
	return s.loop(ctx)
}

// loop is the life of the chip. Whatever has a moment is in next.
func (s *session) loop(ctx context.Context) error {
	poll := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wake := poll
		if at, ok := s.due(); ok && at.Before(wake) {
			wake = at
		}
		if at, ok := s.drv.companion.due(); ok && at.Before(wake) {
			wake = at
		}
		timer.Reset(time.Until(wake))
		select {
		case <-ctx.Done():
			return nil
		case r := <-s.requests:
			s.serve(r)
		case r := <-s.takesScans():
			s.beginScan(r)
		case f := <-s.c.cfg.Fixes:
			if err := s.tolerate(s.fix(f)); err != nil {
				return err
			}
		case <-timer.C:
			s.late(time.Since(wake))
		}
		if err := s.transmit(); err != nil {
			return err
		}
		if time.Until(poll) > 0 {
			continue
		}
		busy, err := s.poll()
		if err == nil {
			if err = s.between(); err != nil {
				return err
			}
			err = s.upkeep(time.Now())
		}
		if err := s.tolerate(err); err != nil {
			return err
		}
		poll = s.nextPoll(time.Now(), busy)
	}
}

// nextPoll is when to look at the receive buffer again; busy tells that the
// last look found something.
func (s *session) nextPoll(now time.Time, busy bool) time.Time {
	switch {
	case busy:
		s.heard = now
		return now.Add(busyPoll)
	case now.Sub(s.heard) < quietAfter || s.pollErrors > 0:
		return now.Add(s.c.cfg.Poll)
	}
	return now.Add(s.c.cfg.QuietPoll)
}

// tolerate forgives single failures of the bus while polling; the bus has
// already repeated what can be repeated.
func (s *session) tolerate(err error) error {
	if err == nil {
		s.pollErrors = 0
		return nil
	}
	s.pollErrors++
	if s.broken || !errors.Is(err, ErrTransfer) || s.pollErrors >= pollErrorBudget {
		return err
	}
	s.c.cfg.Log.Warn("poll failed", "err", err)
	return nil
}

func (s *session) late(d time.Duration) {
	if n := uint64(max(d, 0)); n > s.c.stats.worstLateNS.Load() {
		s.c.stats.worstLateNS.Store(n)
	}
}

// lookAtCounter brings the clock up to date.
func (s *session) lookAtCounter() error {
	s.c.stats.counterReads.Add(1)
	if err := s.drv.lookAtCounter(s.clock); err != nil {
		return err
	}
	s.publish()
	return nil
}

// publish makes the clock readable from other goroutines.
func (s *session) publish() {
	k := *s.clock
	s.published.Store(&k)
}

// stop takes back what the transmitters have, reports it, and puts the chip
// into reset. It runs on every way out of Run.
func (s *session) stop(ctx context.Context, err error) error {
	if s.tx.active != nil || s.tx.prepared != nil {
		for chain := range 2 {
			_ = s.clearTrigger(chain) // the reset below does it, if there is one
		}
	}
	cause := radio.ErrStopped
	if err != nil {
		cause = fmt.Errorf("%w: %w", radio.ErrStopped, err)
	}
	s.failAll(cause)
	s.c.flushReports()
	if s.c.cfg.HoldReset != nil {
		if e := s.c.cfg.HoldReset(); e != nil {
			err = errors.Join(err, fmt.Errorf("hold the chip in reset: %w", e))
		}
	} else {
		// Without a reset line the modems are switched off, so that at least
		// nothing is received into the void.
		_ = s.drv.regs.put(reg.CommonGenGlobalEn, 0)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return nil // the start was interrupted
	case errors.Is(err, ErrStalled) || errors.Is(err, ErrCounter):
		s.c.stats.stalls.Add(1)
	default:
		s.c.stats.broken.Add(1)
	}
	return err
}

// report hands a Report up without waiting. What finds the channel full waits
// in a backlog for the next one; that has a bound too.
func (c *Concentrator) report(r radio.Report) {
	if len(c.backlog) < reportQueue {
		c.backlog = append(c.backlog, r)
	} else {
		c.stats.lostReports.Add(1)
	}
	c.flushReports()
}

func (c *Concentrator) flushReports() {
	for len(c.backlog) > 0 {
		select {
		case c.reports <- c.backlog[0]:
			c.backlog = c.backlog[1:]
		default:
			return
		}
	}
	c.backlog = nil
}
