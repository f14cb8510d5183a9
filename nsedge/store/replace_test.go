package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// filled is a directory whose store says who filled it.
func filled(t *testing.T, who string) string {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, Options{JournalSize: minJournalSize})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fill(who)(s), s.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func fill(who string) func(*Store) error {
	return func(s *Store) error {
		for i := range 300 { // several segments of journal
			if err := s.Append([8]byte{byte(i % 7)}, []byte(who)); err != nil {
				return err
			}
		}
		return s.Put("b", []byte("who"), []byte(who))
	}
}

// who reads a store whole: all of it must be of one.
func who(t *testing.T, dir string) string {
	t.Helper()
	s, err := Open(dir, Options{JournalSize: minJournalSize})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	name, err := s.Get("b", []byte("who"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EachState(func(_ [8]byte, v []byte) error {
		if string(v) != string(name) {
			t.Errorf("a state of %s in the store of %s", v, name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return string(name)
}

func TestAStagedStoreTakesThePlaceOfTheOld(t *testing.T) {
	dir := filled(t, "old")
	if done, err := Install(dir, Options{}); done || err != nil {
		t.Error(done, err)
	}
	if err := Stage(dir, Options{}, fill("new")); err != nil {
		t.Fatal(err)
	}
	if who(t, dir) != "old" || !Staged(dir) {
		t.Error("it is in use before it is installed")
	}
	if done, err := Install(dir, Options{}); !done || err != nil {
		t.Fatal(done, err)
	}
	if who(t, dir) != "new" || Staged(dir) {
		t.Error("it is not in use")
	}
	before := t.TempDir()
	if err := os.Rename(filepath.Join(dir, beforeName), filepath.Join(before, dbName)); err != nil || who(t, before) != "old" {
		t.Error("the old database is not kept whole", err)
	}
}

func TestWhatCannotBeFilledIsNotStaged(t *testing.T) {
	dir, failed := filled(t, "old"), errors.New("the backup is damaged")
	err := Stage(dir, Options{}, func(s *Store) error { return errors.Join(fill("half")(s), failed) })
	if !errors.Is(err, failed) || Staged(dir) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, stagingName)); err == nil {
		t.Error("the rest of it stays")
	}
}

func TestNothingIsInstalledWhileTheOldIsInUse(t *testing.T) {
	dir := filled(t, "old")
	if err := Stage(dir, Options{}, fill("new")); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Install(dir, Options{LockTimeout: lockRetry}); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	if err := s.Close(); err != nil || who(t, dir) != "old" {
		t.Error(err)
	}
}

// A damaged store is no reason not to restore.
func TestADamagedStoreIsReplaced(t *testing.T) {
	dir := filled(t, "old")
	if err := os.WriteFile(filepath.Join(dir, dbName), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Stage(dir, Options{}, fill("new")); err != nil {
		t.Fatal(err)
	}
	if done, err := Install(dir, Options{}); !done || err != nil || who(t, dir) != "new" {
		t.Error(done, err)
	}
}

// The power may fail between any two steps of the exchange: what opens then
// is one of the two, whole.
func TestAnExchangeThatIsCutShortLeavesOneOfTheTwo(t *testing.T) {
	removed := []string{"", "journal-0", "journal-1"}
	for cut := range len(removed) + 1 {
		dir := filled(t, "old")
		if err := Stage(dir, Options{}, fill("new")); err != nil {
			t.Fatal(err)
		}
		for _, name := range removed[1:min(cut+1, len(removed))] {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		want := "old"
		if cut == len(removed) { // renamed, and the folder is still there
			if err := os.Rename(filepath.Join(dir, stagedName, dbName), filepath.Join(dir, dbName)); err != nil {
				t.Fatal(err)
			}
			want = "new"
		}
		if got := who(t, dir); got != want {
			t.Errorf("after %d steps it is the %s one, want the %s one", cut, got, want)
		}
		if _, err := Install(dir, Options{}); err != nil || who(t, dir) != "new" {
			t.Errorf("after %d steps it can't be installed: %v", cut, err)
		}
	}
}
