package concentrator

import (
	"gatewayd/radio"
)

// loraStampCorrection is what to add to a packet's time stamp, in whole
// microseconds, to get the end of the packet on the air. The chip stamps when
// it has decoded the last symbol, so the correction is minus the delay of
// channel filter, demapper, FFTs and decoder. The sums are exact, in
// picoseconds (tables/rx_timestamp_correction, legacy mode).
func loraStampCorrection(bw radio.Hertz, sf, codeRate uint8, crc bool, size int) int64 {
	var (
		k    = int64(bw) / 125_000
		unit = 250_000 / k // ps per FFT sample
		s    = int64(1) << sf
		n    = int64(sf)
		c    = int64(codeRate)
		p    = int64(0)
	)
	if lowDataRate(bw, sf) {
		p = 1
	}
	payloadNibbles := 2 * int64(size)
	if crc {
		payloadNibbles += 4
	}
	inHeader := n - 2 // nibbles in the header block
	if sf < 7 {
		inHeader = n
	}
	fft1Stages := (n + 1) / 2

	filter := 16_000_000/k + 2_031_250
	var demap, fft2, last int64
	if payloadNibbles <= n-7 || size == 0 && !crc { // all of it in the header block
		c, last = 4, inHeader
		demap = unit*(4+n-2) + 3*s*unit/4
		fft2 = 2*s*unit + 3*unit
	} else {
		block := n - 2*p
		last = remainder(payloadNibbles+5-inHeader, block)
		demap = unit*(4+n-2*p) + s*unit
		fft2 = (5-2*p)*(s*unit+7*unit) + 2*unit
	}
	fft1 := unit*(s-6+2*(s*(fft1Stages-1)+6)) + 4*unit
	decode := 8*unit + (9+c)*unit*last
	return -((filter + demap + fft1 + fft2 + decode + 500_000) / 1_000_000)
}

// remainder is a mod b in 1..b.
func remainder(a, b int64) int64 { return ((a-1)%b+b)%b + 1 }

// headerStampCorrection is the same where the chip stamps the end of the
// header (fine time stamps): the rest of the payload is added.
func headerStampCorrection(m radio.LoRa, size int) int64 {
	k := float64(m.Bandwidth / 125_000)
	filter := 16_000_000/k + 2_031_250
	if m.SF > 10 { // the reference assumes low data rate at every bandwidth
		m.LowDataRate = radio.LowDataRateOn
	}
	payload := float64(m.PayloadSymbols(size)) * float64(m.SymbolTime().Microseconds())
	return int64(payload - (filter+500_000)/1e6)
}

// fskStampCorrection is the same for FSK.
func fskStampCorrection(bitRate int) int64 {
	return 680_000/int64(bitRate) - 20
}
