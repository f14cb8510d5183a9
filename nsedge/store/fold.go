package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// foldSlice is how many bytes of a segment's size allow a background fold one
// more state in each of its transactions. The size of a transaction bounds how
// long a Put waits for the database: 1024 states if JournalSize is 4 MiB, 8 at
// least.
const foldSlice = 4096

// wholeFold is more than any fold's number of states.
const wholeFold = 1 << 30

// segment is one of the two journal files.
type segment struct {
	path string
	file File
	salt salt
	end  int64  // where the next record goes
	last uint64 // sequence of the last record
}

// reset begins a new life: what the file holds is void from here on.
func (g *segment) reset(size int64) error {
	g.salt, g.end, g.last = newSalt(), headerSize, 0
	if now, err := g.file.Size(); err != nil {
		return err
	} else if now > size {
		if err := g.file.Truncate(size); err != nil {
			return err
		}
	}
	if _, err := g.file.WriteAt(header(g.salt), 0); err != nil {
		return err
	}
	return g.file.Sync()
}

// records reads what was written to the segment in its present life, or in
// its last one if it was just opened.
func (g *segment) records() ([]record, error) {
	size := g.end
	if size == 0 {
		var err error
		if size, err = g.file.Size(); err != nil {
			return nil, err
		}
	}
	b := make([]byte, size)
	if _, err := g.file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", g.path, err)
	}
	return parseSegment(b), nil
}

// recover replays the journal segments, if there are any, and folds them.
func (s *Store) recover() error {
	var parts [][]record
	for i := range 2 {
		path := s.segmentPath(i)
		if err := s.removeIfExists(path + ".new"); err != nil {
			return err
		}
		f, err := s.opt.Disk.Open(path, false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		records, err := (&segment{path: path, file: f}).records()
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if len(records) > 0 {
			parts = append(parts, records)
		}
	}
	slices.SortFunc(parts, func(a, b []record) int {
		if a[0].sequence < b[0].sequence {
			return -1
		}
		return 1
	})
	replay := next(s.sequence, slices.Concat(parts...))
	if len(replay) == 0 {
		return nil
	}
	for _, r := range replay {
		if r.forget {
			delete(s.states, r.key)
		} else {
			s.set(r.key, r.value)
		}
	}
	s.sequence = replay[len(replay)-1].sequence
	s.synced = s.sequence
	s.opt.Log.Info("journal recovered", "records", len(replay), "sequence", s.sequence)
	return s.fold(replay, wholeFold)
}

// next returns the records that continue the sequence, up to the first hole.
func next(folded uint64, records []record) []record {
	start := 0
	for i, r := range records {
		switch {
		case r.sequence <= folded && i == start:
			start++
		case r.sequence != folded+uint64(i-start)+1:
			return records[start:i]
		}
	}
	return records[start:]
}

// prepareJournal opens both segments, empty.
func (s *Store) prepareJournal() error {
	for i, at := range []**segment{&s.active, &s.spare} {
		g, err := s.openSegment(s.segmentPath(i))
		if err != nil {
			return err
		}
		*at = g
	}
	return nil
}

func (s *Store) segmentPath(i int) string {
	return filepath.Join(s.dir, fmt.Sprintf("journal-%d", i))
}

// openSegment opens a segment for a new life, and makes it anew if it is
// missing or too short.
func (s *Store) openSegment(path string) (*segment, error) {
	f, err := s.opt.Disk.Open(path, false)
	if err == nil {
		g := &segment{path: path, file: f}
		if size, err := f.Size(); err == nil && size >= s.opt.JournalSize {
			return g, g.reset(s.opt.JournalSize)
		}
		_ = f.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if f, err = s.opt.Disk.Open(path+".new", true); err != nil {
		return nil, err
	}
	g := &segment{path: path, file: f}
	if _, err := f.WriteAt(make([]byte, s.opt.JournalSize), 0); err != nil {
		return g, fmt.Errorf("reserve %d bytes for %s: %w", s.opt.JournalSize, path, err)
	}
	if err := g.reset(s.opt.JournalSize); err != nil {
		return g, err
	}
	return g, errors.Join(s.opt.Disk.Rename(path+".new", path), s.opt.Disk.SyncDir(s.dir))
}

// rotate goes on in the spare segment, if there is one, and sees to it that
// the full one becomes the next spare. mu is held.
func (s *Store) rotate() {
	if s.spare != nil {
		s.active, s.full, s.spare = s.spare, s.active, nil
	}
	if s.folding || time.Now().Before(s.retry) {
		return
	}
	s.folding = true
	s.work.Go(func() {
		began := time.Now()
		err := s.recycle()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.folding = false
		s.stats.FoldTime = time.Since(began)
		if err != nil {
			s.retry = time.Now().Add(foldRetry)
			s.opt.Log.Error("journal fold failed, will be tried again", "error", err)
		}
	})
}

// recycle folds the full segment and makes it the spare one. Where it fails,
// it goes on when called again.
func (s *Store) recycle() error {
	s.mu.Lock()
	full, spent := s.full, s.spent
	s.mu.Unlock()
	if full != nil {
		if err := full.file.Sync(); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.finishSync(0, err)
			return err
		}
		if err := s.foldSegments(max(8, int(s.opt.JournalSize/foldSlice)), full); err != nil {
			return err
		}
		spent = &segment{path: full.path, file: full.file}
		s.mu.Lock()
		s.synced = max(s.synced, full.last)
		s.full, s.spent = nil, spent
		s.mu.Unlock()
	}
	if err := spent.reset(s.opt.JournalSize); err != nil {
		return fmt.Errorf("reset %s: %w", spent.path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare, s.spent = spent, nil
	return nil
}

// foldAll folds what is left at the end, in one transaction, because the
// journal may not be on the disk.
func (s *Store) foldAll() error {
	segments := []*segment{s.active}
	if s.full != nil {
		segments = []*segment{s.full, s.active}
	}
	if err := s.foldSegments(wholeFold, segments...); err != nil {
		return fmt.Errorf("fold the journal: %w", err)
	}
	return nil
}

func (s *Store) foldSegments(slice int, segments ...*segment) error {
	var all []record
	for _, g := range segments {
		if g.last == 0 {
			continue
		}
		records, err := g.records()
		if err != nil {
			return err
		}
		all = append(all, records...)
		if len(records) == 0 || records[len(records)-1].sequence != g.last {
			return fmt.Errorf("%s does not read as it was written, up to record %d", g.path, g.last)
		}
	}
	return s.fold(all, slice)
}

// fold writes the last state of each key, in transactions of some states
// each; the last one says how far the database reaches. A fold that was cut
// short is harmless, for the journal is there and is replayed over it, if the
// journal is on the disk before.
func (s *Store) fold(records []record, slice int) error {
	if len(records) == 0 {
		return nil
	}
	at := make(map[[8]byte]int, len(records))
	for i, r := range records {
		at[r.key] = i
	}
	latest := make([]record, 0, len(at))
	for _, i := range at {
		latest = append(latest, records[i])
	}
	slices.SortFunc(latest, func(a, b record) int { return bytes.Compare(a.key[:], b.key[:]) })
	for part := range slices.Chunk(latest, slice) {
		isLast := &part[len(part)-1] == &latest[len(latest)-1]
		if err := s.update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketStates)
			for _, r := range part {
				if err := putState(b, r); err != nil {
					return err
				}
			}
			if !isLast {
				return nil
			}
			reached := records[len(records)-1].sequence
			return tx.Bucket(bucketStore).Put(keyFolded, order.AppendUint64(nil, reached))
		}); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Folds++
	return nil
}

func putState(b *bbolt.Bucket, r record) error {
	if r.forget {
		return b.Delete(r.key[:])
	}
	return b.Put(r.key[:], r.value)
}
