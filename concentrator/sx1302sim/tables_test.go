package sx1302sim

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/hex"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"gatewayd/radio"
)

// table reads a recorded table without its heading (testdata/README.md).
func table(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestStampPlusCorrectionIsTheEndOfThePacket(t *testing.T) {
	rows := table(t, "rx_timestamp_correction.csv.gz")
	if len(rows) < 9000 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, r := range rows {
		m := radio.LoRa{
			Bandwidth: radio.Hertz(number(t, r[1])), SF: uint8(number(t, r[2])),
			CodeRate: uint8(number(t, r[3][2:]) - 4), NoCRC: r[4] == "0",
		}
		n := int(number(t, r[5]))
		got := -loraDelay(m, n)
		if r[0] == "1" {
			got = headerLead(m, n)
		}
		if want := number(t, r[6]); got != want {
			t.Errorf("fine %s, %v, CRC %s, %d bytes: correction %d µs, recorded %d", r[0], m, r[4], n, got, want)
		}
	}
}

// FACTS: 680000/rate - 20 µs, -7 at 50 kb/s, is what the library adds.
func TestFSKStampPlusCorrectionIsTheEndOfThePacket(t *testing.T) {
	if got := fskDelay(50_000); got != 7 {
		t.Errorf("delay at 50 kb/s is %d µs, want 7", got)
	}
}

func TestPayloadCRCEqualsTheRecorded(t *testing.T) {
	for _, r := range table(t, "payload_crc16.csv") {
		b, err := hex.DecodeString(r[0])
		if err != nil {
			t.Fatal(err)
		}
		if got, want := crc16(b), uint16(number(t, r[1])); got != want {
			t.Errorf("%s: CRC %04x, recorded %04x", r[0], got, want)
		}
	}
}

func TestFSKLevelSurvivesTheHostsLinearisation(t *testing.T) {
	for _, r := range table(t, "fsk_rssi.csv") {
		raw := number(t, r[0])
		if raw > 208 {
			continue // beyond its maximum the host's polynomial falls
		}
		level, err := strconv.ParseFloat(r[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := fskRaw(radio.DBm(level)); int64(got) != raw {
			t.Errorf("%v dB: raw %d, recorded %d", level, got, raw)
		}
	}
}

// The gain tables of the vendor's EU868 configurations, as in the recorded
// runs: power in dBm for each power word.
func TestPowerWordsGiveWhatTheGainTablesSay(t *testing.T) {
	for _, c := range []struct {
		kind RadioKind
		word byte
		want radio.DBm
	}{
		{SX1250, 0<<6 | 15, 12}, {SX1250, 0<<6 | 17, 14}, {SX1250, 0<<6 | 20, 16}, {SX1250, 1<<6 | 1, 18}, {SX1250, 1<<6 | 14, 27},
		{SX1257, 0<<6 | 3<<4 | 8, -6}, {SX1257, 2<<6 | 3<<4 | 10, 14}, {SX1257, 3<<6 | 3<<4 | 14, 27},
		{SX1250, 18, 14.5},                 // between two entries
		{SX1250, 0, -3},                    // below the table: slope 1
		{SX1257, 3<<6 | 3<<4 | 15, 28},     // above it
		{SX1255, 2<<6 | 2<<4 | 10, 14 - 3}, // a step of the DAC
	} {
		if got := PowerOf(c.kind, c.word); math.Abs(float64(got-c.want)) > 1e-9 {
			t.Errorf("kind %d, word 0x%02X: %v dBm, want %v", c.kind, c.word, got, c.want)
		}
	}
}

// Words from freq_words and the recorded transmissions.
func TestWordsGiveTheFrequencyThatWasMeant(t *testing.T) {
	for _, c := range []struct {
		word float64
		want radio.Hertz
	}{{0x6C8333, 868_100_000}, {0x6C9000, 868_500_000}, {0x736CCC, 923_400_000}, {0x6C8334, 868_100_100}, {204, 25_000}} {
		if got := synthesised(c.word); got != c.want {
			t.Errorf("word %06x: %d Hz, want %d", int(c.word), got, c.want)
		}
	}
}
