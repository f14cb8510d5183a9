package sx1302sim

import (
	"encoding/binary"
	"math"
)

// scan is what the SX1261's patch does, or did last. Assumed, as no paper
// tells: a watch goes on until it is ended, and its verdict is about the
// samples before the moment at which the AGC asks; a radio that has not
// watched that long, or doesn't watch, allows nothing.
type scan struct {
	op        byte // 0, opScanLBT or opScanSpectrum
	began     int64
	samples   int
	period    int64 // thousandths of a tick
	threshold level
	state     byte // of the spectral scan
	results   [2 * spectrumLevels]byte
}

// States of a spectral scan.
const (
	scanRuns    = 0x0F
	scanAborted = 0xF0
	scanDone    = 0xFF
)

// Classes of the histogram: 0 dBm and above, then 4 dB each, the last is all
// below.
const (
	spectrumLevels = 33
	levelStep      = 4
)

// The receiver's own noise: kT at 290 K in dBm per hertz, its noise figure as
// in package air, and the standard deviation of one reading.
const (
	thermalNoise  = -174
	noiseFigure   = 6
	readingSpread = 2
)

// level is a signal strength in dBm.
type level float64

// raw is the level as the radio reports it: in steps of -0.5 dBm.
func (l level) raw() byte { return byte(math.Round(min(max(-2*float64(l), 0), 255))) }

// at is the tick of sample i.
func (s *scan) at(i int) int64 { return s.began + int64(i)*s.period/1000 }

// length is how many ticks all samples take.
func (s *scan) length() int64 { return int64(s.samples) * s.period / 1000 }

// samplePeriod is the time between two readings in thousandths of a tick. The
// vendor's library knows 7.68, 8.2 and 8.68 µs for 10, 11 and 12: 0.512 µs
// times the code and five.
func samplePeriod(code byte) int64 { return (int64(code) + 5) * 16384 }

// begin starts a watch or a scan of the tuned channel.
func (s *sx1261) begin(c *Chip, op byte, args []byte) {
	if s.mode != modeRX {
		c.violation("SX1261 command 0x%02X while the radio doesn't receive; tune it first", op)
		return
	}
	s.end(c)
	s.scan = scan{op: op, began: c.now, results: s.scan.results}
	if op == opScanSpectrum {
		s.scan.samples, s.scan.period, s.scan.state = int(args[0])<<8|int(args[1]), samplePeriod(args[2]), scanRuns
		return
	}
	s.scan.period, s.scan.samples, s.scan.threshold = samplePeriod(args[0]), int(args[1])<<8|int(args[2]), -level(args[3])/2
}

// end stops what runs.
func (s *sx1261) end(c *Chip) {
	if s.state(c) == scanRuns {
		s.scan.state = scanAborted
	}
	s.scan.op = 0
}

// state is what the register of the spectral scan shows; it makes the results
// of one that is over.
func (s *sx1261) state(c *Chip) byte {
	if s.scan.op == opScanSpectrum && s.scan.state == scanRuns && c.now >= s.scan.began+s.scan.length() && !c.faults.companion().EndlessScan {
		s.scan.state = scanDone
		var counts [spectrumLevels]uint16
		for i := range s.scan.samples {
			counts[class(s.reading(c, s.scan.at(i)))]++
		}
		for i, n := range counts {
			binary.BigEndian.PutUint16(s.scan.results[2*i:], n)
		}
	}
	return s.scan.state
}

// class is the histogram's class of a level.
func class(l level) int {
	return min(max(int(math.Ceil(float64(-l)/levelStep)), 0), spectrumLevels-1)
}

// reading is one RSSI reading: what is on the air, what the receiver adds,
// and what the board takes.
func (s *sx1261) reading(c *Chip, tick int64) level {
	power := dBmToMilliwatt(thermalNoise + 10*math.Log10(max(s.width, 1)) + noiseFigure)
	for _, e := range c.ears {
		if e.from <= tick && tick < e.until {
			power += dBmToMilliwatt(float64(e.rssi)) * e.within(s.frequency(), s.width)
		}
	}
	return level(10*math.Log10(power)+readingSpread*s.chance.NormFloat64()) - level(c.cfg.SX1261Offset)
}

func dBmToMilliwatt(dBm float64) float64 { return math.Pow(10, dBm/10) }

// allows tells whether the watched channel was quiet for the whole scan time
// before a tick. Only signals count: single readings of noise don't block.
func (s *sx1261) allows(c *Chip, tick int64) bool {
	since := tick - s.scan.length()
	if s.scan.op != opScanLBT || s.scan.began > since || c.faults.companion().Mute {
		return false
	}
	for _, e := range c.ears {
		if e.until <= since || e.from >= tick {
			continue
		}
		power := dBmToMilliwatt(float64(e.rssi)) * e.within(s.frequency(), s.width)
		if power > 0 && level(10*math.Log10(power))-level(c.cfg.SX1261Offset) >= s.scan.threshold {
			return false
		}
	}
	return true
}
