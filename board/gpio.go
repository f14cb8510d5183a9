package board

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// headerChips are the labels of the GPIO controllers whose lines are on a
// Raspberry Pi's header: Pi 0 to 3, Pi 4 and CM4, Pi 5.
func headerChips() []string {
	return []string{"pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"}
}

// header is the Pi's header by the kernel's GPIO character device.
type header struct {
	chip  *gpioioctl.GPIOChip
	taken map[Pin]*gpioioctl.GPIOLine
}

// openHeader finds the controller by its label.
func openHeader() (*header, error) {
	if _, err := driverreg.Init(); err != nil {
		return nil, fmt.Errorf("look for GPIO controllers: %w", err)
	}
	var seen []string
	for _, chip := range gpioioctl.Chips {
		for _, label := range headerChips() {
			if chip.Label() == label {
				return &header{chip: chip, taken: map[Pin]*gpioioctl.GPIOLine{}}, nil
			}
		}
		seen = append(seen, chip.Label())
	}
	if len(seen) == 0 {
		seen = []string{"none; is this a Raspberry Pi, and may this user open /dev/gpiochip*?"}
	}
	return nil, fmt.Errorf("no GPIO controller of a Raspberry Pi (%s); found: %s",
		strings.Join(headerChips(), ", "), strings.Join(seen, ", "))
}

// Out implements outputs. The line is requested on first use and kept.
func (h *header) Out(p Pin, high bool) error {
	line := h.chip.ByNumber(int(p))
	if line == nil {
		return fmt.Errorf("%s has no line %d", h.chip.Label(), int(p))
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
	if p == 7 || strings.HasPrefix(consumer, "spi") {
		hint += "; add dtoverlay=spi0-1cs to config.txt and restart the Pi"
	}
	return hint
}

// Close gives the lines back. A Pi's controller leaves them at their levels.
func (h *header) Close() error {
	for _, line := range h.taken {
		line.Close()
	}
	clear(h.taken)
	return nil
}
