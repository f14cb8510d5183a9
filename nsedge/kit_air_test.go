package nsedge

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gatewayd/radio"
)

const lead = 4 * time.Millisecond // of the fake transmitter

// fakeAir is a transmitter with a counter of its own and no receiver.
type fakeAir struct {
	up      chan radio.Uplink
	reports chan radio.Report
	zero    time.Time

	mu     sync.Mutex
	timers map[uint64]*time.Timer // of the reports to come
	sent   []radio.Downlink
	refuse func(radio.Downlink) error // by Schedule
	fail   func(radio.Downlink) error // by Report
}

func newAir() *fakeAir {
	return &fakeAir{up: make(chan radio.Uplink, 64), reports: make(chan radio.Report, 64), timers: map[uint64]*time.Timer{}, zero: time.Now().Add(-time.Hour)}
}

func (a *fakeAir) Uplinks() <-chan radio.Uplink      { return a.up }
func (a *fakeAir) Reports() <-chan radio.Report      { return a.reports }
func (a *fakeAir) Lead(radio.Downlink) time.Duration { return lead }
func (a *fakeAir) instant(t time.Time) radio.Instant {
	return radio.Instant(t.Sub(a.zero).Microseconds())
}
func (a *fakeAir) moment(i radio.Instant) time.Time {
	return a.zero.Add(time.Duration(i) * time.Microsecond)
}
func (a *fakeAir) frames() []radio.Downlink {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.sent)
}

func (a *fakeAir) Schedule(_ context.Context, d radio.Downlink) error {
	start := a.moment(d.At)
	if left := time.Until(start); left < lead {
		return fmt.Errorf("%w: %v left, %v needed", radio.ErrTooLate, left, lead)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse != nil {
		if err := a.refuse(d); err != nil {
			return err
		}
	}
	if d.Replaces != 0 {
		if err := a.withdraw(d.Replaces); err != nil {
			return err
		}
	}
	r := radio.Report{ID: d.ID, Planned: d.At}
	if a.fail != nil {
		r.Err = a.fail(d)
	}
	when := start.Add(d.Mod.Airtime(len(d.Payload)))
	if r.Err != nil {
		when = start.Add(-lead)
	} else {
		a.sent = append(a.sent, d)
		r.Armed, r.Started, r.Ended, r.Power = d.At-4000, d.At, a.instant(when), d.Power
	}
	a.timers[d.ID] = time.AfterFunc(time.Until(when), func() { a.reports <- r })
	return nil
}

// withdraw takes back a frame until its lead.
func (a *fakeAir) withdraw(id uint64) error {
	i := slices.IndexFunc(a.sent, func(d radio.Downlink) bool { return d.ID == id })
	if i < 0 || time.Until(a.moment(a.sent[i].At)) < lead {
		return fmt.Errorf("%w: %d can't be withdrawn", radio.ErrTooLate, id)
	}
	a.timers[id].Stop()
	a.reports <- radio.Report{ID: id, Planned: a.sent[i].At, Err: radio.ErrCancelled}
	a.sent = slices.Delete(a.sent, i, i+1)
	return nil
}

func (a *fakeAir) clear() { a.mu.Lock(); defer a.mu.Unlock(); a.sent = nil }
