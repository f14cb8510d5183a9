package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkFootprint measures what a small Pi has to give: the binary for
// arm64, and the memory that the demo takes at most, of this machine's kind,
// with its simulated chip, devices and example application inside.
func BenchmarkFootprint(b *testing.B) {
	dir := b.TempDir()
	build := func(name string, env ...string) string {
		path := filepath.Join(dir, name)
		cmd := exec.Command("../../scripts/build", path)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		return path
	}
	pi := build("arm64", "GOOS=linux", "GOARCH=arm64")
	own := build("own")
	info, err := os.Stat(pi)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.ReportMetric(float64(info.Size())/1e6, "MB/binary")
		b.ReportMetric(peak(b, own, "demo", "--for", "15s", "--state", b.TempDir()), "MB-resident")
	}
}

// peak runs a program and returns the most memory that it had, in MB.
func peak(b *testing.B, program string, args ...string) float64 {
	b.Helper()
	cmd := exec.Command(program, args...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	most := 0.0
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				b.Error(err)
			}
			return most
		case <-tick.C:
		}
		status, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/status")
		if err != nil {
			continue // it has just ended
		}
		for line := range strings.Lines(string(status)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
				if kb, err := strconv.ParseFloat(f[1], 64); err == nil {
					most = max(most, kb*1024/1e6)
				}
			}
		}
	}
}
