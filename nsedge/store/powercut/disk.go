// Package powercut is a store.Disk for tests. It does everything for real in
// a directory and records it, and can then make the directory that a power
// cut, or a killed process, would have left at any moment.
//
// The model. A write is durable only after a later Sync of the same file, a
// name only after a later SyncDir. Of the writes that are not durable, each
// 512-byte sector has reached the disk or not by itself, in any order, in any
// of the contents it had since the last sync, and one may be torn at any
// byte. A file that grew may have its new size without its new contents
// (zeros, or garbage). Names change in the order in which they were changed;
// the last few changes may be missing.
//
// bbolt does its own writing, so its transactions are recorded as what they
// are known to be (bbolt 1.5, tx.go, Commit): grow the file and sync it; write
// data pages; sync; write one meta page; sync. The pages are found by
// comparing the file before and after.
//
// Not in the model: a disk that lies about syncs, and one that destroys
// sectors nobody wrote.
package powercut

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gatewayd/nsedge/store"
)

const (
	sector    = 512
	metaPages = 2 // of bbolt, at the start of the file
)

type kind uint8

const (
	opCreate kind = iota // of a name and its file
	opWrite
	opTruncate
	opSync
	opRename
	opRemove
	opSyncDir
)

// everything is when a sync began that covers all writes before it.
const everything = 1 << 62

// event is one thing that the store did to the disk.
type event struct {
	kind kind
	file int // its number, however it is called
	name string
	to   string
	off  int64 // or the new size, or the number of events when a sync began
	data []byte
	at   time.Time
}

// Disk records what is done to one directory. Its methods may be called from
// any goroutine.
type Disk struct {
	// SyncTime is how long a sync of a file takes, at once if nil; set it
	// before the first use. It doesn't apply to transactions.
	SyncTime func() time.Duration

	dir    string
	commit sync.Mutex // one transaction at a time, so that its pages can be told

	mu     sync.Mutex
	base   map[string][]byte // the directory's contents at the start
	events []event
	start  int // events before it are of processes that were killed
	names  map[string]int
	files  int
	db     map[string][]byte // present contents of the databases
}

var _ store.Disk = (*Disk)(nil)

// TempDir is a directory for the time of a test, in memory if the system has
// a place for that: here a sync is recorded, and need not take its time.
func TempDir(t testing.TB) string {
	const memory = "/dev/shm"
	dir, err := os.MkdirTemp(memory, "powercut-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// New records what happens in a directory, which may be missing. What is
// there already counts as durable.
func New(dir string) (*Disk, error) {
	d := &Disk{dir: dir, base: map[string][]byte{}, names: map[string]int{}, db: map[string][]byte{}}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	} else if err != nil {
		return nil, err
	}
	for _, e := range entries { // sorted by name, and numbered so in replay, too
		if d.base[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
		d.names[e.Name()] = d.files
		d.files++
	}
	return d, nil
}

// Events is the number of recorded events: the name of the present moment.
func (d *Disk) Events() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.events)
}

// Start is the number of events when the Disk was made: 0, or where the
// process before was killed.
func (d *Disk) Start() int { return d.start }

// Moment is when the event with that number, from 0, happened; now if it
// hasn't yet. A power cut after n events was not later than Moment(n).
func (d *Disk) Moment(n int) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n >= len(d.events) {
		return time.Now()
	}
	return d.events[n].at
}

// record appends events. mu is held.
func (d *Disk) record(events ...event) {
	now := time.Now()
	for _, e := range events {
		e.at = now
		d.events = append(d.events, e)
	}
}

// create gives a file its number and records its name. mu is held.
func (d *Disk) create(name string) int {
	id := d.files
	d.files++
	d.names[name] = id
	d.record(event{kind: opCreate, file: id, name: name})
	return id
}

// Open opens the real file.
func (d *Disk) Open(path string, create bool) (store.File, error) {
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.names[filepath.Base(path)]
	if !ok {
		id = d.create(filepath.Base(path))
	}
	return &file{f, d, id}, nil
}

// Rename renames the real file.
func (d *Disk) Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	from, to = filepath.Base(from), filepath.Base(to)
	d.names[to] = d.names[from]
	delete(d.names, from)
	if b, ok := d.db[from]; ok {
		d.db[to] = b
		delete(d.db, from)
	}
	d.record(event{kind: opRename, name: from, to: to})
	return nil
}

// Remove removes the real file.
func (d *Disk) Remove(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, filepath.Base(path))
	delete(d.db, filepath.Base(path))
	d.record(event{kind: opRemove, name: filepath.Base(path)})
	return nil
}

// SyncDir makes the names durable, if it is about this directory.
func (d *Disk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dir == d.dir {
		d.record(event{kind: opSyncDir})
	}
	return nil
}

// Transact runs a transaction and records its page writes.
func (d *Disk) Transact(path string, commit func() error) error {
	d.commit.Lock()
	defer d.commit.Unlock()
	name := filepath.Base(path)
	before, err := d.database(path)
	if err != nil {
		return err
	}
	failed := commit()
	after, err := os.ReadFile(path)
	if err != nil {
		return errors.Join(failed, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.names[name]
	if !ok {
		id = d.create(name)
	}
	if len(after) != len(before) {
		d.record(event{kind: opTruncate, file: id, off: int64(len(after))}, event{kind: opSync, file: id, off: everything})
		before = append(slices.Clip(before), make([]byte, max(0, len(after)-len(before)))...)
	}
	meta := min(metaPages*os.Getpagesize(), len(after))
	d.record(changes(id, before, after, meta, len(after))...)
	d.record(event{kind: opSync, file: id, off: everything})
	d.record(changes(id, before, after, 0, meta)...)
	d.record(event{kind: opSync, file: id, off: everything})
	d.db[name] = after
	return failed
}

// database returns the contents of a database before a transaction, nil if
// it doesn't exist.
func (d *Disk) database(path string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b, ok := d.db[filepath.Base(path)]; ok {
		return b, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// changes returns a write for each sector that differs.
func changes(id int, before, after []byte, from, to int) []event {
	var events []event
	for off := from; off < to; off += sector {
		end := min(off+sector, to)
		if string(before[off:end]) != string(after[off:end]) {
			events = append(events, event{kind: opWrite, file: id, off: int64(off), data: after[off:end:end]})
		}
	}
	return events
}

// file records what is done to a real file.
type file struct {
	*os.File
	disk *Disk
	id   int
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock() // the record in the order of the writes
	defer f.disk.mu.Unlock()
	n, err := f.File.WriteAt(b, off)
	f.disk.record(event{kind: opWrite, file: f.id, off: off, data: slices.Clone(b[:n])})
	return n, err
}

func (f *file) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.record(event{kind: opTruncate, file: f.id, off: size})
	return f.File.Truncate(size)
}

func (f *file) Sync() error {
	f.disk.mu.Lock()
	began := len(f.disk.events)
	f.disk.mu.Unlock()
	if f.disk.SyncTime != nil {
		<-time.After(f.disk.SyncTime())
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.record(event{kind: opSync, file: f.id, off: int64(began)})
	return nil
}

func (f *file) Size() (int64, error) {
	i, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}
