package bridge

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"gatewayd/concentrator/tty"
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

// openTTY opens a tty that no other program has.
func openTTY(path string) (Line, error) {
	f, err := tty.Open(path, tty.Config{Lock: true})
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, openHint(err))
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
