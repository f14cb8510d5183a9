package region

import (
	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// us915 is North America, RP002 §2.6: 64 narrow channels and 8 wide ones up, 8
// wide ones down. FCC 15.247 limits uplinks of 125 kHz to 400 ms.
func us915() plan {
	return plan{
		name: "US902-928", short: "US915", band: band.US915,
		classB: hopping(923_300_000, 600_000, 8),
		from:   902_000_000, to: 928_000_000,
		groups:  8,
		gateway: wide(902_300_000, 903_000_000),
		dwell:   Dwell{Uplink: true},
		eirp:    30,
		offsets: 3,
	}
}

// wide is the gateway plan of regions with 8 narrow channels and one of
// 500 kHz in each group.
func wide(narrow, broad radio.Hertz) func(int) Plan {
	return func(group int) Plan {
		g := radio.Hertz(group - 1)
		return Plan{
			MultiSF: steps(narrow+g*1_600_000, 8),
			Service: &Receiver{broad + g*1_600_000, radio.LoRa{SF: 8, Bandwidth: 500_000}},
		}
	}
}
