package concentrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3"
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

// TestFaultCampaign lets everything go wrong that can, one thing at a time,
// and counts. Each case must end in recovery (the same run receives and
// transmits on) or in an error that a caller can tell from others, after
// which a new run works. No case may hang, panic, or put anything on the air
// at another instant than was planned; after each case nothing is left in the
// transmitters.
//
// By default the biggest dimensions are sampled, always the same cases.
// GATEWAYD_CAMPAIGN=full runs all; of the two thousand transfers of a start
// with SX1255 or SX1257 radios, most of which are one dialogue over and over,
// every sixteenth or twenty-fourth.
func TestFaultCampaign(t *testing.T) {
	full := os.Getenv("GATEWAYD_CAMPAIGN") == "full"
	var dimensions []*dimension
	t.Run("", func(t *testing.T) {
		for _, d := range campaignDimensions() {
			dimensions = append(dimensions, d)
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				d.full = full
				d.run(t, d)
			})
		}
	})
	var cases, of, recovered int
	t.Logf("%-52s %6s %6s %9s %6s", "fault campaign", "cases", "of", "recovered", "ended")
	for _, d := range dimensions {
		t.Logf("%-52s %6d %6d %9d %6d", d.name, d.cases, d.of, d.recovered, d.cases-d.recovered)
		cases, of, recovered = cases+d.cases, of+d.of, recovered+d.recovered
		if d.cases == 0 {
			t.Errorf("%s: no case was run", d.name)
		}
	}
	t.Logf("%-52s %6d %6d %9d %6d", "all", cases, of, recovered, cases-recovered)
}

// dimension is one kind of thing that goes wrong, and its tally. Each has one
// goroutine.
type dimension struct {
	name string
	run  func(*testing.T, *dimension)
	full bool

	cases, of, recovered int
}

// take tells whether the nth case of the dimension is run: all, or every one
// in so many.
func (d *dimension) take(every int) bool { return d.takeOn(rig{rarer: 1}, every) }

// takeOn is take on a board whose cases are many and alike.
func (d *dimension) takeOn(r rig, every int) bool {
	d.of++
	every *= r.rarer
	if d.full {
		every = max(r.rarer/6, 1)
	}
	if d.of%every != 0 {
		return false
	}
	d.cases++
	return true
}

var errSabotage = errors.New("transfer failed (campaign)")

// saboteur is a connection on which the nth transfer from now is spoilt.
type saboteur struct {
	spi.Conn
	mu    sync.Mutex
	n     int
	spoil func(n int, w, r []byte, do func() error) error // nil: nothing
}

func (s *saboteur) Tx(w, r []byte) error { return s.pass(s.Conn, w, r) }

func (s *saboteur) pass(on spi.Conn, w, r []byte) error {
	s.mu.Lock()
	s.n++
	n, spoil := s.n, s.spoil
	s.mu.Unlock()
	do := func() error { return on.Tx(w, r) }
	if spoil == nil {
		return do()
	}
	return spoil(n, w, r, do)
}

func (s *saboteur) set(spoil func(n int, w, r []byte, do func() error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.spoil = 0, spoil
}

// alsoOn is another chip select with the same saboteur.
type alsoOn struct {
	spi.Conn
	*saboteur
}

func (a alsoOn) String() string       { return a.Conn.String() }
func (a alsoOn) Duplex() conn.Duplex  { return a.Conn.Duplex() }
func (a alsoOn) Tx(w, r []byte) error { return a.pass(a.Conn, w, r) }

func (a alsoOn) TxPackets(p []spi.Packet) error { return a.Conn.TxPackets(p) }

// fault is how transfers go wrong from the nth on.
type fault struct {
	name    string
	lasting bool // until the chip is reset or the wiring mended
	every   int  // sampling
	spoil   func(c *campaign, n int) func(k int, w, r []byte, do func() error) error
}

// once spoils transfer n only, or as many as follow.
func once(n, many int, spoil func(w, r []byte, do func() error) error) func(int, []byte, []byte, func() error) error {
	return func(k int, w, r []byte, do func() error) error {
		if k < n || many > 0 && k >= n+many {
			return do()
		}
		return spoil(w, r, do)
	}
}

func fails(_, _ []byte, _ func() error) error { return errSabotage }

func failsAfter(_, _ []byte, do func() error) error {
	_ = do()
	return errSabotage
}

// reads replaces what one transfer reads.
func reads(v byte) func(w, r []byte, do func() error) error {
	return func(w, r []byte, do func() error) error {
		err := do()
		for i := range answer(w, r) {
			answer(w, r)[i] = v
		}
		return err
	}
}

// flips inverts one bit of what one transfer reads, another one for each size.
func flips(w, r []byte, do func() error) error {
	err := do()
	if a := answer(w, r); len(a) > 0 {
		a[len(a)*7/13] ^= 1 << (len(a) * 5 % 8)
	}
	return err
}

// answer is what the host makes something of: of the chip, of a radio behind
// it, or of the SX1261, whose operation codes are no targets.
func answer(w, r []byte) []byte {
	switch {
	case isRead(w):
		return r[readHeader:]
	case w[0] == targetChip:
		return nil
	case w[0] <= targetRadioA+1:
		return r[2:]
	}
	return r[1:]
}

func isRead(w []byte) bool {
	return w[0] == targetChip && w[1]&writeFlag == 0 && len(w) > readHeader
}

func address(w []byte) reg.Addr { return reg.Addr(w[1]&^writeFlag)<<8 | reg.Addr(w[2]) }

// misbehave makes the chip itself misbehave at transfer n.
func misbehave(change func(*sx1302sim.Misbehaviour)) func(*campaign, int) func(int, []byte, []byte, func() error) error {
	return func(c *campaign, n int) func(int, []byte, []byte, func() error) error {
		return once(n, 1, func(_, _ []byte, do func() error) error {
			c.chip.Faults().Set(change)
			return do()
		})
	}
}

func bySpoil(many int, spoil func(w, r []byte, do func() error) error) func(*campaign, int) func(int, []byte, []byte, func() error) error {
	return func(_ *campaign, n int) func(int, []byte, []byte, func() error) error { return once(n, many, spoil) }
}

// transferFaults are what can happen to any transfer.
var transferFaults = []fault{
	{"fails", false, 2, bySpoil(1, fails)},
	{"fails after its effect", false, 7, bySpoil(1, failsAfter)},
	{"fails twice", false, 7, bySpoil(2, fails)},
	{"reads 0x00 once", false, 7, bySpoil(1, reads(0x00))},
	{"reads 0xFF once", false, 7, bySpoil(1, reads(0xFF))},
	{"reads one bit wrong", false, 7, bySpoil(1, flips)},
	{"all fail from there", true, 11, bySpoil(0, fails)},
	{"power lost there", true, 11, misbehave(func(m *sx1302sim.Misbehaviour) { m.LosePower = 1 })},
	{"bus low from there", true, 11, misbehave(func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerZeroes })},
	{"bus high from there", true, 11, misbehave(func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerOnes })},
	{"unreset from there", true, 11, misbehave(func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerUnreset })},
}

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

// campaignDimensions lists what is tried.
func campaignDimensions() []*dimension {
	var list []*dimension
	add := func(name string, run func(*testing.T, *dimension)) {
		list = append(list, &dimension{name: name, run: run})
	}
	for _, r := range rigs {
		for _, f := range transferFaults {
			add(words(r.name, "start: transfer", f.name), f.start(r))
		}
	}
	for _, f := range transferFaults {
		add(words("receive: transfer", f.name), f.receive)
	}
	for _, w := range ways {
		for _, f := range transferFaults {
			add(words(w.name+": transfer", f.name), f.transmit(w))
		}
	}
	for _, r := range rigs {
		add(words(r.name, "MCU answer withheld"), eachAnswer(r, false, withheld))
		add(words(r.name, "MCU answer late by 100 ms"), eachAnswer(r, true, late))
		add(words(r.name, "MCU answer garbled"), eachAnswer(r, false, garbled))
	}
	add("counter torn", tornCounters)
	add("byte count torn", tornCounts)
	add("receive buffer corrupted", corruptedBuffer)
	add("receive buffer corrupted, decoder", corruptedBytes)
	return list
}

func words(list ...any) string { return strings.TrimSuffix(fmt.Sprintln(list...), "\n") }
