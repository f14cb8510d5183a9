package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"gatewayd/board"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// simOptions are the flags of sim.
type simOptions struct {
	socket   string
	usb      bool
	usbLink  string
	sx1261   string
	i2c      string
	celsius  float64
	gnss     bool
	gnssLink string
	ppm      float64
	air      string
	model    string
	radio    string
	eui      string
	seed     uint64
	lax      bool
	quick    bool
}

func newSim(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim {--spi-socket PATH | --usb-pty}",
		Short: "Serve the simulated chip alone, for any program that drives one",
		Long: `Serves a simulated SX1302 or SX1303 on a unix socket that carries chip-select
frames: a request is a 32-bit big-endian length and that many bytes clocked out, the
response is as many bytes clocked in. Or on a USB card: behind a pseudo terminal that
speaks as the card's microcontroller does on /dev/ttyACM0. Its antenna is in a
simulated medium, which other programs reach by the air protocol. SIGUSR1 pulses the
chip's reset line.`,
		Args: exactly(0, ""),
	}
	var o simOptions
	cmd.Flags().StringVar(&o.socket, "spi-socket", "", "unix socket `PATH` to serve the chip on")
	cmd.Flags().StringVar(&o.sx1261, "sx1261-socket", "", "unix socket `PATH` to serve the chip's SX1261 on, the radio for listen before talk")
	cmd.Flags().StringVar(&o.i2c, "i2c-socket", "", "unix socket `PATH` to serve the board's I2C bus on: its thermometer, and the amplifier of a full-duplex board")
	cmd.Flags().Float64Var(&o.celsius, "celsius", 25, "the board's temperature, -64 to 125")
	cmd.Flags().BoolVar(&o.usb, "usb-pty", false, "serve it as a USB card on a new pseudo terminal, whose path is printed")
	cmd.Flags().StringVar(&o.usbLink, "usb-link", "", "as --usb-pty, with a symbolic link at `PATH` to the pseudo terminal")
	cmd.Flags().BoolVar(&o.gnss, "gnss-pty", false, "serve a satellite receiver (UBX, NMEA) on a new pseudo terminal, whose path is printed; its pulses go into the chip")
	cmd.Flags().StringVar(&o.gnssLink, "gnss-link", "", "as --gnss-pty, with a symbolic link at `PATH` to the pseudo terminal")
	cmd.Flags().Float64Var(&o.ppm, "ppm", 0, "by which the chip's crystal is fast, -100 to 100")
	cmd.Flags().StringVar(&o.air, "air", "127.0.0.1:7707", "where the air protocol listens: HOST:PORT, unix:PATH or off")
	cmd.Flags().StringVar(&o.model, "model", "sx1302", "sx1302 or sx1303")
	cmd.Flags().StringVar(&o.radio, "radio", "sx1250", "its two radios: sx1250, sx1255 or sx1257")
	cmd.Flags().StringVar(&o.eui, "eui", "", "the chip's EUI, 16 hex digits")
	cmd.Flags().Uint64Var(&o.seed, "seed", 0, "of all chance: where the chip's counter starts, which bytes a collision damages; 0: the counter is the air's clock")
	cmd.Flags().BoolVar(&o.lax, "lax", false, "tolerate what the real chip would not")
	cmd.Flags().BoolVar(&o.quick, "quick", false, "transfers take no time")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runSim(cmd, std, o) }
	return cmd
}

func runSim(cmd *cobra.Command, std streams, o simOptions) (err error) {
	var open closers
	defer func() { err = errors.Join(err, open.close()) }()
	emulation, err := o.emulation(cmd)
	if err != nil {
		return err
	}
	emulation.Log = slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	host, err := o.host(cmd)
	if err != nil {
		return err
	}
	open.add(host.close)
	companion, err := o.companion(cmd)
	if err != nil {
		return err
	}
	open.add(companion.close)
	bus, err := o.secondBus(cmd, &emulation)
	if err != nil {
		return err
	}
	open.add(bus.close)
	sky, err := o.sky(&emulation)
	if err != nil {
		return err
	}
	open.add(sky.close)
	var medium net.Listener
	if o.air != "off" {
		if medium, err = listen("--air", o.air); err != nil {
			return err
		}
		open.add(ignoreClosed(medium))
	}
	hw, chip, err := board.Emulate(emulation)
	if err != nil {
		return err
	}
	signals, unsignal := resetSignals()
	open.add(unsignal)
	printSim(std, o, host, sky, medium)
	host = host.with(companion).with(bus).with(simHost{serve: func(ctx context.Context, _ *sx1302sim.Chip) error {
		return resetOnSignal(ctx, signals, hw)
	}})
	return errors.Join(serveSim(cmd.Context(), hw, chip, host, sky, medium, emulation.Log), hw.Close())
}

// emulation makes the chip's description of the flags.
func (o simOptions) emulation(cmd *cobra.Command) (board.Emulation, error) {
	e := board.Emulation{Lax: o.lax, PPM: o.ppm}
	if o.ppm < -100 || o.ppm > 100 {
		return e, usagef(cmd, "--ppm %v: allowed are -100 to 100", o.ppm)
	}
	switch strings.ToLower(o.model) {
	case "sx1302":
		e.Model = sx1302sim.SX1302
	case "sx1303":
		e.Model = sx1302sim.SX1303
	default:
		return e, usagef(cmd, "--model %q: allowed are sx1302, sx1303", o.model)
	}
	switch strings.ToLower(o.radio) {
	case "sx1250":
		e.Radio = sx1302sim.SX1250
	case "sx1255":
		e.Radio = sx1302sim.SX1255
	case "sx1257":
		e.Radio = sx1302sim.SX1257
	default:
		return e, usagef(cmd, "--radio %q: allowed are sx1250, sx1255, sx1257", o.radio)
	}
	if o.eui != "" {
		eui, err := radio.ParseEUI64(o.eui)
		if err != nil {
			return e, usagef(cmd, "--eui: %w", err)
		}
		e.EUI = eui
	}
	// A real chip's counter starts anywhere. Without a seed it shows the air's
	// own microseconds, as the air protocol has it.
	if e.Seed = o.seed; o.seed != 0 {
		e.Start = uint32(o.seed * 0x9E3779B97F4A7C15 >> 32) // Fibonacci hashing
	}
	if o.quick {
		e.Timing = &sx1302sim.Timing{}
	}
	return e, nil
}

func printSim(std streams, o simOptions, host simHost, sky simSky, medium net.Listener) {
	fmt.Fprintf(std.out, "simulated %s on %s\n", strings.ToUpper(o.model), host.place)
	fmt.Fprintf(std.out, "  gatewayd:        spi = %q in [concentrator]\n", host.spi)
	if o.sx1261 != "" {
		fmt.Fprintf(std.out, "  its SX1261:      sx1261_spi = %q\n", "unix:"+absolute(o.sx1261))
	}
	if o.i2c != "" {
		fmt.Fprintf(std.out, "  its I2C bus:     i2c = %q\n", "unix:"+absolute(o.i2c))
	}
	fmt.Fprintf(std.out, "  other programs:  %s\n", host.other)
	if sky.place != "" {
		fmt.Fprintf(std.out, "  satellite time:  gps = %q in [concentrator], 9600 baud\n", sky.place)
	}
	if medium != nil {
		fmt.Fprintf(std.out, "  the air:         %s, newline-delimited JSON (docs/air.md)\n", medium.Addr())
	}
	fmt.Fprintln(std.out, "Ctrl-C ends it.")
}

func absolute(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	return dir + "/" + path
}

// serveSim serves the chip and the medium until ctx ends.
func serveSim(ctx context.Context, hw *board.Hardware, chip *sx1302sim.Chip, host simHost, sky simSky, medium net.Listener, log *slog.Logger) error {
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return host.serve(inner, chip) })
	if sky.serve != nil {
		group.Go(func() error { return sky.serve(inner) })
	}
	if medium != nil {
		group.Go(func() error { return air.Serve(inner, medium, hw.Medium, log) })
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}
