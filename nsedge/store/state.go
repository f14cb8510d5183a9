package store

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"
)

// growthLimit is how many times its size a segment may grow while the other
// one cannot be folded.
const growthLimit = 16

// foldRetry is the pause after a failed fold.
const foldRetry = 5 * time.Second

// Append sets the state of a key, at most MaxStateSize bytes. The kernel has
// it when Append returns; see Sync for the disk. If it fails, the state is as
// it was.
func (s *Store) Append(key [8]byte, value []byte) error {
	if len(value) > MaxStateSize {
		return fmt.Errorf("append the state of %x: it has %d bytes, at most %d are allowed: put the rest into a document", key, len(value), MaxStateSize)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(record{key: key, value: value}); err != nil {
		return fmt.Errorf("append the state of %x: %w", key, err)
	}
	s.set(key, value)
	return nil
}

// Forget removes the state of a key, as Append sets it.
func (s *Store) Forget(key [8]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.states[key]; !ok && !s.closed {
		return nil
	}
	if err := s.write(record{key: key, forget: true}); err != nil {
		return fmt.Errorf("forget the state of %x: %w", key, err)
	}
	delete(s.states, key)
	return nil
}

// State returns a copy of a key's state.
func (s *Store) State(key [8]byte) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.states[key]
	return bytes.Clone(v), ok
}

// EachState calls f for every state in the order of the keys until f returns
// an error, which EachState then returns as it is. The value is valid during
// the call only. f may call any method of the store; a key that was appended
// since EachState began may be missing.
func (s *Store) EachState(f func(key [8]byte, value []byte) error) error {
	s.mu.Lock()
	keys := make([][8]byte, 0, len(s.states))
	for k := range s.states {
		keys = append(keys, k)
	}
	s.mu.Unlock()
	slices.SortFunc(keys, func(a, b [8]byte) int {
		return cmp.Compare(order.Uint64(a[:]), order.Uint64(b[:]))
	})
	var buf [MaxStateSize]byte
	for _, k := range keys {
		s.mu.Lock()
		v, ok := s.states[k]
		n := copy(buf[:], v)
		s.mu.Unlock()
		if !ok {
			continue
		}
		if err := f(k, buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// set changes the state in memory, in place if it fits.
func (s *Store) set(key [8]byte, value []byte) {
	old, ok := s.states[key]
	switch {
	case ok && len(old) == len(value):
		copy(old, value)
	case ok && cap(old) >= len(value):
		s.states[key] = append(old[:0], value...)
	default:
		s.states[key] = append(make([]byte, 0, len(value)), value...)
	}
}

// write appends a record to the active segment. mu is held.
func (s *Store) write(r record) error {
	if s.closed {
		return ErrClosed
	}
	r.sequence = s.sequence + 1
	size := int64(recordExtra + len(r.value))
	if s.active.end+size > s.opt.JournalSize {
		s.rotate()
	}
	if s.active.end+size > growthLimit*s.opt.JournalSize {
		return fmt.Errorf("%w: %d bytes wait to be folded into %s: see the log for the reason (disk full?)", ErrFull, s.active.end, dbName)
	}
	s.buf = r.append(s.buf[:0], s.active.salt)
	if _, err := s.active.file.WriteAt(s.buf, s.active.end); err != nil {
		return err
	}
	s.active.end += size
	s.active.last = r.sequence
	s.sequence = r.sequence
	s.stats.Appends++
	s.stats.BytesJournal += size
	s.syncLater()
	return nil
}
