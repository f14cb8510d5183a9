package sx1302sim

import (
	"math"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// demodulate makes the packet that a modem finds in a frame, and tells at
// which tick it is in the receive buffer.
func (c *Chip) demodulate(s *slot, r air.Reception) (p packet, ready int64) {
	end := c.ticksAt(r.End)
	p = packet{chain: byte(s.chain), modem: byte(s.modem), payload: r.Payload}
	bad := r.Outcome == air.Corrupted
	switch m := r.Mod.(type) {
	case radio.LoRa:
		bad = bad || s.optimised != m.LowDataRateOptimised()
		c.lora(&p, s, m, r)
		ready = end + 32*loraDelay(m, len(r.Payload))
		p.stamp = uint32(ready)
		if c.file.get(reg.RXBufferLegacyTimestamp) == 0 {
			p.stamp = uint32(c.ticksAt(r.End - radio.Instant(headerLead(m, len(r.Payload)))))
			if s.fine {
				p.timing, p.metrics = true, c.metrics(m.PayloadSymbols(len(r.Payload)))
			}
		}
	case radio.FSK:
		p.crc = !m.NoCRC
		p.rssi = fskRaw(r.RSSI - c.cfg.RSSIOffset)
		ready = end + 32*fskDelay(m.BitRate)
		p.stamp = uint32(ready)
	}
	p.sum = crc16(p.payload)
	if bad && p.crc {
		p.bad = true
		p.sum = ^p.sum
	}
	c.count(s.modem, p.bad)
	return p, ready
}

// twice tells whether the arbiter gives packets of a spreading factor to two
// demodulators, the second of which measures their time: an SX1303 does.
func (c *Chip) twice(sf uint8) bool {
	return c.cfg.Model == SX1303 && c.file.get(reg.RXBufferLegacyTimestamp) == 0 && c.file.get(reg.RXTimestampEnable) == 1 &&
		c.file.get(reg.ARBDebugCfg3)>>(sf-5)&1 == 1
}

// metrics are what the second demodulator measures: two values a symbol, the
// changes of its time against the stamp. The frame's time is exact here, so
// their running sum is 0 on the average over each four.
func (c *Chip) metrics(symbols int) []int8 {
	n := min(symbols, int(c.file.get(reg.RXBufferTimestampCfgMaxTsMetrics))) &^ 1
	m := make([]int8, 0, 2*n)
	for range n / 2 {
		m = append(m, 1, -2, 1, 0)
	}
	return m
}

func (c *Chip) lora(p *packet, s *slot, m radio.LoRa, r air.Reception) {
	p.sf, p.rate, p.crc = m.SF, m.Rate(), !m.NoCRC
	p.offset = offsetWord(s.centre-float64(r.Freq), m.Bandwidth)
	p.snr = int8(min(max(math.Round(float64(r.SNR)*quarterDB), math.MinInt8), math.MaxInt8))
	noise := float64(r.RSSI) - float64(r.SNR)
	channel := 10 * math.Log10(math.Pow(10, float64(r.RSSI)/10)+math.Pow(10, noise/10))
	p.rssi = rawRSSI(radio.DBm(channel) - c.cfg.RSSIOffset)
	p.signal = rawRSSI(r.RSSI - c.cfg.RSSIOffset)
}

// offsetWord is a frequency offset in hertz as the packet shows it: 20 bits,
// a unit is 32/2^25 of the bandwidth. It is where the modem listens minus
// where the frame is: with that sign, the host's addition of the channel's rounding error (nominal minus
// real intermediate frequency) gives 0 for a transmitter that is right. The
// data sheet doesn't state it.
func offsetWord(hz float64, bw radio.Hertz) int32 {
	return int32(math.Round(hz * (1 << 25) / (32 * float64(bw))))
}

// rawRSSI is the register value for a level over the board's offset.
func rawRSSI(level radio.DBm) byte { return byte(min(max(math.Round(float64(level)), 0), maxRaw)) }

// fskRaw inverts the host's linearisation of FSK levels (recorded from the
// vendor's library), which rises up to a raw value of 208.
func fskRaw(level radio.DBm) byte {
	raw, best := 0, math.Inf(1)
	for r := range 209 {
		x := float64(r)
		d := math.Abs(90.636423 + 0.420835*x + 0.007129*x*x - 0.000026*x*x*x - float64(level))
		if d < best {
			raw, best = r, d
		}
	}
	return byte(raw)
}

// count advances the modem's packet counters, which wrap at 256.
func (c *Chip) count(modem int, bad bool) {
	f := reg.RXMultiSFGoodPktCntMultiSFGoodPkts
	switch modem {
	case serviceModem:
		f = reg.RXServModemGoodPktCntServModemGoodPkts
	case fskModem:
		f = reg.RXGfskModemGoodPktCntGfskModemGoodPkts
	}
	a := f.Addr()
	if bad {
		a-- // the counter of bad payloads is the one before
	}
	c.file.set(a, c.file.at(a)+1)
}
