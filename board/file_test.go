package board_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gatewayd/board"
)

func writeBoard(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mine.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The user's file always wins, and what it doesn't name stays.
func TestAUsersFileOverridesAnythingOfItsBase(t *testing.T) {
	base, err := board.Lookup("rak2287")
	if err != nil {
		t.Fatal(err)
	}
	b, err := board.Lookup(writeBoard(t, `
base = "RAK2287"
title = "RAK2287 on a carrier of my own"
reset = 25
gnss_reset = 0
spi = "/dev/spidev1.2"
thermometers = [0x48]
[gnss]
device = "/dev/ttyS0"
[[band]]
names = ["US915"]
single_input = true
rssi_offset = -214.0
gains = [ { dbm = 20, pa = 1, index = 10 } ]
`))
	if err != nil {
		t.Fatal(err)
	}
	if b.Name != "mine" || b.Reset != 25 || b.GNSSReset != 0 || b.SPI != "/dev/spidev1.2" || b.Thermometers[0] != 0x48 {
		t.Errorf("%+v", b)
	}
	if b.GNSS.Kind != board.UBlox || b.GNSS.Device != "/dev/ttyS0" {
		t.Errorf("GNSS %+v: the kind is the base's, the device the file's", b.GNSS)
	}
	us, known := b.Radios("US915-2")
	if !known || !us[0].SingleInput || us[0].RSSIOffset != -214 || len(us[0].Gains) != 1 {
		t.Errorf("US915: %+v", us)
	}
	for _, other := range []string{"EU868", "AU915-1", "AS923-2"} {
		got, _ := b.Radios(other)
		if want, _ := base.Radios(other); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want the base's %+v", other, got, want)
		}
	}
}

// What is printed is the whole truth: it reads again to the same board.
func TestEveryBoardIsPrintedAsAFileThatReadsToTheSame(t *testing.T) {
	each(t, func(t *testing.T, b board.Board) {
		var text bytes.Buffer
		if err := b.Print(&text); err != nil {
			t.Fatal(err)
		}
		again, err := board.Lookup(writeBoard(t, text.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, &text)
		}
		again.Name = b.Name
		a, z := fmt.Sprintf("%+v", plain(b)), fmt.Sprintf("%+v", plain(again))
		if a != z {
			t.Errorf("%s\nreads as\n%s", a, z)
		}
		for _, region := range []string{"EU868", "CN470"} {
			got, _ := again.Radios(region)
			if want, _ := b.Radios(region); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, want %+v", region, got, want)
			}
		}
	})
}

// plain is the board without its pointers, which %+v prints as addresses.
func plain(b board.Board) board.Board { b.Bands = nil; return b }

func TestABadFileSaysWhereAndWhatIsAllowed(t *testing.T) {
	for text, want := range map[string]string{
		"base = \"rak2287\"\nreset = 25\nrest = 3\n":                                                               "line 3: unknown key rest",
		"base = \"rak2287\"\nreset = \"GPIO25\"\n":                                                                 "line 2: reset",
		"base = \"rak2287\"\nreset = 25\n":                                                                         "gnss_reset = 25: that line is reset",
		"base = \"rak2287\"\nreset = 46\n":                                                                         "1 to 45",
		"base = \"rak2288\"\n":                                                                                     `base = "rak2288": no such board; known: `,
		"base = \"rak2287\"\nspi = \"spidev\"\n":                                                                   "/dev/spidevBUS.CS",
		"base = \"rak2287\"\nspi_hz = 1\n":                                                                         "100000 to 10000000",
		"base = \"rak2287\"\nradio = \"SX1276\"\n":                                                                 "SX1250, SX1255 or SX1257",
		"base = \"rak2287\"\nclock_source = 2\n":                                                                   "0 or 1",
		"base = \"rak2287\"\n[gnss]\nkind = \"GPS\"":                                                               "gnss.kind",
		"base = \"rak2287\"\n[[band]]\nnames = [\"EU868\"]\nrssi_offset = -215.4\ngains = []":                      "1 to 16 gains",
		"base = \"rak2287\"\n[[band]]\nnames = [\"EU868\"]\nrssi_offset = 5\ngains = [ { dbm = 1 } ]":              "below 0",
		"base = \"rak2287\"\n[[band]]\nnames = [\"EU868\"]\nrssi_offset = -5\ngains = [ { dbm = 1, index = 23 } ]": "0 to 22",
		"title = \"x\"\nspi = \"/dev/spidev0.0\"\nspi_hz = 8000000\nreset = 17\nradio = \"SX1250\"\n":              "no [[band]]",
		"= 3": "line 1",
	} {
		_, err := board.Lookup(writeBoard(t, text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mine.toml") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := board.Lookup("/none/board.toml"); err == nil || !strings.Contains(err.Error(), "/none/board.toml") {
		t.Errorf("got %v", err)
	}
}

func FuzzBoardFile(f *testing.F) {
	f.Add("base = \"rak2287\"\nreset = 25\ngnss_reset = 0\n")
	f.Add("[[band]]\nnames = [\"EU868\"]\ngains = [ { dbm = 1, pa = 3 } ]\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "b.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := board.Lookup(path)
		if err == nil {
			b.Radios("EU868")
			b.Lint()
		}
	})
}
