package concentrator

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
)

func TestAnArbiterThatStandsStillIsAStall(t *testing.T) {
	for name, x := range map[string]struct {
		history string // m: the counters moved since the last look, s: they stand
		stall   bool
	}{
		"moves for ever":             {"mmmmmmmmmmmmmmmmmmmmmmmm", false},
		"moved and stands":           {"mmmmmmmmmss", true},
		"stands for one look":        {"mmmmmmmmmsmmsmms", false},
		"stood as long before":       {"mmmmmmmmmsmmss", false},
		"stands longer than ever":    {"mmmmmmmmmsmmsss", true},
		"never moved":                {"ssssssssssssssssssss", false},
		"moves now and then":         {"mmsmmmsmmmmmsssssssss", false},
		"moved for too short a time": {"mmmmmmmssssssss", false},
	} {
		var h health
		counters, stall := []byte{0, 0}, false
		h.arbiterStands(counters)
		for _, c := range x.history {
			if c == 'm' {
				counters[1]++
			}
			stall = stall || h.arbiterStands(counters)
		}
		if stall != x.stall {
			t.Errorf("%s: %v", name, stall)
		}
	}
}

// The arbiter of a chip without traffic stops, right after or right before a
// look at it: less than 10 s later the run has ended, what was scheduled is
// reported, and a new run receives.
func TestAStuckArbiterEndsTheRunAndTheNextReceivesAgain(t *testing.T) {
	for after := 2 * time.Minute; after < 2*time.Minute+healthPeriod; after += healthPeriod / 10 {
		stickArbiter(t, after)
	}
}

func stickArbiter(t *testing.T, after time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		faults := new(sx1302sim.Faults)
		b := newBench(t, eu868(t), fast, func(s *sx1302sim.Config) { s.Faults = faults })
		b.run()
		time.Sleep(after)
		if err := b.Schedule(t.Context(), lora(3, b.instant()+30_000_000)); err != nil {
			t.Fatal(err)
		}
		faults.Set(func(m *sx1302sim.Misbehaviour) { m.StuckARB = true })
		begin := time.Now()
		var err error
		select {
		case err = <-b.done:
		case <-time.After(20 * time.Second):
			t.Fatal("it still runs after 20 s")
		}
		if !errors.Is(err, ErrStalled) || !strings.Contains(err.Error(), "arbiter") {
			t.Error(err)
		}
		if r := b.report(); r.ID != 3 || !errors.Is(r.Err, radio.ErrStopped) || !errors.Is(r.Err, ErrStalled) {
			t.Errorf("%+v", r)
		}
		if n := b.Stats().Stalls; n != 1 {
			t.Errorf("%d stalls counted", n)
		}

		faults.Set(func(m *sx1302sim.Misbehaviour) { m.StuckARB = false })
		b.run()
		if took := time.Since(begin); took >= 10*time.Second {
			t.Errorf("receives again %v after it stopped", took)
		}
		b.device().say("back", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
		select {
		case <-b.Uplinks():
		case <-time.After(time.Second):
			t.Error("nothing received after the restart")
		}
		b.stop()
	})
}
