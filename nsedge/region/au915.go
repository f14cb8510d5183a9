package region

import (
	"time"

	"github.com/brocaar/lorawan/band"
)

// au915 is Australia, RP002 §2.8. Devices start with the uplink dwell time on;
// TxParamSetupReq turns it off where the law does not want it.
func au915() plan {
	return plan{
		name: "AU915-928", short: "AU915", band: band.AU915,
		classB: hopping(923_300_000, 600_000, 8),
		from:   915_000_000, to: 928_000_000,
		groups:  8,
		gateway: wide(915_200_000, 915_900_000),
		dwell:   Dwell{Uplink: true},
		eirp:    30,
		offsets: 5,
	}
}

// la915 is au915 as Everynet runs it in Brazil ("LA915-928A", group 1). Its
// documentation of the plan ("LA915A") has no dwell times and receive windows
// after 5 and 6 s, which devices that are activated by personalisation have
// built in.
func la915() plan {
	p := au915()
	p.name, p.short, p.dwell = "LA915-928", "LA915", Dwell{}
	p.delays = Delays{RX1: 5 * time.Second, RX2: 6 * time.Second, JoinAccept1: 5 * time.Second, JoinAccept2: 6 * time.Second}
	return p
}
