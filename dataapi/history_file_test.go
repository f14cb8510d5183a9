package dataapi

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

func TestEventsComeBackFromTheirLine(t *testing.T) {
	fsk := realEvent()
	fsk.Radio.Mod, fsk.Radio.SNR = radio.FSK{BitRate: 50_000}, radio.DB(math.NaN())
	for _, ev := range append(full(), append(bare(), fsk)...) {
		for s := range shape(2 * shapes) {
			want := exact(t, string(testEncoder(t).event(ev, realID, s)))
			p, ok := parseLine(lineOf(past{kind: kindOf(ev), id: realID, at: time.Now(), event: ev}))
			if !ok || p.id != realID {
				t.Fatalf("%T does not come back", ev)
			}
			if got := exact(t, string(testEncoder(t).event(p.event, p.id, s))); !reflect.DeepEqual(got, want) {
				t.Errorf("%T: got %v, want %v", ev, got, want)
			}
		}
	}
}

// lived is a server's life: it hears n events.
func lived(t *testing.T, cfg Config, from, n int) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		s.Publish(uplinkNumber(uint32(from + i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil { // it delivers what was published before the end
		t.Fatal(err)
	}
}

// remembered are the counters that a server knows at its start.
func remembered(t *testing.T, cfg Config) (counters []uint32) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var at cursor
	for {
		p, ok := s.history.next(&at, s.history.newest(), func(*past) bool { return true })
		if !ok {
			return counters
		}
		counters = append(counters, p.event.(*nsedge.UplinkEvent).Counter)
	}
}

func TestTheHistoryOutlastsARestart(t *testing.T) {
	cfg := Config{HistoryFile: filepath.Join(t.TempDir(), "history")}
	if got := remembered(t, cfg); len(got) != 0 {
		t.Errorf("out of nothing: %v", got)
	}
	lived(t, cfg, 0, 3)
	lived(t, cfg, 3, 2)
	if got := remembered(t, cfg); !reflect.DeepEqual(got, []uint32{0, 1, 2, 3, 4}) {
		t.Errorf("remembered %v", got)
	}
	text, err := os.ReadFile(cfg.HistoryFile)
	if err != nil {
		t.Fatal(err)
	}
	torn := append(bytes.Replace(text, []byte("\n"), []byte("\n{\"type\":\"uplink\"}\n\n"), 1), text[:40]...) // a power cut, and damage
	if err := os.WriteFile(cfg.HistoryFile, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := remembered(t, cfg); !reflect.DeepEqual(got, []uint32{0, 1, 2, 3, 4}) {
		t.Errorf("after damage: %v", got)
	}
}

func TestTheHistoryFileIsBounded(t *testing.T) {
	cfg := Config{HistoryFile: filepath.Join(t.TempDir(), "history"), HistoryBytes: 64 << 10}
	const n = 1000
	lived(t, cfg, 0, n/2)
	lived(t, cfg, n/2, n/2)
	var total int64
	for _, path := range []string{cfg.HistoryFile, cfg.HistoryFile + ".1"} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if total += info.Size(); info.Size() > 64<<10 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes and the mode %v", path, info.Size(), info.Mode())
		}
	}
	got := remembered(t, cfg)
	if len(got) == 0 || got[len(got)-1] != n-1 || int(got[0]) != n-len(got) {
		t.Errorf("%d bytes, remembered %d, from %v", total, len(got), got[:min(3, len(got))])
	}
}

func TestAHistoryThatCannotBeReadIsNamed(t *testing.T) {
	path := t.TempDir()
	if _, err := New(Config{HistoryFile: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

func TestADiskThatIsTooSlowDelaysNothing(t *testing.T) {
	f := newHistoryFile("nowhere", 1)
	for range linesWaiting + 10 {
		f.keep(past{})
	}
	if n := f.dropped.Load(); n != 10 {
		t.Errorf("%d events were dropped", n)
	}
}

func FuzzHistoryLine(f *testing.F) {
	for _, ev := range full() {
		f.Add(lineOf(past{kind: kindOf(ev), id: realID, event: ev}))
	}
	f.Add([]byte(`{"type":"uplink","id":"","event":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, ok := parseLine(text)
		if !ok {
			return
		}
		_ = benchEncoder().event(p.event, p.id, withRadio|withLoRa)
		if again, ok := parseLine(lineOf(p)); !ok || again.id != p.id {
			t.Errorf("%s: %s", text, fmt.Sprint(again))
		}
	})
}
