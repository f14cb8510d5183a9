// Command gatewayd turns a LoRaWAN concentrator into a complete network: it
// drives the chip, is the network server, and serves the Data API to
// application servers on the same machine. Without hardware it does the same
// on a simulated chip.
//
// This package is the only place that knows everybody. It holds the command
// line, one file per command, and the wiring in [daemon]. The configuration
// file is in the package config.
//
// Exit codes: 0 all went well; 1 something failed while running; 2 the
// command line or the configuration is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"gatewayd/cmd/gatewayd/config"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // something failed while running
	exitUsage   = 2 // the command line or the configuration is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the context; from then on the default action is
	// back, so that a second one ends a process that doesn't want to end.
	context.AfterFunc(ctx, stop)
	os.Exit(execute(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are the process's standard streams, or a test's.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, std streams) int {
	root := newRoot(std)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var faults config.Faults
	var usage *usageError
	switch {
	case errors.As(err, &faults):
		fmt.Fprintln(std.err, err)
		return exitUsage
	case errors.As(err, &usage):
		fmt.Fprintf(std.err, "gatewayd: %v\n", err)
		if usage.help != "" {
			fmt.Fprintf(std.err, "see: %s --help\n", usage.help)
		}
		return exitUsage
	}
	fmt.Fprintf(std.err, "gatewayd: %v\n", err)
	return exitFailure
}
