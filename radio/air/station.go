package air

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"gatewayd/radio"
)

// Station is one antenna in the medium. Its methods may be called from any
// goroutine.
type Station struct {
	m    *Medium
	cfg  StationConfig
	l    Listener
	sent uint64 // frames so far
	left bool
}

// Join adds a station. l, which may be nil, hears everything.
func (m *Medium) Join(cfg StationConfig, l Listener) (*Station, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("join the air: %w: it is closed", ErrLeft)
	}
	if cfg.Name == "" && cfg.Gateway == nil {
		m.anonymous++
		cfg.Name = fmt.Sprintf("station-%d", m.anonymous)
	}
	s := &Station{m: m, cfg: cfg, l: l}
	for _, o := range m.stations {
		if cfg.Gateway != nil && o.cfg.Gateway != nil && *o.cfg.Gateway == *cfg.Gateway {
			return nil, fmt.Errorf("join the air: %w: %v; give this one another EUI", ErrGateway, cfg.Gateway)
		}
	}
	m.stations = append(m.stations, s)
	return s, nil
}

// Name returns what others see in Transmission.From: the EUI of a gateway,
// else the name.
func (s *Station) Name() string { return s.label() }

func (s *Station) label() string {
	if s.cfg.Gateway != nil {
		return s.cfg.Gateway.String()
	}
	return s.cfg.Name
}

// SetFullDuplex says whether the station hears others while it transmits,
// from now on and for all that is on the air.
func (s *Station) SetFullDuplex(on bool) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.cfg.FullDuplex = on
}

// Transmit plans a transmission that starts exactly at the given instant or
// [Immediately]. A start in the past is ErrPast, except that a gateway, whose
// own clock is exact while its goroutine may wake late, may be one second
// late: the frame is on the air at that instant all the same. A station may
// have several transmissions on the air at once.
func (s *Station) Transmit(f Frame, at radio.Instant, p radio.DBm) (Transmission, error) {
	return s.transmit(f, at, p, nil)
}

// transmit is Transmit; done, if not nil, is called after the end.
func (s *Station) transmit(f Frame, at radio.Instant, p radio.DBm, done func(Transmission)) (Transmission, error) {
	if err := f.check(); err != nil {
		return Transmission{}, fmt.Errorf("transmit: %w", err)
	}
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.left {
		return Transmission{}, fmt.Errorf("transmit: %w", ErrLeft)
	}
	elapsed := m.Elapsed()
	now := radio.Instant((elapsed + time.Microsecond - 1) / time.Microsecond)
	if at == Immediately {
		at = now
	}
	earliest := now
	if s.cfg.Gateway != nil {
		earliest -= radio.Instant(lateness / time.Microsecond)
	}
	if at < earliest {
		return Transmission{}, fmt.Errorf("transmit: %w: asked for %d µs, now is %d µs", ErrPast, at, now)
	}
	m.lastID++
	f.Payload = slices.Clone(f.Payload)
	airtime := f.Mod.Airtime(len(f.Payload)).Round(time.Microsecond)
	t := &transmission{by: s, count: s.sent, done: done, planned: at.Add(airtime)}
	t.Transmission = Transmission{ID: m.lastID, From: s.label(), Frame: f, Start: at, End: t.planned, Power: p}
	s.sent++
	m.keep(t)
	t.event = m.plan(at, orderStart, func() []func() { return m.begin(t) })
	return t.Transmission, nil
}

// Abort ends an own transmission now: one that has not started never does.
func (s *Station) Abort(id uint64) { s.abort(id, true) }

// abort reports whether it took away a transmission that had not started;
// with onAir it also ends one that has.
func (s *Station) abort(id uint64, onAir bool) bool {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.kept, func(t *transmission) bool { return t.ID == id && t.by == s })
	if i < 0 || m.kept[i].ended {
		return false
	}
	t := m.kept[i]
	now := m.Now()
	if now < t.Start || !t.begun && now == t.Start {
		m.unplan(t.event)
		m.kept = slices.Delete(m.kept, i, i+1)
		return true
	}
	if onAir && t.begun && now < t.End {
		t.End, t.aborted = now, true
		m.unplan(t.event)
		t.event = m.plan(now, orderEnd, func() []func() { return m.finish(t) })
	}
	return false
}

// Leave takes the station out of the medium: its windows end with ErrLeft and
// what it has planned is cancelled; what it has on the air ends normally.
func (s *Station) Leave() {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.left {
		return
	}
	s.left = true
	m.stations = slices.DeleteFunc(m.stations, func(o *Station) bool { return o == s })
	m.kept = slices.DeleteFunc(m.kept, func(t *transmission) bool {
		if t.by != s || t.begun {
			return false
		}
		m.unplan(t.event)
		return true
	})
	for _, w := range slices.Clone(m.windows) {
		if w.s == s {
			m.shut(w)
			go w.done(Reception{}, ErrLeft)
		}
	}
}

// keep inserts a transmission by start and drops those that nothing needs any
// more. The lock is held.
func (m *Medium) keep(t *transmission) {
	i, _ := slices.BinarySearchFunc(m.kept, t, func(a, b *transmission) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID))
	})
	m.kept = slices.Insert(m.kept, i, t)
}

// begin is the event of a start.
func (m *Medium) begin(t *transmission) (calls []func()) {
	t.begun = true
	t.event = m.plan(t.End, orderEnd, func() []func() { return m.finish(t) })
	for _, o := range m.observers {
		calls = append(calls, func() { o.f(t.Transmission) })
	}
	for _, s := range m.hearing(t) {
		r := m.began(t, s)
		calls = append(calls, func() { s.l.Began(r) })
	}
	return calls
}

// finish is the event of an end: the verdicts.
func (m *Medium) finish(t *transmission) (calls []func()) {
	t.ended = true
	for _, s := range m.hearing(t) {
		r := m.reception(t, s)
		calls = append(calls, func() { s.l.Ended(r) })
	}
	if t.done != nil {
		calls = append(calls, func() { t.done(t.Transmission) })
	}
	calls = append(calls, m.settle(t)...)
	m.forget()
	return calls
}

// hearing returns the stations whose Listener is told of t.
func (m *Medium) hearing(t *transmission) (out []*Station) {
	for _, s := range m.stations {
		if s.l != nil && s != t.by && radio.DB(m.level(t, s)-m.cfg.noise(t.Mod)) >= lowestFloor {
			out = append(out, s)
		}
	}
	return out
}

// forget drops transmissions that can neither disturb one that is on the air
// nor fit a window any more.
func (m *Medium) forget() {
	needed := m.Now().Add(-history)
	for _, t := range m.kept {
		if !t.ended {
			needed = min(needed, t.Start)
			break
		}
	}
	m.kept = slices.DeleteFunc(m.kept, func(t *transmission) bool { return t.ended && t.End < needed })
}

// check says why no transmitter can send a frame.
func (f *Frame) check() error {
	bad := func(field string, value any, allowed string) error {
		return fmt.Errorf("%w: %s is %v: %s", ErrFrame, field, value, allowed)
	}
	switch mod := f.Mod.(type) {
	case radio.LoRa:
		switch {
		case mod.SF < 5 || mod.SF > 12:
			return bad("SF", mod.SF, "5 to 12")
		case mod.Bandwidth != 125_000 && mod.Bandwidth != 250_000 && mod.Bandwidth != 500_000:
			return bad("bandwidth", mod.Bandwidth, "125000, 250000 or 500000 Hz")
		case mod.CodeRate > 4:
			return bad("code rate", mod.CodeRate, "1 to 4 for 4/5 to 4/8")
		}
	case radio.FSK:
		if mod.BitRate < 500 || mod.BitRate > 300_000 {
			return bad("bit rate", mod.BitRate, "500 to 300000 bit/s")
		}
		if mod.Dev() < 0 || mod.Dev() > 250_000 {
			return bad("deviation", mod.Dev(), "up to 250000 Hz")
		}
	case radio.Carrier:
		if mod.Duration < time.Microsecond {
			return bad("duration", mod.Duration, "1 µs at least")
		}
		if len(f.Payload) > 0 {
			return bad("payload size", len(f.Payload), "0: a carrier carries nothing")
		}
	default:
		return bad("modulation", f.Mod, "LoRa, FSK or Carrier")
	}
	if len(f.Payload) > 255 {
		return bad("payload size", len(f.Payload), "at most 255 bytes")
	}
	if f.Freq <= 0 {
		return bad("frequency", f.Freq, "more than 0 Hz")
	}
	if t := f.Mod.Airtime(len(f.Payload)); t > longest {
		return bad("time on air", t, fmt.Sprintf("at most %v", longest))
	}
	return nil
}
