package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// Errors that callers may want to tell apart, besides ErrLocked.
var (
	ErrClosed  = errors.New("the store is closed")
	ErrFull    = errors.New("the journal is full")
	ErrDamaged = errors.New("the database is damaged")
)

// Options of a store. The zero value is good for production.
type Options struct {
	// SyncInterval is the longest time between an Append and the start of
	// the sync that makes it durable. 800 ms if zero, which leaves the disk
	// 200 ms of the promised second.
	SyncInterval time.Duration
	// JournalSize of each of the two segments in bytes, at least 4096.
	// 4 MiB if zero.
	JournalSize int64
	// LockTimeout is how long Open waits for another process to end. 2 s if
	// zero.
	LockTimeout time.Duration
	// Log is told about failures of the background sync and fold, and about
	// what was recovered. Nobody if nil.
	Log *slog.Logger
	// Disk is the operating system's if nil.
	Disk Disk
}

const minJournalSize = 4096

func (o Options) withDefaults() (Options, error) {
	o.SyncInterval = cmp.Or(o.SyncInterval, 800*time.Millisecond)
	o.JournalSize = cmp.Or(o.JournalSize, 4<<20)
	o.LockTimeout = cmp.Or(o.LockTimeout, 2*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Disk == nil {
		o.Disk = osDisk{}
	}
	switch {
	case o.SyncInterval < 0 || o.SyncInterval > time.Minute:
		return o, fmt.Errorf("SyncInterval is %v: it must be between 1 ns and 1 min (0 is 800 ms)", o.SyncInterval)
	case o.JournalSize < minJournalSize || o.JournalSize > 1<<30:
		return o, fmt.Errorf("JournalSize is %d: it must be between %d and %d bytes (0 is 4 MiB)", o.JournalSize, minJournalSize, 1<<30)
	case o.LockTimeout < 0:
		return o, fmt.Errorf("LockTimeout is %v: it must not be negative (0 is 2 s)", o.LockTimeout)
	}
	return o, nil
}

// Store is an open directory. Make one with Open.
type Store struct {
	dir  string
	opt  Options
	lock *os.File
	db   *bbolt.DB
	work sync.WaitGroup // background syncs and folds

	pageSize int64 // of db

	mu       sync.Mutex // guards all below; never held during a sync or fold
	states   map[[8]byte][]byte
	buf      []byte // the record being appended
	active   *segment
	full     *segment // being folded, or nil
	spent    *segment // folded, being reset by the goroutine that folded it, or nil
	spare    *segment // ready for use, or nil; full, spent or spare is set, never two
	folding  bool
	retry    time.Time // of a failed fold
	sequence uint64    // of the last append
	synced   uint64    // everything up to it is on the disk
	syncing  *syncRun  // the running sync, or nil
	again    bool      // one more is due right after it
	timer    *time.Timer
	failed   error // of a sync; the disk can't be trusted from then on
	closed   bool
	stats    Stats
}

// Open opens the directory, and makes it and its files if they are missing.
// It recovers whatever a killed process or a power cut left.
func Open(dir string, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s := &Store{dir: dir, opt: o, states: make(map[[8]byte][]byte)}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"make the directory", s.makeDir},
		{"lock it", s.takeLock},
		{"sync it", func() error { return o.Disk.SyncDir(dir) }}, // what a killed process had no time for
		{"open " + dbName, s.openDB},
		{"load the states", s.load},
		{"recover the journal", s.recover},
		{"prepare the journal", s.prepareJournal},
	} {
		if err := step.do(); err != nil {
			return nil, errors.Join(fmt.Errorf("open the store %s: %s: %w", dir, step.name, err), s.release())
		}
	}
	return s, nil
}

func (s *Store) makeDir() error {
	if _, err := os.Stat(s.dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	return s.opt.Disk.SyncDir(filepath.Dir(s.dir))
}

func (s *Store) takeLock() (err error) {
	s.lock, err = lockFile(filepath.Join(s.dir, "lock"), s.opt.LockTimeout)
	return err
}

// Close folds the journal into the database and closes all files. Nothing is
// lost if it is never called.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if s.timer != nil && s.timer.Stop() {
		s.timer = nil
		s.work.Done()
	}
	s.mu.Unlock()
	s.work.Wait()

	err := s.foldAll()
	return errors.Join(err, s.release())
}

// release closes what is open, in any state of Open.
func (s *Store) release() error {
	var errs []error
	for _, g := range []*segment{s.active, s.full, s.spent, s.spare} {
		if g != nil {
			errs = append(errs, g.file.Close())
		}
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
