package sx1302sim

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// startWithLBT is the start before the recorded transmissions with LBT: no
// trace of it was kept, but it is the start without (line for line, but for
// the AGC's last parameter) and then the SX1261's, whose commands are known.
func startWithLBT(runs map[string]*run) []string {
	trace := runs["start_as923_sx1250"].trace
	trace = slices.Clone(trace[:slices.IndexFunc(trace, func(l string) bool { return strings.HasPrefix(l, "# step 1 ") })])
	i := slices.Index(trace, "W sx1302 0x5789 0b")
	trace[i-1], trace[i+2] = "W sx1302 0x578c 01", "R sx1302 0x5790 -> 01"
	for _, l := range []string{
		"W sx1261 op=0x80 00", "R sx1261 op=0xc0 00 -> 22",
		"R sx1261 op=0x1d 0320" + strings.Repeat("00", 16) + " -> 222222" + hex.EncodeToString([]byte(unpatched)),
		"W sx1261 op=0x0d 061010", "PATCH", "W sx1261 op=0x0d 061000", "W sx1261 op=0xd9",
		"R sx1261 op=0x1d 0320" + strings.Repeat("00", 16) + " -> 222222" + hex.EncodeToString([]byte(patched)),
		"R sx1261 op=0xc0 00 -> 22", "W sx1261 op=0x98 e1e9", "S 10000", "R sx1261 op=0x17 000000 -> 220000",
		"W sx1261 op=0x80 00", "R sx1261 op=0xc0 00 -> 22", "W sx1261 op=0x8f 8080", "W sx1261 op=0x0d 08accb",
	} {
		trace = append(trace, "S 1000")
		if l != "PATCH" {
			trace = append(trace, l)
			continue
		}
		for a := 0x8000; a < 0x8000+patchSize; a += 4 {
			trace = append(trace, fmt.Sprintf("W sx1261 op=0x0d %04x%08x", a, a*7))
		}
	}
	return trace
}

// blockLBT puts a signal on the channel of the next transmission.
func (p *player) blockLBT() {
	p.chip.mu.Lock()
	defer p.chip.mu.Unlock()
	p.chip.hear(air.Reception{Transmission: air.Transmission{
		Frame: air.Frame{Freq: 923_400_000, Mod: radio.LoRa{SF: 12, Bandwidth: 125_000}},
		Start: 0, End: math.MaxInt32,
	}, RSSI: -70})
}

// companion replays one line of the SX1261. The recorded results of the
// spectral scan were made up, so only their shape counts here.
func (p *player) companion(l string, f []string) {
	op, _ := hex.DecodeString(strings.TrimPrefix(f[2], "op=0x"))
	w := op
	results := len(f) > 3 && f[3] == "len=69"
	if results {
		w = append(w, make([]byte, 69)...)
		binary.BigEndian.PutUint16(w[1:], regResults)
	} else if len(f) > 3 {
		args, err := hex.DecodeString(f[3])
		if err != nil {
			p.t.Fatal(l)
		}
		w = append(w, args...)
	}
	if strings.Contains(l, " 07cd0000 -> ") {
		time.Sleep(20 * time.Millisecond) // the recording's scan took no time
	}
	p.got.Reset()
	r := make([]byte, len(w))
	if err := p.chip.transferSX1261(w, r); err != nil {
		p.t.Errorf("step %d: %q: %v", p.step, l, err)
	}
	got := strings.TrimSpace(p.got.String())
	if results {
		sum := 0
		for i := 4; i < len(r); i += 2 {
			sum += int(binary.BigEndian.Uint16(r[i:]))
		}
		if sum != 2000 {
			p.t.Errorf("step %d: the histogram has %d samples, want 2000", p.step, sum)
		}
		got, l = got[:strings.Index(got, " -> ")], l[:strings.Index(l, " -> ")]
	}
	if got != l {
		p.t.Errorf("step %d: SX1261 says %q, recorded %q", p.step, got, l)
	}
}

// companion commands of a test host.
func (h host) sx1261(op byte, args ...byte) []byte {
	h.t.Helper()
	r := make([]byte, 1+len(args))
	if err := h.c.transferSX1261(append([]byte{op}, args...), r); err != nil {
		h.t.Errorf("SX1261 command 0x%02X: %v", op, err)
	}
	return r[1:]
}

// patchSX1261 loads any patch, in bursts.
func (h host) patchSX1261() {
	h.t.Helper()
	h.sx1261(opSetStandby, 0)
	h.sx1261(opWriteRegister, 0x06, 0x10, 0x10)
	h.sx1261(opWriteRegister, append([]byte{0x80, 0x00}, make([]byte, 772)...)...)
	h.sx1261(opWriteRegister, append([]byte{0x83, 0x04}, make([]byte, 772)...)...)
	h.sx1261(opWriteRegister, 0x06, 0x10, 0)
	h.sx1261(opUpdatePatch)
}

// tuneSX1261 receives at f with the filter for 125 kHz.
func (h host) tuneSX1261(f radio.Hertz) {
	w := uint32(uint64(f) << 25 / 32_000_000)
	h.sx1261(opSetFS)
	h.sx1261(opSetRFFrequency, byte(w>>24), byte(w>>16), byte(w>>8), byte(w))
	h.sx1261(opSetModulation, 0, 0x14, 0, 0, 0x0A, 0x02, 0xE9, 0x0F)
	h.sx1261(opSetRX, 0xFF, 0xFF, 0xFF)
}

// watch starts LBT: 715 samples, 5.86 ms, -80 dBm.
func (h host) watch() { h.sx1261(opScanLBT, 11, 2, 0xCB, 160, 1) }

// A transmission with LBT is on the air only if the channel was quiet for the
// whole scan time before its trigger (FACTS: status bit 0 or 1 is the
// attempt, 6 or 7 a blocked one; 0xFF in mailbox byte 0 takes it back).
func TestLBTLetsAQuietChannelPassOnly(t *testing.T) {
	for _, x := range []struct {
		name   string
		power  radio.DBm // of another station, path loss 100 dB
		freq   radio.Hertz
		after  time.Duration // from its end to the trigger
		watch  time.Duration // before the trigger
		status byte
	}{
		{"quiet", -100, 923_200_000, 0, 10 * time.Millisecond, 0x01},
		{"weak", 15, 923_200_000, 0, 10 * time.Millisecond, 0x01},
		{"loud", 25, 923_200_000, 0, 10 * time.Millisecond, 0x41},
		{"loud, next channel but one", 25, 923_600_000, 0, 10 * time.Millisecond, 0x01},
		{"loud until 4 ms before", 25, 923_200_000, 4 * time.Millisecond, 10 * time.Millisecond, 0x41},
		{"loud until 7 ms before", 25, 923_200_000, 7 * time.Millisecond, 10 * time.Millisecond, 0x01},
		{"quiet, but watched too briefly", -100, 923_200_000, 0, 4 * time.Millisecond, 0x41},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, m := started(t, Config{})
				defer c.Close()
				other, err := m.Join(air.StationConfig{Name: "other"}, nil)
				if err != nil {
					t.Fatal(err)
				}
				h := host{t, c}
				c.agc.lbt = true
				h.patchSX1261()
				h.settings(0, sf7, 923_200_000, []byte{1})
				tx, err := other.Transmit(air.Frame{Payload: make([]byte, 20), Freq: x.freq, Mod: radio.LoRa{SF: 9, Bandwidth: 125_000}}, air.Immediately, x.power)
				if err != nil {
					t.Fatal(err)
				}
				trigger := time.Duration(tx.End)*time.Microsecond + x.after - m.Elapsed()
				time.Sleep(trigger - x.watch)
				h.tuneSX1261(923_200_000)
				h.watch()
				time.Sleep(x.watch)
				h.put(reg.TXTrigImmediate.Addr(), trigImmediate)
				if s := h.get(reg.AGCMCUAGCStatus.Addr(), 1)[0]; s != x.status {
					t.Errorf("AGC status 0x%02X, want 0x%02X", s, x.status)
				}
				emits := h.get(reg.TXFsmStatusTX.Addr(), 1)[0] == statusEmits
				if emits != (x.status == 1) {
					t.Errorf("emits: %t", emits)
				}
				h.put(reg.AGCMCUMailBoxWrDataByte0.Addr(), 0xFF)
				if s := h.get(reg.AGCMCUAGCStatus.Addr(), 1)[0]; s != 0 {
					t.Errorf("status %d after the acknowledgement, want 0", s)
				}
			})
		})
	}
}

func TestTheSpectrumShowsWhatIsOnTheAir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		defer c.Close()
		other, _ := m.Join(air.StationConfig{Name: "other"}, nil)
		h := host{t, c}
		h.patchSX1261()
		h.tuneSX1261(868_100_000)
		state := func() byte { return h.sx1261(opReadRegister, 0x07, 0xCD, 0, 0)[3] }
		if s := state(); s != 0 {
			t.Errorf("state 0x%02X before any scan", s)
		}
		// 1000 samples at 8.192 µs; a frame at -55 dBm covers the second half.
		if _, err := other.Transmit(air.Frame{Payload: make([]byte, 50), Freq: 868_100_000, Mod: radio.LoRa{SF: 9, Bandwidth: 125_000}}, m.Now()+4096, 45); err != nil {
			t.Fatal(err)
		}
		h.sx1261(opScanSpectrum, 1000>>8, 1000&0xFF, 11)
		if s := state(); s != scanRuns {
			t.Errorf("state 0x%02X while it runs", s)
		}
		time.Sleep(8192 * time.Microsecond)
		if s := state(); s != scanDone {
			t.Errorf("state 0x%02X when it is done", s)
		}
		b := h.sx1261(opReadRegister, append([]byte{4, 1, 0}, make([]byte, 66)...)...)[3:]
		loud, noise, sum := 0, 0, 0
		for i := range spectrumLevels {
			n := int(binary.BigEndian.Uint16(b[2*i:]))
			sum += n
			if i >= 12 && i <= 16 { // -48 to -64 dBm
				loud += n
			}
			if i >= 26 && i <= 31 { // noise: -174 + 53.7 + 6 = -114 dBm
				noise += n
			}
		}
		if sum != 1000 || loud < 499 || loud > 501 || noise+loud != 1000 {
			t.Errorf("%d samples, %d loud, %d noise; want 1000, 500, 500", sum, loud, noise)
		}
		h.sx1261(opScanSpectrum, 0xFF, 0xFF, 11)
		h.sx1261(opWriteRegister, 0x08, 0x9B, 0)
		if s := state(); s != scanAborted {
			t.Errorf("state 0x%02X after an abort", s)
		}
		if level := -float64(h.sx1261(opGetRSSIInst, 0, 0)[1]) / 2; math.Abs(level+55) > 8 {
			t.Errorf("RSSI reads %v dBm while -55 dBm is on the air", level)
		}
	})
}

func TestTheSX1261InsistsOnItsRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := started(t, Config{Violation: func(error) {}})
		h := host{t, c}
		for _, x := range []struct {
			w    []byte
			want string
		}{
			{[]byte{opScanLBT, 11, 2, 0xCB, 160, 1}, "patch running: false"},
			{[]byte{opWriteRegister, 0x80, 0, 1}, "write 0x10 to it first"},
			{[]byte{opSetStandby}, "at least 1"},
			{[]byte{0x77}, "does not exist"},
		} {
			if err := c.transferSX1261(x.w, nil); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("% X: %v, want %q", x.w, err, x.want)
			}
		}
		h.patchSX1261()
		if err := c.transferSX1261([]byte{opScanLBT, 11, 2, 0xCB, 160, 1}, nil); err == nil || !strings.Contains(err.Error(), "tune it first") {
			t.Errorf("watch in standby: %v", err)
		}
		if v := string(h.sx1261(opReadRegister, append([]byte{3, 0x20, 0}, make([]byte, 15)...)...)[3:]); v != patched {
			t.Errorf("version %q", v)
		}
		c.SetReset(true)
		c.SetReset(false)
		if v := string(h.sx1261(opReadRegister, append([]byte{3, 0x20, 0}, make([]byte, 15)...)...)[3:]); v != unpatched {
			t.Errorf("version %q after a reset", v)
		}
	})
}

func TestTheSX1261MisbehavesOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := started(t, Config{})
		h := host{t, c}
		fault := func(m SX1261Misbehaviour) { c.Faults().Set(func(all *Misbehaviour) { all.SX1261 = m }) }
		version := func() string {
			return string(h.sx1261(opReadRegister, append([]byte{3, 0x20, 0}, make([]byte, 15)...)...)[3:])
		}
		fault(SX1261Misbehaviour{NoBursts: true})
		h.patchSX1261()
		if v := version(); v != unpatched {
			t.Errorf("version %q though only single words are taken", v)
		}
		fault(SX1261Misbehaviour{Version: "SX1268 V2D 2D02"})
		if v := version(); v != "SX1268 V2D 2D02" {
			t.Errorf("version %q", v)
		}
		fault(SX1261Misbehaviour{Mute: true})
		if s := h.sx1261(opGetStatus, 0)[0]; s != 0 {
			t.Errorf("status 0x%02X of a mute radio", s)
		}
		fault(SX1261Misbehaviour{FailTransfer: 2})
		h.sx1261(opGetStatus, 0)
		if err := c.transferSX1261([]byte{opGetStatus, 0}, nil); !errors.Is(err, ErrTransfer) {
			t.Errorf("the second transfer: %v", err)
		}
		h.patchSX1261()
		h.tuneSX1261(868_100_000)
		fault(SX1261Misbehaviour{EndlessScan: true})
		h.sx1261(opScanSpectrum, 0, 10, 11)
		time.Sleep(time.Second)
		if s := h.sx1261(opReadRegister, 0x07, 0xCD, 0, 0)[3]; s != scanRuns {
			t.Errorf("state 0x%02X of an endless scan", s)
		}
	})
}

func TestTheSX1261PortSpeaksWhatItsDataSheetAllows(t *testing.T) {
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := c.SX1261Port()
	if _, err := p.Connect(20*physic.MegaHertz, spi.Mode0, 8); err == nil {
		t.Error("20 MHz accepted")
	}
	if _, err := p.Connect(physic.MegaHertz, spi.Mode1, 8); err == nil {
		t.Error("mode 1 accepted")
	}
	b, err := p.Connect(8*physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		t.Fatal(err)
	}
	r := make([]byte, 2)
	if err := b.TxPackets([]spi.Packet{{W: []byte{opGetStatus, 0}, R: r}}); err != nil || r[1] != 0x22 {
		t.Errorf("% X, %v; want status 22", r, err)
	}
	if b.Tx(nil, r) == nil || b.Tx([]byte{1, 2, 3}, r) == nil || b.TxPackets([]spi.Packet{{W: r, KeepCS: true}}) == nil {
		t.Error("malformed transfers accepted")
	}
	c.Close()
	if err := b.Tx([]byte{opGetStatus, 0}, r); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if fmt.Sprint(p, b) == "" || p.LimitSpeed(0) == nil || p.Close() != nil {
		t.Error("the port's small print")
	}
}
