package main

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/lab"
	"gatewayd/concentrator"
	"gatewayd/concentrator/sx1302sim"
	bench "gatewayd/nsedge/lab"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// scenarios is how many repetitions must pass in a row.
const scenarios = 1000

// playScenarios plays all repetitions, some at a time: they mostly wait for the
// disk.
func playScenarios(b *testing.B, script *lab.Script) (flakes int64) {
	var count atomic.Int64
	var group errgroup.Group
	group.SetLimit(4 * runtime.GOMAXPROCS(0))
	for n := range scenarios {
		group.Go(func() error {
			w := labWorld{cfg: simulated("EU868"), seed: uint64(n), virtual: true, target: lab.Target{Virtual: "healthy"}, log: slog.New(slog.DiscardHandler), limit: time.Hour}
			res, err := w.play(b.Context(), script, script.Cases[0])
			if err != nil || res.Outcome != lab.Passed {
				count.Add(1)
				b.Logf("seed %d: %s: %s (%v)", n, res.Outcome, res.Message, err)
			}
			return nil
		})
	}
	_ = group.Wait() // nothing returns an error
	return count.Load()
}

// BenchmarkScenarios plays one case again and again, each time with another
// seed: a join, an uplink, a downlink in RX1 and its acknowledgement.
func BenchmarkScenarios(b *testing.B) {
	text, err := os.ReadFile("lab/examples/join.star")
	if err != nil {
		b.Fatal(err)
	}
	script, err := lab.Load("join.star", text)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		flakes := playScenarios(b, script)
		b.ReportMetric(float64(flakes), "flakes")
		if flakes > 0 {
			b.Errorf("%d of %d scenarios did not pass", flakes, scenarios)
		}
	}
}

// offsets are those that BenchmarkTXOffsets plants, µs.
var offsets = []int64{-1000, -250, -31, -2, -1, 0, 1, 2, 17, 100, 999, 20_000}

// BenchmarkTXOffsets shifts downlinks by a fault, and compares when they were
// on the air with when they should have been.
func BenchmarkTXOffsets(b *testing.B) {
	for b.Loop() {
		var most int64
		var err error
		if virtual := lab.Virtual(func() { most, err = mostOff(context.Background()) }); virtual != nil {
			b.Fatal(virtual)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(most), "µs-off")
	}
}

// mostOff is by how much a shifted downlink was off at most, µs.
func mostOff(ctx context.Context) (most int64, err error) {
	hw, _, err := board.Emulate(board.Emulation{Timing: &sx1302sim.Timing{Hz: 8_000_000, PerTransfer: 30 * time.Microsecond, Exact: true}})
	if err != nil {
		return 0, err
	}
	defer hw.Close()
	reg, err := simulated("EU868").Region.Lookup()
	if err != nil {
		return 0, err
	}
	rc, err := radioConfig(hw, reg, nil)
	if err != nil {
		return 0, err
	}
	rc.Firmware, rc.Log = concentrator.EmulatedFirmware(), slog.New(slog.DiscardHandler)
	conc, err := concentrator.New(hw.Port, rc)
	if err != nil {
		return 0, err
	}
	layer := bench.New(bench.Config{Air: conc, Log: rc.Log})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return conc.Run(ctx) })
	<-conc.Started()
	group.Go(func() error { _ = layer.Run(ctx); return nil })
	starts := make(chan radio.Instant, 1)
	defer hw.Medium.Observe(func(t air.Transmission) { starts <- t.Start })()
	for n, shift := range offsets {
		if shift != 0 {
			if _, err := layer.Arm(bench.Fault{Kind: bench.Shift, Amount: shift}); err != nil {
				return 0, err
			}
		}
		now, _ := conc.Now()
		at := now.Add(300*time.Millisecond + time.Duration(n)*time.Microsecond)
		if err := layer.Schedule(ctx, radio.Downlink{
			ID: uint64(n) + 1, At: at, Payload: make([]byte, 1+n), Freq: 868_100_000, Power: 14, Mod: radio.LoRa{SF: 7, Bandwidth: 125_000, CodeRate: 1, InvertIQ: true},
		}); err != nil {
			return 0, err
		}
		off := int64(<-starts-at) - shift
		most = max(most, off, -off)
		<-layer.Reports()
	}
	cancel()
	return most, group.Wait()
}
