package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"gatewayd/board"
)

func TestBoardListNamesEach(t *testing.T) {
	code, out, _ := cli(t, "board", "list")
	for _, name := range board.Names() {
		if code != exitOK || !strings.Contains(out, name+" ") {
			t.Errorf("exit code %d, %s is missing", code, name)
		}
	}
}

// The configuration may name a file, which wins over its base, and itself
// wins over both; what is printed is a board file.
func TestBoardShowPrintsTheEffectiveBoard(t *testing.T) {
	mine := writeConfig(t, "base = \"rak5146\"\nreset = 25\ngnss_reset = 0\nspi = \"/dev/spidev0.1\"\n")
	config := writeConfig(t, fmt.Sprintf("[concentrator]\nboard = %q\nspi_hz = 1000000\ngps = \"/dev/ttyS0\"\n", mine))
	code, out, text := cli(t, "board", "show", "-c", config)
	if code != exitOK {
		t.Fatal(text)
	}
	b, err := board.Lookup(writeConfig(t, out))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if b.Reset != 25 || b.SPI != "/dev/spidev0.1" || b.SPIHz != 1_000_000 || b.GNSS.Device != "/dev/ttyS0" || b.Chip != "SX1303" {
		t.Errorf("%+v", b)
	}
	code, out, _ = cli(t, "board", "show", "rak2287")
	if code != exitOK || !strings.Contains(out, "gnss_reset = 25") {
		t.Errorf("exit code %d: %s", code, out)
	}
	for _, bad := range []string{"rak2288", filepath.Join(t.TempDir(), "none.toml")} {
		if code, _, text = cli(t, "board", "show", bad); code != exitUsage || !strings.Contains(text, bad) {
			t.Errorf("exit code %d: %s", code, text)
		}
	}
	if code, _, text = cli(t, "config", "check", "-c", writeConfig(t, "[concentrator]\nboard = \"/none.toml\"\n")); code != exitUsage || !strings.Contains(text, "concentrator.board") {
		t.Errorf("exit code %d: %s", code, text)
	}
}

func TestBoardHoldSaysWhatItDid(t *testing.T) {
	code, out, _ := cli(t, "board", "hold", "-c", writeConfig(t, "[concentrator]\ndriver = \"emulated\"\n"))
	if code != exitOK || !strings.Contains(out, "simulated") {
		t.Errorf("exit code %d: %s", code, out)
	}
	code, out, _ = cli(t, "board", "hold", "-c", writeConfig(t, "[concentrator]\nboard = \"rak7271\"\n"))
	if code != exitOK || !strings.Contains(out, "not within reach") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if list, err := filepath.Glob("/dev/gpiochip*"); err == nil && len(list) == 0 {
		code, _, text := cli(t, "board", "hold", "-c", writeConfig(t, ""))
		if code != exitFailure || !strings.Contains(text, "no GPIO controller of a Raspberry Pi") {
			t.Errorf("exit code %d: %s", code, text)
		}
	}
}
