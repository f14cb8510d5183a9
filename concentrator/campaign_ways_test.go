package concentrator

import (
	"errors"
	"testing"
	"time"

	"gatewayd/radio"
)

// way is how a transmission is started, or ended.
type way struct {
	name   string
	config func(testing.TB) Config
	change func(*campaign, *radio.Downlink) // of one that is planned by time
	lead   time.Duration                    // from Schedule to its start
	cancel time.Duration                    // after Schedule; 0: not
	rarer  int                              // only one in so many of its cases
}

var ways = []way{
	{"transmit", eu868, nil, 30 * time.Millisecond, 0, 1},
	{"transmit, SX1257", sx1257, nil, 30 * time.Millisecond, 0, 5},
	{"transmit after listening", func(t testing.TB) Config { return as923(t) }, nil, 40 * time.Millisecond, 0, 5},
	{"transmit at once", eu868, func(c *campaign, d *radio.Downlink) {
		d.Immediate = true
		c.soon = *d
	}, 30 * time.Millisecond, 0, 5},
	{"transmit on the pulse", eu868, onNextPulse, 0, 0, 5},
	{"carrier", eu868, func(c *campaign, d *radio.Downlink) {
		// Only the reset ends one when the bus is gone.
		c.Concentrator.cfg.HoldReset = func() error { c.chip.SetReset(true); return nil }
		d.Mod, d.Payload = radio.Carrier{Offset: 10_000, Duration: 20 * time.Millisecond}, nil
	}, 30 * time.Millisecond, 0, 5},
	{"cancelled while it waits", eu868, nil, 50 * time.Millisecond, 5 * time.Millisecond, 5},
	{"cancelled when it is armed", eu868, nil, 30 * time.Millisecond, 15 * time.Millisecond, 5},
	{"cancelled on the air", eu868, nil, 30 * time.Millisecond, 45 * time.Millisecond, 5},
	{"cancelled after listening", func(t testing.TB) Config { return as923(t) }, nil, 40 * time.Millisecond, 35 * time.Millisecond, 5},
}

// onNextPulse waits until shortly before a pulse, which comes at each whole
// second of the simulated counter.
func onNextPulse(c *campaign, d *radio.Downlink) {
	const second = 1_000_000
	pulse := (c.medium.Now()+50_000)/second*second + second
	time.Sleep(time.Duration(pulse-30_000-c.medium.Now()) * time.Microsecond)
	d.OnPulse, d.Mod = true, radio.LoRa{SF: 7, Bandwidth: 125_000, InvertIQ: true, NoCRC: true}
	at := pulse + radio.Instant(loraStartDelay(SX1250, 125_000, 7)/ticksPerMicrosecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.planned, d.At-1_000_000)
	d.At = at + 1_000_000
	c.planned[at] = *d
}

// transmit spoils each transfer from a Schedule to its Report.
func (f fault) transmit(way way) func(*testing.T, *dimension) {
	return func(t *testing.T, dim *dimension) {
		onCampaign(t, dim, way.config(t), func(c *campaign) {
			for n := 1; n <= 60; n++ {
				if !dim.takeOn(rig{rarer: way.rarer}, (f.every+1)/2) {
					continue
				}
				name := words("transfer", n, f.name)
				c.alive()
				d := c.plan(c.medium.Now() + radio.Instant(way.lead/time.Microsecond))
				if way.change != nil {
					way.change(c, &d)
				}
				c.saboteur.set(f.spoil(c, n))
				if err := c.Schedule(c.t.Context(), d); err == nil {
					c.fate(name, way, d)
				}
				c.mu.Lock()
				c.soon = radio.Downlink{}
				c.mu.Unlock()
				c.conclude(name, f.lasting)
			}
		})
	}
}

// fate waits for the report of what was scheduled, which must be true.
func (c *campaign) fate(name string, way way, d radio.Downlink) {
	cancelled := errors.New("not asked for")
	if way.cancel > 0 {
		time.Sleep(way.cancel)
		cancelled = c.Cancel(c.t.Context(), d.ID)
	}
	r := c.report(name)
	time.Sleep(100 * time.Millisecond) // to its end
	on := c.airtimes(d)
	c.mu.Lock()
	off := r.Started.Sub(c.began + 1_000_000)
	c.mu.Unlock()
	switch {
	case r.ID != d.ID || r.Err == nil && on != 1 || r.Err == nil && !d.Immediate && r.Started != d.At:
		c.t.Errorf("%s: on the air %d times, %+v", name, on, r)
	case r.Err == nil && off.Abs() > r.Doubt+time.Microsecond:
		c.t.Errorf("%s: the report is %v off the air: %+v", name, off, r)
	case cancelled == nil && !errors.Is(r.Err, radio.ErrCancelled):
		c.t.Errorf("%s: cancelled, and reported as %+v", name, r)
	case cancelled == nil && way.cancel < way.lead-5*time.Millisecond && on > 0:
		c.t.Errorf("%s: cancelled, and sent", name)
	}
}
