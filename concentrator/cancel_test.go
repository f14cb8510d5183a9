package concentrator

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio"
)

func lora(id uint64, at radio.Instant) radio.Downlink {
	return radio.Downlink{
		ID: id, At: at, Freq: 868_100_000, Power: 14, Payload: make([]byte, 40),
		Mod: radio.LoRa{SF: 9, Bandwidth: 125_000, InvertIQ: true, NoCRC: true},
	}
}

func (b *testBench) report() radio.Report {
	b.t.Helper()
	select {
	case r := <-b.Reports():
		return r
	case <-time.After(200 * time.Second):
		b.t.Fatal("no report")
		return radio.Report{}
	}
}

func TestACancelledDownlinkIsNotSent(t *testing.T) {
	for name, x := range map[string]struct{ wait time.Duration }{
		"waiting": {0}, "armed": {990 * time.Millisecond}, "on the air": {1050 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, eu868(t), fast, nil)
				b.run()
				ctx := t.Context()
				first := lora(7, b.instant()+1_000_000)
				if err := errors.Join(b.Schedule(ctx, first), b.Schedule(ctx, lora(8, first.At+2_000_000))); err != nil {
					t.Fatal(err)
				}
				d := b.device()
				heard := d.hear(first)
				time.Sleep(x.wait)
				if err := b.Cancel(ctx, 7); err != nil {
					t.Fatal(err)
				}
				if r := b.report(); r.ID != 7 || !errors.Is(r.Err, radio.ErrCancelled) {
					t.Errorf("%+v", r)
				}
				if r := <-heard; r.err == nil && r.Outcome == 0 {
					t.Errorf("it was heard whole: %+v", r)
				}
				// The next one is sent, and nothing fires when the counter comes round.
				if r := b.report(); r.ID != 8 || r.Err != nil {
					t.Errorf("the next: %+v", r)
				}
				again := first
				again.At += 1 << 27
				late := d.hear(again)
				if r := <-late; r.err == nil {
					t.Error("it fired a turn of the counter later")
				}
				if err := b.Cancel(ctx, 7); !errors.Is(err, ErrUnknownDownlink) {
					t.Errorf("again: %v", err)
				}
				b.stop()
				if err := b.Cancel(ctx, 9); !errors.Is(err, radio.ErrStopped) {
					t.Errorf("stopped: %v", err)
				}
			})
		})
	}
}

func TestAnImmediateDownlinkStartsAtTheFirstInstantThatIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		ctx := t.Context()
		soon := lora(1, 0)
		soon.Immediate = true
		asked := b.instant()
		if err := b.Schedule(ctx, soon); err != nil {
			t.Fatal(err)
		}
		second := soon
		second.ID = 2
		if err := b.Schedule(ctx, second); err != nil {
			t.Fatal(err)
		}
		r := b.report()
		if took := r.Started.Sub(asked); r.Err != nil || r.ID != 1 || took > 8*time.Millisecond {
			t.Errorf("%+v, %v after the call", r, took)
		}
		q := b.report()
		if gap := q.Started.Sub(r.Ended); q.Err != nil || q.ID != 2 || gap < 0 || gap > 10*time.Millisecond {
			t.Errorf("%+v, %v after the first", q, gap)
		}
		b.stop()
	})
}

func TestACarrierEndsAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		d := radio.Downlink{ID: 5, At: b.instant() + 50_000, Freq: 868_100_000, Power: 14, Mod: radio.Carrier{Offset: 50_000, Duration: 300 * time.Millisecond}}
		if err := b.Schedule(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		r := b.report()
		if r.Err != nil || r.Started != d.At || r.Ended.Sub(r.Started) != 300*time.Millisecond {
			t.Errorf("%+v", r)
		}
		if over := b.instant().Sub(d.At); over > 305*time.Millisecond {
			t.Errorf("it was taken back %v after its start", over)
		}
		if err := b.Schedule(t.Context(), lora(6, b.instant()+50_000)); err != nil {
			t.Fatal(err)
		}
		if r := b.report(); r.Err != nil {
			t.Errorf("a frame after it: %+v", r)
		}
		b.stop()
	})
}

func TestCarriersThatCannotBeAreRefused(t *testing.T) {
	cfg := eu868(t)
	for name, m := range map[string]radio.Carrier{
		"no time": {}, "too long": {Duration: time.Hour}, "too far": {Duration: time.Second, Offset: 490_001}, "too far below": {Duration: time.Second, Offset: -490_001},
	} {
		if _, err := cfg.plan(radio.Downlink{Freq: 868_100_000, Power: 14, Mod: m}); !errors.Is(err, radio.ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := cfg.plan(radio.Downlink{Freq: 868_100_000, Power: 14, Payload: []byte{1}, Mod: radio.Carrier{Duration: time.Second}}); !errors.Is(err, radio.ErrFrame) {
		t.Errorf("with payload: %v", err)
	}
	// At no offset at all the reference divides by zero.
	x, err := cfg.plan(radio.Downlink{Freq: 868_100_000, Power: 14, Mod: radio.Carrier{Duration: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	s := offline(t, cfg)
	s.c.bus.limit, s.c.bus.conn = maxFrame, spiConn{new(wire)}
	if err := s.prepare(x); err != nil {
		t.Error(err)
	}
}
