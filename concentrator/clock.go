package concentrator

import (
	"encoding/binary"
	"fmt"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// ticksPerMicrosecond: the chip's counter runs at 32 MHz.
const ticksPerMicrosecond = 32

// The 32-bit tick counter wraps every 134.2 s, so it is looked at now and
// then; in between the host's monotonic clock stands in.
const (
	counterStale  = 5 * time.Second // re-read at least this often
	counterTrust  = 2 * time.Millisecond
	counterDrift  = 200 // ppm that host and chip may differ
	counterTries  = 5
	counterMatch  = 200 * time.Microsecond
	counterStep   = 10 * time.Microsecond // in which it must have moved
	clockMaxError = 50 * time.Millisecond // beyond this the counter has jumped
)

// ticks are 32 MHz ticks unrolled to 64 bits; an Instant is ticks/32.
type ticks int64

// instant is the microsecond that has begun.
func (t ticks) instant() radio.Instant { return radio.Instant(t >> 5) }

func ticksOf(i radio.Instant) ticks { return ticks(i) * ticksPerMicrosecond }

func ticksIn(d time.Duration) ticks { return ticks(d * ticksPerMicrosecond / time.Microsecond) }

func (t ticks) duration() time.Duration {
	return time.Duration(t) * time.Microsecond / ticksPerMicrosecond
}

// nearest returns the 64-bit value next to t whose low 32 bits are low.
func (t ticks) nearest(low uint32) ticks { return t + ticks(int32(low-uint32(t))) }

// clock relates the chip's counter, Instants and the host's clock. It
// survives restarts of the chip: Instants go on and never repeat.
//
// An Instant is the chip's own 64-bit count plus offset; offset is whole
// microseconds and 0 until a restart finds another counter than expected.
type clock struct {
	set    bool
	at     time.Time // host time of the last sample, monotonic
	ticks  ticks     // of Instants at that time
	offset ticks
	latest ticks // the largest value ever given out
}

// adopt takes the first sample after a start of the chip. When the counter
// is where the host clock expects it (the reset did not touch it) nothing
// changes; else Instants go on by the host's clock.
func (c *clock) adopt(low uint32, at time.Time) {
	if !c.set {
		*c = clock{set: true, at: at, ticks: ticks(low)}
		return
	}
	expected := c.project(at)
	chip := (expected - c.offset).nearest(low)
	if off := (chip + c.offset - expected).duration(); off.Abs() > c.tolerance(at) {
		// A new count: choose the offset that meets the expected instant, never
		// before what was given out.
		expected = max(expected, c.latest+ticksPerMicrosecond)
		chip = ticks(low)
		c.offset = (expected - chip + ticksPerMicrosecond - 1) / ticksPerMicrosecond * ticksPerMicrosecond
	}
	c.at, c.ticks = at, chip+c.offset
}

// tolerance is how far the counter may be off at a host time.
func (c *clock) tolerance(at time.Time) time.Duration {
	return counterTrust + at.Sub(c.at)*counterDrift/1_000_000
}

// project returns the ticks expected at a host time.
func (c *clock) project(at time.Time) ticks { return c.ticks + ticksIn(at.Sub(c.at)) }

// now is the expected instant at a host time.
func (c *clock) now(at time.Time) ticks {
	t := c.project(at)
	c.latest = max(c.latest, t)
	return t
}

// host returns the host time of an instant.
func (c *clock) host(t ticks) time.Time { return c.at.Add((t - c.ticks).duration()) }

// sample takes a reading of the counter; it fails when the reading is
// implausible.
func (c *clock) sample(low uint32, at time.Time) error {
	t := c.unroll(low, c.project(at))
	if off := (t - c.project(at)).duration(); off.Abs() > clockMaxError+c.tolerance(at) {
		return fmt.Errorf("%w: it is %v off the host's clock %v after the last look", ErrCounter, off, at.Sub(c.at).Round(time.Millisecond))
	}
	c.at, c.ticks = at, t
	c.latest = max(c.latest, t)
	return nil
}

// unroll returns the instant whose chip count ends in low and that is nearest
// to about.
func (c *clock) unroll(low uint32, about ticks) ticks {
	return (about - c.offset).nearest(low) + c.offset
}

// stamp unrolls a packet's time stamp: it lies before the counter reading
// that was made after the packet was fetched, or at most a moment after it.
func (c *clock) stamp(low uint32) ticks {
	t := c.unroll(low, c.ticks)
	if t > c.ticks+ticksIn(counterTrust) {
		t -= 1 << 32
	}
	return t
}

// trigger returns the counter value at which an instant comes.
func (c *clock) trigger(t ticks) uint32 { return uint32(t - c.offset) }

// reading is one look at the chip's counter. The host can only say that it
// was made within doubt of at.
type reading struct {
	low   uint32
	at    time.Time
	doubt time.Duration
}

// since is how far two readings are apart beyond what the host's clock says.
func (r reading) since(before reading) time.Duration {
	return (ticks(int32(r.low-before.low)) - ticksIn(r.at.Sub(before.at))).duration()
}

// count reads the chip's counter once. A multi-byte read can tear, so one
// reading proves nothing by itself.
func (d *driver) count() (reading, error) {
	var b [4]byte
	begin := time.Now()
	if err := d.bus.read(reg.TimestampMsb2.Addr(), b[:]); err != nil {
		return reading{}, fmt.Errorf("read the counter: %w", err)
	}
	half := time.Since(begin) / 2
	return reading{binary.BigEndian.Uint32(b[:]), begin.Add(half), half}, nil
}

// counter reads the counter until two successive readings are as far apart
// as the host's clock says. A torn reading is wrong by milliseconds at least;
// one that doesn't move is that of a chip without clock, or none at all.
func (d *driver) counter() (reading, error) {
	before, err := d.count()
	if err != nil {
		return reading{}, err
	}
	for range counterTries {
		now, err := d.count()
		if err != nil {
			return reading{}, err
		}
		stands := now.low == before.low && now.at.Sub(before.at) > counterStep
		if now.since(before).Abs() < counterMatch+now.doubt+before.doubt && !stands {
			return now, nil
		}
		before = now
	}
	return reading{}, fmt.Errorf("%w: no two of %d readings agree with the host's clock", ErrCounter, counterTries+1)
}

// lookAtCounter brings the clock up to date: with one reading when it is
// where it is expected, with as many as are needed when not.
func (d *driver) lookAtCounter(c *clock) error {
	r, err := d.count()
	if err != nil {
		return err
	}
	expected := c.project(r.at)
	if off := (c.unroll(r.low, expected) - expected).duration(); off.Abs() > c.tolerance(r.at)/2+r.doubt {
		if r, err = d.counter(); err != nil {
			return err
		}
	}
	return c.sample(r.low, r.at)
}
