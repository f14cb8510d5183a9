package region

import (
	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// ru864 is Russia, RP002 §2.12. The duty cycle is The Things Stack's reading
// of the decisions of the GKRCh; no finer table was found.
func ru864() plan {
	extras := steps(864_100_000, 5)
	return plan{
		name: "RU864-870", short: "RU864", band: band.RU864,
		classB: classB{beacons: []radio.Hertz{869_100_000}, pings: []radio.Hertz{868_900_000}, dr: 3},
		from:   864_000_000, to: 870_000_000,
		gateway: func(int) Plan {
			return Plan{MultiSF: append([]radio.Hertz{868_900_000, 869_100_000}, extras...)}
		},
		extras:   extras,
		offsets:  5,
		subBands: []SubBand{{Name: "RU864", From: 864_000_000, To: 870_000_000, EIRP: 16, Duty: 0.01}},
	}
}
