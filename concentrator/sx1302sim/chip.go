package sx1302sim

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// Model is what OTP byte 0xD0 reads.
type Model byte

// Models of the chip.
const (
	SX1302 Model = 2
	SX1303 Model = 3
)

// RadioKind is what is soldered behind the chip's radio ports.
type RadioKind uint8

// Kinds of radio.
const (
	SX1250 RadioKind = iota
	SX1255
	SX1257
	NoRadio
)

// Config describes the chip and its surroundings. The zero value is an
// SX1302 with two SX1250, no antenna and transfers that take no time.
type Config struct {
	EUI     radio.EUI64
	Model   Model // 0 means SX1302
	Radios  [2]RadioKind
	Medium  *air.Medium       // nil: no antenna
	Station air.StationConfig // the antenna; Name and Gateway follow the EUI where unset
	Timing  Timing

	CounterStart uint32    // the 32 MHz counter when air time is 0
	PPM          float64   // by which the chip's crystal is fast; its modems are as exact as the air
	PPS          *PPS      // pulses of a satellite receiver; nil: at whole seconds of the counter
	RSSIOffset   radio.DBm // what the board adds to raw RSSI; 0 means -215.4
	SX1261Offset radio.DBm // what the SX1261 reads too low on this board
	// TXPower tells what a power word (register AGC_TX_PWR) of a chain gives
	// at the antenna; nil means PowerOf for the radio's kind.
	TXPower func(chain int, word byte) radio.DBm

	Faults    *Faults      // nil: well behaved
	Log       *slog.Logger // nil: silent
	Violation func(error)  // told of each violation; must not call the chip
	Lax       bool         // violations don't make the transfer fail
}

// ErrClosed is returned by transfers after Close.
var ErrClosed = errors.New("simulated chip is closed")

// Chip is the simulated concentrator. Its methods may be called from any
// goroutine; transfers wait for each other as on a bus.
type Chip struct {
	cfg     Config
	log     *slog.Logger
	station *air.Station
	origin  time.Time // air time 0
	faults  *Faults

	bus        chan struct{} // holds a token while a transfer lasts
	pace       pace          // owned by the holder of the bus
	violations atomic.Int64

	mu       sync.Mutex // everything below
	closed   bool
	inReset  bool
	dead     bool  // lost power or never reset: see Faults
	now      int64 // ticks, set at the start of each transfer and event
	base     int64 // ticks at air time 0
	file     registerFile
	agc      agc
	arb      arb
	radios   [2]frontEnd
	sx1261   sx1261
	ears     []signal
	tx       [2]transmitter
	buffers  [2][reg.TXBufferSize]byte
	fifo     fifo
	rx       receiver
	capture  capture
	analyser analyser
	pps      int64 // ticks at the last PPS that was latched
	frame    frameState
	actions  []func() // calls into the medium, made after mu is released
	err      error    // violation in the transfer at hand
	scratch  []byte
	trace    io.Writer

	transferring bool
}

// New returns a chip whose reset pin is released and whose registers have
// their reset values. It joins the medium; Close leaves it.
func New(cfg Config) (*Chip, error) {
	if cfg.Model == 0 {
		cfg.Model = SX1302
	}
	if cfg.RSSIOffset == 0 {
		cfg.RSSIOffset = -215.4
	}
	c := &Chip{cfg: cfg, log: cfg.Log, faults: cfg.Faults, bus: make(chan struct{}, 1), base: int64(cfg.CounterStart), origin: time.Now()}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.faults == nil {
		c.faults = new(Faults)
	}
	for i, k := range cfg.Radios {
		if k > NoRadio {
			return nil, fmt.Errorf("radio %d: kind %d is not one of SX1250, SX1255, SX1257, NoRadio", i, k)
		}
		c.radios[i] = newFrontEnd(k)
	}
	c.file.describe()
	c.reset()
	if cfg.Medium == nil {
		return c, nil
	}
	c.origin = time.Now().Add(-cfg.Medium.Elapsed())
	at := cfg.Station
	if at.Gateway == nil {
		at.Gateway = &cfg.EUI
	}
	if at.Name == "" {
		at.Name = cfg.EUI.String()
	}
	var err error
	if c.station, err = cfg.Medium.Join(at, listener{c}); err != nil {
		return nil, fmt.Errorf("join the air as %q: %w", at.Name, err)
	}
	return c, nil
}

// SetReset drives the reset pin, active high. While it is asserted the chip
// answers 0x00; afterwards all registers have their reset values, the MCUs
// stand still and the radios are off. The MCUs' memories keep their content.
func (c *Chip) SetReset(asserted bool) {
	c.mu.Lock()
	if !c.faults.resetBroken() {
		c.inReset = asserted
		c.dead = false
		c.tick()
		c.reset()
	}
	c.release()
}

// cutPower takes the supply away; the reset pin is asserted meanwhile.
func (c *Chip) cutPower() {
	c.mu.Lock()
	c.tick()
	c.losePower()
	c.inReset = true
	c.release()
}

// Close ends all transfers and transmissions and leaves the medium.
func (c *Chip) Close() {
	c.mu.Lock()
	c.closed = true
	c.tick()
	c.reset()
	c.release()
	if c.station != nil {
		c.station.Leave()
	}
}

// Violations returns in how many transfers the host did what the chip doesn't allow.
func (c *Chip) Violations() int { return int(c.violations.Load()) }

// Faults returns what makes the chip misbehave.
func (c *Chip) Faults() *Faults { return c.faults }

// LEDs returns the GPIO outputs, register 0x5643.
func (c *Chip) LEDs() byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.file.get(reg.GPIOOutLOutValue)
}

// reset is what the reset pin does. The caller holds mu.
func (c *Chip) reset() {
	for i := range c.tx {
		c.tx[i].chain = i
		c.tx[i].stop(c)
	}
	c.rx.reset()
	c.fifo = fifo{}
	c.analyser = analyser{}
	c.capture.until = 0
	c.file.reset()
	c.agc.halt()
	c.duplex(false)
	c.arb.halt()
	c.pps = 0
	for i := range c.radios {
		c.radios[i].power(false)
	}
	c.sx1261.reset()
}

// losePower is reset and the loss of the memories.
func (c *Chip) losePower() {
	c.reset()
	c.agc.memory, c.arb.memory, c.capture = memory{}, memory{}, capture{}
	c.dead = true
}

// release unlocks mu and then makes the calls that were put off until now.
func (c *Chip) release() {
	todo := c.actions
	c.actions = nil
	c.mu.Unlock()
	for _, f := range todo {
		f()
	}
}

// later puts a call off until mu is released.
func (c *Chip) later(f func()) { c.actions = append(c.actions, f) }

// violation notes that the host did something that the chip doesn't allow.
// Only the first one in a transfer counts.
func (c *Chip) violation(format string, args ...any) {
	if c.transferring && c.err != nil {
		return
	}
	err := fmt.Errorf(format, args...)
	c.violations.Add(1)
	c.err = err
	if c.cfg.Violation != nil {
		c.cfg.Violation(err)
	}
	c.log.Warn("violation on the SPI bus", "err", err)
}
