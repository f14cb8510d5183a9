package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"gatewayd/cmd/gatewayd/flight"
	"gatewayd/cmd/gatewayd/lab"
)

func newRecord(std streams) *cobra.Command {
	return withAPI(&cobra.Command{
		Use:   "record FILE",
		Short: "Write what the flight recorder of the running gateway has",
		Long: `Writes the last moments of the running gateway into a file: frames on SPI and on the
air, decisions of the network server, API messages. "-" is standard output. It has no
keys and no tokens, but payloads as applications see them. "gatewayd replay" plays it.

The daemon does the same by itself when something fails: the files are in
state.dir/recordings. See docs/recorder.md.`,
		Args: exactly(1, "FILE"),
	}, func(ctx context.Context, a *api, args []string) error {
		return toFile(std.out, args[0], func(w io.Writer) error { return a.download(ctx, http.MethodGet, "/system/recording", nil, nil, w) })
	})
}

func newReplay(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Play a recording to the simulated chip, and show the first difference",
		Long: `Plays the SPI frames of a recording ("-": standard input), at their times, to a
simulated chip, and compares what it answers with what was recorded. The clock is
virtual: an hour passes in seconds. Exit code 0: no difference; 1: there is one.

Received packets, the chip's identity and its counter are taken from the recording.
docs/recorder.md says what that means for recordings of a real chip.`,
		Args: exactly(1, "FILE"),
	}
	drift := cmd.Flags().Duration("drift", flight.DefaultDrift, "`TIME` that the chip's counter may be off the host's clock")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *drift < 0 || *drift > time.Minute {
			return usagef(cmd, "--drift %v: allowed are 0 to 1m", *drift)
		}
		in, err := openInput(std.in, args[0])
		if err != nil {
			return usagef(cmd, "%w", err)
		}
		defer in.Close()
		rec, err := flight.Read(in)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		return replay(std.out, rec, *drift)
	}
	return cmd
}

var errDifferent = errors.New("the simulated chip does not do what was recorded")

// replay plays a recording and tells what came out.
func replay(w io.Writer, rec *flight.Recording, drift time.Duration) error {
	if _, err := fmt.Fprintln(w, rec.Summary()); err != nil {
		return err
	}
	var res flight.Result
	var err error
	if virtual := lab.Virtual(func() { res, err = flight.Replay(context.Background(), rec, drift) }); virtual != nil {
		return virtual
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d frames replayed", res.Frames)
	if res.Lost > 0 {
		fmt.Fprintf(w, "; %d between the start and the last ones are not in the recording", res.Lost)
	}
	if res.Failed > 0 {
		fmt.Fprintf(w, "; %d failed and were left out", res.Failed)
	}
	if res.Difference == nil {
		_, err = fmt.Fprintln(w, ": no difference")
		return err
	}
	if _, err := fmt.Fprintf(w, "\nfirst difference: %v\n", res.Difference); err != nil {
		return err
	}
	return errDifferent
}
