package concentrator

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"gatewayd/radio"
)

// offline is a session without a chip, to feed bytes to.
func offline(t testing.TB, cfg Config) *session {
	t.Helper()
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		t.Fatal(err)
	}
	c := &Concentrator{cfg: cfg, bus: &bus{hz: 8_000_000}, uplinks: make(chan radio.Uplink, 100), reports: make(chan radio.Report, 100)}
	s := &session{c: c, clock: &c.clock, drv: &driver{cfg: &c.cfg, bus: c.bus, log: c.cfg.Log}}
	s.drv.regs = newShadow(c.bus)
	s.clock.adopt(0, time.Unix(0, 0))
	return s
}

// feed digests bytes as if the counter had been read right after.
func (s *session) feed(fifo []byte, inst uint32) []radio.Uplink {
	s.clock.ticks = s.clock.unroll(inst, s.clock.ticks+1<<31-1) // the next such count
	s.partial = append(s.partial, fifo...)
	s.digest(false)
	var out []radio.Uplink
	for len(s.c.uplinks) > 0 {
		out = append(out, <-s.c.uplinks)
	}
	return out
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance }

// comparePacket checks one packet against the recording. celsius is in the
// recording's figures already.
func comparePacket(t *testing.T, what string, u radio.Uplink, w recordedPacket) {
	t.Helper()
	if int64(u.Freq) != w.Freq || u.IFChain != w.IFChain || u.RFChain != w.RFChain || len(u.Payload) != w.Size {
		t.Errorf("%s: %d Hz, chain %d, radio %d, %d bytes; recorded %+v", what, u.Freq, u.IFChain, u.RFChain, len(u.Payload), w)
	}
	status := map[radio.CRC]int{radio.GoodCRC: 0x10, radio.BadCRC: 0x11, radio.NoCRC: 0x01}[u.CRC]
	want := 0
	switch v := w.Status.(type) {
	case float64:
		want = int(v)
	case string:
		want = int(row{"s": v}.int(t, "s"))
	}
	if status != want {
		t.Errorf("%s: CRC state %v, recorded 0x%02x", what, u.CRC, want)
	}
	if uint32(u.At)&(1<<27-1) != w.Count&(1<<27-1) {
		t.Errorf("%s: at %d, recorded %d", what, u.At, w.Count)
	}
	if !near(float64(u.RSSI), w.RSSIC, 2e-3) {
		t.Errorf("%s: RSSI %v, recorded %v", what, u.RSSI, w.RSSIC)
	}
	if w.Modulation == "FSK" {
		if m, ok := u.Mod.(radio.FSK); !ok || m.BitRate != w.DataRate {
			t.Errorf("%s: %v, recorded FSK %d", what, u.Mod, w.DataRate)
		}
		return
	}
	m, ok := u.Mod.(radio.LoRa)
	code, _ := bandwidthCode(m.Bandwidth)
	if !ok || int(m.SF) != w.DataRate || int(code) != w.Bandwidth || int(m.CodeRate) != w.CodeRate {
		t.Errorf("%s: %v, recorded SF%d, bandwidth code %d, coding rate %d", what, u.Mod, w.DataRate, w.Bandwidth, w.CodeRate)
	}
	if int64(u.FreqOffset) != w.FreqOffset || !near(float64(u.SNR), w.SNR, 1e-6) || !near(float64(u.SignalRSSI), w.RSSIS, 2e-3) {
		t.Errorf("%s: offset %d, SNR %v, signal %v; recorded %d, %v, %v", what, u.FreqOffset, u.SNR, u.SignalRSSI, w.FreqOffset, w.SNR, w.RSSIS)
	}
}

func TestRandomReceiveBuffersDecodeAsInTheReference(t *testing.T) {
	type line struct {
		Bandwidth   int     `json:"service_bw_code"`
		SF          int     `json:"service_sf"`
		Implicit    bool    `json:"service_implicit"`
		Temperature float64 `json:"temperature_c"`
		Inst        uint32  `json:"inst_ticks"`
		FIFO        string
		Packets     []recordedPacket
	}
	cfg := eu868(t)
	for i := range cfg.Radios {
		cfg.Radios[i].RSSITemperature = [5]float64{0, 0, 20.41, 2162.56, 0}
	}
	celsius := 0.0
	cfg.Temperature = func() (float64, error) { return celsius, nil }
	s := offline(t, cfg)
	scan := bufio.NewScanner(bytes.NewReader(golden(t, "rx_parse.jsonl")))
	scan.Buffer(nil, 1<<20)
	total := 0
	for scan.Scan() {
		var l line
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		celsius = l.Temperature
		sv := &s.c.cfg.Service
		sv.Bandwidth, sv.SF, sv.Implicit = radio.Hertz(125_000)<<(l.Bandwidth-4), uint8(l.SF), l.Implicit
		fifo, err := hex.DecodeString(l.FIFO)
		if err != nil {
			t.Fatal(err)
		}
		got := s.feed(fifo, l.Inst)
		if len(got) != len(l.Packets) {
			t.Errorf("%d packets, recorded %d", len(got), len(l.Packets))
			continue
		}
		// We hand up in order of time, the reference in order of arrival.
		for _, u := range got {
			i := matching(l.Packets, u)
			if i < 0 {
				t.Errorf("line %d: no recorded packet is at %d", total, u.At)
				continue
			}
			comparePacket(t, "line of rx_parse", u, l.Packets[i])
			total++
		}
	}
	if total < 200 {
		t.Errorf("only %d packets", total)
	}
}

func matching(list []recordedPacket, u radio.Uplink) int {
	for i, p := range list {
		if p.IFChain == u.IFChain && p.Size == len(u.Payload) && p.Count&(1<<27-1) == uint32(u.At)&(1<<27-1) {
			return i
		}
	}
	return -1
}

func TestRecordedReceptionsDecodeAsInTheReference(t *testing.T) {
	rec := recorded(t, "rx_eu868_sx1250")
	s := offline(t, rec.config())
	n := 0
	for _, step := range rec.Steps {
		var fifo []byte
		for _, b := range step.Before {
			p, err := hex.DecodeString(b.FIFO)
			if err != nil {
				t.Fatal(err)
			}
			fifo = append(fifo, p...)
		}
		if !strings.HasPrefix(step.Call, "receive") || len(step.Packets) == 0 {
			continue
		}
		got := s.feed(fifo, step.Packets[len(step.Packets)-1].Count*32+32_000_000)
		if len(got) != len(step.Packets) {
			t.Errorf("step %d: %d packets, recorded %d", step.Step, len(got), len(step.Packets))
			continue
		}
		for _, u := range got { // ours are in order of time
			i := matching(step.Packets, u)
			if i < 0 {
				t.Errorf("step %d: no recorded packet is at %d", step.Step, u.At)
				continue
			}
			comparePacket(t, step.Call, u, step.Packets[i])
			if p := step.Packets[i].Payload; p != hex.EncodeToString(u.Payload) {
				t.Errorf("step %d: payload %x, recorded %s", step.Step, u.Payload, p)
			}
			n++
		}
	}
	if n < 15 {
		t.Errorf("only %d packets compared", n)
	}
}

// The vendor's library fails for good after each of these (recordings
// rx_bad_*); the good packet behind must survive.
func TestAnImpossiblePacketDoesNotCostTheNextOne(t *testing.T) {
	for _, name := range []string{"rx_bad_channel", "rx_bad_modem_id", "rx_bad_sf", "rx_chan10_fsk_modem"} {
		rec := recorded(t, name)
		s := offline(t, rec.config())
		var fifo []byte
		for _, b := range rec.Steps[1].Before {
			p, _ := hex.DecodeString(b.FIFO)
			fifo = append(fifo, p...)
		}
		got := s.feed(fifo, 300_000_000)
		if len(got) != 1 || got[0].At != 8990542 {
			t.Errorf("%s: %d packets", name, len(got))
		}
		if n := s.c.stats.invalid.Load(); n != 1 {
			t.Errorf("%s: %d counted as invalid", name, n)
		}
	}
}

// onePacket is step 6 of the recording rx_eu868_sx1250.
func onePacket(t testing.TB) []byte {
	p, err := hex.DecodeString("a5c011027303d2040040f17dbe4900020001954378762b11ff0d0026807e000011868409da0700b3")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestADamagedPacketCostsOnlyItself(t *testing.T) {
	good := onePacket(t)
	for at := range good {
		bad := bytes.Clone(good)
		bad[at] ^= 0xFF
		buf := append(append(append([]byte{}, good...), bad...), append(good, good...)...)
		packets, rest, f := decode(buf, true, false)
		if len(packets) != 3 || len(rest) != 0 {
			t.Errorf("byte %d inverted: %d packets of 3 good ones, %d bytes left; %+v", at, len(packets), len(rest), f)
		}
	}
}

func TestAPacketInTwoPiecesIsWhole(t *testing.T) {
	good := onePacket(t)
	for cut := 1; cut < len(good); cut++ {
		buf := append(append([]byte{}, good...), good[:cut]...)
		first, rest, _ := decode(buf, false, false)
		second, _, _ := decode(append(bytes.Clone(rest), good[cut:]...), false, false)
		if len(first) != 1 || len(second) != 1 {
			t.Errorf("cut at %d: %d and %d packets", cut, len(first), len(second))
		}
	}
}

func TestEachKindOfDamageIsCounted(t *testing.T) {
	good := onePacket(t)
	sum := func(b []byte) []byte { b[len(b)-1] = checksum(b[:len(b)-1]); return b }
	change := func(at int, v byte) []byte { b := bytes.Clone(good); b[at] = v; return b }
	for _, x := range []struct {
		name string
		buf  []byte
		want findings
	}{
		{"garbage", []byte{1, 2, 3, 0xA5}, findings{skipped: 4}},
		{"checksum", change(len(good)-1, 0), findings{skipped: len(good), badChecksum: 1}},
		{"modem", sum(change(5, 18)), findings{invalid: 1}},
		{"coding rate", sum(change(4, 0x71)), findings{invalid: 1}},
		{"payload CRC", sum(change(9, 0)), findings{mismatch: 1}},
		{"cut", good[:20], findings{skipped: 20, truncated: 1}},
	} {
		packets, rest, got := decode(x.buf, true, false)
		if got != x.want || len(packets) != 0 || len(rest) != 0 {
			t.Errorf("%s: %+v, want %+v (%d packets, %d bytes left)", x.name, got, x.want, len(packets), len(rest))
		}
	}
}

func TestTheSecondDemodulationOfAPacketIsDropped(t *testing.T) {
	a, _ := parse(onePacket(t))
	b := a
	b.modem, b.stamp, b.crcError = 7, a.stamp+twinTicks, false
	a.crcError = true
	far := a
	far.stamp += 3 * twinTicks
	got := withoutTwins([]packet{a, b, far})
	if len(got) != 2 || got[0].crcError || got[1].stamp != far.stamp {
		t.Errorf("%+v", got)
	}
}

func FuzzDecode(f *testing.F) {
	good := onePacket(f)
	f.Add(good, true)
	f.Add(good[:30], false)
	f.Add(append(bytes.Clone(good[3:]), good...), false)
	f.Fuzz(func(t *testing.T, buf []byte, final bool) {
		before := bytes.Clone(buf)
		packets, rest, found := decode(buf, final, false)
		if !bytes.Equal(buf, before) {
			t.Error("decode changed its input")
		}
		if final && len(rest) != 0 {
			t.Errorf("%d bytes left though no more will come", len(rest))
		}
		if !bytes.HasSuffix(buf, rest) || len(rest) > packetLongest {
			t.Errorf("%d bytes left", len(rest))
		}
		if found.skipped > len(buf) || len(packets)*packetFixed > len(buf) {
			t.Errorf("%d packets, %d bytes skipped of %d", len(packets), found.skipped, len(buf))
		}
		// Two good packets behind any final rubbish are found, unless the rubbish
		// claims them as its payload with the right checksum.
		more, _, _ := decode(append(bytes.Clone(buf), append(good, good...)...), true, false)
		if len(more) < len(packets) {
			t.Errorf("%d packets, %d with more bytes behind", len(packets), len(more))
		}
	})
}
