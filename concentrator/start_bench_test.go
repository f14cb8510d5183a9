package concentrator

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/sx1302sim"
)

// The bars: at most a third of the reference's 671 frames, and 0.6 s with
// sleeps at 8 MHz and 30 µs a transfer.
func TestStartIsCheapAndFast(t *testing.T) {
	for _, name := range []string{"start_eu868_sx1250", "start_as923_sx1250", "start_cn490_sx1250"} {
		synctest.Test(t, func(t *testing.T) {
			rec := recorded(t, name)
			b := newBench(t, rec.config(), fast, nil)
			b.run()
			s := b.Stats()
			b.stop()
			t.Logf("%s: %d frames, %d bytes, %v (reference: %d frames, %d bytes)", name, s.StartFrames, s.StartBytes, s.StartTime, rec.Steps[0].Frames, rec.Steps[0].Bytes)
			if s.StartFrames > uint64(rec.Steps[0].Frames)/3 {
				t.Errorf("%s: %d frames, the reference has %d", name, s.StartFrames, rec.Steps[0].Frames)
			}
			if s.StartTime > 600*time.Millisecond {
				t.Errorf("%s: %v", name, s.StartTime)
			}
		})
	}
}

func BenchmarkStart(b *testing.B) {
	chip, err := sx1302sim.New(sx1302sim.Config{Timing: sx1302sim.Timing{Hz: 8_000_000, PerTransfer: 30 * time.Microsecond}})
	if err != nil {
		b.Fatal(err)
	}
	defer chip.Close()
	cfg := eu868(b)
	cfg.Reset = func(context.Context) error { chip.SetReset(true); chip.SetReset(false); return nil }
	c, err := New(chip.Port(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		started := c.Started()
		go func() { done <- c.Run(ctx) }()
		select {
		case <-started:
		case err := <-done:
			b.Fatal(err)
		}
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	s := c.Stats()
	b.ReportMetric(float64(s.StartFrames), "frames/op")
	b.ReportMetric(float64(s.StartBytes), "bytes/op")
	b.ReportMetric(671, "ref-frames/op")
	b.ReportMetric(35734, "ref-bytes/op")
	b.ReportMetric(float64(s.StartTime.Milliseconds()), "ms/start")
}

// The goal: a third of the reference's 65 frames for one transmission, also
// for the first, whose settings are all new.
func TestATransmissionIsCheap(t *testing.T) {
	s, m := modelled(t)
	for i, limit := range []int{21, 14} {
		d := sf7(uint64(i), s.clock.now(time.Now()).instant()+5_000_000)
		x, err := s.c.cfg.plan(d)
		if err != nil {
			t.Fatal(err)
		}
		m.frames = 0
		if err := s.admit(x); err != nil {
			t.Fatal(err)
		}
		if err := s.transmit(); err != nil {
			t.Fatal(err)
		}
		if err := s.arm(); err != nil {
			t.Fatal(err)
		}
		s.passTo(m, x.at+ticksIn(startCheck), 0x30)
		s.passTo(m, x.end+ticksIn(endCheck), 0x80)
		t.Logf("transmission %d: %d frames", i, m.frames)
		if r := <-s.c.reports; r.Err != nil || m.frames > limit {
			t.Errorf("transmission %d: %d frames, want at most %d; %+v", i, m.frames, limit, r)
		}
	}
}
