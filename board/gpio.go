package board

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// headerChips are the labels of the GPIO controllers whose lines are on a
// Raspberry Pi's header: Pi 0 to 3 and Zero 2 W, Pi 4 and CM4, Pi 5.
func headerChips() []string {
	return []string{"pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"}
}

// controller is a GPIO controller of the kernel: the seam between this
// package and the character device.
type controller struct {
	label string
	line  func(n int) gpioLine // nil: it has no such line
}

// gpioLine is one line of a controller. Its first Out requests it from the
// kernel, in this program's name.
type gpioLine interface {
	Out(gpio.Level) error
	Consumer() string // who has it, "" if nobody
	Close()
}

// controllers lists those that this user may open.
func controllers() ([]controller, error) {
	if _, err := driverreg.Init(); err != nil {
		return nil, fmt.Errorf("look for GPIO controllers: %w", err)
	}
	var list []controller
	for _, chip := range gpioioctl.Chips {
		list = append(list, controller{chip.Label(), func(n int) gpioLine {
			if l := chip.ByNumber(n); l != nil {
				return l
			}
			return nil
		}})
	}
	return list, nil
}

// header is the Pi's header by the kernel's GPIO character device.
type header struct {
	controller
	taken map[Pin]gpioLine
}

// openHeader finds the controller by its label.
func openHeader() (*header, error) {
	list, err := controllers()
	if err != nil {
		return nil, err
	}
	return headerOf(list)
}

func headerOf(list []controller) (*header, error) {
	var seen []string
	for _, c := range list {
		if slices.Contains(headerChips(), c.label) {
			return &header{c, map[Pin]gpioLine{}}, nil
		}
		seen = append(seen, c.label)
	}
	if len(seen) == 0 {
		seen = []string{"none; is this a Raspberry Pi, and is this user in the group gpio?"}
	}
	return nil, fmt.Errorf("no GPIO controller of a Raspberry Pi (%s); found: %s",
		strings.Join(headerChips(), ", "), strings.Join(seen, ", "))
}

// Out implements outputs. The line is requested on first use and kept.
func (h *header) Out(p Pin, high bool) error {
	line := h.line(int(p))
	if line == nil {
		return fmt.Errorf("%s has no line %d", h.label, int(p))
	}
	consumer := line.Consumer() // before we become it
	if err := line.Out(gpio.Level(high)); err != nil {
		if errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("%w%s", err, busyHint(p, consumer))
		}
		return err
	}
	h.taken[p] = line
	return nil
}

// busyHint says who holds a line and what to do about it.
func busyHint(p Pin, consumer string) string {
	if consumer == "" {
		consumer = "an unnamed consumer"
	}
	hint := fmt.Sprintf("; the line is held by %s", consumer)
	switch {
	case p == 7 || strings.HasPrefix(consumer, "spi"):
		hint += "; add dtoverlay=spi0-1cs to config.txt and restart the Pi"
	case strings.HasPrefix(consumer, "gatewayd@"):
		hint += "; another gatewayd runs: stop it first"
	default:
		hint += "; stop that program, or remove its overlay from config.txt and restart the Pi"
	}
	return hint
}

// Close gives the lines back. The Raspberry Pi's kernel leaves them at their
// levels unless config.txt has dtparam=strict_gpiod (raspberrypi/linux#6117).
func (h *header) Close() error {
	for _, line := range h.taken {
		line.Close()
	}
	clear(h.taken)
	return nil
}

// LineUse is who has a line of a board.
type LineUse struct {
	Key      string // as in the board's file, e.g. "reset"
	Pin      Pin
	Consumer string // "": nobody
	Hint     string // what to do about the consumer; begins with "; "
}

// LineUses tells who has the board's lines, and the label of the controller.
// It drives none.
func (b Board) LineUses() (label string, uses []LineUse, err error) {
	h, err := openHeader()
	if err != nil {
		return "", nil, err
	}
	uses, err = b.lineUses(h)
	return h.label, uses, err
}

func (b Board) lineUses(h *header) (uses []LineUse, err error) {
	for _, l := range b.lines() {
		if l.pin == 0 || l.pin == b.GNSSReset {
			continue // not driven
		}
		line := h.line(int(l.pin))
		if line == nil {
			return nil, fmt.Errorf("%s has no line %d", h.label, int(l.pin))
		}
		u := LineUse{Key: l.key, Pin: l.pin, Consumer: line.Consumer()}
		if u.Consumer != "" {
			u.Hint = busyHint(l.pin, u.Consumer)
		}
		uses = append(uses, u)
	}
	return uses, nil
}
