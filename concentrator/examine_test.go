package concentrator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/sx1302sim"
)

// examine runs an examination of a chip that misbehaves and returns what it
// found.
func examine(t *testing.T, fault sx1302sim.Misbehaviour, cfg Config, change func(*sx1302sim.Config)) (found []Finding, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cfg, fast, func(c *sx1302sim.Config) {
			c.Violation = func(error) {} // a broken chip is judged by what is found
			if change != nil {
				change(c)
			}
		})
		b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { *m = fault })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = b.Examine(ctx, func(f Finding) { found = append(found, f) })
		if ctx.Err() != nil {
			t.Error("it took a minute")
		}
	})
	return found, err
}

// What a healthy chip shows: each part as expected, nothing transmitted, the
// reset proven by a register that was changed.
func TestExaminationOfAHealthyChipFindsNothingWrong(t *testing.T) {
	for _, config := range []string{"start_eu868_sx1250", "start_eu868_sx1257"} {
		pps := &sx1302sim.PPS{}
		found, err := examine(t, sx1302sim.Misbehaviour{}, recorded(t, config).config(), func(c *sx1302sim.Config) { c.PPS = pps })
		if err != nil {
			t.Fatal(err)
		}
		steps := map[string]string{}
		for _, f := range found {
			if f.Err != nil {
				t.Errorf("%s: %s: %s: %v", config, f.Step, f.Seen, f.Err)
			}
			if f.Expected == "" || f.Seen == "" {
				t.Errorf("%+v", f)
			}
			steps[f.Step] = f.Seen
		}
		if steps["version"] != "0x10" || !strings.Contains(steps["identity"], "0016c001f1c2a3b4, SX1302") || steps["reset proof"] != "it is back" {
			t.Errorf("%v", steps)
		}
	}
}

// Each fault is found where it is, with the error that callers branch on.
func TestExaminationFindsEachFault(t *testing.T) {
	for name, c := range map[string]struct {
		fault sx1302sim.Misbehaviour
		step  string
		is    error
		seen  string
	}{
		"no power":        {sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerZeroes}, "version", ErrNoChip, "0x00"},
		"no chip":         {sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerOnes}, "version", ErrNoChip, "0xFF"},
		"latch-up":        {sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerUnreset}, "version", ErrNotReset, "0x05"},
		"failed transfer": {sx1302sim.Misbehaviour{FailTransfer: 40}, "SPI bus", ErrTransfer, "1 transfers failed"},
		"noise":           {sx1302sim.Misbehaviour{Noise: 100}, "SPI bus", ErrTransfer, "5 of 500 readings differ"},
		"reset broken":    {sx1302sim.Misbehaviour{ResetBroken: true}, "reset proof", ErrNotReset, "kept its value"},
		"radio A dead":    {sx1302sim.Misbehaviour{DeadRadios: [2]bool{true, false}}, "radio ids", ErrCalibration, "status 0x00"},
		"radio B dead":    {sx1302sim.Misbehaviour{DeadRadios: [2]bool{false, true}}, "radio ids", ErrCalibration, "B: status 0x00"},
		"image":           {sx1302sim.Misbehaviour{RadioErrors: [2]uint16{0, 0x10}}, "calibration", nil, "calibrate the radios"},
		"memory":          {sx1302sim.Misbehaviour{StuckBit: true}, "RAM test", ErrMCU, "at 0x0123"},
		"mute AGC":        {sx1302sim.Misbehaviour{MuteAGC: true}, "AGC firmware", ErrMCU, "configure AGC"},
		"mute arbiter":    {sx1302sim.Misbehaviour{MuteARB: true}, "arbiter firmware", ErrMCU, "configure ARB"},
		"parity":          {sx1302sim.Misbehaviour{ParityAGC: true}, "AGC firmware", ErrMCU, "load AGC firmware"},
		"no clock":        {sx1302sim.Misbehaviour{NoClock: true}, "AGC firmware", ErrMCU, "configure AGC"},
		"stuck AGC":       {sx1302sim.Misbehaviour{StuckAGC: 0x14}, "AGC firmware", ErrMCU, "configure AGC"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := examine(t, c.fault, eu868(t), nil)
			if len(found) == 0 {
				t.Fatal(err)
			}
			last := found[len(found)-1]
			if last.Step != c.step || last.Err == nil || !strings.Contains(last.Seen, c.seen) {
				t.Errorf("%s: seen %q, %v; want %s: %q", last.Step, last.Seen, last.Err, c.step, c.seen)
			}
			if err == nil || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v, want %v", err, c.is)
			}
			for _, f := range found[:len(found)-1] {
				if f.Err != nil {
					t.Errorf("before that: %+v", f)
				}
			}
		})
	}
}

// Without a reset line in reach nothing is proven, and it says so.
func TestExaminationSaysWhatItCantProve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, func(c *sx1302sim.Config) {
			c.PPS = &sx1302sim.PPS{Missing: func(int64) bool { return true }}
		})
		b.cfg.Reset, b.cfg.HoldReset = nil, nil
		seen := map[string]Finding{}
		if err := b.Examine(t.Context(), func(f Finding) { seen[f.Step] = f }); err != nil {
			t.Fatal(err)
		}
		if f := seen["reset proof"]; f.Seen != notDriven || f.Err != nil {
			t.Errorf("%+v", f)
		}
		if f := seen["pulse"]; f.Err == nil || !f.Optional {
			t.Errorf("%+v: there is no pulse", f)
		}
	})
}

// A chip that runs is not taken from under its driver.
func TestExaminationRefusesAChipThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		defer b.stop()
		if err := b.Examine(t.Context(), func(Finding) {}); !errors.Is(err, ErrRunning) {
			t.Errorf("got %v", err)
		}
	})
}

func TestExaminationEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := b.Examine(ctx, func(Finding) {
			if n++; n == 3 {
				cancel()
			}
		})
		if n != 3 || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%d findings, %v", n, err)
		}
	})
}
