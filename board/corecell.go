package board

import "periph.io/x/conn/v3/physic"

// semtechCoreCell is the vendor's reference design on its Raspberry Pi
// adapter, SX1302C868GW1 and SX1302C915GW1.
func semtechCoreCell() Board {
	return Board{
		Name:         "semtech-corecell",
		Title:        "Semtech SX1302 CoreCell (SX1302C868GW1, SX1302C915GW1)",
		Source:       "Lora-net/sx1302_hal tools/reset_lgw.sh; chirpstack-concentratord config/vendor/semtech",
		SPI:          "/dev/spidev0.0",
		SPIClock:     8 * physic.MegaHertz,
		Reset:        23,
		PowerEnable:  18,
		SX1261Reset:  22,
		Radios:       sx1250Pair(true, semtechGains()),
		Thermometers: []uint16{0x3B, 0x39, 0x38},
		GNSS:         GNSS{Kind: UBlox, Device: "/dev/ttyAMA0"},
	}
}
