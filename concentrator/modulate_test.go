package concentrator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio"
)

func fields(call string) row {
	r := row{}
	for _, f := range strings.Fields(call)[1:] {
		k, v, _ := strings.Cut(f, "=")
		r[k] = v
	}
	return r
}

func (r row) or(t testing.TB, column string, other int64) int64 {
	if r[column] == "" {
		return other
	}
	return r.int(t, column)
}

func downlink(t testing.TB, call string) (d radio.Downlink, ok bool) {
	f := fields(call)
	d = radio.Downlink{Freq: f.hertz(t, "freq"), Power: radio.DBm(f.float(t, "power")), Immediate: f["mode"] == "immediate", OnPulse: f["mode"] == "gps"}
	if f["payload"] != "" {
		p, err := hex.DecodeString(f["payload"])
		if err != nil {
			t.Fatal(err)
		}
		d.Payload = p
	}
	for i := range f.or(t, "size", 0) {
		d.Payload = append(d.Payload, byte(i))
	}
	switch f["mod"] {
	case "lora":
		d.Mod = radio.LoRa{
			SF: uint8(f.int(t, "dr")), Bandwidth: f.hertz(t, "bw"), CodeRate: uint8(f.or(t, "cr", 1)), Preamble: uint16(f.or(t, "preamble", 0)),
			InvertIQ: f["ipol"] == "1", NoCRC: f["nocrc"] == "1", Implicit: f["nohdr"] == "1",
		}
	case "fsk":
		d.Mod = radio.FSK{BitRate: int(f.int(t, "dr")), Deviation: f.hertz(t, "fdev") * 1000, Preamble: uint16(f.or(t, "preamble", 0)), NoCRC: f["nocrc"] == "1"}
	case "cw":
		d.Mod = radio.Carrier{Offset: f.hertz(t, "foff") * 1000, Duration: time.Second}
		d.Payload = nil // the reference writes some, which nobody sends
	default:
		return d, false
	}
	return d, true
}

type wire struct {
	memory [0x8000]byte
	frames int
}

func (w *wire) String() string { return "wire" }
func (w *wire) Tx(out, _ []byte) error {
	w.frames++
	if out[0] == targetChip && out[1]&writeFlag != 0 {
		copy(w.memory[int(out[1]&^writeFlag)<<8|int(out[2]):], out[writeHeader:])
	}
	return nil
}

func TestTransmitRegistersEqualTheReference(t *testing.T) {
	lowest, carriers := 0, 0
	for _, name := range []string{"tx_eu868_sx1250", "tx_matrix_sx1250", "tx_chain1_sx1250", "tx_eu868_sx1257", "tx_cn490_sx1255_fdx"} {
		rec := recorded(t, name)
		offsets := calibrated(t, rec.config())
		if rec.config().Radios[0].Type != SX1250 && len(offsets) < 2 {
			t.Fatalf("calibration found %v", offsets)
		}
		sent, enough := 0, 5
		if name == "tx_chain1_sx1250" {
			enough = 2
		}
		for _, step := range rec.Steps {
			if !strings.HasPrefix(step.Call, "send") || step.Block == "" {
				continue
			}
			d, ok := downlink(t, step.Call)
			if !ok {
				continue
			}
			cfg := rec.config()
			chain := int(fields(step.Call).int(t, "chain"))
			cfg.Radios[1-chain].Transmit = false
			want, err := hex.DecodeString(step.Block)
			if err != nil {
				t.Fatal(err)
			}
			got, below := transmitBlock(t, cfg, offsets, d, chain, fields(step.Call))
			if below {
				lowest++
				continue
			}
			compareBlock(t, step.Call, got, want, d.Mod)
			sent++
			if _, ok := d.Mod.(radio.Carrier); ok {
				carriers++
			}
		}
		if sent < enough {
			t.Errorf("%s: only %d transmissions compared", name, sent)
		}
	}
	if carriers < 6 {
		t.Errorf("only %d carriers compared", carriers)
	}
	if lowest == 0 {
		t.Error("no recorded power below the lowest setting: the exception lost its sense")
	}
}

// calibrated returns what the calibration of SX125x radios finds.
func calibrated(t *testing.T, cfg Config) (found map[dcKey]correction) {
	t.Helper()
	if cfg.Radios[cfg.ClockSource].Type == SX1250 {
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cfg, fast, nil)
		b.run()
		found = b.session().drv.dcOffsets
		b.stop()
	})
	return found
}

func transmitBlock(t *testing.T, cfg Config, offsets map[dcKey]correction, d radio.Downlink, chain int, f row) (block []byte, below bool) {
	t.Helper()
	s := offline(t, cfg)
	s.drv.dcOffsets = offsets
	w := &wire{}
	s.c.bus.limit = maxFrame
	s.c.bus.conn = spiConn{w}
	for i, v := range s.drv.regs.values {
		w.memory[registersFrom+i] = v
	}
	// What the start leaves in the transmit path.
	if err := s.drv.transmitPath(context.Background()); err != nil {
		t.Fatal(err)
	}
	d.At = radio.Instant(f.or(t, "count_us", 0))
	x, err := s.c.cfg.plan(d)
	if errors.Is(err, radio.ErrPower) {
		return nil, true
	}
	if err != nil {
		t.Fatalf("%v: %v", f, err)
	}
	if x.chain != chain {
		t.Fatalf("%v: on chain %d", f, x.chain)
	}
	if err := s.prepare(x); err != nil {
		t.Fatal(err)
	}
	if err := s.writeTrigger(x); err != nil {
		t.Fatal(err)
	}
	from := 0x5200 + chain*0x200
	return w.memory[from : from+0x71], false
}

func compareBlock(t *testing.T, call string, got, want []byte, mod radio.Modulation) {
	t.Helper()
	_, lora := mod.(radio.LoRa)
	_, carrier := mod.(radio.Carrier)
	timed := strings.Contains(call, "mode=timestamped")
	// The recorded triggers of earlier calls are still set.
	bit := map[string]byte{"immediate": 1, "timestamped": 2, "gps": 4}[fields(call)["mode"]]
	if got[0] != bit || want[0]&bit == 0 {
		t.Errorf("%s: triggers 0x%02x, recorded 0x%02x", call, got[0], want[0])
	}
	for i := range want {
		switch {
		case i <= 0x04 && !timed, i == 0:
			continue // another kind of trigger
		case i == 0x11, i == 0x6F, i == 0x70, i == 0x0B:
			continue // state and flags
		case i == 0x2A && !carrier:
			continue // test tone
		case carrier && i >= 0x40:
			continue // of modulations
		case lora && i >= 0x40 && i < 0x50, !lora && i >= 0x60, !lora && (i == 5 || i == 6):
			continue
		}
		if got[i] != want[i] {
			t.Errorf("%s: register +0x%02x is 0x%02x, recorded 0x%02x", call, i, got[i], want[i])
		}
	}
}

func TestGainsAreTheStrongestNotAboveTheRequest(t *testing.T) {
	gains := []Gain{{Power: 12, Index: 1}, {Power: 20, Index: 9}, {Power: 14, Index: 3}, {Power: 14, Index: 4}}
	for power, want := range map[radio.DBm]uint8{12: 1, 13.9: 1, 14: 4, 19: 4, 27: 9} {
		if g, ok := pickGain(gains, power); !ok || g.Index != want {
			t.Errorf("%v dBm: index %d, %v, want %d", power, g.Index, ok, want)
		}
	}
	if _, ok := pickGain(gains, 11.9); ok {
		t.Error("a setting above the request was taken")
	}
}

func TestOddGainTablesAreReported(t *testing.T) {
	if odd := LintGains(eu868(t).Radios[0].Gains); len(odd) != 0 {
		t.Errorf("a sound table: %q", odd)
	}
	// RAK's AS923 table: 19 dBm index 13, 20 dBm index 10.
	for _, x := range [][]Gain{
		{{Power: 19, PA: true, Index: 13}, {Power: 20, PA: true, Index: 10}},
		{{Power: 19, PA: true, Index: 1}, {Power: 20, Index: 3}},
		{{Power: 19, Index: 1}, {Power: 18, Index: 3}},
		{{Power: 19, Index: 1}, {Power: 19, Index: 3}},
	} {
		if odd := LintGains(x); len(odd) != 1 {
			t.Errorf("%v: %q", x, odd)
		}
	}
}

func (r row) String() string {
	return strconv.Quote(fmt.Sprint(map[string]string(r)))
}
