package flight_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/cmd/gatewayd/flight"
	"gatewayd/concentrator/sx1302sim"
)

// text is a recorder's file in plain.
func text(t *testing.T, r *flight.Recorder) string {
	t.Helper()
	var file bytes.Buffer
	if err := r.Write(&file, "test"); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestMessagesLoseTheirSecrets(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"type":"x","n":1.50}`, `{"type":"x","n":1.50}`},
		{`{"AppSKey":"12","a":[{"api_token":{"x":1}}]}`, `{"AppSKey":"(secret)","a":[{"api_token":"(secret)"}]}`},
		{`{"nwks\u006bey":"12"}`, `{"nwkskey":"(secret)"}`},
		{`{"a":"my key is short","n":12345678901234567890}`, `{"a":"my key is short","n":12345678901234567890}`},
		{`{"key":1} {"key":2}`, `"(19 bytes)"`},
		{`password`, `"(8 bytes)"`},
		{`{"a":"` + strings.Repeat("x", 9000) + `"}`, `"(9008 bytes)"`},
	} {
		r := flight.New(flight.Config{Size: 1 << 20})
		r.Message("in", "me", []byte(c.in))
		if got := text(t, r); !strings.Contains(got, `"data":{"way":"in","who":"me","message":`+c.want+`}`) {
			t.Errorf("%.80s became %s", c.in, got)
		}
	}
}

// Whatever comes, the memory is bounded, and the newest is there.
func TestTheMemoryIsBounded(t *testing.T) {
	r := flight.New(flight.Config{Size: 512 << 10})
	for n := range 10_000 {
		r.Request("GET", strings.Repeat("/x", n%100), "", n)
	}
	got := text(t, r)
	if len(got) > 512<<10 || !strings.Contains(got, `"status":9999`) || strings.Contains(got, `"status":1}`) {
		t.Errorf("%d bytes, which end in %s", len(got), got[len(got)-100:])
	}
}

func TestARecorderThatIsOffDoesNothing(t *testing.T) {
	r := flight.New(flight.Config{})
	if r != nil {
		t.Fatal("a recorder without memory")
	}
	r.Request("GET", "/", "", 200)
	r.Message("in", "", nil)
	r.Fault("none")
	chip, err := sx1302sim.New(sx1302sim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	if port := chip.Port(); r.Port(port) != spi.Port(port) || r.Reset(nil) != nil || r.Hold(nil) != nil {
		t.Error("it stands between driver and chip")
	}
	if path, err := (&flight.Files{Folder: t.TempDir()}).Fault("x", io.EOF); path != "" || err != nil {
		t.Error(path, err)
	}
}

// Frames that travel together, and those that fail, are recorded, too.
func TestGroupsAndFailuresAreRecorded(t *testing.T) {
	var faults sx1302sim.Faults
	chip, err := sx1302sim.New(sx1302sim.Config{Faults: &faults})
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	r := flight.New(flight.Config{Size: 1 << 20})
	c, err := r.Port(chip.Port()).Connect(physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.TxPackets([]spi.Packet{{W: []byte{0, 0xD6, 0x00, 1}}, {W: []byte{0, 0x56, 0x06, 0, 0}, R: make([]byte, 5)}}); err != nil {
		t.Fatal(err)
	}
	faults.Set(func(m *sx1302sim.Misbehaviour) { m.FailTransfer = 1 })
	if err := c.Tx([]byte{0, 0xD6, 0x00, 0}, make([]byte, 4)); err == nil {
		t.Fatal("it doesn't fail")
	}
	got := text(t, r)
	for _, want := range []string{`"type":"spi","out":"00d60001"}`, `"type":"spi","out":"005606","in":"10"}`, `"type":"spi-failed","out":"00d60000"}`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

func TestFilesOfFaultsAreFewAndPrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "recordings")
		f := &flight.Files{Folder: folder, Recorder: flight.New(flight.Config{Size: 1 << 20})}
		var first string
		for n := range 12 {
			path, err := f.Fault("concentrator", errors.New("it stands still"))
			if err != nil || path == "" {
				t.Fatalf("fault %d: %q, %v", n, path, err)
			}
			if again, err := f.Fault("concentrator", errors.New("it stands still")); err != nil || again != "" {
				t.Errorf("a second file at once: %q, %v", again, err)
			}
			if n == 0 {
				first = path
			}
			time.Sleep(11 * time.Minute)
		}
		all, err := os.ReadDir(folder)
		if err != nil || len(all) != 8 {
			t.Fatalf("%d files, %v; want 8", len(all), err)
		}
		for _, e := range all {
			if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
			}
			if filepath.Join(folder, e.Name()) == first {
				t.Error("the oldest is still there")
			}
		}
	})
}

func TestWhatIsNoRecordingIsRefused(t *testing.T) {
	const head = `{"ns":0,"type":"recording","version":1,"radios":["SX1250",""]}` + "\n"
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"empty", "", flight.ErrFormat},
		{"text", "hello\n", flight.ErrFormat},
		{"other JSON", `{"a":1}` + "\n", flight.ErrFormat},
		{"version", `{"ns":0,"type":"recording","version":2}` + "\n", flight.ErrVersion},
		{"not gzip", "\x1f\x8bnonsense", flight.ErrFormat},
		{"back in time", head + `{"ns":5,"type":"reset"}` + "\n" + `{"ns":4,"type":"reset"}` + "\n", flight.ErrFormat},
		{"address", head + `{"ns":5,"type":"gap","registers":{"61ff":"0011"}}` + "\n", flight.ErrFormat},
		{"no hex", head + `{"ns":5,"type":"spi","out":"0"}` + "\n", flight.ErrFormat},
		{"nothing", head, flight.ErrNothing},
		{"only the end", head + `{"ns":5,"type":"gap","frames":7}` + "\n" + `{"ns":6,"type":"spi","out":"005606","in":"10"}` + "\n", flight.ErrNothing},
	} {
		rec, err := flight.Read(strings.NewReader(c.text))
		if err == nil {
			_, err = flight.Replay(t.Context(), rec, 0)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func FuzzReplay(f *testing.F) {
	const head = `{"ns":0,"type":"recording","version":1,"radios":["SX1250","SX1250"]}` + "\n"
	f.Add(head + `{"ns":1,"type":"reset"}` + "\n" + `{"ns":2,"type":"spi","out":"005606","in":"10","repeats":3,"until":9}` + "\n" + `{"ns":10,"type":"gap","frames":7,"registers":{"5643":"01"}}` + "\n")
	f.Add(head + `{"ns":2,"type":"spi","out":"0058c8","in":"001f"}` + "\n" + `{"ns":3,"type":"spi","out":"004000","in":"a5c00500"}` + "\n" + `{"ns":3,"type":"hold"}` + "\n")
	f.Add(head + `{"ns":2,"type":"spi","out":"01c000","in":"000000"}` + "\n" + `{"ns":3,"type":"spi","out":"","in":"a5c00500"}` + "\n" + `{"ns":3,"type":"spi-failed","out":"00"}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := flight.Read(strings.NewReader(text))
		if err != nil {
			return
		}
		_ = rec.Summary()
		synctest.Test(t, func(t *testing.T) {
			if res, err := flight.Replay(t.Context(), rec, time.Millisecond); err == nil && res.Difference != nil {
				_ = res.Difference.String()
			}
		})
	})
}

// BenchmarkFrame is what a recorder costs the driver for each frame, with and
// without a repetition.
func BenchmarkFrame(b *testing.B) {
	r := flight.New(flight.Config{Size: 2 << 20})
	c, err := r.Port(silent{}).Connect(physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		b.Fatal(err)
	}
	out, in := []byte{0, 0x58, 0xC8, 0, 0, 0}, make([]byte, 6)
	n := byte(0)
	frame := func() {
		n++
		in[5] = n & 1
		if err := c.Tx(out, in); err != nil {
			b.Fatal(err)
		}
	}
	for range 100_000 { // until the memory is full
		frame()
	}
	const many = 10_000
	for b.Loop() {
		for range many {
			frame()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/many, "ns/frame")
	b.ReportMetric(testing.AllocsPerRun(many, frame), "allocs/frame")
}

// silent is a port whose transfers take no time.
type silent struct{ spi.Conn }

func (silent) String() string                                              { return "silent" }
func (s silent) Connect(physic.Frequency, spi.Mode, int) (spi.Conn, error) { return s, nil }
func (silent) Tx(_, _ []byte) error                                        { return nil }
