package board

import "periph.io/x/conn/v3/physic"

// waveshare is Waveshare's SX1302 and SX1303 HAT.
func waveshare() Board {
	return Board{
		Name:         "waveshare-sx1302",
		Title:        "Waveshare SX1302/SX1303 LoRaWAN gateway HAT",
		Source:       "chirpstack-concentratord config/vendor/waveshare",
		SPI:          "/dev/spidev0.0",
		SPIClock:     8 * physic.MegaHertz,
		Reset:        23,
		PowerEnable:  18,
		Radios:       sx1250Pair(true, semtechGains()),
		Thermometers: []uint16{0x39, 0x3B, 0x38},
		GNSS:         GNSS{Kind: NMEA, Device: "/dev/ttyAMA0"},
	}
}
