package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/lab"
	"gatewayd/nsedge/region"
)

// world is where the flags want the cases to run.
func (o labOptions) world(cmd *cobra.Command, std streams, open *closers) (w labWorld, err error) {
	w = labWorld{seed: o.seed, virtual: o.virtual, limit: o.limit, capture: o.capture, loratap: o.loratap, state: o.state, log: slog.New(slog.DiscardHandler)}
	if o.verbose {
		w.log = slog.New(slog.NewTextHandler(std.err, nil))
	}
	if w.target, err = o.target(); err != nil {
		return w, usagef(cmd, "--dut: %w", err)
	}
	if err := o.agree(cmd); err != nil {
		return w, err
	}
	if o.config != "" {
		err = o.real(cmd, std, &w)
		return w, err
	}
	if _, err := region.Lookup(o.region); err != nil {
		return w, usagef(cmd, "--region: %w", err)
	}
	w.cfg = simulated(o.region)
	if o.air == "" {
		return w, nil
	}
	if w.air, err = listen("--air", o.air); err != nil {
		return w, err
	}
	open.add(ignoreClosed(w.air))
	if w.state == "" { // the device remembers, so must the network
		if w.state, err = os.MkdirTemp("", "gatewayd-lab-"); err != nil {
			return w, err
		}
		open.add(func() error { return os.RemoveAll(w.state) })
	}
	_, err = fmt.Fprintf(std.err, "The device under test connects to %s (docs/air.md).\n", w.air.Addr())
	return w, err
}

// agree refuses flags that contradict each other.
func (o labOptions) agree(cmd *cobra.Command) error {
	virtual := slices.Contains(lab.Defects(), o.dut)
	switch {
	case o.config != "" && o.air != "":
		return usagef(cmd, "--config is a real concentrator, --air a simulated one: give one of them")
	case o.config != "" && o.virtual:
		return usagef(cmd, "--virtual: a real concentrator keeps to real time; leave --virtual or --config out")
	case o.config != "" && cmd.Flags().Changed("region"):
		return usagef(cmd, "--region %s: the region is that of the configuration; leave --region or --config out", o.region)
	case o.cycle != "" && o.config == "":
		return usagef(cmd, "--power-cycle is for a device near a real concentrator: give --config, too")
	case (o.config != "" || o.air != "") && virtual:
		return usagef(cmd, "--dut %s is a virtual device: with --air or --config, give the FILE of the device that is there", o.dut)
	}
	return nil
}

// target is a virtual device by name, or the one that a file describes.
func (o labOptions) target() (lab.Target, error) {
	if slices.Contains(lab.Defects(), o.dut) {
		return lab.Target{Virtual: o.dut}, nil
	}
	text, err := os.ReadFile(o.dut)
	if err != nil {
		return lab.Target{}, fmt.Errorf("%q is no virtual device (gatewayd lab words lists them) and no file: %w", o.dut, err)
	}
	var t lab.Target
	if err := json.Unmarshal(text, &t.Device); err != nil {
		return t, fmt.Errorf("%s: an object such as {\"dev_eui\": …, \"join_eui\": …, \"app_key\": …} is wanted: %w", o.dut, err)
	}
	if t.Device["virtual"] == nil && o.air == "" && o.config == "" {
		return t, fmt.Errorf("%s is no virtual device: give --air for one that is a program, or --config for one near a concentrator", o.dut)
	}
	return t, nil
}

// real makes the world one with a real concentrator.
func (o labOptions) real(cmd *cobra.Command, std streams, w *labWorld) (err error) {
	if w.cfg, err = config.Load(o.config); err != nil {
		return err
	}
	if w.cfg.Emulated() {
		return usagef(cmd, "--config %s: its driver is %q, which needs no configuration here; leave --config out", o.config, config.DriverEmulated)
	}
	switch a, err := dialAdmin(cmd.Context(), w.cfg.State.Dir); {
	case err == nil:
		return errors.Join(a.close(), usagef(cmd, "--config %s: gatewayd runs with that concentrator; stop it first, or call the bench over its Management API", o.config))
	case !errors.Is(err, errNoDaemon):
		return err
	}
	power(&w.target, strings.Fields(o.cycle), std.err)
	w.state = cmp.Or(o.state, filepath.Join(w.cfg.State.Dir, "lab"))
	return os.MkdirAll(w.state, 0o700)
}
