package gnss

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// DefaultBaud is what receivers speak after power-up.
const DefaultBaud = 9600

// speeds are the line rates that receivers use.
func speeds() map[int]uint32 {
	return map[int]uint32{4800: unix.B4800, 9600: unix.B9600, 19200: unix.B19200, 38400: unix.B38400, 57600: unix.B57600, 115200: unix.B115200}
}

// OpenTTY opens a serial line raw: 8 bits, no parity, no translation, no
// controlling terminal. Its reads obey deadlines. baud 0 means [DefaultBaud].
func OpenTTY(_ context.Context, path string, baud int) (Line, error) {
	if baud == 0 {
		baud = DefaultBaud
	}
	speed, ok := speeds()[baud]
	if !ok {
		return nil, fmt.Errorf("serial line %s: %d baud; allowed are 4800, 9600, 19200, 38400, 57600 and 115200", path, baud)
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("serial line: %w%s", err, hint(err))
	}
	if err := control(f, func(fd int) error { return makeRaw(fd, speed) }); err != nil {
		return nil, errors.Join(fmt.Errorf("serial line %s: set it up: %w; is it a tty?", path, err), f.Close())
	}
	return f, nil
}

func hint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "; switch the serial port on (enable_uart=1 in config.txt), or set concentrator.gps to the right device or to off"
	case errors.Is(err, fs.ErrPermission):
		return "; add the user to the group dialout"
	}
	return ""
}

// control calls do with the file's descriptor and leaves the file in the
// runtime's poller.
func control(f *os.File, do func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = c.Control(func(fd uintptr) { inner = do(int(fd)) })
	return errors.Join(err, inner)
}

func makeRaw(fd int, speed uint32) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = unix.IGNBRK|unix.IGNPAR, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | speed
	t.Ispeed, t.Ospeed = speed, speed
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return err
	}
	return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH)
}
