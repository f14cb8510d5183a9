package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"gatewayd/board"
	"gatewayd/concentrator/gnss"
	"gatewayd/concentrator/gnss/gnsssim"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/concentrator/tty"
	"gatewayd/radio/air"
)

// simSky is the simulated satellite receiver beside the chip. Its zero value
// is none.
type simSky struct {
	place string // the tty to read it from; "" if there is none
	serve func(context.Context) error
	close func() error
}

// sky puts a satellite receiver beside the chip if the flags ask for it: its
// messages come out of a pseudo terminal, its pulses go into the chip, at the
// seconds of the host's clock.
func (o simOptions) sky(e *board.Emulation) (simSky, error) {
	if !o.gnss && o.gnssLink == "" {
		return simSky{close: func() error { return nil }}, nil
	}
	t, err := tty.NewTerminal()
	if err != nil {
		return simSky{}, fmt.Errorf("--gnss-pty: %w", err)
	}
	place := t.Path
	if o.gnssLink != "" {
		place = absolute(o.gnssLink)
		if err := link(t.Path, o.gnssLink); err != nil {
			return simSky{}, errors.Join(fmt.Errorf("--gnss-link: %w", err), t.Close())
		}
	}
	medium := air.New(air.Config{Seed: e.Seed})
	now := time.Now()
	wait := now.Truncate(time.Second).Add(2 * time.Second).Sub(now)
	first := now.Add(wait)
	e.Medium, e.PPS = medium, &sx1302sim.PPS{Offset: medium.Elapsed() + time.Until(first)}
	receiver := gnsssim.New(gnsssim.Config{
		First: first, GPS: gnss.FromUTC(first.Round(0), gnss.LeapSeconds).Round(time.Second),
	})
	return simSky{
		place: place,
		serve: func(ctx context.Context) error { return receiver.Run(ctx, t) },
		close: func() error {
			medium.Close()
			err := ignore(t.Close(), os.ErrClosed)
			if o.gnssLink != "" {
				err = errors.Join(err, unlink(t.Path, o.gnssLink))
			}
			return err
		},
	}, nil
}
