package concentrator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// bench is a simulated chip with an antenna, and the driver on it.
type testBench struct {
	*Concentrator
	t      testing.TB
	chip   *sx1302sim.Chip
	medium *air.Medium
	trace  bytes.Buffer
	cancel context.CancelFunc
	done   chan error
	ppm    float64 // by which the chip's crystal is fast
}

// fast is the bus of the project's bars: 8 MHz, 30 µs a transfer.
var fast = sx1302sim.Timing{Hz: 8_000_000, PerTransfer: 30 * time.Microsecond, Exact: true}

// newBench makes a bench inside a synctest bubble; change may be nil.
func newBench(t testing.TB, cfg Config, timing sx1302sim.Timing, change func(*sx1302sim.Config)) *testBench {
	t.Helper()
	b := &testBench{t: t, medium: air.New(air.Config{})}
	t.Cleanup(b.medium.Close)
	sim := sx1302sim.Config{
		EUI: radio.EUI64{0, 0x16, 0xC0, 1, 0xF1, 0xC2, 0xA3, 0xB4}, Medium: b.medium, Timing: timing, CounterStart: 32_000_000,
		Violation: func(err error) { t.Errorf("the driver did what the chip does not allow: %v", err) },
	}
	if cfg.FineTimestamp != FineTimestampOff {
		sim.Model = sx1302sim.SX1303
	}
	for i, r := range cfg.Radios {
		sim.Radios[i] = map[RadioType]sx1302sim.RadioKind{SX1250: sx1302sim.SX1250, SX1255: sx1302sim.SX1255, SX1257: sx1302sim.SX1257}[r.Type]
	}
	if change != nil {
		change(&sim)
	}
	var err error
	b.ppm = sim.PPM
	if b.chip, err = sx1302sim.New(sim); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.chip.Close)
	if cfg.Reset == nil {
		cfg.Reset = func(ctx context.Context) error {
			b.chip.SetReset(true)
			err := pause(ctx, time.Millisecond)
			b.chip.SetReset(false)
			return errors.Join(err, pause(ctx, time.Millisecond))
		}
		cfg.HoldReset = func() error { b.chip.SetReset(true); return nil }
	}
	if _, ok := cfg.SX1261.Port.(companionOfTheChip); ok {
		cfg.SX1261.Port = b.chip.SX1261Port()
	}
	if timing.Hz != 0 {
		cfg.SPIHz = int64(timing.Hz)
	}
	if b.Concentrator, err = New(b.chip.Port(), cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

// run starts the driver and waits until it receives.
func (b *testBench) run() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.done = cancel, make(chan error, 1)
	started := b.Started()
	go func() { b.done <- b.Run(ctx) }()
	select {
	case <-started:
	case err := <-b.done:
		b.t.Fatalf("Run: %v", err)
	}
}

// stop ends the run, which must not have failed.
func (b *testBench) stop() {
	b.t.Helper()
	b.cancel()
	if err := <-b.done; err != nil {
		b.t.Errorf("Run: %v", err)
	}
}

// instant is the present Instant by the air's clock.
func (b *testBench) instant() radio.Instant { return b.medium.Now() + 1_000_000 }

// eu868 is the recorded EU868 configuration.
func eu868(t testing.TB) Config { return recorded(t, "start_eu868_sx1250").config() }

// written1302 reads a line "W sx1302 ADDR DATA" with its data shown.
func written1302(l string) (a int, data []byte, ok bool) {
	n, err := fmt.Sscanf(l, "W sx1302 0x%x %x", &a, &data)
	return a, data, n == 2 && err == nil
}

// effect is a trace reduced to what it does: register bytes that change, in
// order; radio commands; memory bursts. Idea and format are those of the
// project's tool that reduces the recorded traces.
func effect(t testing.TB, trace []string) []string {
	t.Helper()
	cur := map[int]byte{}
	reg.Each(func(a reg.Addr, b reg.Byte) { cur[int(a)] = b.Reset })
	var out []string
	radios := radioRegisters{now: map[string]string{}, then: map[string]string{}}
	for _, l := range trace {
		if !strings.HasPrefix(l, "W ") {
			continue
		}
		if strings.Contains(l, " reg=") {
			radios.write(l)
			continue
		}
		out = append(out, radios.flush()...)
		a, data, ok := written1302(l)
		radios.reset(a)
		if !ok || a < 0x5200 || a >= 0x5300 && a < 0x5400 || a >= 0x5500 && a < 0x5600 {
			if strings.Contains(l, "len=1024") { // the emulated chip has other firmware
				l, _, _ = strings.Cut(l, " sha256")
			}
			out = append(out, l)
			continue
		}
		for i, v := range data {
			changed := cur[a+i] != v
			cur[a+i] = v
			switch a + i {
			case 0x5789, 0x608A: // a signal to an MCU: what is in the mailbox then counts
				out = append(out, fmt.Sprintf("W sx1302 0x%04x %02x with % x", a+i, v, []byte{cur[a+i-1], cur[a+i+1], cur[a+i+2], cur[a+i+3]}))
			case 0x6180:
				out = append(out, fmt.Sprintf("W sx1302 0x%04x %02x", a+i, v))
			default:
				if changed {
					out = append(out, fmt.Sprintf("W sx1302 0x%04x %02x", a+i, v))
				}
			}
		}
	}
	return out
}

// radioRegisters are those of the SX1255 and SX1257, whose writes between two
// accesses to the SX1302 count by what they change in the end. Only writes to
// the mode register keep their order.
type radioRegisters struct {
	now, then map[string]string // by "radio register": before, and to be
	modes     []string
}

func (r *radioRegisters) write(l string) {
	f := strings.Fields(l) // W radioA reg=0x0d f8
	key := f[1] + " " + f[2]
	if f[2] == "reg=0x00" {
		r.modes = append(r.modes, l)
		return
	}
	r.then[key] = f[3]
}

func (r *radioRegisters) flush() (out []string) {
	for key, v := range r.then {
		if r.now[key] != v {
			out = append(out, "W "+key+" "+v)
		}
		r.now[key] = v
	}
	sort.Strings(out)
	for _, l := range r.modes {
		f := strings.Fields(l)
		if key := f[1] + " " + f[2]; r.now[key] != f[3] {
			r.now[key] = f[3]
			out = append(out, l)
		}
	}
	clear(r.then)
	r.modes = nil
	return out
}

// reset forgets what a radio's registers are when its reset line may move.
func (r *radioRegisters) reset(control int) {
	name := map[int]string{0x5783: "radioA ", 0x5784: "radioB "}[control]
	for key := range r.now {
		if name != "" && strings.HasPrefix(key, name) {
			delete(r.now, key)
		}
	}
}

// registerImage is the registers at the end of a trace that are not at their reset value.
func registerImage(t testing.TB, trace []string) map[string]string {
	t.Helper()
	cur := map[int]byte{}
	for _, l := range trace {
		a, data, _ := written1302(l)
		for i, v := range data {
			cur[a+i] = v
		}
	}
	out := map[string]string{}
	for a, v := range cur {
		if b, ok := reg.Lookup(reg.Addr(a)); ok && b.Reset != v {
			out[fmt.Sprintf("0x%04x", a)] = fmt.Sprintf("%02x", v)
		}
	}
	return out
}

// staticTables are the registers of which only the value at the end of their
// step counts, and which are written in order of address: no step but their
// own writes them, and they have no effect before the step that switches on
// what they describe. Everything else comes in the recorded order.
var staticTables = []struct {
	name, effective string
	ranges          [][2]int // from, to
}{
	{"pins", "outputs, each by itself", [][2]int{{0x5640, 0x5643}, {0x5644, 0x5650}}},
	{"amplifier tables", "when the AGC runs", [][2]int{{0x5785, 0x5787}}},
	{"front end", "when the modems are enabled", [][2]int{{0x5700, 0x571B}}},
	{"channelizer", "when the modems are enabled", [][2]int{{0x5800, 0x5820}, {0x5B00, 0x5B03}, {0x5B50, 0x5B52}, {0x5B54, 0x5B55}}},
	{"correlators", "when the modems are enabled", [][2]int{{0x5820, 0x5860}}},
	{"demodulators", "when the modems are enabled", [][2]int{{0x5860, 0x588A}, {0x5890, 0x58B3}, {0x58B4, 0x58C0}, {0x609D, 0x60A1}, {0x6188, 0x618A}}},
	{"sync words", "when the modems are enabled", [][2]int{{0x588A, 0x5890}, {0x5B2E, 0x5B30}}},
	{"service modem", "when it is started (0x5B23.4)", [][2]int{{0x5B03, 0x5B2E}, {0x5B30, 0x5B50}}},
	{"FSK modem", "when the modems are enabled", [][2]int{{0x5B52, 0x5B54}, {0x5B55, 0x5B67}}},
	{"modem enables", "when reception is enabled (0x5605.3)", [][2]int{{0x5605, 0x5606}}},
	{"mailbox", "when its byte 3 is written", [][2]int{{0x578A, 0x578D}}},
	{"arbiter's parameters", "when it is told to go on (0x608A)", [][2]int{{0x6089, 0x608A}, {0x608B, 0x608D}}},
	{"transmit path", "when a trigger is set", [][2]int{{0x5220, 0x5224}, {0x5420, 0x5424}}},
}

// table1302 names the static table that an effect belongs to, if it does. Two
// bits in them start something.
func table1302(l string) (name string, ok bool) {
	var a int
	var v byte
	if n, _ := fmt.Sscanf(l, "W sx1302 0x%x %x", &a, &v); n != 2 || a == 0x5605 && v&8 != 0 || a == 0x5B23 && v&0x10 != 0 {
		return "", false
	}
	for _, t := range staticTables {
		for _, r := range t.ranges {
			if a >= r[0] && a < r[1] {
				return t.name, true
			}
		}
	}
	return "", false
}

// operations are the effects in the order that counts: of a static table only
// that it is written then.
func operations(effects []string) (out []string) {
	for _, l := range effects {
		if name, ok := table1302(l); ok {
			l = "table " + name
			if len(out) > 0 && out[len(out)-1] == l {
				continue
			}
		}
		out = append(out, l)
	}
	return out
}

func startTrace(t *testing.T, cfg Config) []string {
	var out []string
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cfg, fast, nil)
		b.chip.Trace(&b.trace)
		b.run()
		b.chip.Trace(nil)
		b.stop()
		out = lines(b.trace.String())
	})
	return out
}

var starts = []string{
	"start_eu868_sx1257", "start_cn490_sx1255_fdx", "start_eu868_sx1250", "start_as923_sx1250", "start_cn490_sx1250",
	"cfg_ftime_all_sf", "cfg_implicit_std", "cfg_no_service_no_fsk", "cfg_private", "cfg_radio0_only", "cfg_single_input",
	"cfg_std_sf11_bw125", "cfg_std_sf11_bw250", "cfg_std_sf11_bw500", "cfg_std_sf5_bw125", "cfg_std_sf5_bw250", "cfg_std_sf5_bw500",
	"cfg_std_sf7_bw125", "cfg_std_sf7_bw250", "cfg_std_sf7_bw500", "cfg_std_sf9_bw125", "cfg_std_sf9_bw250", "cfg_std_sf9_bw500",
}

// withoutIdentity takes out what the reference does at another time: reading
// EUI and model, which leaves the memory's address as it was.
func withoutIdentity(trace []string) []string {
	i := slices.Index(trace, "W sx1302 0x6180 00")
	return append(trace[:i:i], slices.DeleteFunc(trace[i:], func(l string) bool { return strings.HasPrefix(l, "W sx1302 0x6180") })...)
}

func TestStartHasTheEffectOfTheReference(t *testing.T) {
	for _, name := range starts {
		t.Run(name, func(t *testing.T) {
			rec := recorded(t, name)
			want := rec.step(0)
			got := startTrace(t, rec.config())
			got = withoutIdentity(got)

			diffMaps(t, registerImage(t, got), registerImage(t, want))
			diffLists(t, "order of the operations", operations(effect(t, got)), operations(effect(t, want)))
			for _, b := range staticTables {
				for _, r := range b.ranges {
					diffLists(t, b.name, within(effect(t, got), r[0], r[1]), within(effect(t, want), r[0], r[1]))
				}
			}
		})
	}
}

// within sorts the last effect on each byte of a table.
func within(effects []string, from, to int) []string {
	last := map[int]string{}
	for _, l := range effects {
		var a int
		if n, _ := fmt.Sscanf(l, "W sx1302 0x%x", &a); n == 1 && a >= from && a < to {
			last[a] = l
		}
	}
	var out []string
	for _, l := range last {
		out = append(out, l)
	}
	sort.Strings(out)
	return out
}

func diffMaps(t *testing.T, got, want map[string]string) {
	t.Helper()
	for a, v := range want {
		if got[a] != v {
			t.Errorf("register %s is %q at the end, %s in the recording", a, got[a], v)
		}
	}
	for a, v := range got {
		if want[a] == "" {
			t.Errorf("register %s is %s at the end, at its reset value in the recording", a, v)
		}
	}
}

func diffLists(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%s, line %d: %s, in the recording %s", what, i, g, w)
			return
		}
	}
}
