package store

import (
	"context"
	"fmt"
	"time"
)

// syncRun is a running sync that callers wait for together.
type syncRun struct {
	done chan struct{}
}

// Sync returns when everything that was appended before the call is on the
// disk, or with the context's error when that ends first. Calls share syncs:
// a call during a sync waits for it and then for at most one more. After the
// disk has refused a sync once, all later ones fail too, because the kernel
// does not keep what it failed to write.
func (s *Store) Sync(ctx context.Context) error {
	s.mu.Lock()
	want := s.sequence
	for {
		switch {
		case s.failed != nil:
			defer s.mu.Unlock()
			return s.failed
		case s.synced >= want:
			s.mu.Unlock()
			return nil
		case s.closed:
			s.mu.Unlock()
			return fmt.Errorf("sync the journal: %w", ErrClosed)
		}
		run := s.startSync()
		s.mu.Unlock()
		select {
		case <-run.done:
		case <-ctx.Done():
			return fmt.Errorf("sync the journal: %w", ctx.Err())
		}
		s.mu.Lock()
	}
}

// syncLater makes sure that a sync starts within SyncInterval. mu is held.
func (s *Store) syncLater() {
	if s.timer != nil {
		return
	}
	s.work.Add(1)
	s.timer = time.AfterFunc(s.opt.SyncInterval, func() {
		defer s.work.Done()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.timer = nil
		if s.closed || s.failed != nil || s.synced == s.sequence {
			return
		}
		s.again = s.syncing != nil // that one began before the last append
		s.startSync()
	})
}

// startSync joins the running sync or starts one. mu is held.
func (s *Store) startSync() *syncRun {
	if s.syncing != nil {
		return s.syncing
	}
	run := &syncRun{done: make(chan struct{})}
	s.syncing = run
	// In this order, because records have no holes.
	files := make([]*segment, 0, 2)
	if s.full != nil && s.synced < s.full.last {
		files = append(files, s.full)
	}
	files = append(files, s.active)
	upTo := s.sequence
	s.work.Go(func() {
		err := syncFiles(files)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stats.Syncs += uint64(len(files))
		s.finishSync(upTo, err)
		s.syncing = nil
		close(run.done)
		if s.again && !s.closed && s.failed == nil && s.synced < s.sequence {
			s.startSync()
		}
		s.again = false
	})
	return run
}

func syncFiles(files []*segment) error {
	for _, g := range files {
		if err := g.file.Sync(); err != nil {
			return fmt.Errorf("%s: %w", g.path, err)
		}
	}
	return nil
}

// finishSync records the outcome of a sync. mu is held.
func (s *Store) finishSync(upTo uint64, err error) {
	if err == nil {
		s.synced = max(s.synced, upTo)
		return
	}
	if s.failed == nil {
		s.failed = fmt.Errorf("sync the journal: %w: nothing can be promised any more: check the storage and restart gatewayd", err)
		s.opt.Log.Error("journal sync failed", "error", s.failed)
	}
}
