package concentrator

import (
	"gatewayd/radio"
)

// Pure arithmetic between physical units and register words. Each function
// is checked against every row of a recorded table (testdata/README.md).

// txFrequencyWord is the transmitter's frequency register, 24 bits:
// floor(f * 2^18 / 32 MHz). The SX1255 divides by two, so it takes 2f.
func txFrequencyWord(t RadioType, f radio.Hertz) uint32 {
	if t == SX1255 {
		f *= 2
	}
	return uint32(uint64(f) << 18 / 32_000_000)
}

// deviationWord is a frequency deviation in the transmitter's units.
func deviationWord(f radio.Hertz) uint32 { return uint32(uint64(f) << 18 / 32_000_000) }

// radioDeviationWord is a frequency deviation in the units of the SX1250.
func radioDeviationWord(f radio.Hertz) uint32 { return uint32(uint64(f) << 25 / 32_000_000) }

// ifWord is the intermediate frequency register: hz*32/15625 truncated
// toward zero, 13 bits two's complement.
func ifWord(hz radio.Hertz) uint16 { return uint16(int16(hz*32/15625)) & 0x1FFF }

// ifError is how far the programmed intermediate frequency is from the wanted
// one, in hertz truncated toward zero, because of the 488 Hz step.
func ifError(hz radio.Hertz) radio.Hertz {
	word := hz * 32 / 15625
	return hz - word*15625/32
}

// drift returns mantissa and exponent of the frequency-to-time drift: how
// many samples a symbol clock moves for a carrier offset at radio centre f.
// The quotient is truncated before it is doubled into range.
func drift(f, bw radio.Hertz) (mantissa uint16, exponent byte) {
	m := uint64(bw) << 20 / uint64(f)
	for m < 2048 {
		m <<= 1
		exponent++
	}
	return uint16(m), exponent
}

// bandwidthCode is the modems' code of a LoRa bandwidth; ok is false for one
// that the chip doesn't have.
func bandwidthCode(bw radio.Hertz) (code byte, ok bool) {
	switch bw {
	case 125_000:
		return 4, true
	case 250_000:
		return 5, true
	case 500_000:
		return 6, true
	}
	return 0, false
}

// lowDataRate tells whether the modems use two bits less per symbol.
func lowDataRate(bw radio.Hertz, sf uint8) bool {
	return radio.LoRa{SF: sf, Bandwidth: bw}.LowDataRateOptimised()
}

// syncPeaks splits a LoRa sync word into the positions of its two symbols:
// 0x34 becomes 6 and 8.
func syncPeaks(sync byte) (first, second byte) { return sync >> 4 * 2, sync & 15 * 2 }

// chirpLowpass is the transmitter's chirp filter setting.
func chirpLowpass(sf uint8) byte {
	if sf < 10 {
		return 6
	}
	return 7
}

// loraStartDelay is what the transmitter needs between the trigger and the
// first preamble symbol, in ticks: 1.5 ms for the radio, less the group
// delays of radio, chirp filter and modulator.
func loraStartDelay(t RadioType, bw radio.Hertz, sf uint8) int64 {
	code, _ := bandwidthCode(bw)
	radioDelay := t.parameters().txDelay[code-4]
	filter := (1<<chirpLowpass(sf) - 1) * 1_000_000 / int64(bw)
	modulator := 8_000_000 / int64(bw)
	return 1500*ticksPerMicrosecond - radioDelay - filter - modulator
}

// frequencyOffset converts the demodulator's 20-bit reading to hertz,
// including the rounding of the channel's intermediate frequency. The
// demodulator's step is 1/2^20 of the bandwidth (in single precision, like
// the reference, so that the two agree to the hertz).
func frequencyOffset(raw int32, bw, ifHz radio.Hertz) radio.Hertz {
	step := float32(bw) * 32 / (1 << 25)
	return radio.Hertz(int64(float32(raw)*step)) + ifError(ifHz)
}

// fskRSSI linearises the FSK demodulator's RSSI reading.
func fskRSSI(raw byte) float64 {
	r := float64(raw)
	return 90.636423 + 0.420835*r + 0.007129*r*r - 0.000026*r*r*r
}

// temperatureOffset is what to add to an RSSI at a board temperature in
// degrees Celsius; k are the board's coefficients, from t^4 down to 1.
func temperatureOffset(k [5]float64, celsius float64) float64 {
	sum := 0.0
	for _, v := range k {
		sum = sum*celsius + v
	}
	return sum / 65536
}

// payloadCRC is the CRC-16 that the chip keeps with a LoRa payload: the
// remainder of the message itself modulo x^16+x^12+x^5+1, no zeros appended.
func payloadCRC(p []byte) uint16 {
	var crc uint16
	for _, b := range p {
		for i := 7; i >= 0; i-- {
			carry := crc & 0x8000
			crc = crc<<1 | uint16(b>>i&1)
			if carry != 0 {
				crc ^= 0x1021
			}
		}
	}
	return crc
}
