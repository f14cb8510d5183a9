package concentrator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// companionOfTheChip in a Config stands for the port of the bench's chip.
type companionOfTheChip struct{ spi.Port }

// as923 is the recorded configuration with listen before talk.
func as923(t testing.TB) Config {
	rec := recorded(t, "tx_lbt_as923")
	cfg := rec.config()
	cfg.SX1261 = SX1261{Port: companionOfTheChip{}, LBT: LBT{Enable: true, Target: -80}}
	for _, mhz := range []radio.Hertz{920_600, 920_800, 921_000, 921_200, 921_400, 921_600, 921_800, 923_200, 923_400} {
		cfg.SX1261.LBT.Channels = append(cfg.SX1261.LBT.Channels, LBTChannel{Freq: mhz * 1000, Bandwidth: 125_000, ScanTime: 5 * time.Millisecond, MaxTransmit: 4 * time.Second})
	}
	return cfg
}

// as923Downlink is 17 bytes with SF7 on one of its channels.
func as923Downlink(id uint64, at radio.Instant, freq radio.Hertz) radio.Downlink {
	d := sf7(id, at)
	d.Freq = freq
	return d
}

// companionState is what commands leave behind in an SX1261: by command its
// arguments, by register address its value.
func companionState(state map[string]string, l string) {
	var op, args string
	if n, _ := fmt.Sscanf(l, "W sx1261 op=0x%s %s", &op, &args); n == 0 {
		return
	}
	switch b, _ := hex.DecodeString(args); {
	case op == "0d" && len(b) > 2:
		for i, v := range b[2:] {
			state[fmt.Sprintf("register 0x%04x", int(b[0])<<8+int(b[1])+i)] = fmt.Sprintf("%02x", v)
		}
	case op == "80" || op == "c1" || op == "82": // standby, frequency synthesis, receive
		state["mode"] = op + args
	default:
		state[op] = args
	}
}

// watches returns the state of the SX1261 at each start of a watch.
func watches(trace []string) (out []map[string]string) {
	state := map[string]string{}
	for _, l := range trace {
		companionState(state, l)
		if strings.HasPrefix(l, "W sx1261 op=0x9a") {
			now := map[string]string{}
			for _, k := range []string{"mode", "86", "8a", "8b", "8c", "9a", "register 0x089b"} {
				now[k] = state[k]
			}
			out = append(out, now)
		}
	}
	return out
}

func TestStartWithLBTHasTheEffectOfTheReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, as923(t), fast, nil)
		b.chip.Trace(&b.trace)
		b.run()
		b.chip.Trace(nil)
		stats := b.Stats()
		b.stop()
		got := lines(b.trace.String())

		// The chip's part: as the start without LBT, but for the AGC's last parameter.
		want := slices.Clone(recorded(t, "start_as923_sx1250").step(0))
		i := slices.Index(want, "W sx1302 0x5789 0b")
		want[i-1] = "W sx1302 0x578c 01"
		mine := slices.DeleteFunc(slices.Clone(got), func(l string) bool {
			return strings.HasPrefix(l, "W sx1302 0x6180 ") || strings.Contains(l, " sx1261 ")
		})
		diffMaps(t, registerImage(t, mine), registerImage(t, want))
		diffLists(t, "order of the operations", operations(effect(t, mine)), operations(effect(t, want)))

		// The SX1261's part, FACTS of the recorded library: standby, patch, image
		// calibration for 922.3 MHz, buffer base, sensitivity.
		state := map[string]string{}
		for _, l := range got {
			companionState(state, l)
		}
		for k, v := range map[string]string{"98": "e1e9", "8f": "8080", "register 0x08ac": "cb", "register 0x0610": "00", "mode": "8000", "d9": ""} {
			if state[k] != v {
				t.Errorf("SX1261 %s is %q after the start, want %q", k, state[k], v)
			}
		}
		// The reference takes 1033 frames and 2.6 s.
		t.Logf("start with LBT: %d frames, %d bytes, %v", stats.StartFrames, stats.StartBytes, stats.StartTime)
		if stats.StartFrames > 1033/3 || stats.StartTime > 600*time.Millisecond {
			t.Errorf("%d frames, %v", stats.StartFrames, stats.StartTime)
		}
	})
}

// The recorded calls: allowed, blocked, refused because it is no LBT channel.
func TestTransmissionsWithLBTHaveTheEffectOfTheReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := recorded(t, "tx_lbt_as923")
		b := newBench(t, as923(t), fast, nil)
		b.chip.Trace(&b.trace)
		b.run()
		soFar := func() []string { // of the trace, which nobody writes meanwhile
			b.chip.Trace(nil)
			defer b.chip.Trace(&b.trace)
			return lines(b.trace.String())
		}
		for _, n := range []int{1, 3} {
			d, _ := downlink(t, rec.Steps[n].Call)
			d.ID, d.At = uint64(n), b.instant()+500_000
			if n == 3 {
				b.occupy(d.Freq, 25)
			}
			before := sendFrames(soFar())
			if err := b.Schedule(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			r := <-b.Reports()
			time.Sleep(5 * time.Millisecond) // for the SX1261 to come to rest
			frames := sendFrames(soFar()) - before
			t.Logf("step %d: %d frames", n, frames)
			if frames > 95/3 { // the reference has 95
				t.Errorf("step %d: %d frames", n, frames)
			}
			if n == 1 && (r.Err != nil || r.Started != d.At) || n == 3 && !errors.Is(r.Err, radio.ErrChannelBusy) {
				t.Errorf("step %d: %+v", n, r)
			}
		}
		time.Sleep(time.Second)
		b.chip.Trace(nil)
		d, _ := downlink(t, rec.Steps[5].Call)
		d.At = b.instant() + 500_000
		if err := b.Schedule(t.Context(), d); !errors.Is(err, radio.ErrFrequency) {
			t.Errorf("924.0 MHz: %v", err)
		}
		b.stop()

		got := lines(b.trace.String())
		want := append(rec.step(1), rec.step(3)...)
		gotWatches, wantWatches := watches(got), watches(want)
		if len(gotWatches) != 2 || len(wantWatches) != 2 {
			t.Fatalf("%d and %d watches", len(gotWatches), len(wantWatches))
		}
		for i := range wantWatches {
			for k, v := range wantWatches[i] {
				if gotWatches[i][k] != v {
					t.Errorf("watch %d: SX1261 %s is %s, recorded %s", i, k, gotWatches[i][k], v)
				}
			}
		}
		// The same acknowledgements, and the radio at rest afterwards.
		diffLists(t, "acknowledgements", acknowledgements(got[slices.Index(got, "W sx1261 op=0x9a 0b02cba001"):]), acknowledgements(want))
		state := map[string]string{}
		for _, l := range got {
			companionState(state, l)
		}
		if state["mode"] != "c1" || state["register 0x089b"] != "00" {
			t.Errorf("the SX1261 does not rest: %v", state)
		}
		// The transmit registers at the end: those of the blocked one.
		block, _ := hex.DecodeString(rec.Steps[3].Block)
		image := registerBytes(got)
		for _, i := range []int{0x05, 0x06, 0x09, 0x0C, 0x0D, 0x20, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x60, 0x61, 0x62, 0x63, 0x65, 0x66, 0x67, 0x69, 0x6D, 0x6E} {
			if v := image[0x5200+i]; v != block[i] {
				t.Errorf("register 0x%04x is %02x, recorded %02x", 0x5200+i, v, block[i])
			}
		}
	})
}

// sendFrames counts frames, but for looks at the receive buffer.
func sendFrames(trace []string) (n int) {
	for _, l := range trace {
		if !strings.HasPrefix(l, "R sx1302 0x58c8") {
			n++
		}
	}
	return n
}

func acknowledgements(trace []string) (out []string) {
	for _, l := range trace {
		if a, data, ok := written1302(l); ok && a == 0x578C {
			out = append(out, fmt.Sprintf("%02x", data))
		}
	}
	return out
}

// registerBytes is the last value written to each register.
func registerBytes(trace []string) map[int]byte {
	out := map[int]byte{}
	for _, l := range trace {
		a, data, _ := written1302(l)
		for i, v := range data {
			out[a+i] = v
		}
	}
	return out
}

// occupy lets another station talk on a channel for the next two seconds, at
// a power of which 100 dB are lost on the way.
func (b *testBench) occupy(f radio.Hertz, p radio.DBm) {
	b.t.Helper()
	d := b.device()
	if _, err := d.Transmit(air.Frame{Payload: make([]byte, 40), Freq: f, Mod: radio.LoRa{SF: 12, Bandwidth: 125_000}}, air.Immediately, p); err != nil {
		b.t.Fatal(err)
	}
}

// A busy channel costs its own transmission only: uplinks come in meanwhile,
// and the next transmission, on a quiet channel, is on time.
func TestABusyChannelHoldsUpNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, as923(t), fast, nil)
		b.run()
		b.occupy(923_200_000, 30)
		at := b.instant() + 200_000
		for i, f := range []radio.Hertz{923_200_000, 923_400_000} {
			if err := b.Schedule(t.Context(), as923Downlink(uint64(i), at+radio.Instant(i)*80_000, f)); err != nil {
				t.Fatal(err)
			}
		}
		d := b.device()
		tx := d.say("up", 922_000_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
		if u := <-b.Uplinks(); u.At != tx.End+1_000_000 || string(u.Payload) != "up" {
			t.Errorf("%+v", u)
		}
		if r := <-b.Reports(); r.ID != 0 || !errors.Is(r.Err, radio.ErrChannelBusy) || r.Started != 0 {
			t.Errorf("%+v", r)
		}
		if r := <-b.Reports(); r.ID != 1 || r.Err != nil || r.Started != at+80_000 {
			t.Errorf("%+v", r)
		}
		if s := b.Stats(); s.ChannelBusy != 1 || s.Sent != 1 || s.TXFailed != 0 {
			t.Errorf("%+v", s)
		}
		b.stop()
	})
}

// Asked for at the last moment that Lead allows, a transmission is listened
// for and on time; a moment later it is refused.
func TestLeadIncludesTheListening(t *testing.T) {
	for _, scan := range []time.Duration{128 * time.Microsecond, 5 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			cfg := as923(t)
			for i := range cfg.SX1261.LBT.Channels {
				cfg.SX1261.LBT.Channels[i].ScanTime = scan
			}
			b := newBench(t, cfg, fast, nil)
			b.run()
			for i := range 20 {
				time.Sleep(100*time.Millisecond + time.Duration(i)*137*time.Microsecond)
				d := as923Downlink(uint64(i), 0, 923_200_000)
				lead := b.Lead(d)
				d.At = b.instant() + radio.Instant(lead/time.Microsecond) + 50
				if err := b.Schedule(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				if r := <-b.Reports(); r.Err != nil {
					t.Fatalf("%d: %v", i, r.Err)
				}
			}
			d := as923Downlink(99, 0, 923_200_000)
			d.At = b.instant() + radio.Instant(b.Lead(d)/time.Microsecond) - 100
			if err := b.Schedule(t.Context(), d); !errors.Is(err, radio.ErrTooLate) {
				t.Errorf("%v", err)
			}
			t.Logf("scan %v: lead %v", scan, b.Lead(d))
			b.stop()
		})
	}
}

func TestLBTWithoutAListFollowsWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := as923(t)
		cfg.SX1261.LBT.Channels = nil
		b := newBench(t, cfg, fast, nil)
		b.run()
		for i, x := range []struct {
			freq radio.Hertz
			mod  radio.Modulation
			err  error // of Schedule
		}{
			{921_900_000, radio.LoRa{SF: 9, Bandwidth: 125_000, InvertIQ: true, NoCRC: true}, nil},
			{923_000_000, radio.LoRa{SF: 7, Bandwidth: 250_000, InvertIQ: true, NoCRC: true}, nil},
			{921_500_000, radio.FSK{BitRate: 50_000, Deviation: 25_000}, nil},
			{921_500_000, radio.FSK{BitRate: 100_000, Deviation: 50_000}, nil},
			{923_000_000, radio.LoRa{SF: 7, Bandwidth: 500_000, InvertIQ: true, NoCRC: true}, radio.ErrFrame},
			{923_000_000, radio.LoRa{SF: 12, Bandwidth: 125_000, Preamble: 200}, radio.ErrFrame}, // 7 s
		} {
			d := radio.Downlink{ID: uint64(i), Payload: make([]byte, 20), Freq: x.freq, Mod: x.mod, Power: 14, At: b.instant() + 100_000}
			if err := b.Schedule(t.Context(), d); !errors.Is(err, x.err) {
				t.Errorf("%v: %v", x.mod, err)
			} else if x.err == nil {
				if r := <-b.Reports(); r.Err != nil || r.Started != d.At {
					t.Errorf("%v: %+v", x.mod, r)
				}
			}
		}
		b.stop()
	})
}

// What the board's path to the SX1261 takes must not make the radio deaf: the
// offset brings the threshold down to what the radio reads.
func TestTheThresholdIsAtTheAntenna(t *testing.T) {
	for _, x := range []struct {
		power radio.DBm // at the antenna, the target is -80
		busy  bool
	}{{-83, false}, {-77, true}} {
		synctest.Test(t, func(t *testing.T) {
			cfg := as923(t)
			cfg.SX1261.RSSIOffset = 20
			b := newBench(t, cfg, fast, func(c *sx1302sim.Config) { c.SX1261Offset = 20 })
			b.run()
			b.occupy(923_200_000, x.power+100)
			if err := b.Schedule(t.Context(), as923Downlink(1, b.instant()+100_000, 923_200_000)); err != nil {
				t.Fatal(err)
			}
			if r := <-b.Reports(); errors.Is(r.Err, radio.ErrChannelBusy) != x.busy || (r.Err == nil) == x.busy {
				t.Errorf("%v dBm: %+v", x.power, r)
			}
			b.stop()
		})
	}
}

func TestAnSX1261ThatIsNotThereIsToldFromAWrongOne(t *testing.T) {
	for _, x := range []struct {
		name  string
		fault sx1302sim.SX1261Misbehaviour
		says  []string
	}{
		{"mute", sx1302sim.SX1261Misbehaviour{Mute: true}, []string{"patch the SX1261", "status 0x00", "chip select"}},
		{"wrong version", sx1302sim.SX1261Misbehaviour{Version: "SX1268 V2D 2D02"}, []string{"SX1268 V2D 2D02", "2D06", "2.1.0"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, as923(t), fast, nil)
			b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.SX1261 = x.fault })
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := b.Run(ctx)
			if err == nil {
				t.Fatalf("%s: started", x.name)
			}
			for _, s := range x.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%s: %q is not in %v", x.name, s, err)
				}
			}
		})
	}
}

// A radio whose patch memory takes single words only is patched all the same.
func TestThePatchIsWrittenWordByWordIfNeedBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, as923(t), fast, nil)
		b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.SX1261.NoBursts = true })
		b.run()
		t.Logf("%d frames", b.Stats().StartFrames)
		b.stop()
	})
}

// Each transfer to the SX1261 around a transmission fails once, and then
// twice: once is repeated; twice costs the transmission, with a reason, and
// nothing else.
func TestAFailingSX1261CostsNoMoreThanTheTransmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, as923(t), fast, nil)
		b.run()
		for n := 1; n <= 8; n++ {
			b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.SX1261.FailTransfer = n })
			at := b.instant() + 100_000
			if err := b.Schedule(t.Context(), as923Downlink(uint64(n), at, 923_200_000)); err != nil {
				t.Fatal(err)
			}
			if r := <-b.Reports(); r.Err != nil || r.Started != at {
				t.Errorf("transfer %d fails: %+v", n, r)
			}
		}
		// Mute: the look whether it receives finds out.
		b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.SX1261.Mute = true })
		if err := b.Schedule(t.Context(), as923Downlink(100, b.instant()+100_000, 923_200_000)); err != nil {
			t.Fatal(err)
		}
		if r := <-b.Reports(); !errors.Is(r.Err, ErrSX1261) || r.Started != 0 {
			t.Errorf("mute: %+v", r)
		}
		b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.SX1261.Mute = false })
		at := b.instant() + 100_000
		if err := b.Schedule(t.Context(), as923Downlink(101, at, 923_200_000)); err != nil {
			t.Fatal(err)
		}
		if r := <-b.Reports(); r.Err != nil || r.Started != at {
			t.Errorf("after it: %+v", r)
		}
		b.stop()
	})
}

// An SX1261 that stays mute ends the run, so that it is patched anew.
func TestADeadSX1261RestartsTheChip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, as923(t), fast, nil)
		b.run()
		b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.SX1261.Mute = true })
		for n := range companionErrorBudget {
			if err := b.Schedule(t.Context(), as923Downlink(uint64(n), b.instant()+radio.Instant(n+1)*100_000, 923_200_000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-b.done; !errors.Is(err, ErrSX1261) {
			t.Errorf("Run: %v", err)
		}
		for range companionErrorBudget {
			if r := <-b.Reports(); r.Err == nil || r.Started != 0 {
				t.Errorf("%+v", r)
			}
		}
		b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.SX1261.Mute = false })
		b.run()
		b.stop()
	})
}

func TestTheSX1261IsConfiguredWithSense(t *testing.T) {
	for _, x := range []struct {
		change func(*Config)
		says   string
	}{
		{func(c *Config) { c.SX1261.Port = nil }, "sx1261_spi"},
		{func(c *Config) { c.Firmware.SX1261 = nil }, "firmware import"},
		{func(c *Config) { c.SX1261.LBT.Target = 5 }, "SX1261.LBT.Target"},
		{func(c *Config) { c.SX1261.RSSIOffset = 60 }, "SX1261.LBT.Target"},
		{func(c *Config) { c.SX1261.LBT.Channels[0].Freq = 0 }, "Channels[0].Freq"},
		{func(c *Config) { c.SX1261.LBT.Channels[1].Bandwidth = 500_000 }, "125000 or 250000"},
		{func(c *Config) { c.SX1261.LBT.Channels[2].ScanTime = time.Millisecond }, "128µs or 5ms"},
		{func(c *Config) { c.SX1261.LBT.Channels[3].MaxTransmit = time.Millisecond }, "MaxTransmit"},
	} {
		cfg := as923(t)
		x.change(&cfg)
		if _, err := New(nil, cfg); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%v, want %q in it", err, x.says)
		}
	}
}
