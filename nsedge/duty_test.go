package nsedge

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

func TestTheLedgerForgetsCancelsAndTellsWhenItIsFree(t *testing.T) {
	l := newLedger([]region.SubBand{
		{Name: "A", From: 100, To: 200, EIRP: 14, Duty: 0.01},
		{Name: "B", From: 200, To: 300, EIRP: 14, Duty: 0.01, Free: 7},
		{Name: "C", From: 300, To: 400, EIRP: 14, Duty: 1},
	})
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(f radio.Hertz, p radio.DBm, after time.Duration) *slot {
		return &slot{freq: f, power: p, start: start.Add(after)}
	}
	send := func(s *slot, took time.Duration) error {
		en, err := l.check(s, took, false)
		if err == nil {
			l.add(en)
		}
		return err
	}
	for i := range 3 { // 1 % of an hour is 36 s
		if err := send(at(150, 14, time.Duration(i)*time.Minute), 12*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	err := send(at(150, 14, 10*time.Minute), 13*time.Second)
	if !errors.Is(err, radio.ErrDutyCycle) || !strings.Contains(err.Error(), "free at 2026-01-01T01:01:00Z") {
		t.Errorf("13 s need the first two to be forgotten: %v", err)
	}
	if err := send(at(150, 14, time.Hour), 12*time.Second); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	last := l.spent[0][len(l.spent[0])-1]
	l.cancel(last)
	if err := send(at(150, 14, time.Hour), 12*time.Second); err != nil {
		t.Errorf("after a cancellation: %v", err)
	}
	// A border belongs to the upper sub-band; weak and unlimited ones are free.
	for range 10 {
		if err := errors.Join(send(at(200, 7, 0), 30*time.Second), send(at(300, 14, 0), 30*time.Second), send(at(500, 14, 0), 30*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.spent[0]) != 3 || len(l.spent[1])+len(l.spent[2]) != 0 {
		t.Errorf("accounts %v", l.spent)
	}
}

// A Pi without a battery clock starts in the past, and its clock jumps when
// NTP answers. The hour that counts is one of running, whatever the clock says.
func TestTheLedgerOutlivesAHostClockThatJumps(t *testing.T) {
	bands := []region.SubBand{{Name: "A", From: 100, To: 200, EIRP: 14, Duty: 0.01}}
	synctest.Test(t, func(t *testing.T) {
		for _, clock := range []time.Duration{-50 * 365 * 24 * time.Hour, -2 * time.Hour, -time.Minute, 0} {
			sent := time.Now().Add(-clock) // the clock that recorded was ahead by so much
			before := newLedger(bands)
			before.add(entry{band: 0, start: sent.Add(-40 * time.Minute), took: 16 * time.Second})
			before.add(entry{band: 0, start: sent, took: 20 * time.Second})
			l := newLedger(bands)
			if err := l.decode(before.encode(nil, "EU868", sent), "EU868", time.Now()); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if free := l.freeAt(0, 10*time.Second, began); !free.After(began) || free.Sub(began) > 20*time.Minute+2*dutyBin {
				t.Errorf("clock back by %v: free after %v; 20 minutes and the width of a bin are wanted", -clock, free.Sub(began))
			}
			time.Sleep(dutyPeriod + dutyBin)
			if free := l.freeAt(0, 30*time.Second, time.Now()); free.After(time.Now()) {
				t.Errorf("clock back by %v: still closed an hour later, until %v", -clock, free)
			}
		}
	})
}
