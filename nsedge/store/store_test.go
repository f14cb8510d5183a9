package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// small options make folds frequent.
func small() Options { return Options{JournalSize: 4 * minJournalSize} }

func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func key(n uint64) [8]byte { return [8]byte(order.AppendUint64(nil, n)) }

func TestDocumentsAreThereAfterReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir, Options{})
	for i := 480; i < 560; i += 2 {
		if err := s.Put("devices", fmt.Appendf(nil, "%04d", i), fmt.Appendf(nil, "device %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete("devices", []byte("0500")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	var got []string
	if err := s.Each("devices", func(k, v []byte) error {
		got = append(got, string(k)+"="+string(v))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 39 || got[0] != "0480=device 480" || !slices.IsSorted(got) || slices.Contains(got, "0500=device 500") {
		t.Errorf("%d documents: %.10q", len(got), got)
	}
	for k, want := range map[string]string{"0500": "", "0502": "device 502", "x": ""} {
		v, err := s.Get("devices", []byte(k))
		if err != nil || string(v) != want || (v == nil) != (want == "") {
			t.Errorf("Get(%q) = %q, %v; want %q", k, v, err, want)
		}
	}
	if v, err := s.Get("no such bucket", []byte("k")); v != nil || err != nil {
		t.Errorf("Get from a missing bucket: %q, %v", v, err)
	}
}

func TestStatesAreThereAfterReopeningThroughFolds(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small())
	const keys, rounds = 50, 100 // 150 kB of records in segments of 16 KiB
	for r := range uint64(rounds) {
		for k := range uint64(keys) {
			if err := s.Append(key(k), order.AppendUint64(nil, r*1000+k)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Forget(key(7)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(key(1), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close: %v", err)
	}
	s = open(t, dir, small())
	seen := 0
	if err := s.EachState(func(k [8]byte, v []byte) error {
		seen++
		n := order.Uint64(k[:])
		if got, want := order.Uint64(v), (rounds-1)*1000+n; got != want {
			t.Errorf("state of %d is %d, want %d", n, got, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.State(key(7)); seen != keys-1 || ok {
		t.Errorf("%d states, want %d; forgotten one there: %v", seen, keys-1, ok)
	}
}
