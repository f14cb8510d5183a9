package doctor

import (
	"fmt"
	"slices"
	"strings"

	"gatewayd/cmd/gatewayd/config"
)

// wiring looks at what is between the kernel and the board.
func (s *Subject) wiring() []Check {
	if s.emulated() {
		return []Check{skipped("wiring", "a board", "the concentrator is emulated")}
	}
	var list []Check
	if s.onPi() {
		list = append(list, s.overlays()...)
	}
	list = append(list, s.port())
	if s.onPi() {
		list = append(list, s.lines()...)
		if s.Board.I2C != "" && s.Board.I2C != config.Off && len(s.Board.Thermometers) > 0 {
			list = append(list, s.node("I2C bus", s.Board.I2C, Note, "Put dtparam=i2c_arm=on into config.txt, i2c-dev into /etc/modules, and restart the Pi; or set concentrator.i2c = \"off\"."))
		}
	}
	if d := s.gnssDevice(); d != "" {
		list = append(list, s.node("satellite receiver's line", d, Note, "Put enable_uart=1 into config.txt and restart the Pi; or set concentrator.gps to the right device, or to \"off\"."), s.console())
	}
	return list
}

// gnssDevice is the satellite receiver's serial line, "" if there is none.
func (s *Subject) gnssDevice() string {
	d := s.Board.GNSS.Device
	if s.emulated() || d == config.Off || s.Config.Concentrator.GPS == "" && !s.onPi() {
		return ""
	}
	return d
}

// configTxt is where the firmware's configuration is, newest place first.
func configTxt() []string { return []string{"/boot/firmware/config.txt", "/boot/config.txt"} }

// parameters reads config.txt: what is switched on, one word each, such as
// "spi=on" or "disable-bt". Sections for other models count too: which one is
// this Pi's is not known here.
func parameters(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case !ok:
		case key == "dtparam" || key == "dtoverlay":
			list = append(list, strings.Split(value, ",")...)
		default:
			list = append(list, key+"="+value)
		}
	}
	return list
}

// overlays looks for what the board needs in config.txt.
func (s *Subject) overlays() []Check {
	for _, file := range configTxt() {
		text := s.Host.text(file)
		if text == "" {
			continue
		}
		has := parameters(text)
		var missing []string
		want := func(needed bool, add string, any ...string) {
			if needed && !slices.ContainsFunc(any, func(a string) bool { return slices.Contains(has, a) }) {
				missing = append(missing, add)
			}
		}
		want(true, "dtparam=spi=on", "spi=on", "spi")
		want(s.Board.I2C != "" && s.Board.I2C != config.Off && len(s.Board.Thermometers) > 0, "dtparam=i2c_arm=on", "i2c_arm=on", "i2c_arm", "i2c=on", "i2c")
		want(s.gnssDevice() != "", "enable_uart=1", "enable_uart=1", "uart0=on", "uart0")
		want(s.gnssDevice() == "/dev/ttyAMA0" && s.bluetoothHasTheLine(), "dtoverlay=disable-bt", "disable-bt", "miniuart-bt")
		seen := "all of it"
		if len(missing) > 0 {
			seen = "missing: " + strings.Join(missing, ", ")
		}
		return []Check{check("overlays", "what the board needs in "+file, seen, len(missing) == 0, Note,
			fmt.Sprintf("Add to %s, in the section [all], and restart the Pi: %s", file, strings.Join(missing, ", ")))}
	}
	return []Check{skipped("overlays", "what the board needs in config.txt", "there is no config.txt in /boot/firmware or /boot")}
}

// bluetoothHasTheLine tells whether ttyAMA0 is Bluetooth's on this model
// unless config.txt says otherwise.
func (s *Subject) bluetoothHasTheLine() bool {
	m := s.Host.text("/proc/device-tree/model")
	return strings.Contains(m, "Pi 3") || strings.Contains(m, "Zero") || strings.Contains(m, "Pi 4") || strings.Contains(m, "Compute Module 4")
}

// console finds a serial console on the receiver's line.
func (s *Subject) console() Check {
	const expected = "no serial console on the receiver's line"
	for word := range strings.FieldsSeq(s.Host.text("/proc/cmdline")) {
		for _, c := range []string{"console=serial0", "console=" + strings.TrimPrefix(s.gnssDevice(), "/dev/")} {
			if strings.HasPrefix(word, c) {
				return Check{"serial console", expected, word, Note, "Take " + word + " out of cmdline.txt (raspi-config: Interface Options, Serial Port, login shell: no) and restart the Pi."}
			}
		}
	}
	return Check{"serial console", expected, "none", OK, ""}
}

// port looks at the node of the concentrator itself.
func (s *Subject) port() Check {
	spi := s.Board.SPI
	switch {
	case strings.HasPrefix(spi, "unix:"):
		return s.node("concentrator's port", strings.TrimPrefix(spi, "unix:"), Bad, "Start the emulator that serves it: gatewayd sim --spi-socket "+strings.TrimPrefix(spi, "unix:"))
	case s.Board.USB():
		return s.node("concentrator's port", strings.TrimPrefix(spi, "usb:"), Bad, "Plug the concentrator into another USB port, with another cable; dmesg must tell of a ttyACM. Is another ttyACM the right one?"+s.others("/dev/ttyACM*"))
	}
	next := "Put dtparam=spi=on into config.txt and restart the Pi."
	if o := s.others("/dev/spidev*"); o != "" {
		next += o + " On a Pi 5, spidev10 is not the header's: SPI is off."
	}
	return s.node("concentrator's port", spi, Bad, next)
}

// others lists nodes of a kind that are there.
func (s *Subject) others(pattern string) string {
	if list := s.Host.glob(pattern); len(list) > 0 {
		return " There is " + strings.Join(list, ", ") + "."
	}
	return ""
}

// node looks at a device node: is it there, may this user open it, who has
// it.
func (s *Subject) node(step, name string, worse Verdict, missing string) Check {
	const expected = "there, openable, used by nobody else"
	n, err := s.Host.stat(name)
	if err != nil {
		return Check{step, name + ": " + expected, "it is not there", worse, missing}
	}
	seen := fmt.Sprintf("%v, group %s", n.mode, s.Host.group(n.gid))
	if n.gid < 0 {
		seen = n.mode.String()
	}
	if !s.Host.opens(n) {
		return Check{step, name + ": " + expected, seen + ": this user may not open it", worse,
			fmt.Sprintf("Run doctor as the service's user (sudo -u gatewayd gatewayd doctor) or as root; else add the user to the group %s and log in anew.", s.Host.group(n.gid))}
	}
	holders := s.Host.holders(name)
	if len(holders) > 0 {
		seen += ", opened by " + strings.Join(holders, ", ")
	}
	return check(step, name+": "+expected, seen, len(holders) == 0 || s.Daemon || strings.HasPrefix(s.Board.SPI, "unix:"), worse,
		"Stop "+strings.Join(holders, ", ")+": two programs on one port destroy each other's transfers.")
}

// lines looks at who has the board's GPIO lines; it drives none.
func (s *Subject) lines() []Check {
	const expected = "the header's controller, the board's lines free"
	label, uses, err := s.Host.Lines(s.Board)
	if err != nil {
		return []Check{{"GPIO", expected, err.Error(), Bad, "Run this on the Raspberry Pi, as root or as a member of the group gpio."}}
	}
	var seen, taken []string
	next := ""
	for _, u := range uses {
		word := fmt.Sprintf("%s %v free", u.Key, u.Pin)
		if u.Consumer != "" {
			word = fmt.Sprintf("%s %v held by %s", u.Key, u.Pin, u.Consumer)
			if !s.Daemon || !strings.HasPrefix(u.Consumer, "gatewayd@") {
				taken = append(taken, u.Consumer)
				next = "GPIO" + strings.TrimPrefix(u.Pin.String(), "GPIO") + u.Hint
			}
		}
		seen = append(seen, word)
	}
	return []Check{check("GPIO", expected, label+": "+strings.Join(seen, ", "), len(taken) == 0, Bad, next)}
}
