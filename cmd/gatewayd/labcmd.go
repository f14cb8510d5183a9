package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatewayd/cmd/gatewayd/lab"
	"gatewayd/nsedge/region"
)

// labOptions are the flags of lab run.
type labOptions struct {
	virtual bool
	dut     string
	region  string
	junit   string
	capture string
	only    []string
	seed    uint64
	limit   time.Duration
	verbose bool
}

func newLab(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Test LoRaWAN devices by script",
		Long: `A bench for LoRaWAN devices: scripts say what a device should do, the whole gateway
plays the network, faults are planted on purpose, and each case ends as passed or
failed. docs/lab.md has the language and examples.`,
	}
	cmd.AddCommand(newLabRun(std), newLabWords(std))
	return cmd
}

func newLabWords(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "words",
		Short: "List what scripts can say, and the virtual devices there are",
		Args:  exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			words := lab.Verbs()
			for _, name := range slices.Sorted(maps.Keys(words)) {
				if _, err := fmt.Fprintf(std.out, "%-16s %s\n", name, words[name]); err != nil {
					return err
				}
			}
			_, err := fmt.Fprintf(std.out, "\nVirtual devices: %s\n", strings.Join(lab.Defects(), ", "))
			return err
		},
	}
}

func newLabRun(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run FILE...",
		Short: "Run the cases of scripts",
		Long: `Runs each case of each script, on a gateway of its own with a simulated radio, and
tells what came out. With --virtual the clock is virtual too: an hour passes in
seconds, always in the same way. Exit code 0: all passed; 1: some did not.`,
		Args: cobra.MinimumNArgs(1),
	}
	var o labOptions
	f := cmd.Flags()
	f.BoolVar(&o.virtual, "virtual", false, "virtual time")
	f.StringVar(&o.dut, "dut", "healthy", "device under test: the name of a virtual one (gatewayd lab words), or a JSON `FILE` with its keys")
	f.StringVar(&o.region, "region", "EU868", "region, as region.name in the configuration")
	f.StringVar(&o.junit, "junit", "", "write JUnit XML to `FILE`")
	f.StringVar(&o.capture, "capture", "", "write what was on the air in each case to `FOLDER`/CASE.pcapng, for Wireshark")
	f.StringSliceVar(&o.only, "case", nil, "run only the case `NAME` (may be repeated)")
	f.Uint64Var(&o.seed, "seed", 1, "of all chance in the simulation")
	f.DurationVar(&o.limit, "limit", 24*time.Hour, "end a case after this `TIME`")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "write the network server's log to standard error")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := region.Lookup(o.region); err != nil {
			return usagef(cmd, "--region: %w", err)
		}
		target, err := readTarget(o.dut)
		if err != nil {
			return usagef(cmd, "--dut: %w", err)
		}
		return runLab(cmd.Context(), std, args, target, o)
	}
	return cmd
}

// readTarget is a virtual device by name, or a real one by its file.
func readTarget(dut string) (lab.Target, error) {
	if slices.Contains(lab.Defects(), dut) {
		return lab.Target{Virtual: dut}, nil
	}
	text, err := os.ReadFile(dut)
	if err != nil {
		return lab.Target{}, fmt.Errorf("%q is no virtual device (there are %s) and no file: %w", dut, strings.Join(lab.Defects(), ", "), err)
	}
	var t lab.Target
	if err := json.Unmarshal(text, &t.Device); err != nil {
		return t, fmt.Errorf("%s: an object such as {\"dev_eui\": …, \"join_eui\": …, \"app_key\": …} is wanted: %w", dut, err)
	}
	return t, nil
}

var errNotPassed = errors.New("not all cases passed")

func runLab(ctx context.Context, std streams, files []string, target lab.Target, o labOptions) error {
	passed := true
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		script, err := lab.Load(name, text)
		if err != nil {
			return err
		}
		report, err := playScript(ctx, std, script, target, o)
		if err != nil {
			return err
		}
		if err := report.Tell(std.out); err != nil {
			return err
		}
		if err := writeJUnit(o.junit, report); err != nil {
			return err
		}
		passed = passed && report.Passed()
	}
	if !passed {
		return errNotPassed
	}
	return nil
}

func writeJUnit(path string, r *lab.Report) (err error) {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return r.JUnit(f)
}

// playScript runs the wanted cases, each on a bench of its own.
func playScript(ctx context.Context, std streams, script *lab.Script, target lab.Target, o labOptions) (*lab.Report, error) {
	report := &lab.Report{Script: script.Name, Target: o.dut}
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(std.err, nil))
	}
	for _, name := range o.only {
		if !slices.Contains(script.Cases, name) {
			return nil, fmt.Errorf("--case %s: %s has %s", name, script.Name, strings.Join(script.Cases, ", "))
		}
	}
	for _, name := range script.Cases {
		if len(o.only) > 0 && !slices.Contains(o.only, name) {
			continue
		}
		w := labWorld{region: o.region, seed: o.seed, virtual: o.virtual, target: target, log: log, limit: o.limit, capture: o.capture}
		res, err := w.play(ctx, script, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		report.Cases = append(report.Cases, res)
	}
	return report, nil
}
