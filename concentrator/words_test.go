package concentrator

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"testing"

	"gatewayd/radio"
)

func TestFrequencyWordsEqualTheReference(t *testing.T) {
	for _, r := range table(t, "freq_words.csv") {
		f := r.hertz(t, "freq_hz")
		if got := int64(txFrequencyWord(SX1250, f)); got != r.int(t, "sx1302_tx_freq_reg") {
			t.Errorf("%d Hz: 0x%06x, want %s", f, got, r["sx1302_tx_freq_reg"])
		}
		if r["sx1255_sx1302_tx_freq_reg"] == "" {
			continue // beyond the SX1255
		}
		if got := int64(txFrequencyWord(SX1255, f)); got != r.int(t, "sx1255_sx1302_tx_freq_reg") {
			t.Errorf("%d Hz, SX1255: 0x%06x, want %s", f, got, r["sx1255_sx1302_tx_freq_reg"])
		}
	}
}

func TestIntermediateFrequencyWordsEqualTheReference(t *testing.T) {
	for _, r := range table(t, "if_words.csv") {
		hz := r.hertz(t, "if_hz")
		word := ifWord(hz)
		if int64(word>>8) != r.int(t, "reg_msb_5bits") || int64(word&0xFF) != r.int(t, "reg_lsb") {
			t.Errorf("%d Hz: 0x%04x, want %s %s", hz, word, r["reg_msb_5bits"], r["reg_lsb"])
		}
		if got := int64(ifError(hz)); got != r.int(t, "error_added_to_freq_offset_hz") {
			t.Errorf("%d Hz: off by %d, want %s", hz, got, r["error_added_to_freq_offset_hz"])
		}
	}
}

func TestFrequencyToTimeDriftEqualsTheReference(t *testing.T) {
	for _, r := range table(t, "freq_to_time_drift.csv") {
		m, e := drift(r.hertz(t, "radio_freq_hz"), r.hertz(t, "bw_hz"))
		if int64(m) != r.int(t, "mantissa") || int64(e) != r.int(t, "exponent") {
			t.Errorf("%v: %d, %d", r, m, e)
		}
	}
}

func TestFrequencyOffsetsEqualTheReference(t *testing.T) {
	for _, r := range table(t, "freq_offset.csv") {
		raw := int32(r.int(t, "raw_20bit")<<12) >> 12
		if got := int64(frequencyOffset(raw, r.hertz(t, "bw_hz"), r.hertz(t, "if_hz"))); got != r.int(t, "freq_offset_hz") {
			t.Errorf("%v: %d", r, got)
		}
	}
}

func TestFSKSignalStrengthEqualsTheReference(t *testing.T) {
	for _, r := range table(t, "fsk_rssi.csv") {
		if got, want := fskRSSI(byte(r.int(t, "raw"))), r.float(t, "rssi_db_offset_0"); math.Abs(got-want) > 1e-3 {
			t.Errorf("%s: %v, want %v", r["raw"], got, want)
		}
	}
}

func TestTemperatureOffsetsEqualTheReference(t *testing.T) {
	for _, r := range table(t, "rssi_temperature_offset.csv") {
		var k [5]float64
		for i, c := range []string{"coeff_a", "coeff_b", "coeff_c", "coeff_d", "coeff_e"} {
			k[i] = r.float(t, c)
		}
		if got, want := temperatureOffset(k, r.float(t, "temperature_c")), r.float(t, "offset_db"); math.Abs(got-want) > 1e-4 {
			t.Errorf("%v: %v", r, got)
		}
	}
}

func TestPayloadCRCsEqualTheReference(t *testing.T) {
	for _, r := range table(t, "payload_crc16.csv") {
		p, err := hex.DecodeString(r["payload_hex"])
		if err != nil {
			t.Fatal(err)
		}
		if got := payloadCRC(p); int64(got) != r.int(t, "crc16") {
			t.Errorf("%s: 0x%04x, want %s", r["payload_hex"], got, r["crc16"])
		}
	}
}

func TestTransmitStartDelaysEqualTheReference(t *testing.T) {
	kinds := map[string]RadioType{"SX1250": SX1250, "SX1255": SX1255, "SX1257": SX1257, "SX125x": SX1257}
	n := 0
	for _, r := range table(t, "tx_start_delay.csv") {
		if r["modulation"] != "LORA" {
			if got := (&transmission{}).startDelay(SX1250); got != r.int(t, "delay_32mhz_ticks") {
				t.Errorf("%v: %d", r, got)
			}
			continue
		}
		kind, ok := kinds[r["radio"]]
		if !ok {
			t.Fatalf("unknown radio %s", r["radio"])
		}
		sf := uint8(r.int(t, "sf"))
		if got := loraStartDelay(kind, r.hertz(t, "bw_hz"), sf); got != r.int(t, "delay_32mhz_ticks") {
			t.Errorf("%v: %d", r, got)
		}
		if got := chirpLowpass(sf); int64(got) != r.int(t, "chirp_lowpass") {
			t.Errorf("%v: low-pass %d", r, got)
		}
		n++
	}
	if n < 20 {
		t.Errorf("only %d LoRa rows", n)
	}
}

func TestStampCorrectionsEqualTheReference(t *testing.T) {
	for _, r := range table(t, "rx_timestamp_correction.csv") {
		cr, err := strconv.Atoi(strings.TrimPrefix(r["cr"], "4/"))
		if err != nil {
			t.Fatal(err)
		}
		var (
			bw   = r.hertz(t, "bw_hz")
			sf   = uint8(r.int(t, "sf"))
			rate = uint8(cr - 4)
			crc  = r.int(t, "crc_en") == 1
			size = int(r.int(t, "size"))
		)
		got := loraStampCorrection(bw, sf, rate, crc, size)
		if r.int(t, "fine_timestamp") == 1 {
			got = headerStampCorrection(radio.LoRa{SF: sf, Bandwidth: bw, CodeRate: rate, NoCRC: !crc}, size)
		}
		if got != r.int(t, "correction_us") {
			t.Errorf("%v: %d", r, got)
		}
	}
}

// FACTS of the vendor's library: 50 kb/s gives -7 in its legacy formula.
func TestFSKStampCorrection(t *testing.T) {
	if got := fskStampCorrection(50_000); got != -7 {
		t.Errorf("%d", got)
	}
}

func TestSyncWordsBecomePeakPositions(t *testing.T) {
	for sync, want := range map[byte][2]byte{0x34: {6, 8}, 0x12: {2, 4}} {
		if a, b := syncPeaks(sync); [2]byte{a, b} != want {
			t.Errorf("0x%02x: %d %d", sync, a, b)
		}
	}
}
