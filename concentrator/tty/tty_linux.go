// Package tty opens serial lines that carry bytes as they are, and makes
// pseudo terminals that other programs take for such lines.
package tty

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Config of a line. Its zero value is 115200 baud and shared.
type Config struct {
	Baud int  // 4800 to 115200; 0 means 115200. A USB device or a pseudo terminal has no rate
	Lock bool // other programs that look for the lock keep off, and so does this one
}

// defaultBaud is what a line without a rate is set to.
const defaultBaud = 115200

// speeds are the rates of serial lines.
func speeds() map[int]uint32 {
	return map[int]uint32{4800: unix.B4800, 9600: unix.B9600, 19200: unix.B19200, 38400: unix.B38400, 57600: unix.B57600, 115200: unix.B115200}
}

// Open opens a line raw: 8 bits, no parity, no translation, no modem lines, no
// controlling terminal; what came before is dropped. Reads and writes obey
// deadlines. The error names the path; [os.ErrNotExist] and
// [os.ErrPermission] are found in it.
func Open(path string, cfg Config) (*os.File, error) {
	if cfg.Baud == 0 {
		cfg.Baud = defaultBaud
	}
	speed, ok := speeds()[cfg.Baud]
	if !ok {
		return nil, fmt.Errorf("serial line %s: %d baud; allowed are 4800, 9600, 19200, 38400, 57600 and 115200", path, cfg.Baud)
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = control(f, func(fd int) error {
		if cfg.Lock {
			if err := lock(fd, path); err != nil {
				return err
			}
		}
		if err := makeRaw(fd, speed); err != nil {
			return fmt.Errorf("set up %s, is it a tty?: %w", path, err)
		}
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func lock(fd int, path string) error {
	err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s is in use by another program; stop that one", path)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return nil
}

// makeRaw sets a line up. A read waits for one byte at least; bytes that came
// with a wrong parity or as a break are dropped.
func makeRaw(fd int, speed uint32) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = unix.IGNBRK|unix.IGNPAR, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | speed
	t.Ispeed, t.Ospeed = speed, speed
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// control runs do on the descriptor and leaves the file in the runtime's
// poller.
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
