package board

import "periph.io/x/conn/v3/physic"

// rak2287 is the RAK2287 module on RAKwireless's Pi HAT (RAK7248, RAK7248C).
func rak2287() Board {
	return Board{
		Name:      "rak2287",
		Title:     "RAK2287 on the RAK Pi HAT (RAK7248, RAK7248C)",
		Source:    "RAKWireless/rak_common_for_gateway; chirpstack-concentratord config/vendor/rak",
		SPI:       "/dev/spidev0.0",
		SPIClock:  8 * physic.MegaHertz,
		Reset:     17,
		GNSSReset: 25,
		Radios:    sx1250Pair(true, rakEuropeGains()),
		GNSS:      GNSS{Kind: UBlox, Device: "/dev/ttyAMA0"},
	}
}

// rak5146 is its successor with an SX1303 and a differential input.
func rak5146() Board {
	b := rak2287()
	b.Name = "rak5146"
	b.Title = "RAK5146 on the RAK Pi HAT"
	b.Radios = sx1250Pair(false, rakEuropeGains())
	return b
}
