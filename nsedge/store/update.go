package store

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// Update changes documents of any buckets in one transaction: all or none of
// the changes are on the disk when it returns. fill says what to change; a nil
// value removes the document, and of two changes of one document the later one
// counts. Nothing changes if fill returns an error.
func (s *Store) Update(fill func(put func(bucket string, key, value []byte)) error) error {
	type change struct {
		bucket string
		document
		remove bool
	}
	var changes []change
	err := fill(func(bucket string, key, value []byte) {
		changes = append(changes, change{bucket, newDocument(key, value), value == nil})
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(changes, func(a, b change) int { // as in PutAll
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), bytes.Compare(a.key, b.key))
	})
	err = s.update(func(tx *bbolt.Tx) error {
		for _, c := range changes {
			b, err := tx.Bucket(bucketDocuments).CreateBucketIfNotExists([]byte(c.bucket))
			if err != nil {
				return fmt.Errorf("bucket %q: %w", c.bucket, err)
			}
			if c.remove {
				err = b.Delete(c.key)
			} else {
				err = b.Put(c.key, c.value)
			}
			if err != nil {
				return fmt.Errorf("bucket %q, key %x: %w", c.bucket, c.key, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("update %d documents: %w", len(changes), err)
	}
	return nil
}

// Buckets lists the buckets of documents, in order.
func (s *Store) Buckets() ([]string, error) {
	var names []string
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketDocuments).ForEachBucket(func(name []byte) error {
			names = append(names, string(name))
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list the buckets: %w", err)
	}
	return names, nil
}
