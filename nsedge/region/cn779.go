package region

import (
	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// cn779 is China around 780 MHz, LoRaWAN 1.0.3 Regional Parameters §2.3. It is
// no longer permitted there and remains for devices that are in the field.
func cn779() plan {
	return plan{
		name: "CN779-787", short: "CN779", band: band.CN779,
		classB: fixed(785_000_000, 3),
		from:   779_000_000, to: 787_000_000,
		gateway: func(int) Plan {
			return Plan{MultiSF: []radio.Hertz{779_500_000, 779_700_000, 779_900_000}}
		},
		offsets:  5,
		subBands: []SubBand{{Name: "CN779", From: 779_000_000, To: 787_000_000, EIRP: 12.15, Duty: 0.01}},
	}
}
