// Stuck stands in the place of gatewayd in a test of the image. It runs the
// real one, and stops the first daemon, as if it hung, once that was well for
// a while.
package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	real = "/user/gatewayd.real"
	mark = "/perm/var/lib/gatewayd/was-stuck" // after the first time
	well = 20 * time.Second
)

func main() {
	cmd := exec.CommandContext(context.Background(), real, os.Args[1:]...) //nolint:gosec // what the init wants of gatewayd
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		os.Exit(1)
	}
	if _, err := os.Stat(mark); err != nil && len(os.Args) > 1 && os.Args[1] == "run" {
		time.AfterFunc(well, func() {
			_ = errors.Join(os.WriteFile(mark, nil, 0o600), cmd.Process.Signal(syscall.SIGSTOP))
		})
	}
	_ = cmd.Wait()
	os.Exit(cmd.ProcessState.ExitCode())
}
