package gnss

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"gatewayd/concentrator/tty"
)

// DefaultBaud is what receivers speak after power-up.
const DefaultBaud = 9600

// OpenTTY opens a serial line. Its reads obey deadlines. baud 0 means
// [DefaultBaud].
func OpenTTY(_ context.Context, path string, baud int) (Line, error) {
	f, err := tty.Open(path, tty.Config{Baud: cmp.Or(baud, DefaultBaud)})
	if err != nil {
		return nil, fmt.Errorf("serial line: %w%s", err, hint(err))
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
