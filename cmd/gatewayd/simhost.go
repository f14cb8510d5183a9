package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"gatewayd/concentrator/bridge"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/concentrator/tty"
)

// simHost is where programs find the simulated chip.
type simHost struct {
	place string // for people
	spi   string // the setting concentrator.spi that leads there
	other string // what programs that aren't gatewayd do
	serve func(context.Context, *sx1302sim.Chip) error
	close func() error // also when it was served
}

// host opens what the flags ask for.
func (o simOptions) host(cmd *cobra.Command) (simHost, error) {
	usb := o.usb || o.usbLink != ""
	switch {
	case o.socket != "" && usb:
		return simHost{}, usagef(cmd, "--spi-socket and --usb-pty: a chip is on one bus, choose one of them")
	case o.socket != "":
		return o.socketHost()
	case usb:
		return o.usbHost()
	}
	return simHost{}, usagef(cmd, "--spi-socket PATH or --usb-pty is wanted: where to serve the chip")
}

func (o simOptions) socketHost() (simHost, error) {
	l, err := listen("--spi-socket", "unix:"+strings.TrimPrefix(o.socket, "unix:"))
	if err != nil {
		return simHost{}, err
	}
	return simHost{
		place: o.socket,
		spi:   "unix:" + absolute(o.socket),
		other: "connect their spidev to that socket (docs/sim.md)",
		serve: func(ctx context.Context, c *sx1302sim.Chip) error { return c.Serve(ctx, l) },
		close: func() error { return ignoreClosed(l)() },
	}, nil
}

// companion opens the second chip select, if it is asked for.
func (o simOptions) companion(cmd *cobra.Command) (simHost, error) {
	h := simHost{close: func() error { return nil }}
	if o.sx1261 == "" {
		return h, nil
	}
	if o.socket == "" {
		return h, usagef(cmd, "--sx1261-socket: it is the second chip select beside --spi-socket, which is missing")
	}
	l, err := listen("--sx1261-socket", "unix:"+strings.TrimPrefix(o.sx1261, "unix:"))
	if err != nil {
		return h, err
	}
	h.serve = func(ctx context.Context, c *sx1302sim.Chip) error { return c.ServeSX1261(ctx, l) }
	h.close = func() error { return ignoreClosed(l)() }
	return h, nil
}

// with serves a companion beside the host.
func (h simHost) with(companion simHost) simHost {
	if companion.serve == nil {
		return h
	}
	alone := h.serve
	h.serve = func(ctx context.Context, c *sx1302sim.Chip) error {
		group, inner := errgroup.WithContext(ctx)
		group.Go(func() error { return alone(inner, c) })
		group.Go(func() error { return companion.serve(inner, c) })
		return group.Wait()
	}
	return h
}

// usbHost makes a pseudo terminal, and a link to it.
func (o simOptions) usbHost() (simHost, error) {
	t, err := tty.NewTerminal()
	if err != nil {
		return simHost{}, fmt.Errorf("--usb-pty: %w", err)
	}
	h := simHost{
		place: t.Path,
		spi:   bridge.Scheme + t.Path,
		serve: func(ctx context.Context, c *sx1302sim.Chip) error { return c.ServeUSB(ctx, t, sx1302sim.USB{}) },
		close: func() error { return ignore(t.Close(), os.ErrClosed) },
	}
	if o.usbLink != "" {
		if err := link(t.Path, o.usbLink); err != nil {
			return simHost{}, errors.Join(fmt.Errorf("--usb-link: %w", err), t.Close())
		}
		h.place += ", " + o.usbLink
		h.spi = bridge.Scheme + absolute(o.usbLink)
		h.close = func() error { return errors.Join(ignore(t.Close(), os.ErrClosed), unlink(t.Path, o.usbLink)) }
	}
	h.other = "open that tty (the vendor's: -u -d " + strings.TrimPrefix(h.spi, bridge.Scheme) + ")"
	return h, nil
}

// link makes a symbolic link; one that was left over is replaced.
func link(to, path string) error {
	if _, err := os.Readlink(path); err == nil {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return os.Symlink(to, path)
}

// unlink removes the link if it is still ours.
func unlink(to, path string) error {
	if now, err := os.Readlink(path); err != nil || now != to {
		return nil // another one's, or gone
	}
	return os.Remove(path)
}

// ignore drops one kind of error.
func ignore(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}
