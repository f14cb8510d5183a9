package region

import (
	"fmt"

	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// as923 is Asia, RP002 §2.10: four groups of countries with the same plan at
// other offsets. Devices start with both dwell times on. Japan (in group 1)
// also wants listen before talk, which is left to the operator.
//
// Duty cycle and EIRP are those of RP002 table 2 ("<1 %", 16 dBm).
func as923(group int) plan {
	g := []struct {
		band     band.Name
		offset   radio.Hertz
		from, to radio.Hertz
	}{
		{band.AS923, 0, 915_000_000, 928_000_000},
		{band.AS923_2, -1_800_000, 920_000_000, 923_000_000},
		{band.AS923_3, -6_600_000, 915_000_000, 921_000_000},
		{band.AS923_4, -5_900_000, 917_000_000, 920_000_000},
	}[group-1]
	channels := steps(923_200_000+g.offset, 8)
	name := fmt.Sprintf("AS923-%d", group)
	p := plan{
		name: name, short: name, band: g.band,
		classB: fixed(923_400_000+g.offset, 3),
		from:   g.from, to: g.to,
		gateway: func(int) Plan {
			return Plan{
				MultiSF: channels,
				Service: &Receiver{924_500_000 + g.offset, radio.LoRa{SF: 7, Bandwidth: 250_000}},
			}
		},
		extras:   channels[2:],
		dwell:    Dwell{Uplink: true, Downlink: true},
		offsets:  7,
		subBands: []SubBand{{Name: name, From: g.from, To: g.to, EIRP: 16, Duty: 0.01}},
	}
	if group == 1 {
		p.aliases = []string{"AS923"}
	}
	return p
}
