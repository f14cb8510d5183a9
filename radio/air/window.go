package air

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gatewayd/radio"
)

// preambleLeft is how many preamble symbols a receiver that is switched on
// late needs; fskPreambleLeft the same in bytes.
const (
	preambleLeft    = 6
	fskPreambleLeft = 2
)

// window is an open Window of a station.
type window struct {
	Window
	s       *Station
	done    func(Reception, error) // called once
	expired bool
	event   *event
}

// Receive waits for the first frame that fits the window and arrives with
// every bit right. It returns ErrTimeout when the window is over and nothing
// that fits is on the air, ErrLeft when the station leaves, or ctx.Err().
// A window may begin up to two seconds in the past.
func (s *Station) Receive(ctx context.Context, w Window) (Reception, error) {
	type result struct {
		r   Reception
		err error
	}
	c := make(chan result, 1)
	cancel, err := s.open(w, func(r Reception, err error) { c <- result{r, err} })
	if err != nil {
		return Reception{}, err
	}
	select {
	case got := <-c:
		return got.r, got.err
	case <-ctx.Done():
		cancel()
		return Reception{}, ctx.Err()
	}
}

// open opens a window. done is called once from the medium's timer unless
// cancel, which reports whether it was in time, comes before.
func (s *Station) open(w Window, done func(Reception, error)) (cancel func() bool, err error) {
	if _, carrier := w.Mod.(radio.Carrier); carrier {
		return nil, fmt.Errorf("receive: %w: a carrier can't be received, only LoRa and FSK", ErrFrame)
	}
	probe := Frame{Freq: w.Freq, Mod: w.Mod}
	if err := probe.check(); err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if w.Until < w.From {
		return nil, fmt.Errorf("receive: the window ends at %d µs, before it begins at %d µs", w.Until, w.From)
	}
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.left {
		return nil, fmt.Errorf("receive: %w", ErrLeft)
	}
	o := &window{Window: w, s: s, done: done}
	m.windows = append(m.windows, o)
	if w.From < m.Now() { // perhaps it has already been received
		m.plan(m.Now(), orderWindow, func() []func() { return m.look(o) })
	}
	o.event = m.plan(w.Until.Add(m.cfg.Grace), orderWindow, func() []func() {
		o.expired = true
		return m.look(o)
	})
	return func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.shut(o)
	}, nil
}

// shut removes a window and reports whether it was open. The lock is held.
func (m *Medium) shut(w *window) bool {
	i := slices.Index(m.windows, w)
	if i < 0 {
		return false
	}
	m.windows = slices.Delete(m.windows, i, i+1)
	m.unplan(w.event)
	return true
}

// settle looks at all windows that wait for t, which has ended.
func (m *Medium) settle(t *transmission) (calls []func()) {
	for _, w := range slices.Clone(m.windows) {
		if w.fits(t) {
			calls = append(calls, m.look(w)...)
		}
	}
	return calls
}

// look decides an open window as far as that is possible now: the earliest
// frame that fits and is clear. A frame that started earlier and is still on
// the air holds the receiver.
func (m *Medium) look(w *window) []func() {
	if !slices.Contains(m.windows, w) {
		return nil
	}
	for _, t := range m.kept {
		if t.Start > w.Until {
			break
		}
		if t.by == w.s || !t.begun || !w.fits(t) {
			continue
		}
		if !t.ended {
			if m.began(t, w.s).SNR < floor(t.Mod) {
				continue
			}
			return nil
		}
		if r := m.reception(t, w.s); r.Outcome == Clear {
			m.shut(w)
			return []func(){func() { w.done(r, nil) }}
		}
	}
	if !w.expired {
		return nil
	}
	m.shut(w)
	return []func(){func() {
		w.done(Reception{}, fmt.Errorf("receive on %.4f MHz %v: %w", w.Freq.MHz(), w.Mod, ErrTimeout))
	}}
}

// fits tells whether the window's receiver would lock to t.
func (w *window) fits(t *transmission) bool {
	if t.Start > w.Until || !near(t.Freq, w.Freq, bandwidth(w.Mod)) {
		return false
	}
	switch want := w.Mod.(type) {
	case radio.LoRa:
		got, ok := t.Mod.(radio.LoRa)
		return ok && got.SF == want.SF && got.Bandwidth == want.Bandwidth && got.InvertIQ == want.InvertIQ && got.Implicit == want.Implicit &&
			got.SyncWord() == want.SyncWord() &&
			inTime(t, w.From, got.SymbolTime(), int(got.PreambleSymbols()), preambleLeft)
	case radio.FSK:
		got, ok := t.Mod.(radio.FSK)
		return ok && got.BitRate == want.BitRate &&
			inTime(t, w.From, 8*time.Second/time.Duration(got.BitRate), int(got.PreambleBytes()), fskPreambleLeft)
	}
	return false
}

// inTime tells whether t started at or after from, or has enough preamble
// units left then.
func inTime(t *transmission, from radio.Instant, unit time.Duration, units, left int) bool {
	return t.Start.Add(time.Duration(max(units-left, 0))*unit) >= from
}

// Wait returns at the given air time, or with ctx.Err().
func (m *Medium) Wait(ctx context.Context, at radio.Instant) error {
	timer := time.NewTimer(time.Duration(at)*time.Microsecond - m.Elapsed())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
