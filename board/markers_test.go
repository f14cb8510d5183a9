package board

import (
	"strings"
	"testing"

	"periph.io/x/conn/v3/gpio"
)

func TestMarkersAreOnFreeLines(t *testing.T) {
	b, err := Lookup("rak2287")
	if err != nil || b.Reset == 0 {
		t.Fatal(b.Reset, err)
	}
	for _, c := range []struct {
		pins []Pin
		want string // "": allowed
	}{
		{[]Pin{5, 6, 26}, ""},
		{[]Pin{5, b.Reset}, "the board's line reset"},
		{[]Pin{9}, "GPIO9 is a line of SPI"},
		{[]Pin{28}, "28 is no line of the header"},
		{[]Pin{-1}, "-1 is no line of the header"},
		{[]Pin{5, 5}, "GPIO5 is given twice"},
	} {
		if err := b.CheckMarkers(c.pins); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.pins, err, c.want)
		}
	}
}

func TestMarkersAreLowUntilTheyAreUsedAndGivenBack(t *testing.T) {
	lines := fakeLines()
	lines[5].level = gpio.High
	h, err := headerOf([]controller{fakeController("pinctrl-bcm2711", lines)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := markersOn(h, []Pin{5, 6})
	if err != nil || lines[5].level != gpio.Low || !lines[6].held {
		t.Fatalf("%+v %+v, %v", lines[5], lines[6], err)
	}
	if err := m.Out(6, true); err != nil || lines[6].level != gpio.High {
		t.Errorf("%+v, %v", lines[6], err)
	}
	if err := m.Close(); err != nil || lines[5].held || lines[6].held {
		t.Errorf("%+v %+v, %v", lines[5], lines[6], err)
	}
	lines[12].consumer = "w1"
	if _, err := markersOn(h, []Pin{5, 12}); err == nil || !strings.Contains(err.Error(), "GPIO12") || lines[5].held {
		t.Errorf("a line that another has: %v", err)
	}
}
