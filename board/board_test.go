package board_test

import (
	"regexp"
	"strings"
	"testing"

	"gatewayd/board"
	"gatewayd/concentrator"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
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
		for _, odd := range b.Lint() {
			t.Error(odd)
		}
	})
}

func TestEachBoardIsComplete(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9-]+$`)
	each(t, func(t *testing.T, b board.Board) {
		if !name.MatchString(b.Name) || b.Title == "" || len(b.Sources) == 0 || b.Chip == "" {
			t.Errorf("name %q, title %q, sources %q, chip %q", b.Name, b.Title, b.Sources, b.Chip)
		}
		if b.Reset == 0 && !b.USB() {
			t.Error("no reset line: a chip that can't be reset can't be trusted")
		}
		seen := map[string]bool{}
		for _, band := range b.Bands {
			for _, n := range band.Names {
				if _, err := region.Lookup(n); err != nil {
					t.Error(err)
				}
				if seen[n] {
					t.Errorf("%s is there twice", n)
				}
				seen[n] = true
			}
		}
		radios, known := b.Radios(b.Bands[0].Names[0] + "-2")
		if !known || !radios[0].Transmit || radios[1].Transmit || len(radios[0].Gains) == 0 {
			t.Errorf("known %v: %+v", known, radios)
		}
		if _, known := b.Radios("ISM2400"); known {
			t.Error("ISM2400 is known")
		}
	})
}

// The values are those of RAKwireless's global_conf.us_902_928.json and
// global_conf.cn_470_510.json for the RAK2287.
func TestTheRegionChoosesTableInputAndOffset(t *testing.T) {
	b, err := board.Lookup("RAK2287")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		region string
		first  concentrator.Gain
		single bool
		offset radio.DB
	}{
		{"EU868", concentrator.Gain{Power: 12, PA: true, Index: 4}, false, -215.4},
		{"US915-2", concentrator.Gain{Power: 12, PA: true, Index: 6}, false, -215.4},
		{"AS923-1", concentrator.Gain{Power: 12, PA: true, Index: 1}, false, -215.4},
		{"CN470-1", concentrator.Gain{Power: -6, PA: false, Index: 0}, true, -207},
	} {
		r, known := b.Radios(c.region)
		if !known || r[0].Gains[0] != c.first || r[0].SingleInput != c.single || r[1].SingleInput != c.single || r[0].RSSIOffset != c.offset {
			t.Errorf("%s: known %v, %+v", c.region, known, r[0])
		}
	}
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
