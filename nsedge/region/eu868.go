package region

import (
	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// eu868 is Europe, RP002 §2.5. The extra channels are those that public
// networks agree on. Powers of EN 300 220 are ERP; EIRP is 2.15 dB more and
// rounded down here.
func eu868() plan {
	extras := []radio.Hertz{867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000}
	return plan{
		name: "EU863-870", short: "EU868", band: band.EU868,
		classB: fixed(869_525_000, 3),
		from:   863_000_000, to: 870_000_000,
		gateway: func(int) Plan {
			return Plan{
				MultiSF: append([]radio.Hertz{868_100_000, 868_300_000, 868_500_000}, extras...),
				Service: &Receiver{868_300_000, radio.LoRa{SF: 7, Bandwidth: 250_000}},
				FSK:     &Receiver{868_800_000, radio.FSK{BitRate: 50_000, Deviation: 25_000}},
			}
		},
		extras:  extras,
		offsets: 5,
		subBands: []SubBand{
			{Name: "K", From: 863_000_000, To: 865_000_000, EIRP: 16, Duty: 0.001},
			{Name: "L", From: 865_000_000, To: 868_000_000, EIRP: 16, Duty: 0.01},
			{Name: "M", From: 868_000_000, To: 868_600_000, EIRP: 16, Duty: 0.01},
			{Name: "N", From: 868_700_000, To: 869_200_000, EIRP: 16, Duty: 0.001},
			{Name: "P", From: 869_400_000, To: 869_650_000, EIRP: 29, Duty: 0.1},
			{Name: "Q", From: 869_700_000, To: 870_000_000, EIRP: 16, Duty: 0.01, Free: 9},
		},
	}
}
