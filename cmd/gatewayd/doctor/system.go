package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// machine looks at the computer itself.
func (s *Subject) machine() []Check {
	return []Check{s.model(), s.kernel(), s.memory(), s.power(), s.heat()}
}

// onPi tells whether the concentrator hangs on this machine's own lines.
func (s *Subject) onPi() bool {
	return !s.emulated() && strings.HasPrefix(s.Board.SPI, "/dev/")
}

func (s *Subject) model() Check {
	const expected = "a Raspberry Pi"
	m := s.Host.text("/proc/device-tree/model")
	switch {
	case strings.Contains(m, "Raspberry Pi"):
		return Check{"model", expected, m, OK, ""}
	case !s.onPi():
		return skipped("model", expected, "another computer, which is fine for this concentrator")
	}
	return check("model", expected, or(m, "another computer"), false, Note,
		"Run this on the Raspberry Pi that the board is on; for another computer, use a USB concentrator.")
}

// The kernel's GPIO character device has had its second interface, which is
// the one that is used, since 5.10.
const kernelMajor, kernelMinor = 5, 10

func (s *Subject) kernel() Check {
	release := s.Host.text("/proc/sys/kernel/osrelease")
	f := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(f) < 2 {
		return skipped("kernel", "5.10 or later", "not known")
	}
	major, err1 := strconv.Atoi(f[0])
	minor, err2 := strconv.Atoi(f[1])
	good := err1 == nil && err2 == nil && (major > kernelMajor || major == kernelMajor && minor >= kernelMinor)
	return check("kernel", "5.10 or later", release, good || !s.onPi(), Bad, "Update the system: sudo apt full-upgrade, then restart the Pi.")
}

// memoryWanted is what must be available for a daemon that has yet to start.
const memoryWanted = 48 << 20

func (s *Subject) memory() Check {
	expected := fmt.Sprintf("%d MB available", memoryWanted>>20)
	for line := range strings.Lines(s.Host.text("/proc/meminfo")) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "MemAvailable:" {
			continue
		}
		kb, err := strconv.ParseUint(f[1], 10, 64)
		if err != nil {
			break
		}
		return check("memory", expected, fmt.Sprintf("%d MB available", kb>>10), s.Daemon || kb<<10 >= memoryWanted, Note,
			"Stop programs that aren't needed; a gateway works in 128 MB when it has them for itself.")
	}
	return skipped("memory", expected, "not known")
}

// power asks the firmware's voltage alarm.
func (s *Subject) power() Check {
	const expected = "no under-voltage"
	for _, name := range s.Host.glob("/sys/class/hwmon/hwmon*/name") {
		if s.Host.text(name) != "rpi_volt" {
			continue
		}
		alarm, ok := s.Host.number(strings.TrimSuffix(name, "name") + "in0_lcrit_alarm")
		if !ok {
			break
		}
		return check("power", expected, map[bool]string{true: "none", false: "the supply has been too low"}[alarm == 0], alarm == 0, Bad,
			"Take another power supply (5.1 V, 3 A; 5 A for a Pi 5) with a short, thick cable: a concentrator that transmits needs it.")
	}
	return skipped("power", expected, "this machine doesn't tell")
}

const hottest = 80_000 // thousandths of a degree Celsius; a Pi throttles there

func (s *Subject) heat() Check {
	const expected = "below 80 °C"
	t, ok := s.Host.number("/sys/class/thermal/thermal_zone0/temp")
	if !ok {
		return skipped("processor temperature", expected, "this machine doesn't tell")
	}
	return check("processor temperature", expected, fmt.Sprintf("%.0f °C", float64(t)/1000), t < hottest, Note, "Give the Pi air, or a heat sink; out of the sun.")
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
