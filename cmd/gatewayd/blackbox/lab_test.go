package blackbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// meter is a device made with lora-packet, on the bench: its keys, and what
// the network must know of it.
const meter = `{"dev_eui":"70b3d57ed0000001","join_eui":"70b3d57ed00000ff","app_key":"%s","class":"A","version":"1.0.4"}`

const (
	meterKey = "000102030405060708090a0b0c0d0e0f"
	wrongKey = "ff0102030405060708090a0b0c0d0e0f"
)

// labDeadline is far beyond what the suite takes.
const labDeadline = 8 * time.Minute

// bench is a folder for a run of the lab, with the built program.
type bench struct{ bin, dir, air string }

// file writes a file and returns its path.
func (b *bench) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lab runs gatewayd lab and returns what it said, and whether all passed.
func (b *bench) lab(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), labDeadline)
	defer cancel()
	out, err := exec.CommandContext(ctx, b.bin, append([]string{"lab"}, args...)...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("gatewayd lab %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err == nil
}

// program is one that runs beside the lab until the test ends, or by itself.
type program struct {
	*os.Process
	said *tail
}

func (b *bench) program(t *testing.T, name string, args ...string) program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := program{said: new(tail)}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = p.said, p.said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed, or the air went away
		if t.Failed() {
			t.Logf("%s: %s", name, p.said)
		}
	})
	p.Process = cmd.Process
	return p
}

// says waits until a program says something.
func (p program) says(t *testing.T, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !strings.Contains(p.said.String(), what) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("no %q within %v: %s", what, startDeadline, p.said)
		}
	}
}

// plugIn starts the device; it connects as soon as there is an air.
func (b *bench) plugIn(t *testing.T, key string) program {
	t.Helper()
	return b.program(t, "node", "node/meter/main.mjs", b.air, b.file(t, "meter.json", fmt.Sprintf(meter, key)))
}

// A device that shares no code with gatewayd is tested by the same scripts in
// virtual time, in real time, and at a concentrator behind SPI.
func TestTheBenchTestsADeviceMadeWithLoraPacket(t *testing.T) {
	wanted(t)
	b := &bench{bin: build(t), dir: shortDir(t)}
	b.air = "unix:" + filepath.Join(b.dir, "air")
	dut := b.file(t, "dut.json", fmt.Sprintf(meter, meterKey))

	// Hours of radio, in lockstep with a program outside.
	t.Run("it passes the whole suite", func(t *testing.T) {
		b.plugIn(t, meterKey)
		out, ok := b.lab(t, "suite", "--virtual", "--air", b.air, "--dut", dut)
		if n := strings.Count(out, "\npassed "); !ok || n < 30 {
			t.Errorf("%d cases passed:\n%s", n, out)
		}
	})
	t.Run("with a wrong key it fails", func(t *testing.T) {
		b.plugIn(t, wrongKey)
		out, ok := b.lab(t, "suite", "--virtual", "--air", b.air, "--dut", dut, "--case", "test_join", "activation")
		if ok || !strings.Contains(out, "failed   test_join ") || !strings.Contains(out, "join_mic") {
			t.Errorf("passed: %v\n%s", ok, out)
		}
	})
	t.Run("in real time", func(t *testing.T) {
		b.plugIn(t, meterKey)
		if out, ok := b.lab(t, "run", "--air", b.air, "--dut", dut, "real.star"); !ok {
			t.Error(out)
		}
	})
	t.Run("at a concentrator", func(t *testing.T) {
		spi := filepath.Join(b.dir, "spi")
		b.program(t, b.bin, "sim", "--spi-socket", spi, "--air", b.air).says(t, "Ctrl-C")
		device := b.plugIn(t, meterKey)
		device.says(t, "connected")
		config := b.file(t, "gatewayd.toml", fmt.Sprintf("[concentrator]\nspi = \"unix:%s\"\n[region]\nname = \"EU868\"\n[state]\ndir = %q\n[firmware]\ndir = %q\n",
			spi, filepath.Join(b.dir, "state"), filepath.Join(b.dir, "firmware")))
		cycle := fmt.Sprintf("kill -HUP %d", device.Pid)
		if out, ok := b.lab(t, "run", "--config", config, "--power-cycle", cycle, "--dut", dut, "real.star"); !ok {
			t.Error(out)
		}
	})
}

// The example in Python tests a virtual device over HTTP: a good one passes, a
// bad one does not.
func TestThePythonExampleTestsADevice(t *testing.T) {
	wanted(t)
	args := []string{"python3", "../../../docs/examples/test_device.py"}
	installed(t, args)
	d := newDaemon(t)
	text, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.config, append(text, "[lab]\nenabled = true\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	token := d.command(t, "key", "create", "-c", d.config, "--name", "bench", "--rights", "keys")
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ device, test, want string }{
		{"healthy", "test_acknowledgement", "passed test_acknowledgement\n"},
		{"accepts-wrong-mic", "test_tampered_downlink", "failed test_tampered_downlink it acknowledged a frame whose MIC is wrong\n"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), labDeadline)
		cmd := exec.CommandContext(ctx, args[0], args[1], c.test)
		cmd.Env = append(os.Environ(), "GATEWAYD=http://"+d.http, "GATEWAYD_TOKEN="+token, fmt.Sprintf("DEVICE={%q: %q}", "virtual", c.device))
		out, err := cmd.CombinedOutput()
		cancel()
		if string(out) != c.want {
			t.Errorf("%s: %v\n%s", c.device, err, out)
		}
	}
}
