package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
)

func newBoard(std streams) *cobra.Command {
	return newGroup("board", "Show the boards, hold one in reset", newBoardList(std), newBoardShow(std), newBoardHold(std))
}

func newBoardList(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the boards that are known",
		Args:  exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			for _, name := range board.Names() {
				b, err := board.Lookup(name)
				if err != nil {
					return err
				}
				fmt.Fprintf(std.out, "%-26s %s\n", b.Name, b.Title)
			}
			return nil
		},
	}
}

func newBoardShow(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Print a board as a file, or the one that is configured",
		Long: `Prints a board as a file: by its name, by the absolute path of a file, or the one
that is configured with what the configuration changes of it. What is printed is
complete and reads again to the same board.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef(cmd, "one board is wanted, got %d arguments", len(args))
			}
			return nil
		},
	}
	load := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			b, err := board.Lookup(args[0])
			if err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			return b.Print(std.out)
		}
		cfg, err := load()
		if err != nil {
			return err
		}
		b, err := effectiveBoard(cfg)
		if err != nil {
			return err
		}
		for _, odd := range b.Lint() {
			fmt.Fprintf(std.err, "note: %s\n", odd)
		}
		return b.Print(std.out)
	}
	return cmd
}

// effectiveBoard is the board with what the configuration changes of it.
func effectiveBoard(cfg config.Config) (board.Board, error) {
	b, err := board.Lookup(cfg.Concentrator.Board)
	if err != nil {
		return b, err
	}
	c := cfg.Concentrator
	b.SPI = cmp.Or(c.SPI, b.SPI)
	b.SPIHz = cmp.Or(int64(c.SPIHz), b.SPIHz)
	b.SX1261 = cmp.Or(c.SX1261, b.SX1261)
	b.I2C = cmp.Or(c.I2C, b.I2C)
	b.GNSS.Device = cmp.Or(c.GPS, b.GNSS.Device)
	return b, nil
}

// known tells whether the board has an entry for a region.
func known(b board.Board, region string) bool {
	_, ok := b.Band(region)
	return ok
}

func newBoardHold(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Hold the concentrator in reset",
		Long: `Asserts the reset line of the configured board and leaves it so: a chip whose driver
died may go on transmitting. The service runs this after the daemon has ended,
however it ended. The line keeps its level unless config.txt has
dtparam=strict_gpiod.`,
		Args: exactly(0, ""),
	}
	load := configFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		if cfg.Emulated() {
			fmt.Fprintln(std.out, "a simulated chip needs no holding")
			return nil
		}
		b, err := effectiveBoard(cfg)
		if err != nil {
			return err
		}
		if err := b.HoldReset(); err != nil {
			return err
		}
		if len(b.Lines()) == 0 || !strings.HasPrefix(b.SPI, "/dev/") {
			fmt.Fprintf(std.out, "%s: its reset line is not within reach\n", b.Name)
			return nil
		}
		fmt.Fprintf(std.out, "%s: held in reset by %v\n", b.Name, b.Reset)
		return nil
	}
	return cmd
}
