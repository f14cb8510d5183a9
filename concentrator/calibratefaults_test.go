package concentrator

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio/sx125x"
)

// What is wrong with the analogue side ends the start with an error that
// names radio and measurement, or is made up for.
func TestCalibrationFindsWhatIsWrongWithTheRadios(t *testing.T) {
	for _, x := range []struct {
		name string
		bad  sx1302sim.Analog
		err  error
		says string
	}{
		{"good", sx1302sim.Analog{}, nil, ""},
		{"image of radio A", sx1302sim.Analog{Image: [2]uint16{200, 0}}, ErrCalibration, "image of radio A"},
		{"image of radio B", sx1302sim.Analog{Image: [2]uint16{0, 200}}, ErrCalibration, "image of radio B"},
		{"leakage", sx1302sim.Analog{Leakage: [2]uint16{20000, 0}}, ErrCalibration, "radio A"},
		{"B gives A no tone: A's own is taken", sx1302sim.Analog{NoTone: [2]bool{false, true}}, nil, ""},
		{"A gives no tone: it can't be transmitted with", sx1302sim.Analog{NoTone: [2]bool{true, false}}, ErrCalibration, "radio A"},
		{"runs that agree within 4", sx1302sim.Analog{Wander: 4}, nil, ""},
		{"runs that don't", sx1302sim.Analog{Wander: 5}, ErrCalibration, "radio A"},
		{"no lock", sx1302sim.Analog{NoLock: [2]bool{false, true}}, sx125x.ErrLock, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			change := func(s *sx1302sim.Config) {
				s.Faults = new(sx1302sim.Faults)
				s.Faults.Set(func(m *sx1302sim.Misbehaviour) { m.Analog = x.bad })
			}
			if x.err != nil {
				if _, err := failedStart(t, sx1257(t), change); !errors.Is(err, x.err) || !strings.Contains(err.Error(), x.says) {
					t.Errorf("%v, want %q", err, x.says)
				}
				return
			}
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, sx1257(t), fast, change)
				b.run() // fails the test if the start fails
				b.stop()
			})
		})
	}
}
