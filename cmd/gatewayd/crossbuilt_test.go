package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The binaries for Raspberry Pis run: program, configuration, boards, and the
// store, whose memory maps and locks are the machine's. make build-all builds
// them, qemu-user-static is what runs them.
func TestCrossBuiltBinariesRun(t *testing.T) {
	for name, emulators := range map[string][]string{
		"arm64": {"qemu-aarch64-static", "qemu-aarch64"},
		"armv7": {"qemu-arm-static", "qemu-arm"},
	} {
		t.Run(name, func(t *testing.T) {
			binary, err := filepath.Abs("../../dist/gatewayd-linux-" + name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(binary); err != nil {
				t.Skip("not built: make build-all")
			}
			emulator := ""
			for _, e := range emulators {
				if path, err := exec.LookPath(e); err == nil && emulator == "" {
					emulator = path
				}
			}
			if emulator == "" {
				t.Skip("no " + emulators[0] + " here: apt-get install qemu-user-static")
			}
			config := writeConfig(t, "[concentrator]\ndriver = \"emulated\"\n[state]\ndir = \""+t.TempDir()+"\"\n")
			for _, c := range []struct{ args, want string }{
				{"version", "linux/arm"},
				{"config check -c " + config, "no faults"},
				{"board show rak2287", "reset = 17"},
				{"key create --name probe --rights data -c " + config, ""},
				{"key list -c " + config, "probe"},
			} {
				out, err := exec.Command(emulator, append([]string{binary}, strings.Fields(c.args)...)...).CombinedOutput()
				if err != nil || !strings.Contains(string(out), c.want) {
					t.Errorf("%s: %v: %s", c.args, err, out)
				}
			}
		})
	}
}
