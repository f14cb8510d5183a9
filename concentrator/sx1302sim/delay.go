package sx1302sim

import (
	"time"

	"gatewayd/radio"
)

// The chip stamps a packet when its demodulator is done with it, so the host
// has to subtract what the demodulator took: the inverse of the correction
// that the vendor's library applies (testdata/rx_timestamp_correction.csv.gz
// has both for all parameters).

// filterDelay is the receive filters' delay in picoseconds; k is the
// bandwidth in units of 125 kHz.
func filterDelay(k int64) int64 { return 16_000_000/k + 2_031_250 }

// optimises is the modems' rule for low data rate optimisation.
func optimises(sf uint8, bw radio.Hertz) bool {
	return bw == 125_000 && sf >= 11 || bw == 250_000 && sf == 12
}

// loraDelay is the time from the end of a packet with n bytes to its stamp,
// in microseconds, when stamps are taken at the end ("legacy" mode).
func loraDelay(m radio.LoRa, n int) int64 {
	k := int64(m.Bandwidth / 125_000)
	t := 250_000 / k // a chip of the bandwidth in 1/32 µs units of the decoder, ps
	sf, symbol, cr, p := int64(m.SF), int64(1)<<m.SF, int64(m.Rate()), int64(0)
	if optimises(m.SF, m.Bandwidth) {
		p = 1
	}
	bytes := int64(n)
	if !m.NoCRC {
		bytes += 2
	}
	inHeader := sf // nibbles that go with the header
	if sf >= 7 {
		inHeader = sf - 2
	}
	interleaved := (sf + 1) / 2
	fft1 := t*(symbol-6+2*(symbol*(interleaved-1)+6)) + 4*t
	var demap, fft2, last int64
	if bytes == 0 || 2*bytes <= sf-7 { // it all fits in the header's block
		cr, last = 4, inHeader
		demap = t*(4+sf-2) + 3*symbol*t/4
		fft2 = 2*symbol*t + 3*t
	} else {
		block := sf - 2*p
		if last = (2*bytes + 5 - inHeader) % block; last <= 0 {
			last += block
		}
		demap = t*(4+sf-2*p) + symbol*t
		fft2 = (5-2*p)*(symbol*t+7*t) + 2*t
	}
	decode := 8*t + (9+cr)*t*last
	return (filterDelay(k) + demap + fft1 + fft2 + decode + 500_000) / 1_000_000
}

// headerLead is the time from the stamp to the end of a packet, in
// microseconds, when stamps are taken at the end of the header for fine
// time-stamping. The correction's low data rate rule is SF11 and SF12 at any bandwidth.
func headerLead(m radio.LoRa, n int) int64 {
	m.LowDataRate = radio.LowDataRateOff
	if m.SF >= 11 {
		m.LowDataRate = radio.LowDataRateOn
	}
	payload := int64(m.PayloadSymbols(n)) * int64(m.SymbolTime()/time.Microsecond)
	return (payload*1_000_000 - filterDelay(int64(m.Bandwidth/125_000)) - 500_000) / 1_000_000
}

// fskDelay is the time from the end of a packet to its stamp in microseconds.
func fskDelay(bitRate int) int64 { return 20 - 680_000/int64(bitRate) }
