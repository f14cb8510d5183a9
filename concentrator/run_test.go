package concentrator

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
)

func TestAnUplinkIsStampedWithItsEndAndArrivesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		d := b.device()
		b.run()
		host := time.Now()
		atHost := b.medium.Now()
		for i, x := range []struct {
			freq radio.Hertz
			mod  radio.Modulation
		}{
			{868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000}},
			{867_900_000, radio.LoRa{SF: 12, Bandwidth: 125_000, CodeRate: 4}},
			{867_100_000, radio.LoRa{SF: 9, Bandwidth: 125_000, NoCRC: true}},
			{868_300_000, radio.LoRa{SF: 7, Bandwidth: 250_000}},
			{868_800_000, radio.FSK{BitRate: 50_000}},
		} {
			tx := d.say("hello", x.freq, x.mod)
			u := <-b.Uplinks()
			latency := b.medium.Elapsed() - time.Duration(tx.End)*time.Microsecond
			if u.At != tx.End+1_000_000 {
				t.Errorf("%v: stamped %d µs off its end", x.mod, u.At-tx.End-1_000_000)
			}
			limit := 5 * time.Millisecond
			if i == 0 { // nothing was heard for long
				limit += defaultQuiet
			}
			if latency > limit+decodeTime(x.mod) {
				t.Errorf("%v: arrived %v after its end", x.mod, latency)
			}
			if string(u.Payload) != "hello" || u.Freq != x.freq || u.Gateway != b.EUI() || u.Tmst != uint32(u.At) {
				t.Errorf("%v: %+v", x.mod, u)
			}
			if want := host.Add(time.Duration(tx.End-atHost) * time.Microsecond); u.Time.Sub(want).Abs() > time.Millisecond {
				t.Errorf("%v: host time %v, want %v", x.mod, u.Time, want)
			}
		}
		b.stop()
	})
}

// decodeTime bounds what the chip itself takes after the end of a packet.
func decodeTime(m radio.Modulation) time.Duration {
	l, ok := m.(radio.LoRa)
	if !ok {
		return time.Millisecond
	}
	return time.Duration(-loraStampCorrection(l.Bandwidth, l.SF, l.Rate(), !l.NoCRC, 5)) * time.Microsecond
}

func TestInstantsGoOnOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		d := b.device()
		last := radio.Instant(0)
		for i := range 4 {
			b.run()
			tx := d.say("hello", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
			u := <-b.Uplinks()
			if u.At <= last {
				t.Errorf("run %d: %d comes after %d", i, u.At, last)
			}
			if i == 0 && u.At != tx.End+1_000_000 {
				t.Errorf("the first Instant is not the chip's count: %d", u.At)
			}
			last = u.At
			b.stop()
			time.Sleep(time.Duration(i) * 90 * time.Second) // beyond a turn of the counter
		}
	})
}

// A real chip's counter begins anew after its reset; the emulated one's runs
// on. The clock must do with both.
func TestInstantsGoOnWhenTheCounterBeginsAnew(t *testing.T) {
	t0 := time.Unix(1000, 0)
	var c clock
	c.adopt(320_000_000, t0)
	if got := c.now(t0).instant(); got != 10_000_000 {
		t.Errorf("first instant %d", got)
	}
	c.now(t0.Add(time.Second))
	c.adopt(96_000_017, t0.Add(4*time.Second)) // 3 s instead of 14 s
	got := c.now(t0.Add(4 * time.Second))
	if off := got - ticksOf(14_000_000); off < 0 || off > 2*ticksPerMicrosecond {
		t.Errorf("after the restart %d, %d ticks off", got, off)
	}
	// A microsecond is still a microsecond of the chip.
	if c.trigger(got) != 96_000_017 {
		t.Errorf("the chip's count for now is %d", c.trigger(got))
	}
	if err := c.sample(96_000_017+32_000_000, t0.Add(5*time.Second)); err != nil {
		t.Error(err)
	}
	if err := c.sample(96_000_017, t0.Add(5*time.Second)); !errors.Is(err, ErrCounter) {
		t.Errorf("a counter that jumped back: %v", err)
	}
}

func TestCounterUnrollsAsInTheReference(t *testing.T) {
	var c clock
	for i, r := range table(t, "counter_expansion.csv") {
		if r["kind"] == "read" {
			inst := uint32(r.int(t, "inst_ticks"))
			if !c.set {
				c.adopt(inst, time.Unix(0, 0))
			}
			c.ticks += ticks(inst - uint32(c.ticks))
			if got := uint32(c.ticks.instant()); int64(got) != r.int(t, "inst_us") {
				t.Errorf("row %d: counter %d, want %s", i, got, r["inst_us"])
			}
			continue
		}
		stamp := uint32(r.int(t, "pkt_ticks"))
		got, want := c.stamp(stamp), uint32(r.int(t, "pkt_us"))
		if uint32(got.instant())&(1<<27-1) != want&(1<<27-1) {
			t.Errorf("row %d: stamp %d, want %d", i, got.instant(), want)
		}
		// The whole value too: the stamp is never newer than the reading.
		if uint32(got.instant()) != want && got <= c.ticks-(1<<32)+ticksIn(counterTrust) {
			t.Errorf("row %d: stamp %d is a turn before the counter %d, want %d", i, got, c.ticks, want)
		}
	}
}

func TestAnIdleChipCostsOneFrameAPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		time.Sleep(time.Second)
		before := b.Stats()
		time.Sleep(time.Minute)
		after := b.Stats()
		polls, frames := after.Polls-before.Polls, after.Frames-before.Frames
		// Once in five seconds the counter (1 frame), in three the health (4).
		if polls < 1_150 || polls > 1_201 || frames < polls || frames > polls+13+21*4 {
			t.Errorf("%d polls, %d frames", polls, frames)
		}
		b.stop()
	})
}

// While something was received not long ago, looks are frequent.
func TestLooksBecomeRareWhenNothingIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), sx1302sim.Timing{}, nil)
		b.run()
		polls := func(d time.Duration) uint64 {
			before := b.Stats().Polls
			time.Sleep(d)
			return b.Stats().Polls - before
		}
		for round := range 3 {
			b.device().say("hello", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
			<-b.Uplinks()
			if n := polls(quietAfter - time.Second); n < 11_590 || n > 11_640 {
				t.Errorf("round %d: %d looks in the 29 s after a packet", round, n)
			}
			time.Sleep(2 * time.Second)
			if n := polls(3 * time.Second); n < 57 || n > 61 {
				t.Errorf("round %d: %d looks in 3 quiet seconds", round, n)
			}
		}
		b.stop()
	})
}

func TestTheCounterIsWatchedForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := eu868(t)
		cfg.Poll = 100 * time.Millisecond // to save test time
		b := newBench(t, cfg, sx1302sim.Timing{}, nil)
		d := b.device()
		b.run()
		time.Sleep(10*time.Minute + 17*time.Second)
		tx := d.say("hello", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
		if u := <-b.Uplinks(); u.At != tx.End+1_000_000 {
			t.Errorf("stamped %d µs off after %v", u.At-tx.End-1_000_000, b.medium.Elapsed())
		}
		b.stop()
	})
}

func TestASlowReaderLosesTheNewestAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), sx1302sim.Timing{}, nil)
		d := b.device()
		b.run()
		const n = uplinkQueue + 5
		for range n {
			d.say("hello", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
			time.Sleep(100 * time.Millisecond)
		}
		b.stop()
		if s := b.Stats(); s.Packets != n || s.Dropped != 5 || len(b.Uplinks()) != uplinkQueue {
			t.Errorf("%d packets, %d dropped, %d waiting", s.Packets, s.Dropped, len(b.Uplinks()))
		}
	})
}

func TestOnlyOneRunAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		if err := b.Run(t.Context()); !errors.Is(err, ErrRunning) {
			t.Errorf("%v", err)
		}
		b.stop()
	})
}

func TestAnInterruptedStartIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
		if v := b.version(); v != 0 {
			t.Errorf("the chip answers 0x%02x: it is not in reset", v)
		}
	})
}

// Behind a socket there is no reset line, and the program may be started
// again at any time, also after it was killed.
// Each transfer of a start, a reception and a transmission fails once.
// survive receives and transmits while the nth transfer from now fails.
func TestNowFollowsTheChip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		if _, ok := b.Now(); ok {
			t.Error("a time before the start")
		}
		b.run()
		time.Sleep(3 * time.Second)
		if now, ok := b.Now(); !ok || now.Sub(b.instant()).Abs() > time.Millisecond {
			t.Errorf("%d, the air's clock says %d", now, b.instant())
		}
		b.stop()
	})
}
