package air

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"gatewayd/radio"
)

// thermalNoise is kT at 290 K, in dBm per hertz.
const thermalNoise = -174

// demodFloor is the SNR in dB that LoRa demodulation needs, SF5 to SF12
// (SX1261/2 data sheet, table of spreading factors).
var demodFloor = [8]radio.DB{-2.5, -5, -7.5, -10, -12.5, -15, -17.5, -20}

// fskFloor is the SNR in dB that FSK demodulation needs: what the sensitivity
// in the data sheet (-108 dBm at 50 kb/s) leaves over the noise floor.
const fskFloor radio.DB = 9

// lowestFloor is the SNR below which nothing is worth telling a Listener.
const lowestFloor radio.DB = -20

// rejection is how much stronger, in dB, a LoRa frame with another spreading
// factor, bandwidth or I/Q may be before it disturbs a frame with SF5 to SF12.
// SF7 to SF12: the worst value of each row measured by Croce et al., "Impact of
// LoRa Imperfect Orthogonality", IEEE Communications Letters 22 (2018), table
// for the SX1272. SF5 and SF6 are extrapolated.
var rejection = [8]radio.DB{4, 6, 8, 11, 13, 17, 20, 23}

// Log-distance path loss in dB at 868 MHz: intercept at 1 km and exponent
// measured with LoRa in Oulu (Petäjäjärvi et al., ITST 2015), 1 m at least.
const (
	lossAt1km    = 128.95
	lossExponent = 2.32
)

// carrierWidth is what an unmodulated carrier occupies.
const carrierWidth radio.Hertz = 1

// bandwidth returns the occupied bandwidth. For FSK it is Carson's rule.
func bandwidth(m radio.Modulation) radio.Hertz {
	switch m := m.(type) {
	case radio.LoRa:
		return m.Bandwidth
	case radio.FSK:
		return 2*m.Dev() + radio.Hertz(m.BitRate)
	case radio.Carrier:
		return carrierWidth
	}
	return 0
}

// centre is the middle of the band that a frame occupies.
func (f *Frame) centre() float64 {
	if m, ok := f.Mod.(radio.Carrier); ok {
		return float64(f.Freq + m.Offset)
	}
	return float64(f.Freq)
}

// floor returns the SNR that demodulation needs; a carrier has nothing to be
// demodulated.
func floor(m radio.Modulation) radio.DB {
	switch m := m.(type) {
	case radio.LoRa:
		return demodFloor[m.SF-5]
	case radio.Carrier:
		return radio.DB(math.Inf(1))
	}
	return fskFloor
}

// noise returns the noise floor of a receiver in the modulation's bandwidth.
func (c Config) noise(m radio.Modulation) radio.DBm {
	return radio.DBm(thermalNoise + 10*math.Log10(float64(bandwidth(m))) + float64(c.NoiseFigure))
}

// pathLoss returns the loss between two stations.
func (c Config) pathLoss(a, b *StationConfig) radio.DB {
	pa, pb := a.place(), b.place()
	if pa == nil || pb == nil || a.Position == nil && b.Position == nil {
		if loss := max(a.PathLoss, b.PathLoss); loss > 0 {
			return loss
		}
		return c.PathLoss
	}
	var d2 float64
	for i := range pa {
		d := pa[i] - pb[i]
		d2 += d * d
	}
	d := max(math.Sqrt(d2), 1)
	return radio.DB(lossAt1km + 10*lossExponent*math.Log10(d/1000))
}

// place is the position of a station, or nil if it has none.
func (s *StationConfig) place() *[3]float64 {
	if s.Position == nil && s.Gateway != nil && s.PathLoss == 0 {
		return &[3]float64{}
	}
	return s.Position
}

// level returns the power of t at station s. It is the same at each call:
// fading depends on the seed, the sender, its count of frames and the receiver.
func (m *Medium) level(t *transmission, s *Station) radio.DBm {
	loss := m.cfg.pathLoss(&t.by.cfg, &s.cfg)
	if m.cfg.Fading > 0 {
		loss += m.cfg.Fading * radio.DB(m.random(t, s).NormFloat64())
	}
	return t.Power - radio.DBm(loss)
}

// random returns the generator that belongs to a frame at a receiver.
func (m *Medium) random(t *transmission, s *Station) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(t.by.label()))
	h.Write([]byte{0})
	h.Write([]byte(s.label()))
	return rand.New(rand.NewPCG(m.cfg.Seed^h.Sum64(), t.count))
}

// overlap returns the part of the band of b, 0 to 1, that lies in the band of a.
func overlap(a, b *Frame) float64 {
	wa, wb := float64(bandwidth(a.Mod)), float64(bandwidth(b.Mod))
	fa, fb := a.centre(), b.centre()
	lo := max(fa-wa/2, fb-wb/2)
	hi := min(fa+wa/2, fb+wb/2)
	return max(hi-lo, 0) / wb
}

// sameChannel tells whether two frames are modulated alike and so close in
// frequency that a receiver of one would lock to the other.
func sameChannel(a, b *Frame) bool {
	switch ma := a.Mod.(type) {
	case radio.LoRa:
		mb, ok := b.Mod.(radio.LoRa)
		return ok && ma.SF == mb.SF && ma.Bandwidth == mb.Bandwidth && ma.InvertIQ == mb.InvertIQ && near(a.Freq, b.Freq, ma.Bandwidth)
	case radio.FSK:
		_, ok := b.Mod.(radio.FSK)
		return ok
	}
	return false
}

// near tells whether a and b differ by at most a quarter of the bandwidth.
func near(a, b, bandwidth radio.Hertz) bool {
	d := a - b
	return max(d, -d) <= bandwidth/4
}
