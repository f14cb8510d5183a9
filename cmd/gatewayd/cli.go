package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gatewayd/cmd/gatewayd/config"
)

// usageError is a wrong command line: exit code 2.
type usageError struct {
	help string // the command whose help explains it
	err  error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef makes a usageError that points at cmd's help.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{cmd.CommandPath(), fmt.Errorf(format, args...)}
}

// newRoot builds the command line.
func newRoot(std streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "gatewayd",
		Short: "A complete private LoRaWAN network in one program",
		Long: `gatewayd drives an SX1302/SX1303 concentrator, is the network server, and serves
the Data API to application servers, all in one program.

  gatewayd demo       shows it at work on a simulated chip, no hardware needed
  gatewayd run        is the daemon

Exit codes: 0 all went well; 1 something failed while running; 2 the command
line or the configuration is wrong.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              unknownCommand,
		RunE:              needCommand,
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{cmd.CommandPath(), err}
	})
	root.AddCommand(
		newDemo(std), newRun(std), newSim(std), newLab(std),
		newKey(std), newUser(std), newTLS(std), newDevice(std), newFirmware(std),
		newBackup(std), newRestore(std), newRecord(std), newReplay(std),
		newConfig(std), newBoard(std), newDoctor(std), newAppliance(std), newMan(std), newVersion(std),
	)
	return root
}

// newGroup is a command that only has sub-commands.
func newGroup(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: unknownCommand, RunE: needCommand}
	cmd.AddCommand(subs...)
	return cmd
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	problem := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2 // letters that may differ
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		problem += fmt.Sprintf("; was %q meant?", near[0])
	}
	return usagef(cmd, "%s", problem)
}

func needCommand(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" {
			names = append(names, c.Name())
		}
	}
	return usagef(cmd, "a command is wanted: %s", strings.Join(names, ", "))
}

// exactly wants n arguments, named in what.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > n && n == 0:
			return usagef(cmd, "unexpected argument %q", args[0])
		case len(args) != n:
			return usagef(cmd, "%s is wanted, got %d arguments", what, len(args))
		}
		return nil
	}
}

// configFlag adds -c to a command; the loader it returns reads that file. No
// file at the default path is no fault: every key has a default.
func configFlag(cmd *cobra.Command) func() (config.Config, error) {
	path := cmd.Flags().StringP("config", "c", config.DefaultPath, "configuration `FILE`")
	return func() (config.Config, error) {
		c, err := config.Load(*path)
		if errors.Is(err, fs.ErrNotExist) && !cmd.Flags().Changed("config") {
			return config.Default(), nil
		}
		if pe := (*os.PathError)(nil); errors.As(err, &pe) {
			return c, &usageError{cmd.CommandPath(), err}
		}
		return c, err
	}
}
