package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// ErrLocked is the error of Open when another process uses the directory.
var ErrLocked = errors.New("in use by another process")

const lockRetry = 20 * time.Millisecond

// lockFile takes the lock and writes this process's pid into it. The kernel
// drops the lock when the process ends, however it ends.
func lockFile(path string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.After(wait)
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-deadline:
			return nil, errors.Join(lockedBy(f), f.Close())
		case <-retry.C:
		}
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // only told to people
	}
	return f, nil
}

// lockedBy is ErrLocked with what the lock's owner wrote into the file.
func lockedBy(f *os.File) error {
	const next = "talk to the running gatewayd (its commands do so through the admin socket), or stop it first"
	text := make([]byte, 16)
	n, _ := f.ReadAt(text, 0)
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text[:n])))
	if err != nil {
		return fmt.Errorf("%w: %s", ErrLocked, next)
	}
	return fmt.Errorf("%w, pid %d: %s", ErrLocked, pid, next)
}
