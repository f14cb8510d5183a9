package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeDisk is the operating system's, with syncs that take a (virtual) time
// and with failures.
type fakeDisk struct {
	osDisk
	syncTime  time.Duration
	syncs     atomic.Int64
	failSync  atomic.Bool
	failDB    atomic.Bool
	failWrite atomic.Bool
}

var errFake = errors.New("input/output error")

func (d *fakeDisk) Open(path string, create bool) (File, error) {
	f, err := d.osDisk.Open(path, create)
	if err != nil {
		return nil, err
	}
	return fakeFile{f, d}, nil
}

func (d *fakeDisk) Transact(path string, commit func() error) error {
	if d.failDB.Load() {
		return errFake
	}
	return d.osDisk.Transact(path, commit)
}

type fakeFile struct {
	File
	disk *fakeDisk
}

func (f fakeFile) Sync() error {
	f.disk.syncs.Add(1)
	time.Sleep(f.disk.syncTime)
	if f.disk.failSync.Load() {
		return errFake
	}
	return nil
}

func (f fakeFile) WriteAt(b []byte, off int64) (int, error) {
	if f.disk.failWrite.Load() {
		n, _ := f.File.WriteAt(b[:len(b)/2], off)
		return n, errFake
	}
	return f.File.WriteAt(b, off)
}

func appendOne(t testing.TB, s *Store, k uint64) {
	t.Helper()
	if err := s.Append(key(k), []byte("state")); err != nil {
		t.Fatal(err)
	}
}

func TestAnAppendIsSyncedWithinTheIntervalAndAnIdleStoreIsIdle(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &fakeDisk{syncTime: 10 * time.Millisecond}
		s := open(t, dir, Options{Disk: disk, SyncInterval: 800 * time.Millisecond})
		before := disk.syncs.Load()
		time.Sleep(time.Hour)
		if n := disk.syncs.Load() - before; n != 0 {
			t.Errorf("%d syncs without an append", n)
		}
		for range 100 { // 5 s of appends
			appendOne(t, s, 1)
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(810 * time.Millisecond)
		synctest.Wait()
		if n := disk.syncs.Load() - before; n < 6 || n > 7 {
			t.Errorf("%d syncs in 5.8 s, want one per 0.8 s", n)
		}
		if n := s.Stats().Unsynced; n != 0 {
			t.Errorf("%d appends unsynced 810 ms after the last one", n)
		}
		before = disk.syncs.Load()
		time.Sleep(time.Hour)
		if n := disk.syncs.Load() - before; n != 0 {
			t.Errorf("%d syncs without an append", n)
		}
	})
}

// An append that comes while a sync runs is not covered by it.
func TestAnAppendDuringASyncIsSyncedWithinTheInterval(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, Options{Disk: &fakeDisk{syncTime: 300 * time.Millisecond}, SyncInterval: 100 * time.Millisecond})
		appendOne(t, s, 1)
		time.Sleep(150 * time.Millisecond) // the sync runs until 400 ms
		appendOne(t, s, 2)
		time.Sleep(560 * time.Millisecond) // a second one until 700 ms
		synctest.Wait()
		if n := s.Stats().Unsynced; n != 0 {
			t.Errorf("%d appends unsynced", n)
		}
	})
}

func TestAppendNeverWaitsForASync(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, Options{Disk: &fakeDisk{syncTime: time.Second}})
		appendOne(t, s, 1)
		done := make(chan error)
		go func() { done <- s.Sync(t.Context()) }()
		synctest.Wait() // the sync runs
		began := time.Now()
		for k := range uint64(1000) {
			appendOne(t, s, k)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("1000 appends waited %v", d)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestCallersShareSyncs(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &fakeDisk{syncTime: time.Second}
		s := open(t, dir, Options{Disk: disk})
		before := disk.syncs.Load()
		began := time.Now()
		var all sync.WaitGroup
		for k := range uint64(100) {
			all.Go(func() {
				appendOne(t, s, k)
				if err := s.Sync(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n, d := disk.syncs.Load()-before, time.Since(began); n > 2 || d > 2*time.Second {
			t.Errorf("%d syncs in %v for 100 callers, want at most 2 in 2 s", n, d)
		}
	})
}

func TestSyncKeepsItsDeadline(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, Options{Disk: &fakeDisk{syncTime: time.Minute}})
		appendOne(t, s, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// The kernel drops what it failed to write and reports it once, so a second
// sync that succeeds proves nothing.
func TestAFailedSyncIsNeverFollowedByAPromise(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &fakeDisk{}
		s := open(t, dir, Options{Disk: disk})
		appendOne(t, s, 1)
		disk.failSync.Store(true)
		if err := s.Sync(t.Context()); !errors.Is(err, errFake) {
			t.Errorf("first: %v", err)
		}
		disk.failSync.Store(false)
		appendOne(t, s, 2) // goes on
		if err := s.Sync(t.Context()); !errors.Is(err, errFake) || !strings.Contains(err.Error(), "restart") {
			t.Errorf("second: %v", err)
		}
	})
}

func TestSyncCoversBothSegmentsDuringAFold(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &fakeDisk{}
		s := open(t, dir, Options{Disk: disk, JournalSize: minJournalSize})
		disk.failDB.Store(true)
		for s.Stats().JournalSize < minJournalSize {
			appendOne(t, s, 1)
		}
		synctest.Wait() // the fold has failed
		before := disk.syncs.Load()
		s.mu.Lock()
		s.synced = 0 // as if the full segment had not been synced by the fold
		s.mu.Unlock()
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := disk.syncs.Load() - before; n != 2 {
			t.Errorf("%d files synced, want 2", n)
		}
		disk.failDB.Store(false)
	})
}

func TestAFullDiskFillsTheJournalAndItRecovers(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &fakeDisk{}
		s := open(t, dir, Options{Disk: disk, JournalSize: minJournalSize})
		disk.failDB.Store(true)
		var err error
		n := uint64(0)
		for ; err == nil; n++ {
			err = s.Append(key(1), order.AppendUint64(nil, n))
		}
		if !errors.Is(err, ErrFull) || n < growthLimit*minJournalSize/30 {
			t.Errorf("after %d appends: %v", n, err)
		}
		if v, _ := s.State(key(1)); order.Uint64(v) != n-2 {
			t.Errorf("state is %d after append %d failed", order.Uint64(v), n-1)
		}
		disk.failDB.Store(false)
		time.Sleep(foldRetry)
		_ = s.Append(key(1), order.AppendUint64(nil, n)) // sets the fold going
		synctest.Wait()
		if err := s.Append(key(1), order.AppendUint64(nil, n)); err != nil {
			t.Errorf("with space again: %v", err)
		}
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, Options{Disk: disk, JournalSize: minJournalSize})
		if v, _ := s.State(key(1)); order.Uint64(v) != n {
			t.Errorf("state after reopening is %d, want %d", order.Uint64(v), n)
		}
	})
}

func TestAFailedAppendLeavesTheStateAndTheJournalWhole(t *testing.T) {
	dir := t.TempDir()
	disk := &fakeDisk{}
	s := open(t, dir, Options{Disk: disk})
	appendOne(t, s, 1)
	disk.failWrite.Store(true)
	if err := s.Append(key(1), []byte("other")); !errors.Is(err, errFake) {
		t.Errorf("Append: %v", err)
	}
	if err := s.Forget(key(1)); !errors.Is(err, errFake) {
		t.Errorf("Forget: %v", err)
	}
	disk.failWrite.Store(false)
	appendOne(t, s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	for k := range uint64(2) {
		if v, _ := s.State(key(k + 1)); string(v) != "state" {
			t.Errorf("state %d is %q", k+1, v)
		}
	}
}
