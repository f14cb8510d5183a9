package blackbox

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// BenchmarkThePage measures what the page takes in a browser: the time until
// its first page is there, then, with 50 frames a second on the air, processor
// time and what its memory grows by. GATEWAYD_BROWSER_FOR says for how long; a
// minute without it, ten by make bench.
func BenchmarkThePage(b *testing.B) {
	wanted(b)
	browserWanted(b)
	span := time.Minute
	if text := os.Getenv("GATEWAYD_BROWSER_FOR"); text != "" {
		var err error
		if span, err = time.ParseDuration(text); err != nil {
			b.Fatalf("GATEWAYD_BROWSER_FOR=%s: %v; such as 10m is wanted", text, err)
		}
	}
	buildPage(b)
	d := newDaemon(b)
	if err := d.start(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), span+3*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", "guibench.mjs") //nolint:gosec // a fixed program; the environment says for how long
		cmd.Dir, cmd.Stderr = "node", os.Stderr
		cmd.Env = append(os.Environ(), "HTTP=http://"+d.http, "AIR="+d.air, "SECONDS="+strconv.Itoa(int(span.Seconds())))
		out, err := cmd.Output()
		if err != nil {
			b.Fatalf("node guibench.mjs: %v\n%s", err, out)
		}
		var figures map[string]float64
		if err := json.Unmarshal(out, &figures); err != nil {
			b.Fatalf("node guibench.mjs: %v\n%s", err, out)
		}
		for unit, value := range figures {
			b.ReportMetric(value, unit)
		}
	}
}
