package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	notifySocket = "/run/gatewayd.notify"
	silence      = 30 * time.Second // a daemon that says nothing for so long hangs
	pause        = 3 * time.Second  // between an end and the next start
	mostHangs    = 3                // in a row; then the machine restarts
)

// daemon keeps gatewayd running. It speaks systemd's protocol with it
// (sd_notify(3)): the daemon tells that it lives only while driver, network
// server and API get on with their work.
type daemon struct {
	log      *slog.Logger
	healthy  func() // called for each sign of life
	watchdog *watchdog
}

func (d *daemon) run(ctx context.Context) {
	heard, err := listenNotify(ctx)
	if err != nil {
		d.log.Error("the daemon's signs of life can't be heard", "err", err)
		restart(d.log, "no notify socket")
	}
	for hangs := 0; ctx.Err() == nil; wait(ctx, pause) {
		if d.once(ctx, heard) {
			hangs++
		} else {
			hangs = 0
		}
		hold := exec.CommandContext(ctx, gatewayd, "board", "hold", "-c", confFile)
		hold.SysProcAttr = asUser()
		if out, err := hold.CombinedOutput(); err != nil {
			d.log.Warn("the concentrator could not be held in reset", "err", err, "says", strings.TrimSpace(string(out)))
		}
		if hangs >= mostHangs {
			restart(d.log, "the daemon hangs again and again")
		}
	}
}

// once runs the daemon until it ends; true: because it hung.
func (d *daemon) once(ctx context.Context, heard <-chan string) (hung bool) {
	allow(d.log)
	cmd := exec.CommandContext(ctx, gatewayd, "run", "-c", confFile)
	cmd.Env = []string{
		"HOME=" + stateDir, "PATH=/user", "SSL_CERT_FILE=/etc/ssl/ca-bundle.pem",
		"NOTIFY_SOCKET=" + notifySocket, fmt.Sprintf("WATCHDOG_USEC=%d", silence.Microseconds()),
		"GATEWAYD_APPLIANCE=" + controlSocket,
	}
	cmd.Dir, cmd.SysProcAttr = "/", asUser()
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		d.log.Error("the daemon can't be started", "err", err)
		return false
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	patience := time.NewTimer(4 * silence) // a start may take longer
	defer patience.Stop()
	for {
		select {
		case err := <-ended:
			d.log.Warn("the daemon has ended", "err", err, "again_in", pause)
			return hung
		case state := <-heard:
			if strings.Contains(state, "WATCHDOG=1") {
				patience.Reset(silence)
				d.healthy()
			}
		case <-patience.C:
			if hung { // not even a kill ends it: the hardware's watchdog will
				d.watchdog.stop()
				continue
			}
			hung = true
			d.log.Error("the daemon hangs: it is killed", "silent_for", silence)
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			patience.Reset(silence)
		}
	}
}

func listenNotify(ctx context.Context) (<-chan string, error) {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notifySocket, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if err := os.Chown(notifySocket, 0, user); err != nil {
		return nil, err
	}
	if err := os.Chmod(notifySocket, 0o660); err != nil { //nolint:gosec // the daemon's group
		return nil, err
	}
	heard := make(chan string)
	go func() {
		for buf := make([]byte, 4096); ; {
			n, err := c.Read(buf)
			if err != nil {
				wait(ctx, time.Second)
				continue
			}
			select {
			case heard <- string(buf[:n]):
			case <-time.After(time.Second): // nobody runs the daemon
			}
		}
	}()
	return heard, nil
}

// allow gives the devices of a concentrator to the daemon, also those that
// were plugged in later.
func allow(log *slog.Logger) {
	for _, pattern := range []string{"spidev*", "i2c-*", "gpiochip*", "pps*", "ttyAMA*", "ttyS*", "ttyACM*", "ttyUSB*"} {
		files, _ := filepath.Glob("/dev/" + pattern)
		for _, f := range files {
			if err := os.Chown(f, 0, user); err != nil {
				log.Warn("device", "err", err)
			}
			if err := os.Chmod(f, 0o660); err != nil { //nolint:gosec // the daemon's group
				log.Warn("device", "err", err)
			}
		}
	}
}

// watchdog is the hardware's: it restarts the machine when this program does
// not feed it for 15 s or so.
type watchdog struct{ stopped atomic.Bool }

// openWatchdog takes the watchdog before gokrazy's library does, which would
// feed it whatever happens.
func openWatchdog(ctx context.Context, log *slog.Logger) *watchdog {
	w := new(watchdog)
	if err := unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""); err != nil && err != unix.EBUSY {
		log.Error("/dev", "err", err)
	}
	f, err := os.OpenFile("/dev/watchdog", os.O_WRONLY, 0)
	if err != nil {
		log.Warn("no hardware watchdog", "err", err)
		return w
	}
	log.Info("hardware watchdog is armed")
	go func() {
		for !w.stopped.Load() {
			_, _ = f.Write([]byte{0})
			wait(ctx, time.Second)
		}
		log.Error("the hardware watchdog is not fed any more")
	}()
	return w
}

func (w *watchdog) stop() { w.stopped.Store(true) }
