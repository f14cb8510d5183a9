package blackbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Deadlines on a busy machine with two cores.
const (
	startDeadline = 30 * time.Second
	stopDeadline  = 15 * time.Second
)

// wanted skips the test unless it was asked for, and fails it where the tools
// are missing.
func wanted(t testing.TB) {
	t.Helper()
	if os.Getenv("GATEWAYD_BLACKBOX") == "" {
		t.Skip("black-box tests keep to real time and want Node.js: run them with make test")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal("node is not installed: apt-get install nodejs npm, or run make test as root")
	}
	if _, err := os.Stat("node/node_modules/lora-packet"); err != nil {
		t.Fatal("the Node.js packages are not installed: cd cmd/gatewayd/blackbox/node && npm ci")
	}
}

// build compiles gatewayd once per test.
func build(t testing.TB) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "gatewayd")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "gatewayd/cmd/gatewayd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// shortDir is a folder whose path leaves room for the name of a unix socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatewayd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// freeAddresses are loopback addresses that were free a moment ago.
func freeAddresses(t testing.TB, n int) []string {
	t.Helper()
	var out []string
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all at the end, so that they differ
		out = append(out, l.Addr().String())
	}
	return out
}

// daemon is a running gatewayd.
type daemon struct {
	bin, config string
	args        []string
	http, air   string // HOST:PORT

	cmd  *exec.Cmd
	log  *tail
	done chan error
}

// newDaemon writes a configuration; nothing runs yet.
func newDaemon(t testing.TB) *daemon {
	t.Helper()
	dir := shortDir(t)
	addresses := freeAddresses(t, 2)
	d := &daemon{bin: build(t), config: filepath.Join(dir, "gatewayd.toml"), http: addresses[0], air: addresses[1], log: new(tail)}
	d.args = []string{"run", "-c", d.config}
	text := fmt.Sprintf(`
[concentrator]
driver = "emulated"
[air]
listen = %q
[dataapi]
listen = %q
[region]
name = "EU868"
[network]
class_b = "off" # a beacon would have the transmitter when the wall clock says so
[state]
dir = %q
`, d.air, d.http, filepath.Join(dir, "state"))
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.kill()
		if t.Failed() {
			t.Logf("the daemon's last words:\n%s", d.log)
		}
	})
	return d
}

// start runs the daemon until it says that it is ready.
func (d *daemon) start(ctx context.Context) error {
	d.cmd = exec.Command(d.bin, d.args...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	d.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan<- error) { done <- cmd.Wait() }(d.cmd, d.done)

	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !ready(ctx, d.http) {
		select {
		case err := <-d.done:
			d.done <- err
			return fmt.Errorf("gatewayd ended before it was ready: %w\n%s", err, d.log)
		case <-ctx.Done():
			return fmt.Errorf("gatewayd is not ready after %v\n%s", startDeadline, d.log)
		case <-poll.C:
		}
	}
	return nil
}

func ready(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill ends the daemon as a power cut of its process would: SIGKILL.
func (d *daemon) kill() error {
	if d.cmd == nil || d.cmd.Process == nil {
		return nil
	}
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_, err := d.wait()
	d.cmd = nil
	return err
}

// interrupt is Ctrl-C; it returns the exit code.
func (d *daemon) interrupt() (int, error) {
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return 0, err
	}
	code, err := d.wait()
	if err == nil {
		d.cmd = nil
	}
	return code, err
}

func (d *daemon) wait() (int, error) {
	select {
	case err := <-d.done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return 0, err
		}
		return d.cmd.ProcessState.ExitCode(), nil
	case <-time.After(stopDeadline):
		return 0, fmt.Errorf("gatewayd has not ended after %v", stopDeadline)
	}
}

// command runs a subcommand of gatewayd and returns its last line.
func (d *daemon) command(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, d.bin, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("gatewayd %s: %v\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	return lines[len(lines)-1]
}

// tail keeps the last 64 KiB that were written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

var _ io.Writer = (*tail)(nil)

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	if over := len(w.text) - 64<<10; over > 0 {
		w.text = append([]byte(nil), w.text[over:]...)
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}
