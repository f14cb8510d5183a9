package concentrator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/reg"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
	"gatewayd/radio/air"
	"gatewayd/radio/sx1250"
	"gatewayd/radio/sx125x"
	"gatewayd/radio/sx1261"
)

// campaign is a bench whose bus can be spoilt and whose air is watched.
type campaign struct {
	*testBench
	*saboteur
	t       *testing.T
	dim     *dimension
	devices [3]device
	probe   spi.Conn       // the chip, past the saboteur
	hits    uint64         // downlinks so far: their identifiers
	up      [3]radio.Hertz // where the devices send
	down    [3]radio.Hertz // where they listen

	mu      sync.Mutex
	planned map[radio.Instant]radio.Downlink // by start in the air
	soon    radio.Downlink                   // may start at any time; ID 0: none
	aired   map[uint64]int
	began   radio.Instant // the last emission, in the air
}

// onCampaign runs f in a bubble of its own.
func onCampaign(t *testing.T, dim *dimension, cfg Config, f func(*campaign)) {
	synctest.Test(t, func(t *testing.T) {
		cfg.QuietPoll = defaultPoll // what is spoilt follows at once
		c := &campaign{t: t, dim: dim, planned: map[radio.Instant]radio.Downlink{}, aired: map[uint64]int{}}
		c.testBench = newBench(t, cfg, fast, func(sim *sx1302sim.Config) {
			sim.Faults = &sx1302sim.Faults{}
			sim.Violation = nil // a bus that lies makes the driver do odd things
		})
		// No reset on the way out: that could hide a trigger that is still set.
		c.Concentrator.cfg.HoldReset = func() error { return nil }
		c.saboteur = &saboteur{Conn: c.bus.conn}
		c.bus.conn = c.saboteur
		if c.sx1261 != nil {
			c.sx1261.conn = alsoOn{c.sx1261.conn, c.saboteur}
		}
		c.up, c.down = cfg.campaignFrequencies()
		var err error
		if c.probe, err = c.chip.Port().Connect(physic.MegaHertz, spi.Mode0, 8); err != nil {
			t.Fatal(err)
		}
		c.medium.Observe(c.heard)
		for i := range c.devices {
			c.devices[i] = c.device()
		}
		f(c)
		if c.done != nil {
			c.halt()
		}
		time.Sleep(140 * time.Second) // a turn of the counter: nothing may be left
	})
}

// trueEUI is what newBench gives the chip.
var trueEUI = radio.EUI64{0, 0x16, 0xC0, 1, 0xF1, 0xC2, 0xA3, 0xB4}

// heard is told of every transmission.
func (c *campaign) heard(x air.Transmission) {
	if x.From != trueEUI.String() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.planned[x.Start]
	if !ok && c.soon.ID != 0 {
		d, ok = c.soon, true
	}
	c.began = x.Start
	if !ok {
		c.t.Errorf("on the air at %d, where nothing was planned", x.Start)
		return
	}
	if c.aired[d.ID]++; c.aired[d.ID] > 1 {
		c.t.Errorf("downlink %d is on the air again", d.ID)
	}
}

// begin starts a run without waiting for it.
func (c *campaign) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel, c.done = cancel, make(chan error, 1)
	done := c.done
	go func() { done <- c.Run(ctx) }()
}

func (c *campaign) halt() {
	c.cancel()
	if err := <-c.done; err != nil {
		c.t.Errorf("Run: %v", err)
	}
	c.done = nil
}

// mend takes all faults away.
func (c *campaign) mend() {
	c.saboteur.set(nil)
	c.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { *m = sx1302sim.Misbehaviour{} })
}

// alive makes sure that a run is on.
func (c *campaign) alive() {
	if c.done == nil {
		c.testBench.run()
	}
}

// endings are the errors that a run may end with.
var endings = []error{
	ErrNoChip, ErrNotReset, ErrMCU, ErrStalled, ErrCounter, ErrTransfer, ErrNotStarted, ErrTransmitter,
	ErrCalibration, ErrSX1261, sx1250.ErrMode, sx1250.ErrImage, sx125x.ErrVersion, sx125x.ErrRegister, sx125x.ErrLock,
	sx1261.ErrMode, sx1261.ErrVersion, sx1261.ErrImage, sx1261.ErrAnswer,
}

// ended checks how a run ended.
func (c *campaign) ended(name string, err error) {
	c.done = nil
	for _, k := range endings {
		if errors.Is(err, k) {
			return
		}
	}
	c.t.Errorf("%s: ended with an error of no kind: %v", name, err)
}

// conclude ends a case: the run has ended or ends because of a fault that
// lasts, or it goes on; then all is mended and must work.
func (c *campaign) conclude(name string, lasting bool) {
	limit := 20 * time.Millisecond
	if lasting {
		limit = 12 * time.Second
	}
	if c.done != nil {
		select {
		case err := <-c.done:
			c.ended(name, err)
		case <-time.After(limit):
			if lasting {
				c.t.Errorf("%s: nobody noticed for %v", name, limit)
			}
		}
	}
	c.mend()
	if c.done != nil {
		c.dim.recovered++
	}
	c.quiet(name)
	c.alive()
	c.works(name)
}

// quiet checks that no transmitter waits or works.
func (c *campaign) quiet(name string) {
	read := func(a reg.Addr) byte {
		w, r := []byte{targetChip, byte(a >> 8), byte(a), 0, 0}, make([]byte, 5)
		if err := c.probe.Tx(w, r); err != nil {
			c.t.Fatal(err)
		}
		return r[4]
	}
	if diagnose(read(reg.CommonVersion.Addr())) != nil {
		return // without power, there is nothing
	}
	for chain := range 2 {
		if v := read(reg.TXFsmStatusTX.Chain(chain).Addr()); !txStatus(v).free() && v != 0 {
			c.t.Errorf("%s: transmitter %d has status 0x%02X afterwards", name, chain, v)
		}
	}
}

// works proves that the chip receives and transmits: with an uplink that ends
// while a downlink waits.
func (c *campaign) works(name string) {
	end := c.medium.Now() + 60_000
	c.say(0, "proof", end)
	d := c.plan(end + 10_000)
	c.empty()
	if err := c.Schedule(c.t.Context(), d); err != nil {
		c.t.Errorf("%s: proof: %v", name, err)
		return
	}
	r := c.report(name)
	if c.EUI() != trueEUI {
		c.t.Errorf("%s: the EUI is %v", name, c.EUI())
	}
	if r.Err != nil || c.airtimes(d) != 1 {
		c.t.Errorf("%s: proof: on the air %d times, %+v", name, c.airtimes(d), r)
	}
	select {
	case u := <-c.Uplinks():
		if string(u.Payload) != "proof" || u.At != end+1_000_000 || u.CRC != radio.GoodCRC {
			c.t.Errorf("%s: proof: %+v, want %d", name, u, end+1_000_000)
		}
	case <-time.After(100 * time.Millisecond):
		c.t.Errorf("%s: proof: no uplink", name)
	}
}

// say lets a device send so that the frame ends at an instant of the air.
func (c *campaign) say(device int, payload string, end radio.Instant) {
	mod := radio.LoRa{SF: 7, Bandwidth: 125_000}
	at := end - radio.Instant(mod.Airtime(len(payload))/time.Microsecond)
	f := air.Frame{Payload: []byte(payload), Freq: c.up[device], Mod: mod}
	x, err := c.devices[device].Transmit(f, at, 14)
	if err != nil || x.End != end {
		c.t.Errorf("device: %v, ends at %d, not %d", err, x.End, end)
	}
}

// plan makes the next downlink, other settings each time, that starts at an
// instant of the air.
func (c *campaign) plan(at radio.Instant) radio.Downlink {
	c.hits++
	d := sf7(c.hits, at+1_000_000)
	d.Freq = c.down[c.hits%3]
	d.Payload = []byte(fmt.Sprintf("downlink %d", c.hits))
	switch c.hits % 3 {
	case 0:
		d.Mod = radio.LoRa{SF: 8, Bandwidth: 125_000, InvertIQ: true, NoCRC: true}
	case 1:
		d.Mod = radio.FSK{BitRate: 50_000}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.planned[at] = d
	return d
}

func (c *campaign) airtimes(d radio.Downlink) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.aired[d.ID]
}

// report waits for the one report.
func (c *campaign) report(name string) radio.Report {
	var r radio.Report
	select {
	case r = <-c.Reports():
	case <-time.After(12 * time.Second):
		c.t.Errorf("%s: no report", name)
	}
	if n := len(c.Reports()); n > 0 {
		c.t.Errorf("%s: %d reports too many", name, n)
		<-c.Reports()
	}
	return r
}

func (c *campaign) empty() {
	for len(c.Uplinks()) > 0 {
		<-c.Uplinks()
	}
}
