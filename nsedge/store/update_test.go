package store_test

import (
	"errors"
	"slices"
	"testing"

	"gatewayd/nsedge/store"
)

func TestUpdateChangesAllBucketsOrNone(t *testing.T) {
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Put("a", []byte("old"), []byte("1")); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := s.Update(func(put func(string, []byte, []byte)) error {
		put("a", []byte("old"), nil)
		return stop
	}); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if v, _ := s.Get("a", []byte("old")); string(v) != "1" {
		t.Fatalf("it is %q after a change that was called off", v)
	}
	// bbolt refuses the empty key, after the others were put.
	if err := s.Update(func(put func(string, []byte, []byte)) error {
		put("a", []byte("new"), []byte("2"))
		put("b", nil, []byte("3"))
		return nil
	}); err == nil {
		t.Fatal("an empty key was taken")
	}
	if v, _ := s.Get("a", []byte("new")); v != nil {
		t.Fatal("half of a failed update is there")
	}
	if err := s.Update(func(put func(string, []byte, []byte)) error {
		put("b", []byte("k"), []byte("4"))
		put("a", []byte("old"), nil)
		put("b", []byte("k"), []byte("5"))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	a, _ := s.Get("a", []byte("old"))
	b, _ := s.Get("b", []byte("k"))
	if names, err := s.Buckets(); a != nil || string(b) != "5" || err != nil || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("a %q, b %q, buckets %v, %v", a, b, names, err)
	}
}
