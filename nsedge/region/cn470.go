package region

import (
	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// cn470 is China as LoRaWAN 1.0.2 to 1.1 have it: 96 channels up in 12 groups,
// 48 down. RP002 has four other plans in its place: [cn470Antenna].
func cn470() plan {
	return plan{
		name: "CN470-510", short: "CN470", band: band.CN470,
		classB: hopping(508_300_000, 200_000, 2),
		from:   470_000_000, to: 510_000_000,
		groups: 12,
		gateway: func(group int) Plan {
			return Plan{MultiSF: steps(470_300_000+radio.Hertz(group-1)*1_600_000, 8)}
		},
		eirp:    19.15,
		offsets: 5,
	}
}
