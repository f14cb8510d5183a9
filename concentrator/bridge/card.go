package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What the microcontroller's pins do on the vendor's card (SX1302CSSxxxGW1),
// all on port A.
const (
	portA       = 0
	powerEnable = 1 // active high
	chipReset   = 2 // of the SX1302, active high
	radioReset  = 8 // of the SX1261, active low
)

// pulse is how long a level of the reset sequence is held. The chip needs
// less; the supply of the card needs some of it.
const pulse = 10 * time.Millisecond

// Reset switches the card's power on and pulses the reset lines of SX1302 and SX1261.
func (p *Port) Reset(ctx context.Context) error {
	for _, s := range []struct {
		what  string
		pin   byte
		level byte
	}{
		{"switch the card's power on", powerEnable, 1},
		{"assert the reset line", chipReset, 1},
		{"release the reset line", chipReset, 0},
		{"assert the SX1261's reset line", radioReset, 0},
		{"release the SX1261's reset line", radioReset, 1},
	} {
		if err := p.WritePin(portA, s.pin, s.level); err != nil {
			return fmt.Errorf("%s (PA%d): %w", s.what, s.pin, err)
		}
		if err := wait(ctx, pulse); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// Hold leaves the SX1302 in reset.
func (p *Port) Hold() error {
	if err := p.WritePin(portA, chipReset, 1); err != nil {
		return fmt.Errorf("PA%d: %w", chipReset, err)
	}
	return nil
}

// WritePin sets a pin of the microcontroller. Port 0 is A; the level is 0 or 1.
func (p *Port) WritePin(port, pin, level byte) error {
	return p.order(WritePin, port, pin, level)
}

// Restart restarts the microcontroller: the card's power goes off, the chip
// into reset. It takes 0.2 s, and the tty vanishes for a moment.
func (p *Port) Restart() error { return p.order(Restart, 0) }

// order exchanges a message that is answered by a result.
func (p *Port) order(o Order, args ...byte) error {
	p.turn <- struct{}{}
	defer p.done()
	b, err := p.exchange(o, func(b []byte) []byte { return append(b, args...) })
	if err != nil {
		return fmt.Errorf("%v: %w", p, err)
	}
	if len(b) != 1 {
		return fmt.Errorf("%v: %w", p, p.broken(fmt.Errorf("%w: %d bytes, 1 is wanted", ErrAnswer, len(b))))
	}
	if r := Result(b[0]); r != Done {
		return fmt.Errorf("%v: %w order %d (% x): %v", p, ErrRefused, o, args, r)
	}
	return nil
}

// Boot makes the microcontroller run its USB bootloader, for an update of
// its firmware. The tty vanishes; unplugging the card brings it back.
func (p *Port) Boot() error {
	p.turn <- struct{}{}
	defer p.done()
	if _, err := p.exchange(Boot, nil); err != nil {
		return fmt.Errorf("%v: %w", p, err)
	}
	return nil
}

// Status asks the microcontroller how it is.
func (p *Port) Status() (Status, error) {
	p.turn <- struct{}{}
	defer p.done()
	b, err := p.exchange(GetStatus, nil)
	if err != nil {
		return Status{}, fmt.Errorf("%v: %w", p, err)
	}
	s, err := ParseStatus(b)
	if err != nil {
		return s, fmt.Errorf("%v: %w", p, p.broken(err))
	}
	return s, nil
}

// ErrNoThermometer is returned where the card has none.
var ErrNoThermometer = errors.New("the card has no thermometer")

// Temperature of the card in degrees Celsius; one exchange.
func (p *Port) Temperature() (float64, error) {
	s, err := p.Status()
	if err == nil && s.NoTemp {
		err = ErrNoThermometer
	}
	return s.Celsius, err
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
