package nsedge

import (
	"fmt"
	"time"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// ledger accounts the time on air by sub-band, over any hour (EN 300 220-2
// §4.3.3). What of it outlasts a restart is coarser: see dutystate.go.
type ledger struct {
	bands []region.SubBand
	spent [][]entry // by time
	total []time.Duration

	unsaved []time.Duration // of total, what the disk does not know: see dutystate.go
}

// entry is one transmission.
type entry struct {
	band  int // -1 is not accounted
	start time.Time
	took  time.Duration
}

const dutyPeriod = time.Hour

func newLedger(bands []region.SubBand) ledger {
	return ledger{bands: bands, spent: make([][]entry, len(bands)), total: make([]time.Duration, len(bands)), unsaved: make([]time.Duration, len(bands))}
}

// limited tells whether a sub-band has a duty cycle.
func (l *ledger) limited(band int) bool { return l.bands[band].Duty < 1 }

// budget is what may be on the air within an hour.
func (l *ledger) budget(band int) time.Duration {
	return time.Duration(l.bands[band].Duty * float64(dutyPeriod))
}

// band finds the sub-band of a carrier; a border belongs to the upper one.
func (l *ledger) band(f radio.Hertz) int {
	for i := len(l.bands) - 1; i >= 0; i-- {
		if b := l.bands[i]; b.From <= f && f <= b.To {
			return i
		}
	}
	return -1
}

// check tells whether a transmission in s is allowed, and returns the entry
// for it. The error wraps radio.ErrDutyCycle and says when it will be.
func (l *ledger) check(s *slot, took time.Duration, ignore bool) (entry, error) {
	en := entry{band: l.band(s.freq), start: s.start, took: took}
	if en.band < 0 || ignore {
		en.band = -1
		return en, nil
	}
	b := l.bands[en.band]
	if !l.limited(en.band) || b.Free != 0 && s.power <= b.Free {
		en.band = -1
		return en, nil
	}
	if l.unsaved[en.band]+took > l.credit(en.band) {
		return en, fmt.Errorf("%w: of sub-band %s %v are used that are not on the disk yet, which a power cut would forget: the disk is slow", errUnsaved, b.Name, l.unsaved[en.band].Round(time.Millisecond))
	}
	free := l.freeAt(en.band, took, s.start)
	if !free.After(s.start) {
		return en, nil
	}
	return en, fmt.Errorf("%w: sub-band %s (%.3f to %.3f MHz) allows %g %%, %v of %v are used, %v are wanted; free at %s", radio.ErrDutyCycle,
		b.Name, b.From.MHz(), b.To.MHz(), b.Duty*100, l.total[en.band].Round(time.Millisecond), l.budget(en.band), took.Round(time.Millisecond), free.UTC().Format(time.RFC3339))
}

// freeAt is the first moment from now on at which the sub-band has room.
func (l *ledger) freeAt(band int, took time.Duration, now time.Time) time.Time {
	budget := l.budget(band)
	l.forget(band, now)
	sum := l.total[band] + took
	if sum <= budget {
		return now
	}
	for _, old := range l.spent[band] {
		if sum -= old.took; sum <= budget {
			return old.start.Add(dutyPeriod)
		}
	}
	return now.Add(dutyPeriod) // longer than all that an hour allows
}

// forget drops entries that are more than an hour old.
func (l *ledger) forget(band int, now time.Time) {
	es := l.spent[band]
	for len(es) > 0 && now.Sub(es[0].start) >= dutyPeriod {
		l.total[band] -= es[0].took
		es = es[1:]
	}
	l.spent[band] = es
}

func (l *ledger) add(en entry) {
	if en.band >= 0 {
		l.spent[en.band] = append(l.spent[en.band], en)
		l.total[en.band] += en.took
	}
}

// cancel takes back an entry that never was on the air.
func (l *ledger) cancel(en entry) {
	if en.band < 0 {
		return
	}
	es := l.spent[en.band]
	for i := range es {
		if es[i] == en {
			l.spent[en.band] = append(es[:i:i], es[i+1:]...)
			l.total[en.band] -= en.took
			return
		}
	}
}
