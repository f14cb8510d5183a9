// Init is process 1 of the appliance: a Raspberry Pi's card with nothing on it
// but a kernel, gatewayd, and this program.
//
// In the order of a start: mounts and kernel modules (gokrazy's library), the
// data partition grown to the card (disk.go), the files that a person put on
// the card (card.go, system.go), the network and the clock (gokrazy's programs,
// wifi.go), SSH for those who have a key there (ssh.go), and the daemon as a
// user of its own, restarted when it ends or hangs (daemon.go). Two
// partitions hold a root file system each, the one that runs and the next
// (slot.go); a new one is kept only if the daemon is well in it. The daemon asks
// for an update, or a reset, over a socket (control.go).
//
// What can't be done is said on the console and in ERROR.TXT on the card, and
// the start goes on: a gateway that runs with its old configuration is better
// than none.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gokrazy/gokrazy"
	"golang.org/x/sys/unix"
)

// version is set by the build.
var version = "unknown"

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx := context.Background() // until the power goes
	dog := openWatchdog(ctx, log)
	if err := gokrazy.Boot(version); err != nil {
		log.Error("the machine can't be set up: it restarts in 10 s", "err", err)
		os.Exit(1) // the kernel panics, and restarts
	}
	log.Info("appliance", "version", version, "kernel", release())
	disk, err := findDisk()
	if err != nil {
		log.Error("the data partition is not mounted: it restarts in 10 s", "err", err)
		os.Exit(1)
	}
	if err := grow(disk, log); err != nil {
		log.Error("the data partition can't be grown to the card", "err", err)
	}
	card := readCard(ctx, disk, log)
	if err := settle(card.System); err != nil {
		log.Error("the system's settings", "err", err)
	}
	if err := gokrazy.SuperviseServices(services(card.System)); err != nil {
		log.Error("the network can't be started", "err", err)
	}
	go runWiFi(ctx, card.System.WiFi, log)
	go runSSH(ctx, card.System.SSH, log)
	s := &slot{disk: disk, log: log}
	go s.judge(ctx)
	d := &daemon{log: log, healthy: s.healthy, watchdog: dog}
	go serveControl(s, log)
	d.run(ctx)
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// settle does what the library leaves to the init.
func settle(s System) error {
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return err
	}
	// The daemon may listen on port 443 without a capability.
	return os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("80"), 0)
}

// services are the programs that gokrazy's library keeps running.
func services(s System) []*gokrazy.Service {
	dhcp := []string{"/gokrazy/dhcp"}
	if n := s.Network; n.Address != "" {
		dhcp = append(dhcp, "-static_network_config="+n.static())
	}
	programs := [][]string{dhcp, append([]string{"/gokrazy/ntp"}, s.Network.NTP...), {"/gokrazy/randomd"}}
	if s.WiFi.SSID != "" {
		programs = append(programs, []string{"/gokrazy/dhcp", "-interface=wlan0"})
	}
	var all []*gokrazy.Service
	for _, args := range programs {
		all = append(all, gokrazy.NewService(&exec.Cmd{Path: args[0], Args: args, Env: []string{"TZ=UTC"}}))
	}
	return all
}

// restart ends everything, at once: what matters is on the disk.
func restart(log *slog.Logger, why string) {
	log.Warn("the machine restarts", "why", why)
	wait(context.Background(), time.Second) // for the console and the answer to who asked
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		log.Error("restart", "err", err)
		os.Exit(1) // the kernel panics, and restarts
	}
}

// wait waits, but not beyond ctx.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// cmdline is what the kernel was started with.
func cmdline() []string {
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}
