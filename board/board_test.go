package board_test

import (
	"regexp"
	"strings"
	"testing"

	"gatewayd/board"
	"gatewayd/concentrator"
)

// each runs f for every board.
func each(t *testing.T, f func(t *testing.T, b board.Board)) {
	t.Helper()
	for _, name := range board.Names() {
		t.Run(name, func(t *testing.T) {
			b, err := board.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			f(t, b)
		})
	}
}

// A power index that falls while the power rises is a slip of the pen: it
// was found in published tables, and it makes a gateway transmit with
// another power than it reports.
func TestGainTablesRise(t *testing.T) {
	each(t, func(t *testing.T, b board.Board) {
		for i, r := range b.Radios {
			if !r.Transmit {
				continue
			}
			if n := len(r.Gains); n == 0 || n > 16 {
				t.Errorf("radio %d: %d entries, the chip's firmware takes 1 to 16", i, n)
			}
			if err := concentrator.CheckGains("Gains", r.Gains); err != nil {
				t.Error(err)
			}
			for _, odd := range concentrator.LintGains(r.Gains) {
				t.Errorf("radio %d: %s", i, odd)
			}
		}
	})
}

func TestEachBoardIsComplete(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9-]+$`)
	each(t, func(t *testing.T, b board.Board) {
		if !name.MatchString(b.Name) || b.Title == "" || b.Source == "" {
			t.Errorf("name %q, title %q, source %q", b.Name, b.Title, b.Source)
		}
		if b.Reset == 0 && !b.USB() {
			t.Error("no reset line: a chip that can't be reset can't be trusted")
		}
		if b.SPI == "" || b.SPIClock <= 0 {
			t.Errorf("SPI %q at %v", b.SPI, b.SPIClock)
		}
		if b.ClockSource < 0 || b.ClockSource > 1 {
			t.Errorf("clock from radio %d", b.ClockSource)
		}
		transmits := 0
		for _, r := range b.Radios {
			if r.Transmit {
				transmits++
			}
			if r.Enable && r.RSSIOffset >= 0 {
				t.Errorf("RSSI offset %v, the chip reports positive numbers", r.RSSIOffset)
			}
		}
		if transmits == 0 {
			t.Error("no radio transmits")
		}
		pins := map[board.Pin]bool{}
		for _, p := range []board.Pin{b.Reset, b.PowerEnable, b.SX1261Reset, b.GNSSReset} {
			if p < 0 || p > 27 {
				t.Errorf("%v is not on the header", p)
			}
			if p != 0 && pins[p] {
				t.Errorf("%v is used twice", p)
			}
			pins[p] = true
		}
	})
}

func TestNamesAreUniqueAndFoundInAnyCase(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range board.Names() {
		if seen[n] {
			t.Errorf("%s twice", n)
		}
		seen[n] = true
		if _, err := board.Lookup(strings.ToUpper(n)); err != nil {
			t.Error(err)
		}
	}
}

func TestUnknownBoardListsTheKnown(t *testing.T) {
	_, err := board.Lookup("rak2278")
	if err == nil {
		t.Fatal("found")
	}
	for _, n := range append(board.Names(), `"rak2278"`) {
		if !strings.Contains(err.Error(), n) {
			t.Errorf("%v: doesn't name %s", err, n)
		}
	}
}
