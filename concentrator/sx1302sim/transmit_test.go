package sx1302sim

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// started returns a chip with an antenna that the vendor's library has
// started for EU868: radios at 867.5 and 868.5 MHz, eight multi-SF channels,
// service SF7 at 250 kHz on 868.3 MHz, FSK at 868.8 MHz. Air time is 2.2 s and CounterStart one second.
func started(t *testing.T, cfg Config) (*Chip, *air.Medium) {
	t.Helper()
	runs := golden(t)
	if cfg.Medium == nil {
		cfg.Medium = air.New(air.Config{})
	}
	t.Cleanup(cfg.Medium.Close)
	p := newPlayer(t, runs["rx_eu868_sx1250"], cfg)
	p.play(startOf(runs, "rx_eu868_sx1250"))
	p.chip.Trace(nil)
	return p.chip, cfg.Medium
}

const counterStart = 1_000_000 // µs, of the recorded runs

// parameters of a recorded "send" call.
func parameters(call string) map[string]string {
	m := map[string]string{}
	for _, f := range strings.Fields(call)[1:] {
		k, v, _ := strings.Cut(f, "=")
		m[k] = v
	}
	return m
}

// asked is the frame that a recorded call asks for, nil for a carrier.
func asked(t *testing.T, p map[string]string) *air.Frame {
	t.Helper()
	n := func(k string) int64 {
		if p[k] == "" {
			return 0
		}
		return number(t, p[k])
	}
	f := &air.Frame{Freq: radio.Hertz(n("freq"))}
	f.Payload, _ = hex.DecodeString(p["payload"])
	for i := int64(0); i < n("size") && p["payload"] == ""; i++ {
		f.Payload = append(f.Payload, byte(i))
	}
	preamble := uint16(n("preamble"))
	switch p["mod"] {
	case "lora":
		if preamble == 0 {
			preamble = 8
		}
		m := radio.LoRa{
			SF: uint8(n("dr")), Bandwidth: radio.Hertz(n("bw")), CodeRate: uint8(n("cr")), Preamble: max(preamble, 6), // as the library does
			Sync: radio.PublicSync, InvertIQ: n("ipol") == 1, NoCRC: n("nocrc") == 1, Implicit: n("nohdr") == 1,
		}
		if m.SF < 7 {
			m.Sync = radio.PrivateSync
		}
		f.Mod = m
	case "fsk":
		if preamble == 0 {
			preamble = 5
		}
		f.Mod = radio.FSK{BitRate: int(n("dr")), Deviation: radio.Hertz(n("fdev")) * 1000, Preamble: max(preamble, 3), NoCRC: n("nocrc") == 1}
	default:
		return nil
	}
	return f
}

func TestRegistersOfRecordedTransmissionsAreTheFramesThatWereAskedFor(t *testing.T) {
	runs, checked := golden(t), 0
	for _, name := range []string{"tx_eu868_sx1250", "tx_matrix_sx1250", "tx_chain1_sx1250", "tx_eu868_sx1257", "tx_cn490_sx1255_fdx"} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlayer(t, runs[name], Config{})
			p.sent = func() { checked += p.compareSent(t) }
			p.play(startOf(runs, name))
			for _, l := range runs[name].trace {
				p.line(l)
			}
		})
	}
	if checked < 110 {
		t.Errorf("only %d transmissions compared", checked)
	}
}

// compareSent compares the last transmission with the call that made it.
func (p *player) compareSent(t *testing.T) int {
	s := p.run.Steps[p.step]
	call := parameters(s.Call)
	chain, _ := strconv.Atoi(call["chain"])
	p.chip.mu.Lock()
	defer p.chip.mu.Unlock()
	got, err := p.chip.modulated(chain)
	if err != nil {
		t.Errorf("%q: %v", s.Call, err)
	}
	var start, airtime, mode int64
	for f := range strings.FieldsSeq(s.EmuTX) {
		k, v, _ := strings.Cut(f, "=")
		*map[string]*int64{"start": &start, "toa": &airtime, "mode": &mode}[k], _ = strconv.ParseInt(v, 10, 64)
	}
	if fires := p.chip.tx[chain].fires; uint32(fires) != uint32(start) {
		t.Errorf("%q: fires at tick %d, recorded %d", s.Call, uint32(fires), start)
	}
	want := asked(t, call)
	if want == nil {
		if _, carrier := got.Mod.(radio.Carrier); !carrier {
			t.Errorf("%q: no carrier", s.Call)
		}
		return 1
	}
	if got.Freq-want.Freq > 122 || want.Freq-got.Freq > 122 || !bytes.Equal(got.Payload, want.Payload) {
		t.Errorf("%q: %d Hz, payload %x", s.Call, got.Freq, got.Payload)
	}
	if !sameModulation(got.Mod, want.Mod) {
		t.Errorf("%q: modulation %#v, want %#v", s.Call, got.Mod, want.Mod)
	}
	return 1
}

// sameModulation allows for the registers' steps: 122 Hz of deviation, whole
// dividers of 32 MHz for the bit rate.
func sameModulation(got, want radio.Modulation) bool {
	g, ok := got.(radio.FSK)
	w, too := want.(radio.FSK)
	if !ok || !too {
		return got == want
	}
	step := w.BitRate*w.BitRate/ticksPerSecond + 1
	near := g.BitRate-w.BitRate <= step && w.BitRate-g.BitRate <= step && max(g.Deviation-w.Deviation, w.Deviation-g.Deviation) <= 122
	g.BitRate, g.Deviation = w.BitRate, w.Deviation
	return near && g == w
}

// host speaks to a chip as a driver does.
type host struct {
	t *testing.T
	c *Chip
}

func (h host) put(a reg.Addr, v ...byte) {
	h.t.Helper()
	w := append([]byte{targetChip, writeFlag | byte(a>>8), byte(a)}, v...)
	if err := h.c.transfer(w, nil); err != nil {
		h.t.Fatalf("write 0x%04X: %v", uint(a), err)
	}
}

func (h host) get(a reg.Addr, n int) []byte {
	h.t.Helper()
	w := append([]byte{targetChip, byte(a >> 8), byte(a)}, make([]byte, n+1)...)
	r := make([]byte, len(w))
	if err := h.c.transfer(w, r); err != nil {
		h.t.Fatalf("read 0x%04X: %v", uint(a), err)
	}
	return r[readHeader:]
}

func (h host) set(f reg.Field, v byte) {
	h.t.Helper()
	h.put(f.Addr(), f.Set(h.get(f.Addr(), 1)[0], v))
}

// settings sets up chain for LoRa with the registers of the data sheet, and
// returns the start delay in ticks.
func (h host) settings(chain int, m radio.LoRa, freq uint32, payload []byte) uint32 {
	h.t.Helper()
	set := func(f reg.Field, v byte) { h.set(f.Chain(chain), v) }
	word := uint32(uint64(freq) << 18 / 32_000_000)
	set(reg.TXRffeIFCtrlTXIFSrc, sourceLoRa)
	set(reg.TXRffeIFFreqRFH, byte(word>>16))
	set(reg.TXRffeIFFreqRFM, byte(word>>8))
	set(reg.TXRffeIFFreqRFL, byte(word))
	set(reg.TXAGCTXPwr, 17)
	set(reg.TXTxrxCfg00ModemSF, m.SF)
	set(reg.TXTxrxCfg00ModemBW, map[radio.Hertz]byte{125_000: 4, 250_000: 5, 500_000: 6}[m.Bandwidth])
	set(reg.TXTxrxCfg01CodingRate, m.Rate())
	set(reg.TXTxrxCfg01PPMOffset, bit(m.LowDataRateOptimised()))
	set(reg.TXTxrxCfg02ModemEn, 1)
	set(reg.TXTxrxCfg11ModemStart, 1)
	set(reg.TXTxrxCfg02CRCEn, bit(!m.NoCRC))
	set(reg.TXCfg00ChirpInvert, bit(m.InvertIQ))
	set(reg.TXTxrxCfg02ImplicitHeader, bit(m.Implicit))
	set(reg.TXTxrxCfg12PreambleSymbNb, 8)
	set(reg.TXTxrxCfg13PreambleSymbNb, 0)
	set(reg.TXFrameSynch0Peak1Pos, 6)
	set(reg.TXFrameSynch1Peak2Pos, 8)
	set(reg.TXTxrxCfg03PayloadLength, byte(len(payload)))
	h.payload(chain, payload)
	const delay = 47413 // recorded: SX1250, 125 kHz, below SF10 (tx_start_delay.csv)
	h.put(reg.TXStartDelayMSB.Chain(chain).Addr(), delay>>8, delay&0xFF)
	return delay
}

func (h host) payload(chain int, b []byte) {
	h.t.Helper()
	h.set(reg.TXCtrlWriteBuffer.Chain(chain), 1)
	h.put([2]reg.Addr{reg.TXBuffer0, reg.TXBuffer1}[chain], b...)
	h.set(reg.TXCtrlWriteBuffer.Chain(chain), 0)
}

// at arms the delayed trigger so that the frame is on the air at count µs.
func (h host) at(chain int, count uint32, delay uint32) {
	h.t.Helper()
	ticks := count*32 - delay
	h.put(reg.TXTimerTrigByte3TimerDelayed.Chain(chain).Addr(), byte(ticks>>24), byte(ticks>>16), byte(ticks>>8), byte(ticks))
	h.put(reg.TXTrigDelayed.Chain(chain).Addr(), 0)
	h.put(reg.TXTrigDelayed.Chain(chain).Addr(), trigDelayed)
}

func (h host) status(chain int) byte { return h.get(reg.TXFsmStatusTX.Chain(chain).Addr(), 1)[0] }

// observe collects what is on the air, up to when the result is called.
func observe(m *air.Medium) func() []air.Transmission {
	var got []air.Transmission
	m.Observe(func(tr air.Transmission) { got = append(got, tr) })
	return func() []air.Transmission {
		synctest.Wait()
		return got
	}
}

var sf7 = radio.LoRa{SF: 7, Bandwidth: 125_000, CodeRate: 1, Preamble: 8, Sync: radio.PublicSync, InvertIQ: true, NoCRC: true}

func TestTransmissionIsOnTheAirAtItsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, got := host{t, c}, observe(m)
		payload := []byte{0x60, 1, 2, 3}
		delay := h.settings(0, sf7, 868_100_000, payload)
		h.at(0, 5_000_123, delay)
		if s := h.status(0); s != statusDelayed {
			t.Errorf("armed: status %02x, want %02x", s, statusDelayed)
		}
		time.Sleep(3 * time.Second)
		if len(got()) != 1 {
			t.Fatalf("%d transmissions, want 1", len(got()))
		}
		want := air.Transmission{
			ID: 1, From: c.cfg.EUI.String(), Frame: air.Frame{Payload: payload, Freq: 868_100_000, Mod: sf7},
			Start: 5_000_123 - counterStart, End: radio.Instant(5_000_123 - counterStart).Add(sf7.Airtime(len(payload))), Power: 14,
		}
		tr := got()[0]
		if tr.From != want.From || tr.Freq != want.Freq || tr.Mod != want.Mod || !bytes.Equal(tr.Payload, payload) || tr.Start != want.Start || tr.End != want.End || tr.Power != want.Power {
			t.Errorf("on the air %+v, want %+v", tr, want)
		}
		if s := h.status(0); s != statusFree {
			t.Errorf("after the end: status %02x, want %02x", s, statusFree)
		}
	})
}

func TestStatusFollowsTheEmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h := host{t, c}
		delay := h.settings(0, sf7, 868_100_000, []byte{1})
		start := m.Now().Add(100 * time.Millisecond)
		end := start.Add(sf7.Airtime(1))
		h.at(0, uint32(start+counterStart), delay)
		for _, s := range []struct {
			at   radio.Instant
			want byte
		}{
			{start.Add(-2 * time.Millisecond), statusDelayed},
			{start.Add(-time.Millisecond), statusEmits}, // the trigger has fired, the transmitter ramps up
			{start, statusEmits},
			{end - 1, statusEmits},
			{end, statusFree},
		} {
			time.Sleep(s.at.Sub(m.Now()))
			if got := h.status(0); got != s.want {
				t.Errorf("%v after the start: status %02x, want %02x", s.at.Sub(start), got, s.want)
			}
		}
	})
}

// 2^32 ticks of 32 MHz are 134.217728 s.
func TestTriggerSetAMicrosecondTooLateFiresATurnLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, got := host{t, c}, observe(m)
		delay := h.settings(0, sf7, 868_100_000, []byte{1})
		start := m.Now() + radio.Instant(delay/32) // the trigger would be now, rounded down
		h.at(0, uint32(start+counterStart)-1, delay)
		time.Sleep(134 * time.Second)
		if len(got()) != 0 || h.status(0) != statusDelayed {
			t.Errorf("on the air %+v, status %02x: want a trigger that waits", got(), h.status(0))
		}
		time.Sleep(time.Second)
		if want := start - 1 + 134_217_728; len(got()) != 1 || got()[0].Start != want {
			t.Errorf("on the air %+v, want a start at %d", got(), want)
		}
	})
}

func TestStoppedTransmissionIsNotOnTheAir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, got := host{t, c}, observe(m)
		delay := h.settings(0, sf7, 868_100_000, []byte{1})
		h.at(0, uint32(m.Now()+counterStart)+50_000, delay)
		h.put(reg.TXTrigDelayed.Addr(), 0)
		if s := h.status(0); s != statusFree {
			t.Errorf("status %02x after the trigger was cleared, want %02x", s, statusFree)
		}
		time.Sleep(time.Second)
		if len(got()) != 0 {
			t.Errorf("on the air %+v, want nothing", got())
		}
	})
}

// ear is a station that notes the frames' fate.
type ear struct{ got []air.Reception }

func (e *ear) Began(air.Reception)   {}
func (e *ear) Ended(r air.Reception) { e.got = append(e.got, r) }

func TestStopCutsAnEmissionOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, e := host{t, c}, new(ear)
		if _, err := m.Join(air.StationConfig{Name: "ear"}, e); err != nil {
			t.Fatal(err)
		}
		delay := h.settings(0, sf7, 868_100_000, make([]byte, 50))
		start := m.Now().Add(50 * time.Millisecond)
		h.at(0, uint32(start+counterStart), delay)
		time.Sleep(start.Add(60 * time.Millisecond).Sub(m.Now()))
		h.put(reg.TXTrigDelayed.Addr(), 0)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(e.got) != 1 || e.got[0].Outcome == air.Clear || e.got[0].End != start.Add(60*time.Millisecond) {
			t.Errorf("heard %+v, want a frame that breaks off 60 ms after %d", e.got, start)
		}
	})
}

// A stop can come between the trigger and the medium's answer.
func TestTransmissionStoppedBeforeTheMediumKnowsItIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		got := observe(m)
		stale := c.tx[0].serial
		c.mu.Lock()
		c.tx[0].stop(c)
		c.release()
		c.tx[0].radiate(c, air.Frame{Payload: []byte{1}, Freq: 868_100_000, Mod: sf7}, m.Now()+1000, 14, stale)
		time.Sleep(time.Second)
		if len(got()) != 0 {
			t.Errorf("on the air %+v, want nothing", got())
		}
	})
}

func TestWhatIsInTheBufferAtTheTriggerGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, got := host{t, c}, observe(m)
		delay := h.settings(0, sf7, 868_100_000, []byte{1, 1, 1})
		h.at(0, uint32(m.Now()+counterStart)+50_000, delay)
		h.payload(0, []byte{2, 2, 2})
		time.Sleep(time.Second)
		if len(got()) != 1 || !bytes.Equal(got()[0].Payload, []byte{2, 2, 2}) {
			t.Errorf("on the air %+v, want payload 020202", got())
		}
	})
}

func TestBothChainsTransmitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, got := host{t, c}, observe(m)
		at := m.Now() + 100_000
		for chain, f := range []uint32{868_100_000, 868_300_000} {
			delay := h.settings(chain, sf7, f, []byte{byte(chain)})
			h.at(chain, uint32(at+counterStart), delay)
		}
		time.Sleep(time.Second)
		if len(got()) != 2 || got()[0].Start != at || got()[1].Start != at || got()[0].Freq == got()[1].Freq {
			t.Errorf("on the air %+v, want two frames at %d", got(), at)
		}
	})
}

func TestGPSTriggerFiresAtTheNextPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, got := host{t, c}, observe(m)
		delay := h.settings(0, sf7, 868_100_000, []byte{1})
		h.put(reg.TXTrigGPS.Addr(), trigGPS)
		if s := h.status(0); s != statusGPS {
			t.Errorf("armed: status %02x, want %02x", s, statusGPS)
		}
		time.Sleep(2 * time.Second)
		// Air time is 2.202 s, so the counter's next whole second is 3 s of air time.
		if want := radio.Instant(3_000_000 + delay/32); len(got()) != 1 || got()[0].Start != want {
			t.Errorf("on the air %+v, want a start at %d", got(), want)
		}
	})
}

func TestTriggerWhileBusyIsAViolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := started(t, Config{Violation: func(error) {}})
		h := host{t, c}
		h.settings(0, sf7, 868_100_000, make([]byte, 200))
		h.put(reg.TXTrigImmediate.Addr(), trigImmediate)
		err := c.transfer([]byte{0, 0xD2, 0x00, trigImmediate | trigDelayed}, nil)
		if err == nil || !strings.Contains(err.Error(), "wait until it is free") {
			t.Errorf("trigger during an emission: %v", err)
		}
		if c.Violations() != 1 {
			t.Errorf("%d violations, want 1", c.Violations())
		}
	})
}

func TestSettingsThatNoModemHasDoNotTransmit(t *testing.T) {
	for _, f := range []struct {
		field reg.Field
		value byte
		says  string
	}{
		{reg.TXTxrxCfg00ModemSF, 4, "spreading factor"},
		{reg.TXTxrxCfg00ModemBW, 7, "bandwidth"},
		{reg.TXTxrxCfg01CodingRate, 0, "coding rate"},
		{reg.TXTxrxCfg02ModemEn, 0, "not enabled"},
		{reg.TXRffeIFCtrlTXIFSrc, 2, "TX_IF_SRC"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, m := started(t, Config{Violation: func(error) {}})
			h, got := host{t, c}, observe(m)
			h.settings(0, sf7, 868_100_000, []byte{1})
			h.set(f.field, f.value)
			err := c.transfer([]byte{0, 0xD2, 0x00, trigImmediate}, nil)
			if err == nil || !strings.Contains(err.Error(), f.says) {
				t.Errorf("%v = %d: %v, want an error about %s", f.field, f.value, err, f.says)
			}
			if time.Sleep(time.Second); len(got()) != 0 || h.status(0) != statusFree {
				t.Errorf("%v = %d: on the air %+v", f.field, f.value, got())
			}
		})
	}
}
