package nsedge

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// memStore is a store in memory.
type memStore struct {
	mu       sync.Mutex
	docs     map[string]map[string][]byte
	states   map[[8]byte][]byte
	synced   map[[8]byte][]byte
	appends  int // up to now
	durable  int // of them, in synced
	syncs    int
	syncTime time.Duration
	putTime  time.Duration
	err      error // of every change
	putErr   error // of every document
}

func newStore() *memStore {
	return &memStore{docs: map[string]map[string][]byte{}, states: map[[8]byte][]byte{}, synced: map[[8]byte][]byte{}}
}

// afterPowerCut is a copy that lacks everything unsynced.
func (s *memStore) afterPowerCut() *memStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := newStore()
	for b, m := range s.docs {
		n.docs[b] = maps.Clone(m)
	}
	n.states, n.synced = maps.Clone(s.synced), maps.Clone(s.synced)
	return n
}

func (s *memStore) Put(bucket string, key, value []byte) error {
	s.mu.Lock()
	wait := s.putTime
	s.mu.Unlock()
	time.Sleep(wait)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.err, s.putErr); err != nil {
		return err
	}
	if s.docs[bucket] == nil {
		s.docs[bucket] = map[string][]byte{}
	}
	s.docs[bucket][string(key)] = bytes.Clone(value)
	return nil
}

func (s *memStore) Get(bucket string, key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.docs[bucket][string(key)], nil
}

func (s *memStore) Delete(bucket string, key []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.docs[bucket], string(key))
	return s.err
}

func (s *memStore) Each(bucket string, f func(k, v []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(s.docs[bucket])) {
		if err := f([]byte(k), s.docs[bucket][k]); err != nil {
			return err
		}
	}
	return nil
}

func (s *memStore) Append(key [8]byte, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.states[key] = bytes.Clone(value)
	s.appends++
	return nil
}

func (s *memStore) EachState(f func(key [8]byte, value []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.states {
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *memStore) Forget(key [8]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.states, key)
	delete(s.synced, key)
	return s.err
}

// syncsTake sets how long a sync takes.
func (s *memStore) syncsTake(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncTime = d
}

// putsBecome sets how long documents take, and what becomes of them.
func (s *memStore) putsBecome(took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putTime, s.putErr = took, err
}

func (s *memStore) Sync(ctx context.Context) error {
	s.mu.Lock()
	now, appends, wait, err := maps.Clone(s.states), s.appends, s.syncTime, s.err
	s.mu.Unlock()
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncs++
	if err == nil && appends >= s.durable { // not one that began before the last
		s.synced, s.durable = now, appends
	}
	return err
}

// Update changes many documents; the tests that use it do not fail it.
func (s *memStore) Update(fill func(put func(bucket string, key, value []byte)) error) error {
	return fill(func(bucket string, key, value []byte) {
		if value == nil {
			_ = s.Delete(bucket, key)
			return
		}
		_ = s.Put(bucket, key, value)
	})
}
