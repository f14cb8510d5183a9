package blackbox

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// answerDeadline is enough for a device of the demo to send and be answered,
// on a busy machine.
const answerDeadline = 90 * time.Second

// TestEveryKindOfClientIsHeardInItsWindow runs the examples of the
// documentation and other WebSocket implementations against the demo, whose
// own application is quiet: each has to answer a device in time.
func TestEveryKindOfClientIsHeardInItsWindow(t *testing.T) {
	wanted(t)
	d := newDaemon(t)
	d.args = []string{"demo", "--quiet-as", "--json", "--devices", "8", "--listen", d.http, "--air", d.air}
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	token, err := d.invitation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	url := "ws://" + d.http + "/api/v1.0/data?access_token=" + token
	goExample := filepath.Join(t.TempDir(), "answer")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", goExample, "gatewayd/docs/examples").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	// What an example prints when its answer was on the air in RX1.
	answered := regexp.MustCompile(`^downlink [0-9a-f]{16} RX1 "got \d+", armed \d+\.\d ms before`)
	for name, args := range map[string][]string{
		"Go":                    {goExample, url},
		"JavaScript in Node.js": {"node", "node/example.mjs", url},
		"JavaScript in a page":  {"node", "node/example.mjs", url, "browser"},
		"Python":                {"python3", "../../../docs/examples/answer.py", url},
	} {
		t.Run(name, func(t *testing.T) {
			installed(t, args)
			c := startClient(t, args...)
			line := c.until(t, answered.MatchString)
			t.Log(line)
		})
	}
	t.Run("wscat", func(t *testing.T) {
		byHand(t, startClient(t, "node", "node/node_modules/wscat/bin/wscat", "-c", url+"&types=uplink,downlink_request,downlink,error"))
	})
}

// installed skips where a client can't run here.
func installed(t *testing.T, args []string) {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skipf("SKIPPED, LOUDLY: %s is not installed, so nobody has tried this client", args[0])
	}
	if args[len(args)-1] == "browser" {
		browserWanted(t)
	}
}

// clientProgram is somebody's application.
type clientProgram struct {
	lines chan string
	stdin io.Writer
	seen  *tail
}

// startClient runs a program until the test ends.
func startClient(t *testing.T, args ...string) *clientProgram {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	c := &clientProgram{lines: make(chan string, 1000), seen: new(tail)}
	cmd.Stderr = c.seen
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(c.lines)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			fmt.Fprintln(c.seen, in.Text())
			select {
			case c.lines <- in.Text():
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = cmd.Wait() // it was killed
	})
	return c
}

// until waits for a line.
func (c *clientProgram) until(t *testing.T, fits func(string) bool) string {
	t.Helper()
	deadline := time.After(answerDeadline)
	for {
		select {
		case line, ok := <-c.lines:
			if !ok {
				t.Fatalf("it ended:\n%s", c.seen)
			}
			if fits(line) {
				return line
			}
		case <-deadline:
			t.Fatalf("nothing within %v; it said\n%s", answerDeadline, c.seen)
		}
	}
}

// byHand pastes an answer into wscat, as the README invites people to do.
func byHand(t *testing.T, c *clientProgram) {
	var m struct {
		Type   string
		Meta   json.RawMessage
		Params struct{ Payload string }
	}
	read := func(kind string) func(string) bool {
		return func(line string) bool {
			_, text, ok := strings.Cut(line, "{")
			m.Type = ""
			return ok && json.Unmarshal([]byte("{"+text), &m) == nil && m.Type == kind
		}
	}
	for {
		c.until(t, read("downlink_request"))
		fmt.Fprintf(c.stdin, "{\"type\":\"downlink_response\",\"meta\":%s,\"params\":{\"payload\":\"aGVsbG8=\"}}\n", m.Meta)
		c.until(t, func(line string) bool { return read("downlink")(line) || read("error")(line) })
		if m.Type == "downlink" && m.Params.Payload == "aGVsbG8=" {
			return
		}
		t.Logf("not yet: %s %s", m.Type, m.Meta) // MAC commands of the network, or a machine that was too busy
	}
}
