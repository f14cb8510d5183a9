package board

import "periph.io/x/conn/v3/physic"

// seeedWM1302 is Seeed's WM1302 or WM1303 module on its Pi HAT. The
// thermometer is not always fitted.
func seeedWM1302() Board {
	return Board{
		Name:         "seeed-wm1302",
		Title:        "Seeed WM1302/WM1303 Pi HAT",
		Source:       "chirpstack-concentratord config/vendor/seeed",
		SPI:          "/dev/spidev0.0",
		SPIClock:     8 * physic.MegaHertz,
		Reset:        17,
		PowerEnable:  18,
		SX1261Reset:  5,
		Radios:       sx1250Pair(true, semtechGains()),
		Thermometers: []uint16{0x39, 0x3B, 0x38},
		GNSS:         GNSS{Kind: NMEA, Device: "/dev/ttyAMA0"},
	}
}
