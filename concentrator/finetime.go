package concentrator

import (
	"math"
	"time"

	"gatewayd/radio"
)

// The SX1303's fine time stamps tell when a packet came to nanoseconds after
// the last pulse of a satellite receiver. The chip stamps the end of the
// header, to a tick of 31.25 ns, and for each symbol says how it drifts
// against that: the metrics. Formula and constants are the reference's
// (tables/fine_timestamp).

const (
	pulseHistory = 16 // pulses that must be known before the first fine time stamp
	pulseLook    = 400 * time.Millisecond

	// filterTicks is the group delay by which the SX1303 differs from the
	// gateways that fine time stamps have to agree with.
	filterTicks = 2138
	// notchRange is where the DC notch delays a channel.
	notchRange = 75_000
	// pulseReach is how long after a pulse a packet may be: a second of a fast
	// crystal.
	pulseReach = ticksPerSec + ticksPerSec/10_000
	// crystalLimit bounds the correction of the crystal by two pulses.
	crystalLimit = 0.2
)

// pulses are the counter's values at the last pulses, oldest first.
type pulses struct {
	at     []ticks
	looked time.Time
}

// newest is the last pulse, false if there was none.
func (p *pulses) newest() (ticks, bool) {
	if len(p.at) == 0 {
		return 0, false
	}
	return p.at[len(p.at)-1], true
}

// add takes the counter at the last pulse; one that is known changes nothing.
func (p *pulses) add(t ticks) {
	if last, ok := p.newest(); ok && uint32(last) == uint32(t) {
		return
	}
	if len(p.at) == pulseHistory {
		p.at = append(p.at[:0], p.at[1:]...)
	}
	p.at = append(p.at, t)
}

// reference finds the pulse before a moment, and how many seconds of the
// counter a true second takes: by the pulse after it if there is one, else by
// the one before. It is false when pulses are missing there.
func (p *pulses) reference(t ticks) (pulse ticks, rate float64, ok bool) {
	i := len(p.at) - 1
	for i >= 0 && p.at[i] > t {
		i--
	}
	if len(p.at) < pulseHistory || i < 0 || t-p.at[i] > pulseReach {
		return 0, 0, false
	}
	other := i + 1
	if other == len(p.at) {
		other, i = i, i-1
		pulse = p.at[other]
	} else {
		pulse = p.at[i]
	}
	rate = float64(p.at[other]-p.at[i]) / ticksPerSec
	correction := 1 / rate
	return pulse, rate, correction >= 1-crystalLimit && correction <= 1+crystalLimit
}

// fineTime is the time from the last pulse to a packet: its raw stamp, its
// metrics, its carrier's relative error and its channel's intermediate
// frequency. It is false without metrics or pulses.
func (p *pulses) fineTime(stamp ticks, metrics []int8, sf uint8, carrier float64, offset radio.Hertz) (time.Duration, bool) {
	// Use no more metrics than make sense: the longer a packet, the more it wanders.
	most := map[uint8]int{12: 4, 11: 8, 10: 16}[sf]
	if most == 0 {
		most = 32
	}
	metrics = metrics[:min(len(metrics), 2*most)]
	if len(metrics) == 0 {
		return 0, false
	}
	sum, total := 0, 0
	for _, m := range metrics {
		sum += int(m)
		total += sum
	}
	mean := float32(total) / float32(len(metrics))

	t := stamp - headerTicks(sf, carrier) + filterTicks
	pulse, rate, ok := p.reference(t)
	if !ok {
		return 0, false
	}
	fine := float64(t-pulse) + float64(mean) + notchDelay(offset)
	ns := time.Duration(fine * 31.25 / rate)
	return ns, ns >= 0 && ns <= time.Second
}

// headerTicks is the time from the end of the preamble to the stamp, as long
// as a carrier makes it that is off by a ratio: symbol clock and carrier come
// from one crystal.
func headerTicks(sf uint8, carrier float64) ticks {
	symbols := ticks(12)
	if sf < 7 {
		symbols = 14
	}
	const sample = 256 // 8 µs at 125 kHz
	d := sample*symbols<<sf + sample*(1<<sf/4-1)
	return ticks(float64(d) + (float64(d)*carrier + 0.5))
}

// notchDelay is what the DC notch filter delays a channel by, in ticks
// (tables/dc_notch_delay).
func notchDelay(offset radio.Hertz) float64 {
	if offset < -notchRange || offset > notchRange {
		return 0
	}
	f := float64(offset) / 1000
	return 1.7e-6*math.Pow(f, 4) + 2.4e-6*math.Pow(f, 3) - 0.0101*f*f - 0.01275*f + 10.2922
}

// lookAtTime brings the clock up to date after the receive buffer was read,
// and with fine time stamps the pulses, too. That costs one frame, and one
// more for each new pulse, because a reading may tear.
func (s *session) lookAtTime() error {
	if s.drv.cfg.FineTimestamp == FineTimestampOff {
		return s.lookAtCounter()
	}
	pulse, now, err := s.pulse()
	if err != nil {
		return err
	}
	s.pulses.looked = time.Now()
	if last, ok := s.pulses.newest(); ok && uint32(last) == uint32(pulse) || pulse > now {
		return nil
	}
	again, _, err := s.pulse()
	if err == nil && again == pulse {
		s.pulses.add(pulse)
	}
	return err
}

// lookAtPulses is lookAtTime often enough to see each pulse.
func (s *session) lookAtPulses(now time.Time) error {
	if s.drv.cfg.FineTimestamp == FineTimestampOff || now.Sub(s.pulses.looked) < pulseLook {
		return nil
	}
	return s.lookAtTime()
}

// fineTime is a packet's fine time stamp, nil if it has none.
func (s *session) fineTime(p packet, freq, offset radio.Hertz) *time.Duration {
	if !p.timing || p.crcState() != radio.GoodCRC {
		return nil
	}
	channel := s.drv.cfg.chain(p.chain).IF
	carrier := float64(freq+offset)/float64(freq) - 1
	t, ok := s.pulses.fineTime(s.clock.stamp(p.stamp), p.metrics, p.sf, carrier, channel)
	if !ok {
		return nil
	}
	return &t
}
