package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A store is replaced as a whole in two steps: [Stage] fills a new one in a
// folder beside the files, [Install] puts it in their place while nobody uses
// them. A power cut at any moment leaves the old store or the new one.

const (
	stagedName  = "staged"     // the folder; complete if it has this name
	stagingName = "staged.new" // while it is filled
	beforeName  = dbName + ".before"
)

// Stage makes a store beside that in dir, which may be in use, and lets fill
// fill it. It takes the place of one that was staged before.
func Stage(dir string, o Options, fill func(*Store) error) error {
	staging, staged := filepath.Join(dir, stagingName), filepath.Join(dir, stagedName)
	if err := os.RemoveAll(staging); err != nil {
		return fmt.Errorf("stage a store: %w", err)
	}
	s, err := Open(staging, o)
	if err != nil {
		return fmt.Errorf("stage a store: %w", err)
	}
	if err := errors.Join(fill(s), s.Close()); err != nil {
		return errors.Join(err, os.RemoveAll(staging))
	}
	// Closed, it is all in the database.
	err = errors.Join(osDisk{}.SyncDir(staging), os.RemoveAll(staged))
	if err == nil {
		err = os.Rename(staging, staged)
	}
	if err == nil {
		err = osDisk{}.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("stage a store: %w", err)
	}
	return nil
}

// Staged tells whether a store waits to be installed.
func Staged(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, stagedName, dbName))
	return err == nil
}

// Install puts a staged store in the place of that in dir, which must not be
// in use, and tells whether there was one. The old database stays beside it
// as gatewayd.db.before, until the next time.
func Install(dir string, o Options) (bool, error) {
	o, err := o.withDefaults()
	if err != nil {
		return false, err
	}
	if !Staged(dir) {
		return false, nil
	}
	// Opened and closed, the old one is all in its database, too.
	old, err := Open(dir, o)
	switch {
	case err == nil:
		if err := old.Close(); err != nil {
			return false, fmt.Errorf("install the staged store: close the old one: %w", err)
		}
	case !errors.Is(err, ErrDamaged):
		return false, fmt.Errorf("install the staged store: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"), o.LockTimeout)
	if err != nil {
		return false, fmt.Errorf("install the staged store: %w", err)
	}
	defer lock.Close()
	if err := exchange(dir); err != nil {
		return false, fmt.Errorf("install the staged store: %w", err)
	}
	return true, nil
}

// exchange removes the old journal, which has nothing more to say, before the
// database changes under it.
func exchange(dir string) error {
	db, before := filepath.Join(dir, dbName), filepath.Join(dir, beforeName)
	for _, name := range []string{"journal-0", "journal-1", beforeName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Link(db, before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := (osDisk{}).SyncDir(dir); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, stagedName, dbName), db); err != nil {
		return err
	}
	if err := (osDisk{}).SyncDir(dir); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(dir, stagedName))
}
