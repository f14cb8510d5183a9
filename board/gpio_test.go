package board

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"periph.io/x/conn/v3/gpio"
)

// fakeLine is a line of a controller that is not there.
type fakeLine struct {
	consumer string
	level    gpio.Level
	requests int
	held     bool
}

func (l *fakeLine) Consumer() string { return l.consumer }
func (l *fakeLine) Close()           { l.held = false }
func (l *fakeLine) Out(level gpio.Level) error {
	if !l.held {
		if l.consumer != "" {
			return fmt.Errorf("line_request ioctl: %w", syscall.EBUSY)
		}
		l.requests++
	}
	l.held, l.level = true, level
	return nil
}

// fakeController has n lines.
func fakeController(label string, lines []*fakeLine) controller {
	return controller{label, func(n int) gpioLine {
		if n >= len(lines) {
			return nil
		}
		return lines[n]
	}}
}

func fakeLines() []*fakeLine {
	lines := make([]*fakeLine, 28)
	for i := range lines {
		lines[i] = &fakeLine{}
	}
	return lines
}

// The labels are those of the kernel's drivers; the neighbours are what other
// controllers of a Pi 4 and a Pi 5 are called. The header's controller is
// number 0 on some kernels, number 4 on others (raspberrypi/linux#6144).
func TestTheHeaderIsFoundByItsLabelWhereverItIs(t *testing.T) {
	for _, label := range []string{"pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"} {
		others := []controller{
			fakeController("raspberrypi-exp-gpio", nil), fakeController("gpio-brcmstb@107d508500", nil),
		}
		lines := fakeLines()
		for at := range len(others) + 1 {
			list := append(append([]controller{}, others[:at]...), fakeController(label, lines))
			h, err := headerOf(append(list, others[at:]...))
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Out(17, true); err != nil || lines[17].level != gpio.High {
				t.Errorf("%s at %d: level %v, %v", label, at, lines[17].level, err)
			}
		}
	}
	for _, c := range []struct {
		list []controller
		want string
	}{
		{nil, "group gpio"},
		{[]controller{fakeController("INT34C5:00", nil)}, "found: INT34C5:00"},
	} {
		if _, err := headerOf(c.list); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.list, err, c.want)
		}
	}
}

func TestLinesAreRequestedOnceAndGivenBack(t *testing.T) {
	lines := fakeLines()
	h, err := headerOf([]controller{fakeController("pinctrl-rp1", lines)})
	if err != nil {
		t.Fatal(err)
	}
	for _, high := range []bool{true, false, true} {
		if err := h.Out(23, high); err != nil {
			t.Fatal(err)
		}
	}
	if l := lines[23]; l.requests != 1 || !l.held || l.level != gpio.High {
		t.Errorf("%+v", *l)
	}
	if err := h.Close(); err != nil || lines[23].held {
		t.Errorf("held after Close, %v", err)
	}
	if lines[23].level != gpio.High {
		t.Error("Close changed the level")
	}
	if err := h.Out(99, true); err == nil || !strings.Contains(err.Error(), "no line 99") {
		t.Errorf("line 99: %v", err)
	}
}

// GPIO7 is a chip select for the kernel unless spi0-1cs says otherwise.
func TestTakenLineNamesItsConsumerAndTheOverlay(t *testing.T) {
	for _, c := range []struct {
		pin      Pin
		consumer string
		want     []string
	}{
		{7, "spi0 CS1", []string{"spi0 CS1", "dtoverlay=spi0-1cs"}},
		{17, "lora_pkt_fwd", []string{"lora_pkt_fwd", "stop that program"}},
		{17, "gatewayd@812", []string{"gatewayd@812", "another gatewayd"}},
	} {
		lines := fakeLines()
		lines[c.pin].consumer = c.consumer
		h, err := headerOf([]controller{fakeController("pinctrl-bcm2711", lines)})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Out(c.pin, true)
		for _, w := range c.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%v held by %s: %v, want %q", c.pin, c.consumer, err, w)
			}
		}
	}
	if h := busyHint(17, ""); !strings.Contains(h, "unnamed") || strings.Contains(h, "spi0-1cs") {
		t.Error(h)
	}
}

// Who has a line is found out without touching any.
func TestLineUsesAreTold(t *testing.T) {
	b := mustLookup(t, "semtech-corecell")
	lines := fakeLines()
	lines[18].consumer = "pps-gpio"
	h, err := headerOf([]controller{fakeController("pinctrl-bcm2711", lines)})
	if err != nil {
		t.Fatal(err)
	}
	uses, err := b.lineUses(h)
	if err != nil || len(uses) != 3 {
		t.Fatalf("%+v, %v", uses, err)
	}
	for _, u := range uses {
		if (u.Consumer != "") != (u.Pin == 18) || (u.Hint != "") != (u.Pin == 18) {
			t.Errorf("%+v", u)
		}
	}
	for i, l := range lines {
		if l.requests != 0 {
			t.Errorf("line %d was requested", i)
		}
	}
}
