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
	for i := range 9 { // 1 % of an hour is 36 s
		if err := send(at(150, 14, time.Duration(i)*time.Minute), 4*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	err := send(at(150, 14, 10*time.Minute), 4400*time.Millisecond)
	if !errors.Is(err, radio.ErrDutyCycle) || !strings.Contains(err.Error(), "free at 2026-01-01T01:01:00Z") {
		t.Errorf("4.4 s need the first two to be forgotten: %v", err)
	}
	if err := send(at(150, 14, time.Hour), 4*time.Second); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	last := l.spent[0][len(l.spent[0])-1]
	l.cancel(last)
	if err := send(at(150, 14, time.Hour), 4*time.Second); err != nil {
		t.Errorf("after a cancellation: %v", err)
	}
	// A border belongs to the upper sub-band; weak and unlimited ones are free.
	for range 10 {
		if err := errors.Join(send(at(200, 7, 0), 30*time.Second), send(at(300, 14, 0), 30*time.Second), send(at(500, 14, 0), 30*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.spent[0]) != 9 || len(l.spent[1])+len(l.spent[2]) != 0 {
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
			if err := l.decode(before.encode(dutyWhole, "EU868", sent), "EU868", time.Now()); err != nil {
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

func FuzzDutyLedger(f *testing.F) {
	r, err := region.Lookup("EU868")
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	l := newLedger(r.SubBands())
	for i := range 6 {
		l.add(entry{band: i, start: now.Add(time.Duration(i) * 7 * time.Minute), took: time.Second})
	}
	f.Add(l.encode(dutyVersion, "EU868", now))
	f.Add(l.encode(dutyWhole, "EU868", now))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := &Edge{cfg: Config{Region: r, Store: newStore()}, gateways: []*gateway{{ledger: newLedger(r.SubBands())}, {Gateway: Gateway{EUI: radio.EUI64{2}}, ledger: newLedger(r.SubBands())}}}
		e.local = e.gateways[0]
		if err := e.cfg.Store.Put(bucketDuty, e.gateways[1].EUI[:], raw); err != nil {
			t.Fatal(err)
		}
		if e.loadDuty() != nil {
			return
		}
		l, again := &e.gateways[1].ledger, newLedger(r.SubBands())
		if err := again.decode(l.encode(dutyWhole, "EU868", time.Unix(0, 0)), "EU868", time.Now()); err != nil {
			t.Errorf("what was encoded can't be decoded: %v", err)
		}
		for i := range l.total {
			if d := again.total[i] - l.total[i]; d < 0 && l.total[i] < dutyPeriod {
				t.Errorf("sub-band %d lost %v", i, -d)
			}
			if e.local.ledger.total[i] != 0 {
				t.Errorf("it is another gateway's")
			}
		}
	})
}

// worn has that many uplinks answered, as far as the duty cycle allows, and
// returns what was on the air. At any moment the disk must know of it, or allow
// for it.
func (n *node) worn(uplinks int) (out []emission) {
	n.sf = 12
	for range uplinks {
		n.send(frame{payload: []byte("x"), confirmed: true})
		for range 4 {
			time.Sleep(time.Second)
			n.b.dutyOutlastsPowerCut()
		}
	}
	for _, d := range n.b.air.frames() {
		out = append(out, emission{n.b.air.moment(d.At), d.Freq, d.Mod.Airtime(len(d.Payload))})
	}
	n.b.air.clear()
	n.b.take()
	return out
}

func (b *bench) dutyOutlastsPowerCut() {
	b.Helper()
	key := radio.EUI64{}
	raw := b.store.afterPowerCut().docs[bucketDuty][string(key[:])]
	b.must(b.edge.do(b.Context(), func() {
		l := &b.edge.local.ledger
		disk := newLedger(l.bands)
		if len(raw) > 0 {
			b.must(disk.decode(raw, b.edge.cfg.Region.Short(), time.Now()))
		}
		for i := range l.bands {
			if l.forget(i, time.Now()); disk.total[i] < l.total[i] {
				b.Errorf("sub-band %s: %v are used, after a power cut it is %v", l.bands[i].Name, l.total[i], disk.total[i])
			}
		}
	}))
}

// Whatever the disk does and whenever the power is cut, no hour has more than
// its share on the air.
func TestAPowerCutDoesNotFreeTheDutyCycle(t *testing.T) {
	for _, put := range []time.Duration{0, 200 * time.Millisecond, 9 * time.Second, 2 * time.Hour} {
		scenario(t, func(b *bench) {
			n := b.abpNode(1, nil)
			var all []emission
			for cut := range 6 {
				b.store.putsBecome(0, nil)
				all = append(all, n.worn(8)...) // some is on the disk
				b.store.putsBecome(put, nil)
				all = append(all, n.worn(3+17*cut)...)
				b.restart(b.store.afterPowerCut())
			}
			if len(all) < 60 {
				t.Errorf("documents take %v: only %d frames went out", put, len(all))
			}
			inEveryHour(t, all)
		})
	}
}

// A stop that is none of the power's costs nothing.
func TestAnOrderlyStopKeepsTheDutyLedgerAsItIs(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.worn(5)
		used := func() (sum time.Duration) {
			duty, err := b.edge.Duty(b.Context())
			b.must(err)
			for _, d := range duty {
				sum += d.Used
			}
			return sum
		}
		before := used()
		for range 5 {
			b.restart(b.store)
		}
		if after := used(); before == 0 || after < before || after > before+10*time.Millisecond {
			t.Errorf("%v are used, %v were", after, before)
		}
		b.restart(b.store.afterPowerCut())
		if sent := n.worn(3); len(sent) != 3 {
			t.Errorf("%d frames went out of 3", len(sent))
		}
		if after := used(); after < before+time.Second {
			t.Errorf("%v are used after a power cut, %v were before", after, before)
		}
	})
}

// The concentrator may fail, and Run be called again.
func TestTheDutyLedgerOutlastsARunThatEnded(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		for range 4 {
			if sent := n.worn(2); len(sent) != 2 {
				t.Errorf("%d frames went out of 2", len(sent))
			}
			b.stop()
			b.dutyOutlastsPowerCut()
			b.run()
			time.Sleep(time.Second)
		}
	})
}

// Nothing goes out that the disk neither knows of nor allows for.
func TestADiskThatFailsClosesTheSubBandsAndSaysSo(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.worn(1)
		b.store.putsBecome(0, errors.New("the disk is broken"))
		b.restart(b.store)
		if sent := n.worn(2); len(sent) > 0 {
			t.Errorf("%d frames went out", len(sent))
		}
		n.send(frame{payload: []byte("x"), confirmed: true})
		if why := b.explain(n).Windows[0].Why; !strings.Contains(why, "not on the disk yet") {
			t.Errorf("RX1: %q", why)
		}
		time.Sleep(4 * time.Second)
		b.store.putsBecome(0, nil)
		n.worn(1) // which tries the disk again
		if sent := n.worn(2); len(sent) != 2 {
			t.Errorf("%d frames went out with the disk well again", len(sent))
		}
	})
}
