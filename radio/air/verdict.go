package air

import (
	"math"
	"time"

	"gatewayd/radio"
)

// parts are the moments that decide what a collision destroys.
type parts struct {
	lock   radio.Instant // a receiver needs everything from here
	header radio.Instant // end of the header: the payload follows
}

// lockSymbols is how many symbols at the end of the preamble a receiver needs
// to lock (Bor et al., "Do LoRa Low-Power Wide-Area Networks Scale?", 2016).
const lockSymbols = 5

// lockBytes is the same for FSK, in bytes of preamble.
const lockBytes = 2

// partsOf divides a transmission. The header of LoRa, and in implicit mode
// the symbols in its place, are the first eight symbols after the sync word;
// FSK has three bytes of sync word and one of length.
func partsOf(t *Transmission) parts {
	switch m := t.Mod.(type) {
	case radio.LoRa:
		s := m.SymbolTime()
		pre := time.Duration(m.PreambleSymbols())
		sync := 17 * s / 4
		if m.SF < 7 {
			sync += 2 * s
		}
		return parts{
			lock:   t.Start.Add(max(pre-lockSymbols, 0) * s),
			header: t.Start.Add(pre*s + sync + 8*s),
		}
	case radio.FSK:
		b := 8 * time.Second / time.Duration(m.BitRate)
		pre := time.Duration(m.PreambleBytes())
		return parts{lock: t.Start.Add(max(pre-lockBytes, 0) * b), header: t.Start.Add((pre + 4) * b)}
	}
	return parts{t.Start, t.End}
}

// reception judges transmission t at station s from the exact intervals of
// all transmissions. It is final once t has ended.
func (m *Medium) reception(t *transmission, s *Station) Reception {
	r := m.began(t, s)
	if r.SNR < floor(t.Mod) {
		r.Outcome = Lost
		return r
	}
	p := partsOf(&t.Transmission)
	hit := t.End // first moment of the payload that is damaged
	if t.aborted {
		if t.End <= p.header {
			r.Outcome = Lost
			return r
		}
		r.Outcome = Corrupted
	}
	for _, o := range m.kept {
		if o.Start >= t.End {
			break
		}
		from, until := max(o.Start, p.lock), min(o.End, t.End)
		if o == t || from >= until || !m.disturbs(t, r.RSSI, o, s) {
			continue
		}
		if o.by == s || from < p.header {
			r.Outcome = Lost
			return r
		}
		r.Outcome = Corrupted
		hit = min(hit, from)
	}
	if r.Outcome == Corrupted {
		r.Payload = m.damage(t, s, p.header, hit)
	}
	return r
}

// began is the reception of t as far as it is known when t starts.
func (m *Medium) began(t *transmission, s *Station) Reception {
	rssi := m.level(t, s)
	return Reception{Transmission: t.Transmission, RSSI: rssi, SNR: radio.DB(rssi - m.cfg.noise(t.Mod))}
}

// disturbs tells whether o, which overlaps t in time, makes t unreadable at
// s, where t has the given level. Each interferer is judged alone.
func (m *Medium) disturbs(t *transmission, level radio.DBm, o *transmission, s *Station) bool {
	if o.by == s {
		return !s.cfg.FullDuplex
	}
	part := overlap(&t.Frame, &o.Frame)
	if part == 0 {
		return false
	}
	other := m.level(o, s) + radio.DBm(10*math.Log10(part))
	return radio.DB(level-other) < m.needed(&t.Frame, &o.Frame)
}

// needed is the signal-to-interference ratio that a needs against b.
func (m *Medium) needed(a, b *Frame) radio.DB {
	l, lora := a.Mod.(radio.LoRa)
	switch {
	case sameChannel(a, b):
		return m.cfg.Capture
	case lora:
		return -rejection[l.SF-5]
	default:
		return fskFloor
	}
}

// damage returns the payload with wrong bytes from where the collision hit,
// at least one. The bytes are the same at each run with the same seed.
func (m *Medium) damage(t *transmission, s *Station, header, hit radio.Instant) []byte {
	out := append([]byte(nil), t.Payload...)
	if len(out) == 0 {
		return out
	}
	done := float64(hit-header) / float64(max(t.planned-header, 1))
	first := min(int(done*float64(len(out))), len(out)-1)
	rnd := m.random(t, s)
	out[first] ^= byte(1 + rnd.IntN(255))
	for i := first + 1; i < len(out); i++ {
		if rnd.IntN(4) == 0 {
			out[i] ^= byte(rnd.IntN(256))
		}
	}
	return out
}
