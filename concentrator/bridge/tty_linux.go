package bridge

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Scheme begins the name of a port: "usb:/dev/ttyACM0".
const Scheme = "usb:"

// Open connects to the microcontroller behind a tty ("usb:/dev/ttyACM0").
func Open(name string, log *slog.Logger) (*Port, error) {
	path, ok := strings.CutPrefix(name, Scheme)
	if !ok || path == "" {
		return nil, fmt.Errorf("USB concentrator %q: %sPATH of a tty is wanted, e.g. %s/dev/ttyACM0", name, Scheme, Scheme)
	}
	return New(Config{Name: name, Dial: func() (Line, error) { return openTTY(path) }, Log: log})
}

// openTTY opens a tty that carries bytes as they are. Other programs that
// look for the lock keep off.
func openTTY(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, openHint(err))
	}
	err = control(f, func(fd int) error {
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%s is in use by another program; stop that one", path)
		} else if err != nil {
			return fmt.Errorf("lock %s: %w", path, err)
		}
		if err := makeRaw(fd); err != nil {
			return fmt.Errorf("set up %s, is it a tty?: %w", path, err)
		}
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openHint is the next step after a tty that can't be opened.
func openHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "; plug the concentrator in, and look for its device with ls /dev/ttyACM*"
	case errors.Is(err, fs.ErrPermission):
		return "; add the user to the group dialout"
	}
	return ""
}

// makeRaw makes a tty carry bytes as they are, 8 bits, without modem lines.
// A read waits for one byte at least.
func makeRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// control runs do on the descriptor without taking the file from the poller.
func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}

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
		err = control(t.other, makeRaw)
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
