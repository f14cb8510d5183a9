package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
)

// refused opens a store that must not open and returns the error.
func refused(t *testing.T, dir string, o Options) error {
	t.Helper()
	s, err := Open(dir, o)
	if err == nil {
		_ = s.Close()
		t.Fatal("the store opened")
	}
	return err
}

func says(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in the error: %v", w, err)
		}
	}
}

func TestOneProcessOwnsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	err := refused(t, dir, Options{LockTimeout: 1})
	if !errors.Is(err, ErrLocked) {
		t.Errorf("not ErrLocked: %v", err)
	}
	says(t, err, dir, fmt.Sprintf("pid %d", os.Getpid()), "admin socket")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, Options{})
}

func TestOpenWaitsForAnotherProcessToEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, Options{})
		opened := make(chan error)
		go func() {
			s, err := Open(dir, Options{LockTimeout: time.Minute})
			if err == nil {
				err = s.Close()
			}
			opened <- err
		}()
		time.Sleep(59 * time.Second)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-opened; err != nil {
			t.Error(err)
		}
	})
}

func TestADatabaseInForeignHandsIsRefused(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		if err := open(t, dir, Options{}).Close(); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(filepath.Join(dir, dbName), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		err = refused(t, dir, Options{})
		if !errors.Is(err, ErrLocked) {
			t.Errorf("not ErrLocked: %v", err)
		}
		says(t, err, dbName)
	})
}

func TestADamagedDatabaseIsRefusedWithTheWayOut(t *testing.T) {
	for name, spoil := range map[string]func(b []byte) []byte{
		"empty":              func([]byte) []byte { return nil },
		"text":               func([]byte) []byte { return []byte(strings.Repeat("x", 64<<10)) },
		"both metas":         func(b []byte) []byte { clear(b[:8192]); return b },
		"cut after metas":    func(b []byte) []byte { return b[:8192] },
		"cut in the middle":  func(b []byte) []byte { return b[:20000] },
		"no data pages":      func(b []byte) []byte { clear(b[8192:]); return b },
		"some other program": nil,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, dbName)
			if spoil == nil {
				db, err := bbolt.Open(path, 0o600, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				s := open(t, dir, Options{})
				if err := s.PutAll("devices", func(yield func(k, v []byte) bool) {
					for i := 0; i < 200 && yield(fmt.Appendf(nil, "%d", i), make([]byte, 200)); i++ {
					}
				}); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, spoil(b), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := refused(t, dir, Options{})
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("not ErrDamaged: %v", err)
			}
			says(t, err, path, "backup", "move it")
		})
	}
}

func TestANewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if err := s.update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketStore).Put(keyFormat, []byte{9})
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	says(t, refused(t, dir, Options{}), "format 9", "newer")
}

func TestSpoiledJournalsAndLeftoversNeverKeepTheStoreFromOpening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small())
	appendOne(t, s, 1)
	if err := s.Close(); err != nil { // folds
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"journal-0":       "short",
		"journal-1":       strings.Repeat("garbage!", 1<<15), // and too long
		"journal-0.new":   "left over",
		"gatewayd.db.new": "left over",
		"lock":            "nonsense",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, small())
	if v, _ := s.State(key(1)); string(v) != "state" {
		t.Errorf("state is %q", v)
	}
	for i := range 2 {
		info, err := os.Stat(s.segmentPath(i))
		if err != nil || info.Size() != s.opt.JournalSize {
			t.Errorf("%v, %v", info.Size(), err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "gatewayd.db.new")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the left-over file is there")
	}
}

func TestBadOptionsAreNamed(t *testing.T) {
	for want, o := range map[string]Options{
		"SyncInterval is -1ns":   {SyncInterval: -1},
		"SyncInterval is 1h0m0s": {SyncInterval: time.Hour},
		"JournalSize is 100":     {JournalSize: 100},
		"LockTimeout is -1s":     {LockTimeout: -time.Second},
	} {
		says(t, refused(t, t.TempDir(), o), want, "must")
	}
}

func TestADirectoryThatCannotBeUsedIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, refused(t, file, Options{}), file)
	says(t, refused(t, filepath.Join(file, "below"), Options{}), file, "make the directory")
}

func TestBadArgumentsAreNamed(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	says(t, s.Append(key(255), make([]byte, MaxStateSize+1)), "00000000000000ff", "257", "256")
	says(t, s.Put("", []byte("k"), nil), "put", "bucket")
	says(t, s.Put("keys", nil, nil), `"keys"`, "key required")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, getErr := s.Get("b", []byte("k"))
	for what, err := range map[string]error{
		"Put":    s.Put("b", []byte("k"), nil),
		"Get":    getErr,
		"Delete": s.Delete("b", []byte("k")),
		"Each":   s.Each("b", func(_, _ []byte) error { return nil }),
		"Append": s.Append(key(1), nil),
		"Forget": s.Forget(key(1)),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestEachBearsChangesByItsCallerAndStopsAtAnError(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	const n = 2*eachChunk + 7
	if err := s.PutAll("devices", func(yield func(k, v []byte) bool) {
		for i := range n {
			if !yield(fmt.Appendf(nil, "%05d", i), []byte("v")) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	seen, deleted := 0, 0
	if err := s.Each("devices", func(k, _ []byte) error {
		if seen++; seen%20 != 0 {
			return nil
		}
		deleted++
		return errors.Join(s.Delete("devices", k), s.Append(key(1), k))
	}); err != nil || seen != n {
		t.Errorf("%d documents, want %d, %v", seen, n, err)
	}
	if err := s.Each("devices", func(_, _ []byte) error { seen--; return nil }); err != nil || seen != deleted {
		t.Errorf("%d documents are missing, %d were deleted, %v", seen, deleted, err)
	}
	stop := errors.New("stop")
	if err := s.EachState(func(k [8]byte, _ []byte) error { return errors.Join(stop, s.Forget(k)) }); !errors.Is(err, stop) {
		t.Errorf("EachState: %v", err)
	}
	if err := s.Put("devices", []byte("k"), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Each("devices", func(_, _ []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Each: %v", err)
	}
}

func TestPutAllIsAllOrNothing(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	if err := s.PutAll("devices", func(yield func(k, v []byte) bool) {
		_ = yield([]byte("good"), []byte("v")) && yield(nil, []byte("a key is required"))
	}); err == nil {
		t.Fatal("no error")
	}
	if v, err := s.Get("devices", []byte("good")); v != nil || err != nil {
		t.Errorf("half of it is there: %q, %v", v, err)
	}
}
