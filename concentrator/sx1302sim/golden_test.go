package sx1302sim

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// run is one recorded run of the vendor's library (testdata/README.md).
type run struct {
	Emulator struct {
		Model  Model `json:"chip_model"`
		RadioA string
		EUI    string `json:"eui"`
		Ticks  uint32 `json:"initial_counter_32mhz"`
	}
	Steps []struct {
		Before []struct {
			Emu  string
			FIFO string `json:"fifo_bytes"`
		}
		Call    string
		TXBlock string `json:"tx_block"`
		EmuTX   string `json:"emu_tx"`
	}
	trace []string
	regs  []string
}

// golden reads all recorded runs.
func golden(t *testing.T) map[string]*run {
	t.Helper()
	f, err := os.Open("testdata/traces.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string]*run{}
	for a := tar.NewReader(z); ; {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			return runs
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(a)
		if err != nil {
			t.Fatal(err)
		}
		name, kind, _ := strings.Cut(h.Name, ".")
		if runs[name] == nil {
			runs[name] = new(run)
		}
		switch kind {
		case "json":
			err = json.Unmarshal(text, runs[name])
		case "trace":
			runs[name].trace = strings.Split(strings.TrimSpace(string(text)), "\n")
		case "regs":
			runs[name].regs = strings.Split(strings.TrimSpace(string(text)), "\n")
		}
		if err != nil {
			t.Fatal(h.Name, err)
		}
	}
}

// startOf returns the lines of the start that comes before a run's own.
func startOf(runs map[string]*run, name string) []string {
	if !strings.HasPrefix(name, "rx_") && !strings.HasPrefix(name, "tx_") {
		return nil
	}
	from := "start_eu868_sx1250"
	switch {
	case name == "tx_lbt_as923":
		return startWithLBT(runs)
	case strings.HasSuffix(name, "_fdx"):
		from = "start_cn490_sx1255_fdx"
	case runs[name].Emulator.RadioA == "sx1257":
		from = "start_eu868_sx1257"
	case runs[name].Emulator.Model == SX1303:
		from = "cfg_ftime_all_sf"
	}
	trace := runs[from].trace
	end := slices.IndexFunc(trace, func(l string) bool { return strings.HasPrefix(l, "# step 1 ") })
	return trace[:end]
}

func TestTheVendorsLibrarySeesWhatItSawOnItsEmulator(t *testing.T) {
	runs := golden(t)
	if len(runs) < 40 {
		t.Fatalf("only %d recorded runs", len(runs))
	}
	for name, r := range runs {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlayer(t, r, Config{})
				p.play(startOf(runs, name))
				for _, l := range r.trace {
					p.line(l)
				}
				p.finish()
			})
		})
	}
}

// player replays a run on a chip and compares its answers.
type player struct {
	t    *testing.T
	chip *Chip
	run  *run
	got  bytes.Buffer
	step int
	sent func() // called after each transmission was asked for
}

func newPlayer(t *testing.T, r *run, cfg Config) *player {
	eui, err := radio.ParseEUI64(r.Emulator.EUI)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{t: t, run: r, step: -1}
	kind := map[string]RadioKind{"sx1250": SX1250, "sx1255": SX1255, "sx1257": SX1257}[r.Emulator.RadioA]
	cfg.Radios = [2]RadioKind{kind, kind}
	cfg.EUI, cfg.Model, cfg.CounterStart = eui, r.Emulator.Model, r.Emulator.Ticks
	if cfg.Violation == nil {
		cfg.Violation = func(err error) { t.Errorf("step %d: %v", p.step, err) }
	}
	p.chip, err = New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.chip.Close)
	p.chip.Trace(&p.got)
	return p
}

// play replays lines without their steps.
func (p *player) play(lines []string) {
	for _, l := range lines {
		if !strings.HasPrefix(l, "#") {
			p.line(l)
		}
	}
}

func (p *player) line(l string) {
	f := strings.Fields(l)
	switch {
	case f[0] == "#":
		if len(f) > 2 && f[1] == "step" {
			p.endStep()
			p.step, _ = strconv.Atoi(f[2])
			p.prepare()
		}
	case f[0] == "S":
		us, _ := strconv.Atoi(f[1])
		time.Sleep(time.Duration(us) * time.Microsecond)
	case f[0] == "I": // the thermometer is not the chip's
	default:
		p.frame(l, f)
	}
}

// prepare does what was done to the emulator before the step.
func (p *player) prepare() {
	for _, b := range p.run.Steps[p.step].Before {
		f := strings.Fields(b.Emu)
		switch f[0] {
		case "counter":
			want, _ := strconv.ParseInt(f[1], 10, 64)
			p.chip.mu.Lock()
			p.chip.tick()
			d := want - p.chip.now
			p.chip.mu.Unlock()
			if d < 0 {
				p.chip.Faults().Set(func(m *Misbehaviour) { m.CounterJump = d })
			} else {
				time.Sleep(durationOf(d))
			}
		case "advance":
			us, _ := strconv.Atoi(f[1])
			time.Sleep(time.Duration(us) * time.Microsecond)
		case "rxpkt":
			data, err := hex.DecodeString(b.FIFO)
			if err != nil || !p.chip.Inject(data) {
				p.t.Fatalf("step %d: packet %q: %v", p.step, b.FIFO, err)
			}
		case "lbtblock":
			p.blockLBT()
		case "trace", "pps", "temp":
		default:
			p.t.Fatalf("step %d: unknown control %q", p.step, b.Emu)
		}
	}
}

// endStep compares the transmit registers after a transmission was asked for.
func (p *player) endStep() {
	if p.step < 0 || p.run.Steps[p.step].TXBlock == "" {
		return
	}
	if p.sent != nil {
		p.sent()
	}
	s := p.run.Steps[p.step]
	want, _ := hex.DecodeString(s.TXBlock)
	base := reg.TXTrigImmediate.Addr()
	if strings.Contains(s.Call, "chain=1") {
		base = reg.TXTrigImmediate.Chain(1).Addr()
	}
	got := slices.Clone(p.chip.file.value[base-firstRegister:][:len(want)])
	status := reg.TXFsmStatusTX.Addr() - firstRegister
	got[status], want[status] = 0, 0
	if !bytes.Equal(got, want) {
		p.t.Errorf("step %d %q: transmit registers\n%x, recorded\n%x", p.step, s.Call, got, want)
	}
}

// frame replays one line and compares the chip's own trace of it.
func (p *player) frame(l string, f []string) {
	if f[1] == "sx1261" {
		p.companion(l, f)
		return
	}
	w, firmware := p.request(f)
	p.got.Reset()
	if err := p.chip.transfer(w, nil); err != nil {
		p.t.Errorf("step %d: %q: %v", p.step, l, err)
	}
	got := strings.TrimSpace(p.got.String())
	if firmware { // any image will do, but it must be read back
		got, l = fmt.Sprint(strings.Fields(got)[:4]), fmt.Sprint(f[:4])
		if f[0] == "R" && !bytes.Equal(p.chip.scratch[readHeader:len(w)], image(w)) {
			p.t.Errorf("%q: the image doesn't read back", l)
		}
	}
	if got != l {
		p.t.Errorf("step %d: chip says %q, recorded %q", p.step, got, l)
	}
}

// request is the bytes clocked out for a line.
func (p *player) request(f []string) (w []byte, firmware bool) {
	target := map[string]byte{"sx1302": 0, "radioA": 1, "radioB": 2}[f[1]]
	if target != 0 {
		kind, text, _ := strings.Cut(f[2], "=")
		op, _ := strconv.ParseUint(text, 0, 8)
		switch {
		case kind == "reg" && f[0] == "R":
			return []byte{target, byte(op), 0}, false
		case kind == "reg":
			op |= sx125xWrite
		}
		w = []byte{target, byte(op)}
		if len(f) > 3 {
			args, err := hex.DecodeString(f[3])
			if err != nil {
				p.t.Fatal(f)
			}
			w = append(w, args...)
		}
		return w, false
	}
	a, _ := strconv.ParseUint(f[2], 0, 16)
	w = []byte{target, byte(a >> 8), byte(a)}
	data := f[len(f)-1]
	n := len(data) / 2
	if strings.HasPrefix(data, "sha256=") {
		n, _ = strconv.Atoi(strings.TrimPrefix(f[len(f)-2], "len="))
	}
	if f[0] == "R" {
		return append(w, make([]byte, 1+n)...), a < 0x4000
	}
	w[1] |= writeFlag
	if a < 0x4000 {
		w = append(w, make([]byte, n)...)
		copy(w[writeHeader:], image(append(w[:writeHeader:writeHeader], make([]byte, n+1)...)))
		return w, true
	}
	b, err := hex.DecodeString(data)
	if err != nil { // a long payload: bytes 0, 1, 2 ...
		for i := range n {
			b = append(b[:i], byte(i))
		}
	}
	return append(w, b...), false
}

// image is a firmware: bytes that depend on the address.
func image(readRequest []byte) []byte {
	a := int(readRequest[1]&^writeFlag)<<8 | int(readRequest[2])
	b := make([]byte, len(readRequest)-readHeader)
	for i := range b {
		b[i] = byte((a+i)*7 + 1)
	}
	return b
}

// finish compares the registers at the end.
func (p *player) finish() {
	p.endStep()
	for _, l := range p.run.regs {
		f := strings.Fields(l)
		a, _ := strconv.ParseUint(f[1], 0, 16)
		if f[0] != "sx1302" || a < uint64(firstRegister) {
			continue
		}
		if got := fmt.Sprintf("%02x", p.chip.file.at(reg.Addr(a))); got != f[2] {
			p.t.Errorf("at the end 0x%04x is %s, recorded %s", a, got, f[2])
		}
	}
}
