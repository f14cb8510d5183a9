package store

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Disk is the part of a file system that the store stands on. The zero
// Options use the operating system's; tests put a recorder in between, which
// can tell what a power cut leaves behind.
type Disk interface {
	// Open opens a file for reading and writing, and makes it if create is
	// set. Without create, a missing file is an error that is fs.ErrNotExist.
	Open(path string, create bool) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Transact calls commit, which runs one bbolt transaction (or makes a new
	// database) on the file.
	Transact(path string, commit func() error) error
}

// File is an open journal segment.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes everything written before the call durable.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// osDisk is the operating system's file system.
type osDisk struct{}

func (osDisk) Open(path string, create bool) (File, error) {
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) Remove(path string) error     { return os.Remove(path) }

func (osDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync the directory: %w", err)
	}
	return nil
}

func (osDisk) Transact(_ string, commit func() error) error { return commit() }

type osFile struct{ *os.File }

func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) Size() (int64, error) {
	i, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}
