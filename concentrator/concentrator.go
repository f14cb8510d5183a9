package concentrator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/spi"

	"gatewayd/radio"
)

const (
	uplinkQueue = 64  // more than two rounds of all demodulators
	reportQueue = 256 // more than the transmit queue holds
	txQueue     = 64
)

// Concentrator is one SX1302/SX1303. Create it with [New], bring it to life
// with [Concentrator.Run].
type Concentrator struct {
	cfg    Config
	bus    *bus
	sx1261 *companionBus // nil: there is none
	stats  counters

	thermometer thermometer
	survey      survey
	uplinks     chan radio.Uplink
	reports     chan radio.Report

	mu      sync.Mutex
	current *session // nil while nothing runs
	started chan struct{}
	eui     radio.EUI64

	// Owned by Run, kept from one run to the next.
	clock   clock
	backlog []radio.Report // reports that found their channel full
}

// New checks the configuration and connects to the port. It does not touch
// the chip. Errors wrap [ErrConfig] and name the field.
func New(port spi.Port, cfg Config) (*Concentrator, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	b, err := newBus(port, cfg.SPIHz)
	if err != nil {
		return nil, err
	}
	k, err := connectCompanion(cfg.SX1261.Port, cfg.SPIHz, b)
	if err != nil {
		return nil, err
	}
	return &Concentrator{
		cfg: cfg, bus: b, sx1261: k,
		uplinks: make(chan radio.Uplink, uplinkQueue),
		reports: make(chan radio.Report, reportQueue),
		started: make(chan struct{}),
	}, nil
}

// Uplinks carries received frames; those found by one look into the receive
// buffer in the order of their end. A reader that is too slow loses the newest
// (Stats.Dropped). It is never closed.
func (c *Concentrator) Uplinks() <-chan radio.Uplink { return c.uplinks }

// Reports carries exactly one Report for each Downlink that Schedule took.
// It is never closed.
func (c *Concentrator) Reports() <-chan radio.Report { return c.reports }

// Started returns a channel that is closed when the chip receives. After a
// Run has ended it returns a new channel, for the next one.
func (c *Concentrator) Started() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started
}

// EUI is the chip's own identifier; zero before the first start.
func (c *Concentrator) EUI() radio.EUI64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.eui
}

// Now is the present Instant, as well as the host's clock knows it between
// looks at the chip's counter; false while the chip does not run.
func (c *Concentrator) Now() (radio.Instant, bool) {
	s := c.session()
	if s == nil || s.published.Load() == nil {
		return 0, false
	}
	k := *s.published.Load()
	return k.project(time.Now()).instant(), true
}

func (c *Concentrator) session() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// Schedule asks for a transmission at d.At. Nil means that it was taken and a
// Report will come. The error tells why not, with figures: it wraps one of
// [radio.ErrTooLate], [radio.ErrTooEarly], [radio.ErrCollision],
// [radio.ErrPower], [radio.ErrFrequency], [radio.ErrFrame],
// [radio.ErrStopped], or the context's error; after the latter the frame may
// yet be sent, and reported.
func (c *Concentrator) Schedule(ctx context.Context, d radio.Downlink) error {
	err := c.schedule(ctx, d)
	if err != nil {
		c.stats.refused.Add(1)
	}
	return err
}

func (c *Concentrator) schedule(ctx context.Context, d radio.Downlink) error {
	if c.session() == nil {
		return fmt.Errorf("schedule downlink %d: %w", d.ID, radio.ErrStopped)
	}
	t, err := c.cfg.plan(d)
	if err != nil {
		return fmt.Errorf("schedule downlink %d: %w", d.ID, err)
	}
	if err := c.ask(ctx, request{t: t, answer: make(chan error, 1)}); err != nil {
		return fmt.Errorf("schedule downlink %d: %w", d.ID, err)
	}
	return nil
}

// Lead is how long before d.At Schedule must have been called: the time that
// the transmitter's own delay, the bus and the host need. It follows the
// measured cost of the bus.
func (c *Concentrator) Lead(d radio.Downlink) time.Duration {
	return c.cfg.lead(c.bus, d.Mod, len(d.Payload)) + c.cfg.listenLead(c.bus, d) + c.cfg.replaceCost(c.bus, d)
}

// begin registers the session of a run.
func (c *Concentrator) begin() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		return nil, ErrRunning
	}
	s := newSession(c)
	c.current = s
	return s, nil
}

// receiving tells the world that the start is complete.
func (c *Concentrator) receiving(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eui = s.drv.eui
	close(c.started)
}

// end takes the session away again.
func (c *Concentrator) end(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
	select {
	case <-c.started:
		c.started = make(chan struct{})
	default:
	}
	close(s.done)
}
