package sx1302sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// PPS is the pulse per second of a satellite receiver, in air time.
type PPS struct {
	Offset time.Duration // air time of pulse 0; there is none before it
	PPM    float64       // by which the pulses come too fast
	Jitter time.Duration // each pulse is off by up to so much, either way, always the same for the same pulse
	Seed   uint64        // of the jitter
	// Missing tells whether pulse n does not come; nil means that all come.
	Missing func(n int64) bool
}

// lookBack bounds the search for a pulse that was not missing: it is longer
// than the counter takes to wrap.
const lookBack = 200

// at is the air time of pulse n.
func (p *PPS) at(n int64) time.Duration {
	t := p.Offset + time.Duration(n)*time.Second - time.Duration(math.Round(float64(n)*p.PPM*1000))
	if p.Jitter > 0 {
		dice := rand.New(rand.NewPCG(p.Seed, uint64(n))) //nolint:gosec // the dice of nature, repeatable by their seed
		t += time.Duration(dice.Int64N(2*int64(p.Jitter)+1)) - p.Jitter
	}
	return t
}

// upTo is the number of the last pulse at air time now, whether it is missing
// or not; negative before the first.
func (p *PPS) upTo(now time.Duration) int64 {
	n := int64(math.Floor((now - p.Offset).Seconds() * (1 + p.PPM*1e-6)))
	for p.at(n+1) <= now {
		n++
	}
	for n >= 0 && p.at(n) > now {
		n--
	}
	return n
}

// last is the last pulse that came at air time now or before.
func (p *PPS) last(now time.Duration) (at time.Duration, ok bool) {
	n := p.upTo(now)
	for k := n; k >= 0 && k > n-lookBack; k-- {
		if p.Missing == nil || !p.Missing(k) {
			return p.at(k), true
		}
	}
	return 0, false
}

// next is the next pulse that comes after air time now. Where none comes for
// long it is one that would.
func (p *PPS) next(now time.Duration) time.Duration {
	n := max(p.upTo(now), -1)
	for k := n + 1; k <= n+lookBack; k++ {
		if p.Missing == nil || !p.Missing(k) {
			return p.at(k)
		}
	}
	return p.at(n + lookBack + 1)
}

// nextPPS is the counter at the next pulse.
func (c *Chip) nextPPS() int64 {
	if c.cfg.PPS == nil {
		return c.lastPPS() + ticksPerSecond
	}
	return c.base + c.fast(ticksIn(c.cfg.PPS.next(time.Since(c.origin))))
}

// fast converts ticks of an exact clock to ticks of the chip's crystal.
func (c *Chip) fast(t int64) int64 {
	ppb := int64(math.Round(c.cfg.PPM * 1000))
	const billion = 1_000_000_000
	return t + t/billion*ppb + t%billion*ppb/billion
}

// slow is the inverse of fast: the first exact tick that fast takes to t.
func (c *Chip) slow(t int64) int64 {
	if c.cfg.PPM == 0 {
		return t
	}
	x := t - c.fast(t) + t
	for c.fast(x) < t {
		x++
	}
	for c.fast(x-1) >= t {
		x--
	}
	return x
}
