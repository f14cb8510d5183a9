package doctor

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
)

// state looks at what the daemon needs besides the chip.
func (s *Subject) state() []Check {
	return append([]Check{s.firmware(), s.clock()}, append(s.storage(), s.ports())...)
}

func (s *Subject) firmware() Check {
	const expected = "images with the known hashes"
	if s.emulated() {
		return skipped("firmware", expected, "the emulated chip needs none")
	}
	dir := s.Config.Firmware.Dir
	if _, err := concentrator.LoadFirmware(dir, s.Radios...); err != nil {
		return Check{"firmware", expected, err.Error(), Bad,
			"With internet: sudo /usr/lib/gatewayd/fetch-firmware. Without: copy the vendor's source tree (Lora-net/sx1302_hal, version 2.1.0) here, and run: sudo gatewayd firmware import PATH-TO-sx1302_hal"}
	}
	return Check{"firmware", expected, "they are in " + dir, OK, ""}
}

// A clock before the year of this program was never set.
var built = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock: an unset one is normal on a Pi that was just switched on. No
// transmission depends on it.
func (s *Subject) clock() Check {
	const expected = "set, and kept by NTP"
	ok, within := s.Host.Clock()
	now := time.Now().UTC()
	seen := now.Format(time.RFC3339)
	switch {
	case ok:
		return Check{"clock", expected, fmt.Sprintf("%s, within %v", seen, within.Round(time.Millisecond)), OK, ""}
	case now.Before(built):
		return Check{"clock", expected, seen + ": never set", Note,
			"Wait for NTP, or for the satellite receiver, or sign in with a browser, which sets it. Receiving and answering work without; only time stamps and DeviceTimeAns wait."}
	}
	return Check{"clock", expected, seen + ": nobody vouches for it", Note,
		"Let NTP keep it: timedatectl set-ntp true. Receiving and answering work without; DeviceTimeAns waits."}
}

// Limits of free space, in bytes.
const (
	spaceNote = 256 << 20
	spaceBad  = 16 << 20
)

// storage looks at the file system of the state folder.
func (s *Subject) storage() []Check {
	dir := s.Config.State.Dir
	m := s.mount(dir)
	var list []Check
	list = append(list, s.stateFolder(dir, m))
	if free, total, err := s.Host.Space(dir); err == nil {
		seen := fmt.Sprintf("%d of %d MB on %s (%s)", free>>20, total>>20, m.device, m.kind)
		worse := Note
		if free < spaceBad {
			worse = Bad
		}
		list = append(list, check("space", "256 MB free", seen, free >= spaceNote, worse, "Make room: journalctl --vacuum-size=50M, apt clean; or take a larger card."))
	}
	if errs, ok := s.Host.number("/sys/fs/ext4/" + path.Base(m.device) + "/errors_count"); ok {
		list = append(list, check("storage health", "no errors of the file system", fmt.Sprintf("%d errors", errs), errs == 0, Bad,
			"The card is failing: copy what matters (gatewayd's backup), take a new card of a known make."))
	} else {
		list = append(list, skipped("storage health", "no errors of the file system", "this file system doesn't tell"))
	}
	return list
}

// stateFolder tries whether a file can be made there.
func (s *Subject) stateFolder(dir string, m mounted) Check {
	const step = "state folder"
	expected := dir + ": writable"
	if s.Daemon {
		return Check{step, expected, "the daemon uses it", OK, ""}
	}
	err := s.Host.Writable(dir)
	switch {
	case err == nil:
		return Check{step, expected, "writable", OK, ""}
	case m.options == "ro":
		return Check{step, expected, "mounted read-only: " + err.Error(), Bad,
			"The card was found damaged, or is switched to read-only: look into dmesg, copy what matters, take a new card."}
	}
	return Check{step, expected, err.Error(), Bad, "Make it the service's: sudo install -d -o gatewayd -g gatewayd " + dir + "; or run doctor as that user."}
}

// mounted is a line of /proc/mounts.
type mounted struct{ device, kind, options string }

// mount is the file system that a folder is on.
func (s *Subject) mount(dir string) (best mounted) {
	length := -1
	for line := range strings.Lines(s.Host.text("/proc/mounts")) {
		f := strings.Fields(line)
		if len(f) < 4 || len(f[1]) <= length {
			continue
		}
		if f[1] == "/" || dir == f[1] || strings.HasPrefix(dir, f[1]+"/") {
			best, length = mounted{f[0], f[2], options(f[3])}, len(f[1])
		}
	}
	return best
}

// options keeps of mount options whether they say read-only.
func options(list string) string {
	for o := range strings.SplitSeq(list, ",") {
		if o == "ro" {
			return "ro"
		}
	}
	return "rw"
}

func (s *Subject) ports() Check {
	addr := s.Config.DataAPI.Listen
	expected := addr + ": free"
	if s.Daemon {
		return Check{"port", expected, "the daemon has it", OK, ""}
	}
	if err := s.Host.Listen(addr); err != nil {
		return Check{"port", expected, err.Error(), Bad, "Stop the program that listens there (ss -ltnp shows it), or set dataapi.listen to another port."}
	}
	return Check{"port", expected, "free", OK, ""}
}

// satellites listens to the receiver.
func (s *Subject) satellites(ctx context.Context) []Check {
	const expected = "messages, a fix, satellites"
	if s.Satellites == nil {
		return []Check{skipped("satellites", expected, "no satellite receiver is configured")}
	}
	if s.Daemon {
		return []Check{skipped("satellites", expected, "the daemon has the line")}
	}
	if _, err := s.Host.stat(s.gnssDevice()); err != nil {
		return []Check{skipped("satellites", expected, "its line is not there")}
	}
	st, err := s.Satellites(ctx)
	if err != nil {
		return []Check{{"satellites", expected, err.Error(), Note, "See the steps before about its line. Without a receiver the gateway works; time then comes from NTP."}}
	}
	seen := fmt.Sprintf("%d messages (%d damaged), %d satellites, fix: %s", st.Messages, st.Damaged, st.Satellites, fixed(st.Fix))
	switch {
	case st.Messages == 0:
		return []Check{{"satellites", expected, "nothing was heard", Note, "Check concentrator.gps and that no console has the line; a receiver that lost its power needs a minute. Without it the gateway works; time then comes from NTP."}}
	case st.Fix != gnss.FixGood:
		return []Check{{"satellites", expected, seen, Note, "Put the satellite antenna where it sees the sky; the first fix takes up to 15 minutes."}}
	}
	return []Check{{"satellites", expected, seen, OK, ""}}
}

func fixed(f gnss.Fixed) string {
	return map[gnss.Fixed]string{gnss.FixUnknown: "not told", gnss.FixNone: "none", gnss.FixGood: "good"}[f]
}
