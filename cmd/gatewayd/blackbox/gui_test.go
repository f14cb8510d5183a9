package blackbox

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestThePageInARealBrowser(t *testing.T) {
	wanted(t)
	browserWanted(t)
	buildPage(t)
	d := newDaemon(t)
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // many pages; two on an idle machine
	defer cancel()
	playUntil(ctx, t, "gui.mjs", map[string]string{"HTTP": "http://" + d.http, "AIR": d.air},
		map[string]func(context.Context) error{
			"restart": func(ctx context.Context) error {
				if err := d.kill(); err != nil {
					return err
				}
				return d.start(ctx)
			},
		})
}

// browserWanted skips the test where there is no Chromium.
func browserWanted(t testing.TB) {
	t.Helper()
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		chromium = "chromium"
	}
	if _, err := exec.LookPath(chromium); err != nil {
		t.Skip("SKIPPED, LOUDLY: no Chromium, so no browser has tried it. Debian: apt-get install chromium")
	}
}

// buildPage bundles the page, for the next build to embed.
func buildPage(t testing.TB) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "../../../scripts/gui").CombinedOutput(); err != nil {
		t.Fatalf("scripts/gui: %v\n%s", err, out)
	}
}
