package flight

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of the files of faults.
const (
	mostFiles = 8
	// faultPause is how long the same fault writes no second file: one that
	// comes back every minute must not push out how it began.
	faultPause = 10 * time.Minute
)

// Files is the folder of a recorder's files of faults.
type Files struct {
	Folder   string
	Recorder *Recorder

	mu   sync.Mutex
	last map[string]time.Time // by kind of fault
}

const (
	filePrefix = "gatewayd-"
	fileSuffix = ".jsonl.gz"
	fileTime   = "20060102T150405.000Z"
)

// Fault writes down a fault of a kind, such as "concentrator", and why; then
// all that was recorded before into a file, unless there is one of that kind
// from the last minutes. It returns the file's path, "" if there is none.
func (f *Files) Fault(kind string, why error) (path string, err error) {
	if f == nil || f.Recorder == nil {
		return "", nil
	}
	f.Recorder.Fault(kind + ": " + why.Error())
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if last, ok := f.last[kind]; ok && now.Sub(last) < faultPause {
		return "", nil
	}
	if f.last == nil {
		f.last = map[string]time.Time{}
	}
	f.last[kind] = now
	if err := os.MkdirAll(f.Folder, 0o700); err != nil {
		return "", fmt.Errorf("keep the recording: %w", err)
	}
	path = filepath.Join(f.Folder, filePrefix+now.UTC().Format(fileTime)+"-"+kind+fileSuffix)
	err = writeWhole(path, func(w io.Writer) error { return f.Recorder.Write(w, kind+": "+why.Error()) })
	return path, errors.Join(err, f.prune())
}

// prune removes the oldest files. Names are in order of time.
func (f *Files) prune() error {
	all, err := filepath.Glob(filepath.Join(f.Folder, filePrefix+"*"+fileSuffix))
	if err != nil {
		return err
	}
	slices.SortFunc(all, strings.Compare)
	for _, old := range all[:max(len(all)-mostFiles, 0)] {
		err = errors.Join(err, os.Remove(old))
	}
	return err
}

// writeWhole writes a file that is there whole or not at all, for its owner
// alone.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".recording-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep the recording: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone after the rename
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keep the recording: %w", err)
	}
	return os.Rename(f.Name(), path)
}
