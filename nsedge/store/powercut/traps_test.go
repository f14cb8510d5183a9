package powercut_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"gatewayd/nsedge/store"
	"gatewayd/nsedge/store/powercut"
)

// Sizes in a journal segment, see the package documentation of store.
const (
	headerSize = 20
	recordSize = 22 + 8 // with a value of 8 bytes
)

// start opens a recorded store, which is left open at the end of the test, as
// a process that dies leaves it.
func start(t *testing.T, dir string) (*powercut.Disk, *store.Store) {
	t.Helper()
	disk, err := powercut.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(dir, store.Options{JournalSize: journalSize, Disk: disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return disk, s
}

// fill appends n states of 8 bytes, to the keys from the given one on.
func fill(t *testing.T, s *store.Store, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if err := s.Append([8]byte{7: byte(i)}, fmt.Appendf(nil, "%08d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// image is the directory at the present moment.
func image(t *testing.T, disk *powercut.Disk, dir, name string) string {
	t.Helper()
	to := filepath.Join(dir, name)
	if _, err := disk.Kill(disk.Events(), to); err != nil {
		t.Fatal(err)
	}
	return to
}

// loseSector zeroes the sector around an offset.
func loseSector(t *testing.T, path string, off int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const sector = 512
	clear(b[off/sector*sector:][:sector])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// loseRecord spoils the record with the given index in its segment.
func loseRecord(t *testing.T, path string, index int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0xee}, int64(headerSize+index*recordSize+9)); err != nil {
		t.Fatal(err)
	}
}

func found(t *testing.T, s *store.Store) int {
	t.Helper()
	n := 0
	if err := s.EachState(func([8]byte, []byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRecordsBehindAHoleAreNotUsed(t *testing.T) {
	dir := powercut.TempDir(t)
	disk, s := start(t, filepath.Join(dir, "1"))
	fill(t, s, 0, 60) // in four sectors
	cut := image(t, disk, dir, "2")
	loseSector(t, filepath.Join(cut, "journal-0"), 512)
	_, s = start(t, cut)
	if got, want := found(t, s), (512-headerSize)/recordSize; got != want {
		t.Errorf("%d states recovered, want the %d before the hole", got, want)
	}
}

// The first record is lost, the ones after it are good. The next process
// writes one record of the same size and with the same number into its place:
// the old ones now continue it seamlessly, but are of another life.
func TestRecordsBehindAHoleDoNotComeBackWhenTheHoleIsFilled(t *testing.T) {
	dir := powercut.TempDir(t)
	disk, s := start(t, filepath.Join(dir, "1"))
	fill(t, s, 0, 5)
	cut := image(t, disk, dir, "2")
	loseRecord(t, filepath.Join(cut, "journal-0"), 0)

	disk, s = start(t, cut)
	fill(t, s, 9, 1)
	_, s = start(t, image(t, disk, dir, "3"))
	if n := found(t, s); n != 1 {
		t.Errorf("%d states, want the new one alone", n)
	}
}

// The end of the first segment is lost, the second one is good. The next
// process fills the first segment up to the number with which the second one
// begins, syncs, and the power is cut.
func TestASegmentBehindAHoleDoesNotComeBackWhenTheHoleIsFilled(t *testing.T) {
	const full = (journalSize - headerSize) / recordSize
	dir := powercut.TempDir(t)
	disk, s := start(t, filepath.Join(dir, "1"))
	fill(t, s, 0, full)
	at := disk.Events() + 1
	fill(t, s, full, 1) // in the second segment
	cut := filepath.Join(dir, "2")
	if _, err := disk.Kill(at, cut); err != nil { // before the first one is folded
		t.Fatal(err)
	}
	loseRecord(t, filepath.Join(cut, "journal-0"), full-1)

	disk, s = start(t, cut)
	if n := found(t, s); n != full-1 {
		t.Fatalf("%d states recovered, want the %d before the hole", n, full-1)
	}
	fill(t, s, 200, 1)
	if err := s.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		again := filepath.Join(dir, fmt.Sprint("again", seed))
		if err := disk.Cut(disk.Events(), rand.New(rand.NewPCG(seed, 1)), again); err != nil {
			t.Fatal(err)
		}
		_, s := start(t, again)
		if _, ok := s.State([8]byte{7: full}); ok || found(t, s) != full {
			t.Errorf("seed %d: %d states, want %d; the one from behind the hole is there: %v", seed, found(t, s), full, ok)
		}
	}
}

// A process is killed while it makes the store. The next one finds the files,
// whose names need not be on the disk yet, and makes promises.
func TestAStoreHalfMadeByAKilledProcessIsDurable(t *testing.T) {
	const n = 200 // in both segments
	dir := powercut.TempDir(t)
	disk, _ := start(t, filepath.Join(dir, "made"))
	for at := range disk.Events() + 1 {
		killed := filepath.Join(dir, fmt.Sprint(at))
		next, err := disk.Kill(at, killed)
		if err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(killed, store.Options{JournalSize: journalSize, Disk: next})
		if err != nil {
			t.Fatalf("killed at %d: %v", at, err)
		}
		fill(t, s, 0, n)
		if err := s.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		cutAt := next.Events()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(5) {
			cut := filepath.Join(killed, fmt.Sprint("cut", seed))
			if err := next.Cut(cutAt, rand.New(rand.NewPCG(seed, 3)), cut); err != nil {
				t.Fatal(err)
			}
			if _, s := start(t, cut); found(t, s) != n {
				t.Errorf("killed at %d, cut with seed %d: %d states, %d were promised", at, seed, found(t, s), n)
			}
		}
	}
}
