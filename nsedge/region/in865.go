package region

import (
	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// in865 is India, RP002 §2.11.
func in865() plan {
	return plan{
		name: "IN865-867", short: "IN865", band: band.IN865,
		classB: fixed(866_550_000, 4),
		from:   865_000_000, to: 867_000_000,
		gateway: func(int) Plan {
			return Plan{MultiSF: []radio.Hertz{865_062_500, 865_402_500, 865_985_000}}
		},
		eirp:    30,
		offsets: 7,
		// There is no DR6: RP002 has the next one where brocaar counts through it
		// (DR7 with offset 1) or stops before it (DR5 with offset 7). LoRaMac-node
		// 4.7 has the same two rows.
		rx1: map[int][]int{5: {5, 4, 3, 2, 1, 0, 5, 7}, 7: {7, 5, 5, 4, 3, 2, 7, 7}},
	}
}
