package concentrator

import (
	"fmt"

	"gatewayd/radio"
)

// pickGain returns the strongest setting that does not exceed power, the
// last of equals as the reference does; false when all exceed it.
func pickGain(gains []Gain, power radio.DBm) (best Gain, ok bool) {
	for _, g := range gains {
		if g.Power <= power && (!ok || g.Power >= best.Power) {
			best, ok = g, true
		}
	}
	return best, ok
}

// index orders the settings with the same amplifier: the SX1250's power
// index, or mixer and DAC gain of the SX1255 and SX1257, some 2 dB and 9 dB
// a step.
func (g Gain) index() int {
	if g.DAC|g.Mixer == 0 {
		return int(g.Index)
	}
	return 9*int(g.DAC) + 2*int(g.Mixer)
}

// LintGains reports what is odd about a gain table, though usable: powers out
// of order or double, and a power index that falls while the power rises with
// the amplifier in the same state, which is most likely a slip of the pen.
func LintGains(gains []Gain) []string {
	var odd []string
	for i := 1; i < len(gains); i++ {
		a, b := gains[i-1], gains[i]
		switch {
		case b.Power == a.Power:
			odd = append(odd, fmt.Sprintf("%v dBm is there twice (entries %d and %d)", b.Power, i-1, i))
		case b.Power < a.Power:
			odd = append(odd, fmt.Sprintf("%v dBm (entry %d) comes after %v dBm: sort the table by power", b.Power, i, a.Power))
		case a.PA && !b.PA:
			odd = append(odd, fmt.Sprintf("%v dBm switches the amplifier off that %v dBm has on", b.Power, a.Power))
		case a.PAGain > b.PAGain:
			odd = append(odd, fmt.Sprintf("%v dBm has amplifier gain %d, below %d of %v dBm", b.Power, b.PAGain, a.PAGain, a.Power))
		case a.PA == b.PA && a.PAGain == b.PAGain && b.index() <= a.index():
			odd = append(odd, fmt.Sprintf("%v dBm has power index %d, not above %d of %v dBm: measure before use", b.Power, b.index(), a.index(), a.Power))
		}
	}
	return odd
}
