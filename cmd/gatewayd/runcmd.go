package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/concentrator"
	"gatewayd/concentrator/halconf"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/dataapi"
	"gatewayd/nsedge/store"
)

func newRun(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway",
		Long: `Runs the gateway until it is interrupted (SIGINT, SIGTERM): drives the
concentrator, serves the network and the Data API. Logs to standard error; the line
"ready" has the addresses. A second signal ends it at once.`,
		Args: exactly(0, ""),
	}
	load := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for {
			cfg, err := load()
			if err != nil {
				return err
			}
			file, err := filepath.Abs(cmd.Flag("config").Value.String())
			if err != nil {
				return err
			}
			ctx, end := context.WithCancelCause(cmd.Context())
			err = runDaemon(ctx, cfg, parts{log: newLogger(std.err, cfg.Log), file: file, end: func(why error) error {
				if _, err := load(); err != nil && errors.Is(why, dataapi.ErrRestart) {
					return fmt.Errorf("the configuration would not do: %w", err)
				}
				end(why)
				return nil
			}})
			end(nil)
			if err != nil || cmd.Context().Err() != nil || !errors.Is(context.Cause(ctx), dataapi.ErrRestart) {
				return err
			}
		}
	}
	return cmd
}

// runDaemon makes the parts of the real world, beside those that are there
// already, and runs a daemon of them until ctx ends.
func runDaemon(ctx context.Context, cfg config.Config, p parts) (err error) {
	var open closers
	defer func() { err = errors.Join(err, open.close()) }()
	p.log, p.ring = withRing(p.log)
	log := p.log
	p.appliance = theAppliance()
	if p.supervisor, err = systemd(); err != nil {
		return fmt.Errorf("the service manager: %w", err)
	}
	if err := installRestored(cfg.State.Dir, log); err != nil {
		return err
	}
	if p.store, err = store.Open(cfg.State.Dir, store.Options{Log: log}); err != nil {
		return fmt.Errorf("state.dir: %w", err)
	}
	open.add(p.store.Close)
	if p.cert, err = certificate(cfg, log); err != nil {
		return err
	}
	if p.api, err = listenAPI(cfg.DataAPI, p.cert); err != nil {
		return err
	}
	open.add(ignoreClosed(p.api))
	if p.admin, err = listenAdmin(cfg.State.Dir); err != nil {
		return err
	}
	open.add(ignoreClosed(p.admin))
	if addr := cfg.AirListen(); addr != "" {
		if p.air, err = listen("air.listen", addr); err != nil {
			return err
		}
		open.add(ignoreClosed(p.air))
	}
	if p.conf, err = loadConf(&cfg); err != nil {
		return err
	}
	if err = p.openRadio(cfg, log); err != nil && p.appliance != nil {
		err = p.withoutRadio(cfg, log, err)
	}
	if err != nil {
		return err
	}
	open.add(p.hardware.Close)
	p.recordings = recordingsIn(cfg)
	if err := p.openMarkers(cfg, &open); err != nil {
		return err
	}
	d, err := newDaemon(cfg, p)
	if err != nil {
		return err
	}
	defer d.holdOnPanic()
	log.Info("starting", "version", version, "driver", cfg.Concentrator.Driver, "board", p.hardware.Board.Name, "via", p.hardware.Via, "region", cfg.Region.Name)
	if t := d.tlsInfo(); t != nil {
		log.Info("tls", "mode", t.Mode, "fingerprint", t.Fingerprint, "names", strings.Join(t.Names, " "))
	} else if !cfg.DataAPI.Loopback() {
		log.Warn("the data api is open to the network without TLS: keys and payloads can be read on the way; set dataapi.tls to self or files", "listen", cfg.DataAPI.Listen)
	}
	if code := d.server.SetupCode(); code != "" {
		log.Warn("no user yet: on this machine, POST /api/v1.0/setup makes the first one; from elsewhere it wants the code", "setup_code", code)
	}
	err = d.Run(ctx)
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// loadConf reads the packet forwarder's file, if one is configured. The ports
// that it names count where the configuration names none.
func loadConf(cfg *config.Config) (*halconf.Conf, error) {
	if cfg.Concentrator.Conf == "" {
		return nil, nil //nolint:nilnil // no file is no fault
	}
	conf, err := halconf.Load(cfg.Concentrator.Conf)
	if err != nil {
		return nil, config.Faults{{Key: "concentrator.sx130x_conf", Value: strconv.Quote(cfg.Concentrator.Conf), Problem: err.Error()}}
	}
	if cc := &cfg.Concentrator; cc.SPI == "" && conf.Port != "" && !cfg.Emulated() {
		cc.SPI = conf.Port
		cc.SX1261 = cmp.Or(cc.SX1261, conf.SX1261Port)
	}
	return &conf, nil
}

// openRadio opens the board and the firmware that goes with its radios.
func (p *parts) openRadio(cfg config.Config, log *slog.Logger) (err error) {
	if cfg.Emulated() {
		e := emulation(p.conf, log)
		if cfg.Concentrator.GPS != config.Off {
			p.sky = underSky(&e)
		}
		p.firmware = concentrator.EmulatedFirmware()
		p.hardware, _, err = board.Emulate(e)
		return err
	}
	b, err := board.Lookup(cfg.Concentrator.Board)
	if err != nil {
		return err
	}
	radios, _ := b.Radios(cfg.Region.Name)
	if p.conf != nil {
		radios = p.conf.Concentrator.Radios
	}
	if p.firmware, err = concentrator.LoadFirmware(cfg.Firmware.Dir, radios[0].Type, radios[1].Type); err != nil {
		return err
	}
	p.hardware, err = openBoard(b, cfg, log)
	return err
}

// emulation is the simulated board: what a packet forwarder's file asks for,
// if there is one.
func emulation(conf *halconf.Conf, log *slog.Logger) board.Emulation {
	e := board.Emulation{Log: log}
	if conf == nil {
		return e
	}
	c := &conf.Concentrator
	r := c.Radios[c.ClockSource]
	e.RSSI = r.RSSIOffset
	switch r.Type {
	case concentrator.SX1255:
		e.Radio = sx1302sim.SX1255
	case concentrator.SX1257:
		e.Radio = sx1302sim.SX1257
	}
	if c.FineTimestamp != concentrator.FineTimestampOff {
		e.Model = sx1302sim.SX1303
	}
	return e
}

// openBoard opens the board with what the configuration changes of it.
func openBoard(b board.Board, cfg config.Config, log *slog.Logger) (*board.Hardware, error) {
	return b.Open(board.Options{
		SPI:    cfg.Concentrator.SPI,
		SPIHz:  int64(cfg.Concentrator.SPIHz),
		SX1261: cfg.Concentrator.SX1261,
		I2C:    cfg.Concentrator.I2C,
		Log:    log,
	})
}

// newLogger makes the daemon's own log.
func newLogger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // the configuration was checked
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
