package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where things are while the machine runs.
const (
	cardDir     = "/mnt"                       // the boot partition, while it is read
	confDir     = "/perm/gatewayd"             // the daemon's configuration; the daemon may write it
	confFile    = confDir + "/gatewayd.toml"   //
	confSum     = "/perm/gatewayd.toml.sha256" // of the card's file that was last taken over
	userSum     = "/perm/user.sha256"          // of the card's user that was last taken over
	hostKey     = "/perm/ssh_host_key"         // of the SSH server
	stateDir    = "/perm/var/lib/gatewayd"     //
	firmwareDir = "/perm/firmware"             // /usr/lib/gatewayd/firmware points here
	gatewayd    = "/user/gatewayd"             //
	user        = 900                          // the daemon's user and group
)

// What a person may put on the boot partition, which every computer can read.
const (
	cardConf     = "gatewayd.toml"
	cardSystem   = "system.toml"
	cardFirmware = "firmware"
	cardReset    = "factory-reset" // also factory-reset.txt
	cardErrors   = "ERROR.TXT"
)

// card is what was found on the boot partition.
type card struct{ System System }

// readCard takes over what a person put on the boot partition. Whatever is
// wrong with it goes to ERROR.TXT there, and what was before stays.
func readCard(ctx context.Context, d disk, log *slog.Logger) card {
	c := card{System: defaultSystem()}
	var faults []string
	fault := func(what string, err error) {
		if err != nil {
			log.Error("the card's files", "file", what, "err", err)
			faults = append(faults, what+": "+err.Error())
		}
	}
	reset := ""
	err := withCard(d, false, func(dir string) error {
		if text, err := os.ReadFile(filepath.Join(dir, cardSystem)); err == nil {
			c.System, err = parseSystem(text)
			fault(cardSystem, err)
		}
		for _, name := range []string{cardReset, cardReset + ".txt"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				reset = name
			}
		}
		if reset != "" {
			log.Warn("reset to factory: devices, keys, users and configuration are removed")
			fault(reset, forget())
		}
		fault("/perm", makeFolders())
		fault(cardConf, takeConf(ctx, filepath.Join(dir, cardConf)))
		fault(cardSystem, takeUser(ctx, c.System.User))
		fault(cardFirmware, takeFirmware(filepath.Join(dir, cardFirmware)))
		return nil
	})
	fault("boot partition", err)
	fault("boot partition", withCard(d, true, func(dir string) error { return answer(dir, reset, faults) }))
	return c
}

// answer tells on the card what was wrong with it. Nothing is written if
// nothing changes.
func answer(dir, reset string, faults []string) error {
	if reset != "" {
		if err := os.Remove(filepath.Join(dir, reset)); err != nil {
			return err
		}
	}
	file := filepath.Join(dir, cardErrors)
	text := strings.ReplaceAll(strings.Join(append(faults, ""), "\n"), "\n", "\r\n")
	old, err := os.ReadFile(file)
	switch {
	case len(faults) == 0 && errors.Is(err, fs.ErrNotExist), err == nil && string(old) == text:
		return nil
	case len(faults) == 0:
		return os.Remove(file)
	}
	return os.WriteFile(file, []byte(text), 0o644) //nolint:gosec // for everybody
}

// withCard mounts the boot partition for as long as f takes.
func withCard(d disk, write bool, f func(dir string) error) (err error) {
	flags := uintptr(unix.MS_NOATIME | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if !write {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount(d.partition(bootPart), cardDir, "vfat", flags, "umask=022"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(cardDir, 0)) }()
	return f(cardDir)
}

// forget removes all that was ever set or learnt.
func forget() error {
	return errors.Join(os.RemoveAll(confDir), os.RemoveAll(confSum), os.RemoveAll(stateDir),
		os.RemoveAll(userSum), os.RemoveAll(hostKey))
}

func makeFolders() error {
	for _, dir := range []string{confDir, stateDir, firmwareDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // on the way to what the daemon owns
			return err
		}
	}
	for _, dir := range []string{confDir, stateDir} {
		if err := errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, user, user)); err != nil { //nolint:gosec // a folder, the daemon's alone
			return err
		}
	}
	return nil
}

// takeConf takes the card's configuration over if it is another one than last
// time and the daemon finds no fault with it. With none at all, the image's
// own holds.
func takeConf(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sum := fmt.Sprintf("%x\n", sha256.Sum256(text))
	last, _ := os.ReadFile(confSum)
	_, none := os.Stat(confFile)
	var fault error
	if err != nil || string(last) == sum {
		if none == nil {
			return nil
		}
	} else if fault = checkConf(ctx, text); fault == nil {
		return errors.Join(replace(confFile, text, user, 0o644), replace(confSum, []byte(sum), 0, 0o644))
	}
	if none == nil {
		return fault
	}
	if text, err = os.ReadFile("/etc/gatewayd.toml"); err != nil {
		return errors.Join(fault, err)
	}
	return errors.Join(fault, replace(confFile, text, user, 0o644))
}

// checkConf has the daemon judge a configuration.
func checkConf(ctx context.Context, text []byte) error {
	const file = confDir + "/card.toml"
	if err := replace(file, text, user, 0o644); err != nil {
		return err
	}
	defer func() { _ = os.Remove(file) }()
	if err := ask(ctx, "", "config", "check", "-c", file); err != nil {
		return fmt.Errorf("it is not taken over:\n%w", err)
	}
	return nil
}

// takeUser makes the card's user, or gives it the card's password, if that is
// another one than last time.
func takeUser(ctx context.Context, u User) error {
	sum := fmt.Sprintf("%x\n", sha256.Sum256([]byte(u.Email+"\n"+u.PasswordHash)))
	if last, _ := os.ReadFile(userSum); u.Email == "" || string(last) == sum {
		return nil
	}
	if ask(ctx, u.PasswordHash, "user", "show", u.Email, "-c", confFile) == nil {
		if err := ask(ctx, u.PasswordHash, "user", "password", u.Email, "--hash-stdin", "-c", confFile); err != nil {
			return err
		}
	} else if err := ask(ctx, u.PasswordHash, "user", "add", "--email", u.Email, "--hash-stdin", "-c", confFile); err != nil {
		return err
	}
	return replace(userSum, []byte(sum), 0, 0o600)
}

// ask runs a command of the daemon's program as its user; the error is what
// it says.
func ask(ctx context.Context, input string, args ...string) error {
	cmd := exec.CommandContext(ctx, gatewayd, args...) //nolint:gosec // our own program
	cmd.SysProcAttr, cmd.Dir, cmd.Stdin = asUser(), "/", strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s (%w)", bytes.TrimSpace(out), err)
	}
	return nil
}

func asUser() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}, Setpgid: true}
}

// takeFirmware copies the concentrator's firmware from the card.
func takeFirmware(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		if !f.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		to := filepath.Join(firmwareDir, f.Name())
		if old, err := os.ReadFile(to); err == nil && bytes.Equal(old, text) {
			continue
		}
		if err := replace(to, text, 0, 0o644); err != nil {
			return err
		}
	}
	return err
}

// replace writes a file so that a power cut leaves the old one or the new; the
// user owner's alone where the mode says so.
func replace(file string, text []byte, owner int, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chown(owner, owner), f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
