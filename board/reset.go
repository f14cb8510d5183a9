package board

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// pulse is how long each level of the reset sequence is held; the vendor's
// script waits as long.
const pulse = 100 * time.Millisecond

// outputs drives lines. The kernel's GPIO device is one, a test's recorder
// another.
type outputs interface {
	Out(p Pin, high bool) error
	Close() error
}

// level is one step of a sequence: a line, its level, and what it is for.
type level struct {
	what string
	pin  Pin
	high bool
}

// resetSequence powers the module and pulses its reset lines: the order of
// the vendor's script, power on, SX1302 reset high and low, SX1261 reset low
// and high, and the same of a full-duplex board's converter.
func (b Board) resetSequence() []level {
	return []level{
		{"switch the module's power on", b.PowerEnable, true},
		{"assert the reset line", b.Reset, true},
		{"release the reset line", b.Reset, false},
		{"assert the SX1261's reset line", b.SX1261Reset, false},
		{"release the SX1261's reset line", b.SX1261Reset, true},
		{"assert the converter's reset line", b.DACReset, false},
		{"release the converter's reset line", b.DACReset, true},
	}
}

// reset runs the sequence on the lines that the board has.
func (b Board) reset(ctx context.Context, out outputs) error {
	for _, s := range b.resetSequence() {
		if s.pin == 0 {
			continue
		}
		if err := out.Out(s.pin, s.high); err != nil {
			return fmt.Errorf("%s (%v): %w", s.what, s.pin, err)
		}
		if err := wait(ctx, pulse); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// hold leaves the chip in reset.
func (b Board) hold(out outputs) error {
	if b.Reset == 0 {
		return nil
	}
	if err := out.Out(b.Reset, true); err != nil {
		return fmt.Errorf("hold the chip in reset (%v): %w", b.Reset, err)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// HoldReset asserts the reset line of a board that nobody drives, and leaves
// it asserted. The lines of a USB card or of a chip behind a socket are not
// within reach: that is no fault.
func (b Board) HoldReset() error {
	if b.Reset == 0 || !strings.HasPrefix(b.SPI, "/dev/") {
		return nil
	}
	lines, err := openHeader()
	if err != nil {
		return err
	}
	return errors.Join(b.hold(lines), lines.Close())
}
