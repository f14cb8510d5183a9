package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gatewayd/concentrator"
)

func newFirmware(std streams) *cobra.Command {
	return newGroup("firmware", "Import or check the concentrator's firmware", newFirmwareImport(std), newFirmwareCheck(std))
}

func newFirmwareImport(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import PATH-TO-sx1302_hal",
		Short: "Take the firmware images out of the vendor's source tree",
		Long: `Takes the images of the concentrator's two processors out of the vendor's source
tree (github.com/Lora-net/sx1302_hal, release 2.1.0) and writes them to the
firmware folder. The images are the vendor's and are not part of gatewayd.`,
		Args: exactly(1, "the path of the vendor's source tree"),
	}
	dir := firmwareDir(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		to, err := dir()
		if err != nil {
			return err
		}
		files, err := concentrator.ImportFirmware(concentrator.SourceTree(args[0]), to)
		for _, f := range files {
			fmt.Fprintf(std.out, "wrote %s\n", f)
		}
		return err
	}
	return cmd
}

func newFirmwareCheck(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the imported firmware against the known hashes",
		Long: `Checks every image in the firmware folder, also those for radios that this gateway
doesn't have, against the known SHA-256. Exit code 1 if one is missing or another.`,
		Args: exactly(0, ""),
	}
	dir := firmwareDir(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		from, err := dir()
		if err != nil {
			return err
		}
		all, err := concentrator.CheckFirmware(from)
		for _, f := range all {
			state := "good"
			if f.Err != nil {
				state = "BAD"
			}
			fmt.Fprintf(std.out, "%-4s  %s  (%s)\n", state, f.File, f.Runs)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "%s: all %d images are there and known\n", from, len(all))
		return nil
	}
	return cmd
}

// firmwareDir adds -c and --dir to a command; the latter goes before the
// configuration's firmware.dir.
func firmwareDir(cmd *cobra.Command) func() (string, error) {
	load := configFlag(cmd)
	dir := cmd.Flags().String("dir", "", "firmware `FOLDER` (default: the configuration's)")
	return func() (string, error) {
		if *dir != "" {
			return *dir, nil
		}
		cfg, err := load()
		return cfg.Firmware.Dir, err
	}
}
