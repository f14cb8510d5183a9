package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/board"
	"gatewayd/concentrator"
	"gatewayd/concentrator/sx1302sim"
)

// A start that can't succeed says so in one line on standard error that names
// what is wrong and what to do, and exits with 1.
func TestBadStartsSayWhatToDo(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	state := func(name string) string { return fmt.Sprintf("[state]\ndir = %q\n", filepath.Join(dir, name)) }
	api := "[dataapi]\nlisten = \"127.0.0.1:1\"\n" // nobody may listen there but root
	if free, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		api = fmt.Sprintf("[dataapi]\nlisten = %q\n", free.Addr())
		free.Close()
	}
	const emulated = "[concentrator]\ndriver = \"emulated\"\n"
	file := filepath.Join(dir, "file")
	short := filepath.Join(dir, "short")
	wrong := filepath.Join(dir, "wrong")
	for path, size := range map[string]int{
		file: 1, filepath.Join(short, "agc_fw_sx1250.bin"): 100, filepath.Join(wrong, "agc_fw_sx1250.bin"): 8192,
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, make([]byte, size), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	firmware := func(dir string) string { return fmt.Sprintf("[firmware]\ndir = %q\n", dir) }

	for name, c := range map[string]struct {
		config string
		want   []string
	}{
		"port in use": {
			emulated + state("a") + fmt.Sprintf("[dataapi]\nlisten = %q\n", busy.Addr()),
			[]string{"dataapi.listen", busy.Addr().String(), "another program listens there"},
		},
		"air port in use": {
			emulated + state("a") + api + fmt.Sprintf("[air]\nlisten = %q\n", busy.Addr()),
			[]string{"air.listen", busy.Addr().String(), "another program listens there"},
		},
		"certificate missing": {
			emulated + state("a") + api + "tls_cert = \"/none/cert.pem\"\ntls_key = \"/none/key.pem\"\n",
			[]string{"dataapi.tls_cert", "/none/cert.pem"},
		},
		"state is a file": {
			emulated + fmt.Sprintf("[state]\ndir = %q\n", file) + api,
			[]string{"state.dir", file},
		},
		"firmware missing": {
			state("a") + api + firmware(filepath.Join(dir, "none")),
			[]string{"agc_fw_sx1250.bin", "is missing", "SHA-256 8f612e87", "gatewayd firmware import"},
		},
		"firmware short": {
			state("a") + api + firmware(short),
			[]string{"agc_fw_sx1250.bin", "100 bytes", "8192", "gatewayd firmware import"},
		},
		"firmware wrong": {
			state("a") + api + firmware(wrong),
			[]string{"agc_fw_sx1250.bin", "SHA-256", "not the known 8f612e87", "gatewayd firmware import"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, text := cli(t, "run", "-c", writeConfig(t, c.config))
			if code != exitFailure {
				t.Errorf("exit code %d, want %d", code, exitFailure)
			}
			if n := strings.Count(text, "\n"); n != 1 {
				t.Errorf("%d lines: %s", n, text)
			}
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("%q doesn't say %q", text, w)
				}
			}
		})
	}
}

// A state folder that a daemon uses is refused with the daemon's pid.
func TestSecondDaemonIsToldThePidOfTheFirst(t *testing.T) {
	config, _ := stateConfig(t)
	defer serveStateFolder(t, config)()
	code, _, text := cli(t, "run", "-c", config)
	if want := fmt.Sprintf("pid %d", os.Getpid()); code != exitFailure || !strings.Contains(text, want) {
		t.Errorf("exit code %d: %q doesn't say %q", code, text, want)
	}
}

// A socket of the SPI bus that nobody serves.
func TestMissingSPISocketSaysHowToServeIt(t *testing.T) {
	w := "unix:" + filepath.Join(t.TempDir(), "spi.sock")
	cfg, err := loadForTest(writeConfig(t, fmt.Sprintf("[concentrator]\nspi = %q\n", w)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := board.Lookup(cfg.Concentrator.Board)
	if err != nil {
		t.Fatal(err)
	}
	_, err = openBoard(b, cfg, nil)
	if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(w, "unix:")) || !strings.Contains(err.Error(), "gatewayd sim") {
		t.Errorf("got %v", err)
	}
}

// A chip that doesn't answer as one ends the daemon with the driver's
// diagnosis instead of being tried for ever.
func TestDeadChipEndsTheDaemonWithADiagnosis(t *testing.T) {
	for name, c := range map[string]struct {
		fault sx1302sim.Misbehaviour
		is    error
		says  string
	}{
		"no power":   {sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerZeroes}, concentrator.ErrNoChip, "0x00"},
		"no chip":    {sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerOnes}, concentrator.ErrNoChip, "0xFF"},
		"no reset":   {sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerUnreset}, concentrator.ErrNotReset, "reset"},
		"mute AGC":   {sx1302sim.Misbehaviour{MuteAGC: true}, concentrator.ErrMCU, "AGC"},
		"mute ARB":   {sx1302sim.Misbehaviour{MuteARB: true}, concentrator.ErrMCU, "ARB"},
		"bus broken": {sx1302sim.Misbehaviour{FailTransfer: 1}, nil, ""}, // once: repeated
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, setup{})
				defer w.close()
				w.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { *m = c.fault })
				d, err := newDaemon(w.cfg, w.parts)
				w.must(err)
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err = d.Run(ctx)
				if !errors.Is(err, c.is) {
					t.Fatalf("after %v: %v, want %v", time.Since(began), err, c.is)
				}
				if c.is == nil {
					return
				}
				if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.says)) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%q: one line that says %q is wanted", err, c.says)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A chip that fails after it ran is started again, and the network goes on.
func TestConcentratorThatFailsIsStartedAgain(t *testing.T) {
	inBubble(t, setup{}, func(w *world) {
		dev := w.device(1, true, nil)
		defer dev.Close()
		r, err := dev.Send(w.ctx, 1, []byte("before"), true)
		w.must(err)
		if !r.Acked {
			t.Fatal("no acknowledgement before the failure")
		}
		w.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.LosePower = 1 })
		time.Sleep(time.Second)
		if w.d.ready(w.ctx) == nil {
			t.Error("ready without a chip")
		}
		time.Sleep(10 * time.Second)
		if err := w.d.ready(w.ctx); err != nil {
			t.Errorf("not ready 10 s after the chip came back: %v", err)
		}
		if r, err = dev.Send(w.ctx, 1, []byte("after"), true); err != nil || !r.Acked {
			t.Errorf("after the restart: %+v, %v", r, err)
		}
		if n := w.d.conc.Stats().Starts; n != 2 {
			t.Errorf("%d starts", n)
		}
	})
}

// A panic anywhere in the daemon leaves the chip in reset, lest it goes on
// transmitting alone.
func TestPanicLeavesTheChipInReset(t *testing.T) {
	hw, chip, err := board.Emulate(board.Emulation{Timing: &sx1302sim.Timing{}})
	if err != nil {
		t.Fatal(err)
	}
	held := false
	hold := hw.Hold
	hw.Hold = func() error { held = true; return hold() }
	defer chip.Close()
	d := &daemon{parts: parts{hardware: hw}}
	func() {
		defer func() {
			if r := recover(); r != "broken" {
				t.Errorf("recovered %v, the panic is not to be swallowed", r)
			}
		}()
		defer d.holdOnPanic()
		panic("broken")
	}()
	if !held {
		t.Error("the chip is not in reset")
	}
}
