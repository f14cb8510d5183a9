package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	dbName    = "gatewayd.db"
	dbTimeout = 2 * time.Second // for bbolt's own lock, which a foreign tool may hold
	format    = 1
	slabSize  = 64 << 10 // bytes of states allocated at once by load
)

// The top-level buckets, and the keys of bucketStore.
var (
	bucketStore     = []byte("store")
	bucketDocuments = []byte("documents")
	bucketStates    = []byte("states")
	keyFormat       = []byte("format")
	keyFolded       = []byte("folded")
)

// openDB opens the database, and makes it under another name first if there
// is none, so that a half-made one is never taken for it.
func (s *Store) openDB() error {
	path := filepath.Join(s.dir, dbName)
	if err := s.removeIfExists(path + ".new"); err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := s.makeDB(path); err != nil {
			return fmt.Errorf("make it: %w", err)
		}
	}
	db, err := openBolt(path)
	if err != nil {
		return err
	}
	s.db = db
	s.pageSize = int64(db.Info().PageSize) // not later: Info doesn't bear transactions beside it
	if err := s.checkFormat(path); err != nil {
		return err
	}
	// A killed process may have left a meta page that is not on the disk. It
	// must be there before the pages that it made free are used again.
	return s.opt.Disk.Transact(path, db.Sync)
}

func (s *Store) makeDB(path string) error {
	made := path + ".new"
	if err := s.opt.Disk.Transact(made, func() error { return writeEmptyDB(made) }); err != nil {
		return err
	}
	if err := s.opt.Disk.Rename(made, path); err != nil {
		return err
	}
	return s.opt.Disk.SyncDir(s.dir)
}

func writeEmptyDB(path string) error {
	db, err := openBolt(path)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketStore, bucketDocuments, bucketStates} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		b := tx.Bucket(bucketStore)
		return errors.Join(
			b.Put(keyFormat, []byte{format}),
			b.Put(keyFolded, order.AppendUint64(nil, 0)))
	})
	return errors.Join(err, db.Close())
}

// openBolt turns every way in which bbolt refuses a file into an error.
func openBolt(path string) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a truncated file faults in bbolt's map
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, damaged(path, fmt.Errorf("%v", p))
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      dbTimeout,
		FreelistType: bbolt.FreelistMapType,
	})
	var denied *fs.PathError
	switch {
	case err == nil:
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%w: a program other than gatewayd has %s open; end it first", ErrLocked, path)
	case errors.As(err, &denied):
		return nil, err
	default:
		return nil, damaged(path, err)
	}
	return db, nil
}

// damaged is ErrDamaged with the way out.
func damaged(path string, cause error) error {
	return fmt.Errorf("%w (%v); a power cut does not do this, so suspect the storage: "+
		"put a backup of %s in its place, or move it and the journal files away to begin empty "+
		"(all devices, keys and sessions are lost then)", ErrDamaged, cause, path)
}

// checkFormat refuses databases of a newer gatewayd and those that are cut
// short.
func (s *Store) checkFormat(path string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, fmt.Errorf("%v", p))
		}
	}()
	return s.db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return damaged(path, fmt.Errorf("it has %d bytes and needs %d", info.Size(), tx.Size()))
		}
		b := tx.Bucket(bucketStore)
		if b == nil || tx.Bucket(bucketDocuments) == nil || tx.Bucket(bucketStates) == nil ||
			len(b.Get(keyFormat)) != 1 || len(b.Get(keyFolded)) != 8 {
			return damaged(path, errors.New("it is not a database of gatewayd"))
		}
		if f := b.Get(keyFormat)[0]; f != format {
			return fmt.Errorf("%s has format %d, this gatewayd knows format %d only: use the gatewayd that wrote it, or a newer one", path, f, format)
		}
		return nil
	})
}

// load reads the folded states into memory.
func (s *Store) load() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(s.db.Path(), fmt.Errorf("%v", p))
		}
	}()
	return s.db.View(func(tx *bbolt.Tx) error {
		folded := order.Uint64(tx.Bucket(bucketStore).Get(keyFolded))
		s.sequence, s.synced = folded, folded
		b := tx.Bucket(bucketStates)
		s.states = make(map[[8]byte][]byte, b.Inspect().KeyN)
		var slab []byte
		return b.ForEach(func(k, v []byte) error {
			if len(k) != 8 || len(v) > MaxStateSize {
				return damaged(s.db.Path(), fmt.Errorf("state of %d bytes with a key of %d bytes", len(v), len(k)))
			}
			if len(slab) < len(v) {
				slab = make([]byte, slabSize)
			}
			n := copy(slab, v)
			s.states[[8]byte(k)] = slab[:n:n]
			slab = slab[n:]
			return nil
		})
	})
}

func (s *Store) removeIfExists(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.opt.Disk.Remove(path)
}

// update runs one durable transaction.
func (s *Store) update(f func(*bbolt.Tx) error) error {
	var written int64
	err := s.opt.Disk.Transact(s.db.Path(), func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			tx.OnCommit(func() {
				st := tx.Stats()
				written = st.GetPageAlloc()
			})
			return f(tx)
		})
	})
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Transactions++
	s.stats.BytesDB += written + s.pageSize // and the meta page
	return nil
}
