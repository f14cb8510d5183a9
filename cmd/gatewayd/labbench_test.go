package main

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"gatewayd/cmd/gatewayd/lab"
)

// scenarios is how many repetitions must pass in a row.
const scenarios = 1000

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
		flakes := 0
		for n := range scenarios {
			w := labWorld{cfg: simulated("EU868"), seed: uint64(n), virtual: true, target: lab.Target{Virtual: "healthy"}, log: slog.New(slog.DiscardHandler), limit: time.Hour}
			res, err := w.play(b.Context(), script, script.Cases[0])
			if err != nil || res.Outcome != lab.Passed {
				flakes++
				b.Logf("seed %d: %s: %s (%v)", n, res.Outcome, res.Message, err)
			}
		}
		b.ReportMetric(float64(flakes), "flakes")
		if flakes > 0 {
			b.Errorf("%d of %d scenarios did not pass", flakes, scenarios)
		}
	}
}
