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
		case a.PA == b.PA && b.Index <= a.Index:
			odd = append(odd, fmt.Sprintf("%v dBm has power index %d, not above %d of %v dBm: measure before use", b.Power, b.Index, a.Index, a.Power))
		}
	}
	return odd
}
