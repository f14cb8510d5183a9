package concentrator

import (
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/reg"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// emissions are the frames on the air.
func (b *testBench) emissions() <-chan air.Transmission {
	heard := make(chan air.Transmission, 100)
	b.medium.Observe(func(x air.Transmission) { heard <- x })
	return heard
}

// The chip's own trigger starts at once, and the report says when, as well as
// a host can know.
func TestAnImmediateTriggerStartsWhenItIsWritten(t *testing.T) {
	for _, mod := range []radio.Modulation{
		radio.LoRa{SF: 7, Bandwidth: 125_000, InvertIQ: true}, radio.LoRa{SF: 12, Bandwidth: 500_000}, radio.FSK{BitRate: 50_000},
		radio.Carrier{Offset: 20_000, Duration: 100 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, carrier := mod.(radio.Carrier)
			b := newBench(t, eu868(t), fast, nil)
			heard := b.emissions()
			b.run()
			for i := range 5 {
				time.Sleep(time.Duration(i) * 777 * time.Millisecond)
				d := sf7(uint64(i), 0)
				d.Immediate, d.Mod = true, mod
				if carrier {
					d.Payload = nil
				}
				asked := b.instant()
				r := b.send(d)
				if r.Err != nil || r.Started > r.Planned || r.Started.Sub(asked) > 4*time.Millisecond {
					t.Errorf("%v: %+v, asked at %d", mod, r, asked)
				}
				if r.Doubt <= 0 || r.Doubt > 60*time.Microsecond {
					t.Errorf("%v: a doubt of %v", mod, r.Doubt)
				}
				if carrier {
					continue // is none of the air's frames
				}
				x := <-heard
				if off := r.Started.Sub(x.Start + 1_000_000); off.Abs() > r.Doubt+time.Microsecond {
					t.Errorf("%v: the report is %v off the air, in doubt are %v", mod, off, r.Doubt)
				}
			}
			b.stop()
		})
	}
}

// What a pulse starts is on the air by the transmitter's delay after it, and
// the report says so by the chip's own latch.
func TestAPulseStartsATransmission(t *testing.T) {
	for _, ppm := range []float64{0, 12.5, -20} {
		synctest.Test(t, func(t *testing.T) {
			pps := sx1302sim.PPS{Offset: 1700 * time.Millisecond}
			b := newBench(t, eu868(t), fast, func(s *sx1302sim.Config) { s.PPM, s.PPS = ppm, &pps })
			heard := b.emissions()
			b.run()
			time.Sleep(3 * time.Second)
			for i, ahead := range []time.Duration{0, 300 * time.Millisecond, 900 * time.Millisecond, 5 * time.Second, 70 * time.Second, 400 * time.Second} {
				time.Sleep(time.Duration(i) * 333 * time.Millisecond)
				d := lora(uint64(i), 0)
				d.OnPulse = true
				now := b.medium.Elapsed()
				first := now + 10*time.Millisecond
				if ahead > 0 {
					d.At = b.now(t).Add(ahead)
					first = now + ahead
				}
				delay := time.Duration(loraStartDelay(SX1250, 125_000, 9)) * time.Microsecond / 32
				pulse := pps.Offset
				for pulse+delay < first {
					pulse += time.Second
				}
				r := b.send(d)
				x := <-heard
				// The delay is counted by the chip's crystal, too.
				if want := radio.Instant((pulse + delay) / time.Microsecond); r.Err != nil || r.Doubt != 0 || max(x.Start-want, want-x.Start) > 1 {
					t.Errorf("%v ppm, %v ahead: on the air at %d, the pulse means %d; %+v", ppm, ahead, x.Start, want, r)
				}
				if off := b.instantOf(t, x.Start) - r.Started; max(off, -off) > 1 {
					t.Errorf("%v ppm, %v ahead: the report is %d µs off the air", ppm, ahead, off)
				}
				if off := r.Planned.Sub(r.Started); ahead > 0 && r.Planned < d.At || off.Abs() > 50*time.Microsecond {
					t.Errorf("%v ppm, %v ahead: planned %v off, asked for %d: %+v", ppm, ahead, off, d.At, r)
				}
			}
			b.stop()
		})
	}
}

// now is the present Instant by the chip's counter.
func (b *testBench) now(t *testing.T) radio.Instant {
	i, ok := b.Now()
	if !ok {
		t.Fatal("it doesn't run")
	}
	return i
}

// instantOf is the Instant of an air time, by a look of its own at the chip's
// counter.
func (b *testBench) instantOf(t *testing.T, at radio.Instant) radio.Instant {
	t.Helper()
	conn, err := b.chip.Port().Connect(physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		t.Fatal(err)
	}
	a := reg.TimestampMsb2.Addr()
	frame := make([]byte, readHeader+4)
	if err := conn.Tx([]byte{targetChip, byte(a >> 8), byte(a), 0, 0, 0, 0, 0}, frame); err != nil {
		t.Fatal(err)
	}
	k := *b.session().published.Load()
	now := k.unroll(binary.BigEndian.Uint32(frame[readHeader:]), k.project(time.Now())).instant()
	back := float64(b.medium.Now()-at) * (1 + b.ppm*1e-6)
	return now - radio.Instant(back)
}

func TestWithoutAPulseNothingStarts(t *testing.T) {
	lost := func(from int64) func(*sx1302sim.Config) {
		pps := sx1302sim.PPS{Missing: func(n int64) bool { return n >= from }}
		return func(s *sx1302sim.Config) { s.PPS = &pps }
	}
	onPulse := func(b *testBench, ahead time.Duration) error {
		d := lora(1, b.instant()+radio.Instant(ahead/time.Microsecond))
		d.OnPulse = true
		return b.Schedule(b.t.Context(), d)
	}
	nothingMore := func(b *testBench, heard <-chan air.Transmission) {
		time.Sleep(300 * time.Second) // two turns of the counter
		if len(heard) > 0 {
			b.t.Errorf("on the air: %+v", <-heard)
		}
		b.stop()
	}
	t.Run("never came", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, eu868(t), fast, lost(0))
			b.run()
			if err := onPulse(b, time.Second); !errors.Is(err, ErrNoPulse) {
				t.Error(err)
			}
			b.stop()
		})
	})
	t.Run("stopped before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, eu868(t), fast, lost(8))
			heard := b.emissions()
			b.run()
			time.Sleep(5 * time.Second)
			if err := onPulse(b, 7*time.Second); err != nil {
				t.Fatal(err)
			}
			if r := b.report(); !errors.Is(r.Err, ErrNoPulse) || r.Armed != 0 {
				t.Errorf("%+v", r)
			}
			nothingMore(b, heard)
		})
	})
	t.Run("the one itself doesn't come", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, eu868(t), fast, lost(8))
			heard := b.emissions()
			b.run()
			time.Sleep(5 * time.Second)
			if err := onPulse(b, 2500*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if r := b.report(); !errors.Is(r.Err, ErrNotStarted) || r.Armed == 0 || r.Started != 0 {
				t.Errorf("%+v", r)
			}
			nothingMore(b, heard)
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, wait := range []time.Duration{time.Second, 2400 * time.Millisecond, 2495 * time.Millisecond} {
				b := newBench(t, eu868(t), fast, lost(100))
				heard := b.emissions()
				b.run()
				time.Sleep(4500*time.Millisecond - b.medium.Elapsed())
				if err := onPulse(b, 2400*time.Millisecond); err != nil {
					t.Fatal(err)
				}
				time.Sleep(wait)
				if err := b.Cancel(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				if r := b.report(); !errors.Is(r.Err, radio.ErrCancelled) || r.Started != 0 {
					t.Errorf("%v: %+v", wait, r)
				}
				nothingMore(b, heard)
			}
		})
	})
	t.Run("both", func(t *testing.T) {
		b := offline(t, eu868(t))
		d := lora(1, 0)
		d.OnPulse, d.Immediate = true, true
		if _, err := b.c.cfg.plan(d); !errors.Is(err, radio.ErrFrame) {
			t.Error(err)
		}
	})
}

// With listen before talk a pulse finds the channel watched.
func TestAPulseAfterListening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, as923(t), fast, func(s *sx1302sim.Config) { s.PPS = &sx1302sim.PPS{} })
		heard := b.emissions()
		b.run()
		time.Sleep(2300 * time.Millisecond)
		for i := range 3 {
			d := as923Downlink(uint64(i), 0, 923_200_000)
			d.OnPulse, d.Immediate = i < 2, i == 2
			r := b.send(d)
			x := <-heard
			if off := b.instantOf(t, x.Start) - r.Started; r.Err != nil || max(off, -off) > 1 {
				t.Errorf("%d µs off the air, %+v", off, r)
			}
		}
		b.stop()
	})
}
