package sx1302sim

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// counters reads the counter at the last pulse, and the counter.
func (h host) counters() (pulse, now uint32) {
	b := h.get(reg.TimestampPPSMsb2.Addr(), 8)
	return binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
}

func TestPulsesAreLatchedWhereTheyCome(t *testing.T) {
	for _, p := range []PPS{
		{},
		{Offset: 2_345_678_901},
		{Offset: 3 * time.Second, PPM: 20},
		{Offset: 3 * time.Second, PPM: -20},
		{Offset: time.Second, Jitter: 500 * time.Microsecond, Seed: 4},
		{Offset: time.Second, Missing: func(n int64) bool { return n%7 > 2 }},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, m := started(t, Config{PPS: &p})
			h := host{t, c}
			for range 500 {
				time.Sleep(333 * time.Millisecond)
				last := time.Duration(-1)
				for n := int64(0); p.at(n) <= m.Elapsed(); n++ {
					if p.Missing == nil || !p.Missing(n) {
						last = p.at(n)
					}
				}
				pulse, _ := h.counters()
				if want := 32*counterStart + uint32(ticksIn(last)); last >= 0 && pulse != want || last < 0 && pulse != 0 {
					t.Fatalf("%+v: at %v the pulse is latched at %d, want %d", p, m.Elapsed(), pulse, want)
				}
			}
		})
	}
}

func TestThePulsesHaveTheirRateAndJitter(t *testing.T) {
	p := PPS{Offset: time.Second, PPM: 10, Jitter: 100 * time.Nanosecond, Seed: 1}
	exact := PPS{Offset: time.Second, PPM: 10}
	if got, want := exact.at(100_000), time.Second+100_000*time.Second-time.Second; got != want {
		t.Errorf("pulse 100000 comes at %v, want %v", got, want)
	}
	different := map[time.Duration]bool{}
	for n := range int64(1000) {
		off := p.at(n) - exact.at(n)
		if again := p.at(n) - exact.at(n); off.Abs() > p.Jitter || again != off {
			t.Fatalf("pulse %d is off by %v", n, off)
		}
		different[off] = true
	}
	if len(different) < 100 {
		t.Errorf("only %d different offsets", len(different))
	}
}

// A pulse that doesn't come stands still in its register, for turns.
func TestAPulseThatDoesNotComeKeepsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := started(t, Config{PPS: &PPS{Missing: func(n int64) bool { return n > 5 }}})
		h := host{t, c}
		time.Sleep(10 * time.Second)
		before, _ := h.counters()
		time.Sleep(1000 * time.Second)
		if after, _ := h.counters(); after != before || before != 32*(counterStart+5_000_000) {
			t.Errorf("latched at %d, then %d", before, after)
		}
	})
}

// The crystal moves the counter, and everything that hangs on it, against the
// air: stamps, triggers, pulses.
func TestACrystalThatIsOffMovesTheCounterAgainstTheAir(t *testing.T) {
	for _, ppm := range []float64{0, 10, -10, 0.001, -25.5} {
		synctest.Test(t, func(t *testing.T) {
			c, m := started(t, Config{PPM: ppm, PPS: &PPS{}})
			h := host{t, c}
			time.Sleep(100*time.Second - m.Elapsed())
			pulse, now := h.counters()
			want := float64(32*counterStart) + 100*ticksPerSecond*(1+ppm*1e-6)
			if d := float64(now) - want; d < -1 || d > 1 || pulse != now {
				t.Errorf("%v ppm: counter %d, pulse %d, want %.0f", ppm, now, pulse, want)
			}
			// A second of the counter from now, by the air's clock.
			got := observe(m)
			delay := h.settings(0, sf7, 868_100_000, []byte{1})
			_, now = h.counters()
			at, began := now/32+1_000_000, m.Elapsed()
			h.at(0, at, delay)
			time.Sleep(2 * time.Second)
			exact := float64(began.Microseconds()) + float64(at*32-now)/32/(1+ppm*1e-6)
			if d := float64(got()[0].Start) - exact; d < -1.1 || d > 1.1 {
				t.Errorf("%v ppm: the frame starts %v µs after its moment", ppm, d)
			}
		})
	}
}

func TestFastAndSlowAreInverse(t *testing.T) {
	for _, ppm := range []float64{0, 1e-3, 9.999, -20, 100} {
		c := &Chip{cfg: Config{PPM: ppm}}
		for _, x := range []int64{0, 1, 31, 1_000_000, 999_999_999, 32_000_000 * 86400 * 366, -5, -1_000_000_007} {
			y := c.fast(x)
			if got := c.slow(y); got > x || c.fast(got) != y {
				t.Errorf("%v ppm: %d becomes %d, back %d", ppm, x, y, got)
			}
		}
	}
}

func TestTheGPSTriggerFiresAtAPulseThatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{PPS: &PPS{Offset: 700 * time.Millisecond, Missing: func(n int64) bool { return n == 2 }}})
		h, got := host{t, c}, observe(m)
		delay := h.settings(0, sf7, 868_100_000, []byte{1})
		h.put(reg.TXTrigGPS.Addr(), trigGPS) // at 2.2 s
		time.Sleep(2 * time.Second)
		if want := radio.Instant(3_700_000 + delay/32); len(got()) != 1 || got()[0].Start != want {
			t.Errorf("on the air %+v, want a start at %d", got(), want)
		}
	})
	p := &PPS{Offset: 500 * time.Millisecond, Missing: func(n int64) bool { return n < 10 }}
	if got := p.next(0); got != 10500*time.Millisecond {
		t.Errorf("the next pulse comes at %v", got)
	}
	if got := p.next(10500 * time.Millisecond); got != 11500*time.Millisecond {
		t.Errorf("and then at %v", got)
	}
	never := &PPS{Missing: func(int64) bool { return true }}
	if got := never.next(0); got < lookBack*time.Second {
		t.Errorf("a pulse that never comes, at %v", got)
	}
	if at, ok := never.last(1000 * time.Second); ok {
		t.Errorf("it was at %v", at)
	}
}
