package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// eachChunk is how many documents Each reads in one transaction.
const eachChunk = 256

// Put stores a document. It is on the disk when Put returns.
func (s *Store) Put(bucket string, key, value []byte) error {
	return s.PutAll(bucket, func(yield func(k, v []byte) bool) { yield(key, value) })
}

// PutAll stores documents in one transaction: all or none of them are there
// after a failure. It is the way to import many. Of two with the same key the
// later one stays. The slices may be reused for the next document.
func (s *Store) PutAll(bucket string, documents iter.Seq2[[]byte, []byte]) error {
	var sorted []document // bbolt takes minutes for many in random order
	for k, v := range documents {
		sorted = append(sorted, newDocument(k, v))
	}
	slices.SortStableFunc(sorted, func(a, b document) int { return bytes.Compare(a.key, b.key) })
	err := s.update(func(tx *bbolt.Tx) error {
		b, err := tx.Bucket(bucketDocuments).CreateBucketIfNotExists([]byte(bucket))
		if err != nil {
			return err
		}
		for _, d := range sorted {
			if err := b.Put(d.key, d.value); err != nil {
				return fmt.Errorf("key %x: %w", d.key, err)
			}
		}
		return nil
	})
	return wrap("put", bucket, err)
}

// Get returns a document, or nil if there is none.
func (s *Store) Get(bucket string, key []byte) ([]byte, error) {
	var value []byte
	err := s.view(bucket, func(b *bbolt.Bucket) {
		if v := b.Get(key); v != nil {
			value = append([]byte{}, v...)
		}
	})
	return value, wrap("get", bucket, err)
}

// Delete removes a document, durably; it is no error if there is none.
func (s *Store) Delete(bucket string, key []byte) error {
	err := s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketDocuments).Bucket([]byte(bucket))
		if b == nil {
			return nil
		}
		return b.Delete(key)
	})
	return wrap("delete", bucket, err)
}

// Each calls f for the documents of a bucket in the order of their keys until
// f returns an error, which Each then returns as it is. The slices are valid
// during the call only. f may call any method of the store: documents that it
// puts or deletes further on are seen or not seen accordingly.
func (s *Store) Each(bucket string, f func(key, value []byte) error) error {
	var after []byte // the last key seen, nil at the start
	for {
		chunk, err := s.chunk(bucket, after)
		if err != nil || len(chunk) == 0 {
			return wrap("read", bucket, err)
		}
		for _, d := range chunk {
			if err := f(d.key, d.value); err != nil {
				return err
			}
		}
		after = chunk[len(chunk)-1].key
	}
}

type document struct{ key, value []byte }

// newDocument copies.
func newDocument(k, v []byte) document {
	both := append(append(make([]byte, 0, len(k)+len(v)), k...), v...)
	return document{both[:len(k):len(k)], both[len(k):]}
}

// chunk copies the next documents after a key.
func (s *Store) chunk(bucket string, after []byte) ([]document, error) {
	var chunk []document
	err := s.view(bucket, func(b *bbolt.Bucket) {
		c := b.Cursor()
		k, v := c.First()
		if after != nil {
			k, v = c.Seek(after)
			if string(k) == string(after) {
				k, v = c.Next()
			}
		}
		for ; k != nil && len(chunk) < eachChunk; k, v = c.Next() {
			chunk = append(chunk, newDocument(k, v))
		}
	})
	return chunk, err
}

// view reads a bucket, if it exists.
func (s *Store) view(bucket string, f func(*bbolt.Bucket)) error {
	err := s.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(bucketDocuments).Bucket([]byte(bucket)); b != nil {
			f(b)
		}
		return nil
	})
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

func wrap(action, bucket string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s a document in %q: %w", action, bucket, err)
}
