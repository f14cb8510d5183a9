package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/doctor"
	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
	"gatewayd/nsedge/region"
)

// errSick is what doctor ends with when something is bad; the report has
// said it all.
var errSick = errors.New("this gateway doesn't work; the report says what to do next")

func newDoctor(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why a gateway doesn't work",
		Long: `Looks at the machine, the wiring and the concentrator, step by step from the outside
in: what was expected, what was seen, and the next thing to do. It transmits nothing
and changes no setting.

To examine the chip, the board's power and reset lines must be driven. That is asked
for first: on another board than the configured one these lines may be wired to
something else. --yes is the answer for scripts.

Exit codes: 0 the gateway works, with or without notes; 1 something is bad, or the
examination was interrupted; 2 the command line or the configuration is wrong.`,
		Args: exactly(0, ""),
	}
	load := configFlag(cmd)
	var o doctorOptions
	cmd.Flags().BoolVar(&o.json, "json", false, "print the report as JSON")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "drive the board's lines without asking")
	cmd.Flags().BoolVar(&o.noChip, "no-chip", false, "leave the chip and the board's lines alone")
	cmd.Flags().StringVar(&o.bundle, "bundle", "", "also write a support bundle, without secrets, to `FILE` (.zip)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		return runDoctor(cmd.Context(), cfg, std, o)
	}
	return cmd
}

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	json, yes, noChip bool
	bundle            string
}

func runDoctor(ctx context.Context, cfg config.Config, std streams, o doctorOptions) error {
	s, err := doctorSubject(ctx, cfg)
	if err != nil {
		return err
	}
	if s.NoChip == "" {
		s.NoChip = o.refused(std, cfg, s.Board)
	}
	if s.NoChip != "" {
		s.Chip = nil
	}
	tell := func(c doctor.Check) { doctor.PrintCheck(std.out, c) }
	if o.json {
		tell = nil
	}
	report := doctor.Examine(ctx, s, tell)
	if o.json {
		err = report.JSON(std.out)
	} else {
		report.PrintVerdict(std.out)
	}
	if o.bundle != "" {
		err = errors.Join(err, writeBundle(o.bundle, s, report))
	}
	if err == nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && report.Verdict == doctor.Bad {
		return errSick
	}
	return err
}

// refused asks whether the board's lines may be driven, and says why they
// may not; "" if they may.
func (o doctorOptions) refused(std streams, cfg config.Config, b board.Board) string {
	if o.noChip {
		return "it was to be left alone (--no-chip)"
	}
	if o.yes || cfg.Emulated() || !strings.HasPrefix(b.SPI, "/dev/") {
		return ""
	}
	fmt.Fprintf(std.err, "The board is configured as %s (%s).\nExamining the chip drives %s. On another board these lines may do something else.\nIs this the board, and may they be driven? [y/N] ",
		b.Name, b.Title, strings.Join(b.Lines(), ", "))
	answer, err := bufio.NewReader(io.LimitReader(std.in, 100)).ReadString('\n')
	fmt.Fprintln(std.err)
	if a := strings.ToLower(strings.TrimSpace(answer)); a == "y" || a == "yes" {
		return ""
	} else if err != nil && a == "" {
		return "nobody was there to allow that the board's lines are driven; --yes allows it"
	}
	return "driving the board's lines was not allowed"
}

// doctorSubject is this machine with what is configured.
func doctorSubject(ctx context.Context, cfg config.Config) (doctor.Subject, error) {
	s := doctor.Subject{Version: version, Config: cfg, Host: doctor.ThisHost()}
	conf, err := loadConf(&cfg)
	if err != nil {
		return s, err
	}
	if s.Board, err = effectiveBoard(cfg); err != nil {
		return s, err
	}
	reg, err := region.Lookup(cfg.Region.Name)
	if err != nil {
		return s, err
	}
	radios, _ := s.Board.Radios(reg.Short())
	if conf != nil {
		radios = conf.Concentrator.Radios
	}
	s.Radios = []concentrator.RadioType{radios[0].Type, radios[1].Type}
	switch a, err := dialAdmin(ctx, cfg.State.Dir); {
	case err == nil:
		s.Daemon = true
		s.NoChip = "the daemon drives it; to examine it, stop the daemon (sudo systemctl stop gatewayd) and run doctor again"
		_ = a.close() // it was only asked whether it is there
	case !errors.Is(err, errNoDaemon) && !errors.Is(err, os.ErrPermission):
		return s, err
	}
	log := slog.New(slog.DiscardHandler)
	s.Chip = func(ctx context.Context, found func(concentrator.Finding)) error {
		p := parts{conf: conf}
		err := p.openRadio(cfg, log)
		complete := !errors.Is(err, concentrator.ErrFirmware)
		if !complete { // the chip can be looked at all the same, up to the firmware
			p.firmware = concentrator.EmulatedFirmware()
			p.hardware, err = openBoardOf(cfg, log)
		}
		if err != nil {
			return err
		}
		rc, err := radioConfig(p.hardware, reg, conf)
		if err != nil {
			return errors.Join(err, p.hardware.Close())
		}
		rc.Firmware = p.firmware
		return errors.Join(examineChip(ctx, p.hardware, rc, complete, found), p.hardware.Close())
	}
	d := daemon{cfg: cfg, log: log}
	if !cfg.Emulated() {
		if r := d.satellites(s.Board); r != nil {
			s.Satellites = func(ctx context.Context) (gnss.Status, error) { return listenForSatellites(ctx, r) }
		}
	}
	return s, nil
}

// openBoardOf opens the board that is configured.
func openBoardOf(cfg config.Config, log *slog.Logger) (*board.Hardware, error) {
	b, err := board.Lookup(cfg.Concentrator.Board)
	if err != nil {
		return nil, err
	}
	return openBoard(b, cfg, log)
}

// lastWithoutFirmware is the last part of an examination that needs none.
const lastWithoutFirmware = "receiver"

// examineChip lets the driver examine the chip. Without the vendor's firmware
// it ends before that would be loaded: what stands in for it is no program.
func examineChip(ctx context.Context, hw *board.Hardware, rc concentrator.Config, complete bool, found func(concentrator.Finding)) error {
	if hw.SX1261 != nil && rc.Firmware.SX1261 != nil {
		rc.SX1261.Port = hw.SX1261
	}
	c, err := concentrator.New(hw.Port, rc)
	if err != nil {
		return err
	}
	until, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err = c.Examine(until, func(f concentrator.Finding) {
		found(f)
		if f.Step == lastWithoutFirmware && !complete {
			stop(concentrator.ErrFirmware)
		}
	})
	if errors.Is(context.Cause(until), concentrator.ErrFirmware) {
		return nil // the step about the firmware has told
	}
	return err
}

// satelliteWait is how long doctor listens for a receiver that has no fix.
const satelliteWait = 12 * time.Second

// listenForSatellites runs the receiver until it has a fix or the time is up.
func listenForSatellites(ctx context.Context, r *gnss.Receiver) (gnss.Status, error) {
	ctx, stop := context.WithTimeout(ctx, satelliteWait)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			if s := r.Status(); s.Fix == gnss.FixGood && s.Satellites > 0 && s.Messages > 5 {
				stop()
			}
		}
	}
	err := <-done
	return r.Status(), err
}

func writeBundle(path string, s doctor.Subject, r doctor.Report) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--bundle: %w", err)
	}
	return errors.Join(doctor.Bundle(f, s, r), f.Sync(), f.Close())
}
