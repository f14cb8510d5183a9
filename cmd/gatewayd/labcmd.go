package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatewayd/cmd/gatewayd/lab"
)

// labOptions are the flags of lab run.
type labOptions struct {
	virtual bool
	dut     string
	region  string
	air     string
	config  string
	cycle   string
	state   string
	junit   string
	capture string
	loratap uint8
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
	cmd.AddCommand(newLabRun(std), newLabSuite(std), newLabWords(std), newLabKeys(std))
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
		Long: `Runs each case of each script, on a gateway of its own, and tells what came out. The
radio is simulated, unless --config says where a real one is. With --virtual the clock
is virtual, too: an hour passes in seconds, always in the same way. Exit code 0: all
passed; 1: some did not.`,
		Args: cobra.MinimumNArgs(1),
	}
	o := labFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		scripts, err := readScripts(args)
		if err != nil {
			return err
		}
		return runLab(cmd, std, scripts, *o)
	}
	return cmd
}

func newLabSuite(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "suite [PART...]",
		Short: "Run the pre-certification suite",
		Long: `Runs the tests that are built in, or some parts of them, on a device: does it do what
LoRaWAN and the regional parameters want? --list tells the parts, and of each case what
it tests and by which section of the specification. docs/lab.md says what the suite does
not cover.`,
	}
	o := labFlags(cmd)
	list := cmd.Flags().Bool("list", false, "list the cases, run nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		scripts, err := lab.Suite(args...)
		if err != nil {
			return usagef(cmd, "%w", err)
		}
		if *list {
			return listCases(std.out, scripts)
		}
		return runLab(cmd, std, scripts, *o)
	}
	return cmd
}

func listCases(w io.Writer, scripts []*lab.Script) error {
	for _, s := range scripts {
		if _, err := fmt.Fprintf(w, "%s: %s\n", s.Name, s.Doc); err != nil {
			return err
		}
		for _, name := range s.Cases {
			if _, err := fmt.Fprintf(w, "  %-44s %s\n", name, s.About(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// labFlags are those of everything that runs scripts.
func labFlags(cmd *cobra.Command) *labOptions {
	var o labOptions
	f := cmd.Flags()
	f.BoolVar(&o.virtual, "virtual", false, "virtual time")
	f.StringVar(&o.dut, "dut", "healthy", "device under test: the name of a virtual one (gatewayd lab words), or a JSON `FILE` with its keys")
	f.StringVar(&o.air, "air", "", "the device under test is a program, which connects to `ADDR` by the air protocol: HOST:PORT or unix:PATH")
	f.StringVarP(&o.config, "config", "c", "", "the device under test is in reach of the concentrator that this configuration `FILE` describes")
	f.StringVar(&o.cycle, "power-cycle", "", "`COMMAND` that switches a device near that concentrator off and on; without it you are told to")
	f.StringVar(&o.state, "state", "", "`FOLDER` of what the network remembers from case to case, such as JoinNonces")
	f.StringVar(&o.region, "region", "EU868", "region, as region.name in the configuration")
	f.StringVar(&o.junit, "junit", "", "write JUnit XML to `FILE`")
	f.StringVar(&o.capture, "capture", "", "write what was on the air in each case to `FOLDER`/CASE.pcapng, for Wireshark, and its keys to CASE.keys")
	f.Uint8Var(&o.loratap, "loratap", 1, "version of the capture's headers, 0 or 1; Wireshark up to 4.0 wants 0")
	f.StringSliceVar(&o.only, "case", nil, "run only the case `NAME` (may be repeated)")
	f.Uint64Var(&o.seed, "seed", 1, "of all chance in the simulation")
	f.DurationVar(&o.limit, "limit", 24*time.Hour, "end a case after this `TIME`")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "write the network server's log to standard error")
	return &o
}

// readScripts loads the scripts of files.
func readScripts(files []string) ([]*lab.Script, error) {
	var out []*lab.Script
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		script, err := lab.Load(name, text)
		if err != nil {
			return nil, err
		}
		out = append(out, script)
	}
	return out, nil
}

var errNotPassed = errors.New("not all cases passed")

func runLab(cmd *cobra.Command, std streams, scripts []*lab.Script, o labOptions) (err error) {
	if err := knownCases(scripts, o.only); err != nil {
		return err
	}
	var open closers
	defer func() { err = errors.Join(err, open.close()) }()
	w, err := o.world(cmd, std, &open)
	if err != nil {
		return err
	}
	all := &lab.Report{Script: "lab", Target: o.dut}
	for _, script := range scripts {
		report, err := playScript(cmd.Context(), w, script, o)
		if err != nil {
			return err
		}
		if len(report.Cases) == 0 {
			continue
		}
		if err := report.Tell(std.out); err != nil {
			return err
		}
		all.Script, all.Cases = script.Name, append(all.Cases, report.Cases...)
	}
	if len(scripts) > 1 {
		all.Script = "lab"
		if err := all.Sum(std.out); err != nil {
			return err
		}
	}
	if err := writeJUnit(o.junit, all); err != nil {
		return err
	}
	if !all.Passed() {
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

// knownCases refuses a case that no script has.
func knownCases(scripts []*lab.Script, only []string) error {
	var all []string
	for _, s := range scripts {
		all = append(all, s.Cases...)
	}
	for _, name := range only {
		if !slices.Contains(all, name) {
			return fmt.Errorf("--case %s: there are %s", name, strings.Join(all, ", "))
		}
	}
	return nil
}

// playScript runs the wanted cases, each on a bench of its own.
func playScript(ctx context.Context, w labWorld, script *lab.Script, o labOptions) (*lab.Report, error) {
	report := &lab.Report{Script: script.Name, Target: o.dut}
	for _, name := range script.Cases {
		if len(o.only) > 0 && !slices.Contains(o.only, name) {
			continue
		}
		res, err := w.play(ctx, script, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		report.Cases = append(report.Cases, res)
	}
	return report, nil
}
