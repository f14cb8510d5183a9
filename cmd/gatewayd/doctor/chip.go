package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatewayd/board"
	"gatewayd/concentrator"
)

// chip examines the chip, if it may be.
func (s *Subject) chip(ctx context.Context, add func(Check)) {
	const expected = "an SX1302 or SX1303 that can be brought from reset to reception"
	if s.Chip == nil {
		add(skipped("concentrator", expected, or(s.NoChip, "it was left alone")))
		return
	}
	told := false
	err := s.Chip(ctx, func(f concentrator.Finding) {
		told = told || f.Err != nil && !f.Optional
		if c, relevant := s.judge(f); relevant {
			add(c)
		}
	})
	if err != nil && !told {
		add(Check{"concentrator", expected, err.Error(), Bad, s.notOpened(err)})
	}
}

// notOpened is what to do about a chip that could not even be reached, or
// that stopped in the middle.
func (s *Subject) notOpened(err error) string {
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return "It was interrupted: run doctor again and let it end."
	case strings.Contains(err.Error(), "held by"):
		return "See who has the line, above; stop that program."
	}
	return "See the steps before; they name what is missing."
}

// judge makes a check of what the driver found. Pulses only matter where
// there is a receiver that gives them.
func (s *Subject) judge(f concentrator.Finding) (c Check, relevant bool) {
	c = Check{Step: f.Step, Expected: f.Expected, Seen: f.Seen, Verdict: OK}
	if f.Step == "pulse" && s.Satellites == nil && f.Err != nil {
		return c, false
	}
	if f.Err == nil {
		return c, true
	}
	c.Verdict, c.Seen = Bad, f.Seen+": "+lastPart(f.Err)
	if f.Optional {
		c.Verdict = Note
	}
	c.Next = s.advice(f)
	return c, true
}

// lastPart leaves out the words of the sentinel, which the step has said.
func lastPart(err error) string {
	text := err.Error()
	for _, e := range []error{concentrator.ErrNoChip, concentrator.ErrNotReset, concentrator.ErrMCU, concentrator.ErrTransfer, concentrator.ErrCalibration, concentrator.ErrStalled, concentrator.ErrCounter} {
		if errors.Is(err, e) {
			text = strings.TrimPrefix(text, e.Error()+": ")
		}
	}
	return text
}

// unplug is the cure for a latch-up, which no reset line ends.
const unplug = "Remove the power for 10 s: pull the plug, a restart is not enough. Then run doctor again."

// advice is the next thing that a person should do.
func (s *Subject) advice(f concentrator.Finding) string {
	switch f.Step {
	case "reset line":
		return "See who has the line, above; or the board setting is wrong: " + s.boardHint()
	case "version":
		return s.versionAdvice(f.Seen)
	case "SPI bus":
		return "Press the module into its slot and the HAT onto the header; then set concentrator.spi_hz = 2000000 and run doctor again."
	case "reset proof":
		if strings.Contains(f.Seen, "lost") {
			return unplug
		}
		return s.boardHint()
	case "radio ids":
		return unplug + " If it stays so, a front end has died (repeated power cuts do that): replace the module."
	case "calibration":
		return "Check that the module is made for the band of the region " + s.Config.Region.Name + "; take another power supply; else replace the module."
	case "RAM test":
		return "Take another power supply; set concentrator.spi_hz = 2000000; if it stays so, replace the module."
	case "AGC firmware", "arbiter firmware":
		return "Run gatewayd firmware check. If that is good: take another power supply (a bad 3.3 V damages the program), then replace the module."
	case "counter":
		return "Check clock_source and radio of the board file; if the board is right, its oscillator is bad: replace the module."
	case "reception":
		return "Run doctor again; if it stays so, take another power supply, and look for a strong transmitter close by."
	case "SX1261":
		return "Set concentrator.sx1261_spi = \"\" if the module has none; else check that dtoverlay=spi0-1cs is not set, for it takes the second chip select away."
	case "thermometer":
		return "Nothing needs to be done: it need not be fitted. concentrator.i2c = \"off\" ends this note."
	case "pulse":
		return "Put the satellite antenna where it sees the sky. Without pulses time comes from NTP, and there are no beacons."
	}
	return "Take another power supply, reseat the board, run doctor again; then ask for help with the support bundle (doctor --bundle)."
}

// versionAdvice knows the signatures of the field.
func (s *Subject) versionAdvice(seen string) string {
	switch seen {
	case "0x00":
		return "Check that the module sits in its slot and the HAT on the header, and that it gets power (" + s.powerHint() + "). " + s.boardHint()
	case "0xFF":
		return "Nothing drives the data line: check that the HAT sits on the header and that " + s.Board.SPI + " is the port it is wired to. Some boards are sold with their SPI resistors not fitted (USB versions)."
	case "0x05":
		return unplug + " If it stays 0x05: " + s.boardHint()
	}
	return "Press the module into its slot and the HAT onto the header; set concentrator.spi_hz = 2000000. SX1301 and SX1308 boards are others (docs/boards.md)."
}

func (s *Subject) powerHint() string {
	if s.Board.PowerEnable == 0 {
		return "this board has no power-enable line"
	}
	return fmt.Sprintf("power enable is %v", s.Board.PowerEnable)
}

// boardHint names the line that was used and the boards that use another.
func (s *Subject) boardHint() string {
	hint := fmt.Sprintf("The board setting %q resets the chip by %v", s.Board.Name, s.Board.Reset)
	byPin := map[board.Pin][]string{}
	for _, name := range board.Names() {
		if b, err := board.Lookup(name); err == nil && b.Reset != s.Board.Reset && b.Reset != 0 {
			byPin[b.Reset] = append(byPin[b.Reset], name)
		}
	}
	var pins []board.Pin
	for p := range byPin {
		pins = append(pins, p)
	}
	slices.Sort(pins)
	var others []string
	for _, p := range pins {
		others = append(others, fmt.Sprintf("%v (%s)", p, strings.Join(byPin[p], ", ")))
	}
	return hint + "; if yours is another board, set concentrator.board: " + strings.Join(others, "; ") + "."
}
