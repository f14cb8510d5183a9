package concentrator

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio"
)

// Whatever the moment, exactly one of the two is on the air, and Schedule's
// answer says which: also when the first one is armed already.
func TestADownlinkTakesThePlaceOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		d := b.device()
		taken, tooLate := 0, 0
		for id, before := uint64(1), 40*time.Millisecond; before > -2*time.Millisecond; id, before = id+2, before-700*time.Microsecond {
			first, second := lora(id, b.instant()+100_000), lora(id+1, b.instant()+100_000)
			first.Payload, second.Payload = []byte("stands by"), []byte("takes its place")
			second.Replaces = id
			heard := d.hear(first)
			if err := b.Schedule(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			time.Sleep(first.At.Sub(b.instant()) - before)
			err := b.Schedule(t.Context(), second)
			want, reports := "stands by", 1
			switch {
			case err == nil:
				taken++
				want, reports = "takes its place", 2
			case errors.Is(err, radio.ErrTooLate):
				tooLate++
			default:
				t.Fatalf("%v before: %v", before, err)
			}
			if err != nil && before > 6*time.Millisecond {
				t.Errorf("%v before its start: %v", before, err)
			}
			for range reports {
				r := b.report()
				if r.ID == id && err == nil {
					if !errors.Is(r.Err, radio.ErrCancelled) || r.Started != 0 {
						t.Errorf("%v before: the first's report %+v", before, r)
					}
				} else if r.Err != nil || r.Started != first.At {
					t.Errorf("%v before: report %+v", before, r)
				}
			}
			if r := <-heard; r.err != nil || string(r.Payload) != want {
				t.Errorf("%v before: heard %q, %v, want %q", before, r.Payload, r.err, want)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if taken < 40 || tooLate < 5 {
			t.Errorf("%d taken, %d too late: the test lost its sense", taken, tooLate)
		}
		if n := b.Stats().TXFailed; n != 0 {
			t.Errorf("%d failures counted", n)
		}
		b.stop()
	})
}

func TestARefusedReplacementLeavesTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		first, other := lora(1, b.instant()+200_000), lora(2, b.instant()+900_000)
		if err := errors.Join(b.Schedule(t.Context(), first), b.Schedule(t.Context(), other)); err != nil {
			t.Fatal(err)
		}
		heard := b.device().hear(first)
		for i, x := range []struct {
			at       radio.Instant
			replaces uint64
			want     error
		}{
			{other.At, 1, radio.ErrCollision},
			{b.instant(), 1, radio.ErrTooLate},
			{first.At, 77, radio.ErrTooLate}, // nobody knows it
		} {
			d := lora(uint64(3+i), x.at)
			d.Replaces = x.replaces
			if err := b.Schedule(t.Context(), d); !errors.Is(err, x.want) {
				t.Errorf("%v, want %v", err, x.want)
			}
		}
		if r := <-heard; r.err != nil {
			t.Errorf("the first was not heard: %v", r.err)
		}
		for range 2 {
			if r := b.report(); r.Err != nil {
				t.Errorf("%+v", r)
			}
		}
		b.stop()
	})
}

// A host that stops just while the trigger is taken back may have let a part
// of the frame out: then nothing else may carry its counter.
func TestWhatMayHaveBegunIsNotReplaced(t *testing.T) {
	for _, pause := range []time.Duration{0, 16 * time.Millisecond} {
		t.Run(fmt.Sprint(pause), func(t *testing.T) {
			s, m, x := toArm(t, 15*time.Millisecond)
			if err := s.arm(); err != nil {
				t.Fatal(err)
			}
			m.tx = 0x91
			m.pause = func() { // as the trigger is taken back
				m.skew += uint32(ticksIn(pause))
				m.tx, m.pause = 0x80, func() {}
			}
			d := sf7(2, x.d.At.Add(100*time.Millisecond))
			d.Replaces = x.d.ID
			y, err := s.c.cfg.plan(d)
			if err != nil {
				t.Fatal(err)
			}
			err = s.admit(y)
			r := <-s.c.reports
			if !errors.Is(r.Err, radio.ErrCancelled) || (r.Started == 0) != (pause == 0) {
				t.Errorf("report %+v", r)
			}
			if pause == 0 && (err != nil || len(s.tx.queue) != 1) || pause > 0 && (!errors.Is(err, radio.ErrTooLate) || len(s.tx.queue) != 0) {
				t.Errorf("the second: %v, %d queued", err, len(s.tx.queue))
			}
		})
	}
}

// Where the other frame would go out later, the trigger of the first is still
// what counts.
func TestNothingIsTakenBackInTheLastMoment(t *testing.T) {
	s, m, x := toArm(t, 15*time.Millisecond)
	if err := s.arm(); err != nil {
		t.Fatal(err)
	}
	by := ticksIn(15*time.Millisecond - armMargin)
	m.skew += uint32(by)
	s.clock.ticks += by
	d := sf7(2, x.d.At.Add(time.Second))
	d.Replaces = x.d.ID
	y, err := s.c.cfg.plan(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.admit(y); !errors.Is(err, radio.ErrTooLate) || s.tx.active != x || m.triggers() == 0 || len(s.c.reports) > 0 {
		t.Errorf("%v", err)
	}
}
