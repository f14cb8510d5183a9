package blackbox

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// scenarioDeadline is far beyond what the longest scenario takes.
const scenarioDeadline = 3 * time.Minute

// line is what a scenario says on its standard output; see node/steps.mjs.
type line struct {
	Step    string
	Skipped bool
	Error   string
	Note    string
	MS      int
	Ask     string
	Capture *recording
}

// recording is a pcap file and the keys to it.
type recording struct {
	File   string
	Frames int
	Keys   []sessionKeys
}

type sessionKeys struct {
	DevAddr string `json:"dev_addr"`
	NwkSKey string `json:"nwkskey"`
	AppSKey string `json:"appskey"`
	AppEUI  string `json:"app_eui"`
	AppKey  string `json:"app_key"`
}

// play runs a scenario; each of its steps is a subtest. What the scenario asks
// for is looked up in asks.
func play(t *testing.T, script string, env map[string]string, asks map[string]func(context.Context) error) *recording {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scenarioDeadline)
	defer cancel()
	return playUntil(ctx, t, script, env, asks)
}

// playUntil is play with another deadline, that of ctx.
func playUntil(ctx context.Context, t *testing.T, script string, env map[string]string, asks map[string]func(context.Context) error) *recording {
	t.Helper()
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Dir = "node"
	cmd.Env = os.Environ()
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	stderr := new(tail)
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rec, steps := follow(ctx, t, stdout, stdin, asks)
	if err := cmd.Wait(); err != nil || steps == 0 {
		t.Errorf("node %s: %v after %d steps\n%s", script, err, steps, stderr)
	}
	return rec
}

func follow(ctx context.Context, t *testing.T, stdout io.Reader, stdin io.Writer, asks map[string]func(context.Context) error) (rec *recording, steps int) {
	t.Helper()
	for in := bufio.NewScanner(stdout); in.Scan(); {
		var l line
		switch err := json.Unmarshal(in.Bytes(), &l); {
		case err != nil:
			t.Logf("node: %s", in.Text())
		case l.Capture != nil:
			rec = l.Capture
		case l.Ask != "":
			if _, err := fmt.Fprintf(stdin, "%s\n", reply(ctx, asks[l.Ask], l.Ask)); err != nil {
				t.Errorf("answer %q: %v", l.Ask, err)
			}
		default:
			steps++
			t.Run(l.Step, func(t *testing.T) { report(t, l) })
		}
	}
	return rec, steps
}

func report(t *testing.T, l line) {
	switch {
	case l.Skipped:
		t.Skip("an earlier step failed")
	case l.Error != "":
		t.Error(l.Error)
	default:
		t.Logf("%d ms %s", l.MS, l.Note)
	}
}

// reply does what was asked and encodes the result.
func reply(ctx context.Context, do func(context.Context) error, what string) []byte {
	err := fmt.Errorf("nobody knows how to %q", what)
	if do != nil {
		err = do(ctx)
	}
	answer := map[string]string{}
	if err != nil {
		answer["error"] = err.Error()
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err) // a map of strings
	}
	return text
}
