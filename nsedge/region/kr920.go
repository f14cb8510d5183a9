package region

import (
	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// kr920 is South Korea, RP002 §2.9. Gateways may radiate 23 dBm, devices 14
// (10 below 922 MHz). RX1DROffset ends at 5; brocaar has two more columns.
func kr920() plan {
	channels := []radio.Hertz{922_100_000, 922_300_000, 922_500_000, 922_700_000, 922_900_000, 923_100_000, 923_300_000}
	return plan{
		name: "KR920-923", short: "KR920", band: band.KR920,
		classB: fixed(923_100_000, 3),
		from:   920_900_000, to: 923_300_000,
		gateway: func(int) Plan { return Plan{MultiSF: channels} },
		extras:  channels[3:],
		eirp:    23,
		lbt:     true,
		offsets: 5,
	}
}
