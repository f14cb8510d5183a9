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

// ordered keeps what must come in the recorded order: radio commands, clock,
// radio control, firmware, mailboxes, enables, pulse per second.
func ordered(effects []string) []string {
	var out []string
	for _, l := range effects {
		f := strings.Fields(l)
		keep := f[1] != "sx1302" || len(f[3]) > 2
		for _, a := range []string{"0x5601", "0x5780", "0x5783", "0x5784", "0x5789", "0x57c0", "0x6080", "0x608a", "0x6100", "0x6180", "0x5643"} {
			keep = keep || f[2] == a
		}
		if keep {
			out = append(out, l)
		}
	}
	return out
}

// blockOrder is what the named steps write, by address.
var blockOrder = []struct {
	name     string
	from, to int
}{
	{"radio resets", 0x5783, 0x5785}, {"clock", 0x57C0, 0x57C1}, {"time stamps", 0x58C0, 0x58C2}, {"pins", 0x5640, 0x5643},
	{"amplifiers", 0x5785, 0x5787}, {"front end", 0x5700, 0x5720}, {"channelizer", 0x5800, 0x5820}, {"correlators", 0x5820, 0x5860},
	{"demodulators", 0x5860, 0x588A}, {"service modem", 0x5B03, 0x5B2E}, {"FSK modem", 0x5B55, 0x5B67}, {"sync words", 0x588A, 0x5890},
	{"enables", 0x5605, 0x5606}, {"AGC dialogue", 0x5789, 0x578A}, {"ARB load", 0x6080, 0x6081}, {"ARB dialogue", 0x608A, 0x608B},
	{"transmit path", 0x5220, 0x5222}, {"pulse per second", 0x6100, 0x6101}, {"LED", 0x5643, 0x5644},
}

// sequence is the order in which the blocks are first written to.
func sequence(effects []string) (names []string) {
	for _, l := range effects {
		var a int
		if n, _ := fmt.Sscanf(l, "W sx1302 0x%x", &a); n != 1 {
			continue
		}
		for _, b := range blockOrder {
			if a >= b.from && a < b.to && !slices.Contains(names, b.name) {
				names = append(names, b.name)
			}
		}
	}
	return names
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
			diffLists(t, "radio commands, firmware and MCU dialogue", ordered(effect(t, got)), ordered(effect(t, want)))
			diffLists(t, "order of the steps", sequence(effect(t, got)), sequence(effect(t, want)))
			for _, b := range blockOrder {
				diffLists(t, b.name, within(effect(t, got), b.from, b.to), within(effect(t, want), b.from, b.to))
			}
		})
	}
}

// within sorts the last effect on each byte of a block.
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
