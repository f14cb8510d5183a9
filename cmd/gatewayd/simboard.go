package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"gatewayd/board"
	"gatewayd/concentrator/sx1302sim"
)

// secondBus makes the board's I2C bus, and opens its socket if it is asked for.
func (o simOptions) secondBus(cmd *cobra.Command, e *board.Emulation) (simHost, error) {
	h := simHost{close: func() error { return nil }}
	if o.celsius < -64 || o.celsius > 125 {
		return h, usagef(cmd, "--celsius %v: allowed are -64 to 125", o.celsius)
	}
	bus, err := sx1302sim.NewI2C(sx1302sim.I2CConfig{Celsius: func() float64 { return o.celsius }})
	if err != nil {
		return h, err
	}
	e.I2C = bus
	if o.i2c == "" {
		return h, nil
	}
	l, err := listen("--i2c-socket", "unix:"+strings.TrimPrefix(o.i2c, "unix:"))
	if err != nil {
		return h, err
	}
	log := e.Log
	h.serve = func(ctx context.Context, _ *sx1302sim.Chip) error { return bus.Serve(ctx, l, log) }
	h.close = func() error { return ignoreClosed(l)() }
	return h, nil
}

// resetSignals returns SIGUSR1, which a program's reset script is to send.
// From now on it no longer ends the process, until stop is called.
func resetSignals() (signals chan os.Signal, stop func() error) {
	signals = make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	return signals, func() error { signal.Stop(signals); return nil }
}

// resetOnSignal pulses the chip's reset line at each signal until ctx ends.
func resetOnSignal(ctx context.Context, signals <-chan os.Signal, hw *board.Hardware) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-signals:
			if err := hw.Reset(ctx); err != nil {
				return err
			}
		}
	}
}
