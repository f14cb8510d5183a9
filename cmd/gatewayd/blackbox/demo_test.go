package blackbox

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// told is a line of the demo's story.
type told struct {
	Event  string
	Text   string
	Detail struct {
		Token            string
		Planned, Started int64
	}
}

func (d *daemon) story() []told {
	var out []told
	for text := range strings.Lines(d.log.String()) {
		var l told
		if json.Unmarshal([]byte(text), &l) == nil && l.Event != "" {
			out = append(out, l)
		}
	}
	return out
}

// invitation waits for the token that the demo shows.
func (d *daemon) invitation(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		for _, l := range d.story() {
			if l.Detail.Token != "" {
				return l.Detail.Token, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the demo invites nobody:\n%s", d.log)
		case <-poll.C:
		}
	}
}

func TestTheDemoPutsOnlyGoodFramesOnTheAir(t *testing.T) {
	wanted(t)
	d := newDaemon(t)
	d.args = []string{"demo", "--json", "--listen", d.http, "--air", d.air}
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	token, err := d.invitation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rec := play(t, "demo.mjs", map[string]string{
		"HTTP":  "http://" + d.http,
		"AIR":   d.air,
		"TOKEN": token,
		"PCAP":  filepath.Join(t.TempDir(), "demo.pcap"),
	}, nil)
	t.Run("tshark accepts every frame and verifies its MIC", func(t *testing.T) { judge(t, rec) })
	told := len(d.story()) // before the Ctrl-C
	t.Run("Ctrl-C ends the demo with exit code 0", func(t *testing.T) {
		if code, err := d.interrupt(); err != nil || code != 0 {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
	t.Run("its story proves each downlink's timing", func(t *testing.T) {
		proofs := 0
		for i, l := range d.story() {
			switch {
			case i < told && l.Event == "stopped":
				t.Errorf("something stopped before the Ctrl-C: %s", l.Text)
			case l.Event == "error":
				t.Errorf("the story tells an error: %s", l.Text)
			case l.Detail.Planned != 0:
				proofs++
				if l.Detail.Started != l.Detail.Planned {
					t.Errorf("planned %d, on the air %d: %s", l.Detail.Planned, l.Detail.Started, l.Text)
				}
			}
		}
		if proofs == 0 {
			t.Errorf("no downlink with its timing in the story:\n%s", d.log)
		}
	})
}
