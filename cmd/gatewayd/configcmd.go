package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gatewayd/board"
)

func newConfig(std streams) *cobra.Command {
	return newGroup("config", "Check or print the configuration", newConfigCheck(std), newConfigPrint(std))
}

func newConfigCheck(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find everything that is wrong with a configuration file",
		Long: `Reads a configuration file and lists everything that is wrong with it, one
line each: file, line, key, value, what is allowed. Nothing is started.`,
		Args: exactly(0, ""),
	}
	load := configFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "%s: no faults\n", cmd.Flag("config").Value)
		if !c.Emulated() {
			b, err := board.Lookup(c.Concentrator.Board)
			if err != nil {
				return err
			}
			fmt.Fprintf(std.out, "board %s: %s\n", b.Name, b.Title)
		}
		return nil
	}
	return cmd
}

func newConfigPrint(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the effective configuration with the meaning of each key",
		Args:  exactly(0, ""),
	}
	load := configFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		return c.Print(std.out)
	}
	return cmd
}
