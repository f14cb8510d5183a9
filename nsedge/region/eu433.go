package region

import (
	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// eu433 is ITU region 1 around 433 MHz, RP002 §2.7; EN 300 220 allows 10 mW
// ERP for a tenth of the time.
func eu433() plan {
	return plan{
		name: "EU433", short: "EU433", band: band.EU433,
		classB: fixed(434_665_000, 3),
		from:   433_050_000, to: 434_790_000,
		gateway: func(int) Plan {
			return Plan{MultiSF: []radio.Hertz{433_175_000, 433_375_000, 433_575_000}}
		},
		offsets:  5,
		subBands: []SubBand{{Name: "EU433", From: 433_050_000, To: 434_790_000, EIRP: 12.15, Duty: 0.1}},
	}
}
