package tty

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudo terminal: what a program finds at Path when it opens
// it as a tty is what this end reads and writes.
type Terminal struct {
	*os.File        // this end
	Path     string // of the other end, /dev/pts/N

	other *os.File // kept open, so that programs may come and go
}

// NewTerminal makes a pseudo terminal in raw mode.
func NewTerminal() (*Terminal, error) {
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make a pseudo terminal: %w", err)
	}
	t := &Terminal{File: f}
	err = control(f, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		t.Path = fmt.Sprintf("/dev/pts/%d", n)
		return err
	})
	if err == nil {
		t.other, err = os.OpenFile(t.Path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	}
	if err == nil {
		err = control(t.other, func(fd int) error { return makeRaw(fd, unix.B115200) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a pseudo terminal: %w", err), t.Close())
	}
	return t, nil
}

// Close closes both ends: whoever has the other one open finds it hung up.
func (t *Terminal) Close() error {
	var err error
	if t.other != nil {
		err = t.other.Close()
	}
	return errors.Join(t.File.Close(), err)
}
