package store

import (
	"os"
	"syscall"
)

// datasync is fdatasync(2): unlike fsync it leaves the inode's times alone,
// which saves the file system's journal a commit per sync.
func datasync(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := c.Control(func(fd uintptr) {
		for {
			if failed = syscall.Fdatasync(int(fd)); failed != syscall.EINTR {
				return
			}
		}
	}); err != nil {
		return err
	}
	return os.NewSyscallError("fdatasync", failed)
}
