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

// The arbiter of a chip without traffic stops: within 13 s (two looks, 4 s
// apart, and the rest of one) the run ends, what was scheduled is reported,
// and a new run receives again within 10 s more.
func TestAStuckArbiterEndsTheRunAndTheNextReceivesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := new(sx1302sim.Faults)
		b := newBench(t, eu868(t), fast, func(s *sx1302sim.Config) { s.Faults = faults })
		b.run()
		time.Sleep(2 * time.Minute)
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
		if !errors.Is(err, ErrStalled) || !strings.Contains(err.Error(), "arbiter") || time.Since(begin) > 13*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if r := b.report(); r.ID != 3 || !errors.Is(r.Err, radio.ErrStopped) || !errors.Is(r.Err, ErrStalled) {
			t.Errorf("%+v", r)
		}
		if n := b.Stats().Stalls; n != 1 {
			t.Errorf("%d stalls counted", n)
		}

		faults.Set(func(m *sx1302sim.Misbehaviour) { m.StuckARB = false })
		begin = time.Now()
		b.run()
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("started again after %v", took)
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
