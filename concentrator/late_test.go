package concentrator

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// toArm returns a session with one admitted, prepared transmission.
func toArm(t *testing.T, ahead time.Duration) (*session, *model, *transmission) {
	t.Helper()
	s, m := modelled(t)
	x, err := s.c.cfg.plan(sf7(1, s.clock.now(time.Now()).instant().Add(time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.admit(x); err != nil {
		t.Fatal(err)
	}
	if err := s.transmit(); err != nil {
		t.Fatal(err)
	}
	by := x.trigger - ticksIn(ahead) - s.clock.now(time.Now())
	m.skew += uint32(by)
	s.clock.ticks += by
	return s, m, x
}

// triggers reads back the trigger bits.
func (m *model) triggers() byte { return m.memory[reg.TXTrigImmediate.Addr()] }

// The host may stop for a while at any moment, also between its look at the
// clock and the trigger. A trigger that is set too late would fire 134 s later.
func TestATriggerThatWasSetTooLateIsTakenBackAtOnce(t *testing.T) {
	for _, state := range []txStatus{0x91, 0x80} {
		s, m, x := toArm(t, 15*time.Millisecond)
		m.tx = state
		m.onTrigger = func() { m.skew += uint32(ticksIn(16 * time.Millisecond)) }
		if err := s.arm(); err != nil {
			t.Fatal(err)
		}
		if m.triggers() != 0 || s.tx.active != nil {
			t.Error("the trigger is still set")
		}
		r := <-s.c.reports
		if !errors.Is(r.Err, radio.ErrTooLate) || r.ID != x.d.ID || r.Armed <= x.trigger.instant() || r.Started != 0 {
			t.Errorf("%+v", r)
		}
		if s.c.stats.tooLate.Load() != 1 {
			t.Error("not counted")
		}
	}
}

// The same pause after a trigger that was in time does no harm.
func TestATriggerThatFiredBeforeItWasConfirmedIsGood(t *testing.T) {
	s, m, x := toArm(t, 15*time.Millisecond)
	m.onTrigger = func() { m.skew += uint32(ticksIn(16 * time.Millisecond)); m.tx = 0x30 }
	if err := s.arm(); err != nil {
		t.Fatal(err)
	}
	s.passTo(m, x.end+ticksIn(endCheck), 0x80)
	if r := <-s.c.reports; r.Err != nil || r.Started != x.d.At {
		t.Errorf("%+v", r)
	}
}

func TestNothingIsArmedWhenTheBusBecameFreeTooLate(t *testing.T) {
	s, m, _ := toArm(t, 100*time.Microsecond)
	m.frames = 0
	if err := s.arm(); err != nil {
		t.Fatal(err)
	}
	if r := <-s.c.reports; !errors.Is(r.Err, radio.ErrTooLate) || r.Armed != 0 || m.triggers() != 0 {
		t.Errorf("%+v", r)
	}
}

func TestTheTransmittersStateIsJudged(t *testing.T) {
	after := func(d time.Duration) func(*transmission) ticks {
		return func(x *transmission) ticks { return x.end + ticksIn(d) }
	}
	begin := func(d time.Duration) func(*transmission) ticks {
		return func(x *transmission) ticks { return x.at + ticksIn(d) }
	}
	type look struct {
		at    func(*transmission) ticks
		state txStatus
	}
	for _, c := range []struct {
		name  string
		looks []look
		want  error
	}{
		{"never starts", []look{{begin(startCheck), 0x91}, {begin(startLimit + time.Millisecond), 0x91}}, ErrNotStarted},
		{"starts a little late", []look{{begin(startCheck), 0x91}, {begin(startCheck + time.Millisecond), 0x50}, {after(endCheck), 0x80}}, nil},
		{"stops early", []look{{begin(startCheck), 0x30}, {begin(10 * time.Millisecond), 0x80}}, ErrTransmitter},
		{"never ends", []look{{begin(startCheck), 0x30}, {after(endCheck), 0x30}, {after(endLimit + time.Millisecond), 0x30}}, ErrTransmitter},
		{"ends a little late", []look{{begin(startCheck), 0x60}, {after(endCheck), 0x70}, {after(endCheck + 2*time.Millisecond), 0x80}}, nil},
		{"is first looked at when it is over", []look{{after(20 * time.Millisecond), 0x80}}, nil},
		{"waits when it should be over", []look{{after(20 * time.Millisecond), 0x91}}, ErrNotStarted},
	} {
		s, m, x := toArm(t, 15*time.Millisecond)
		if err := s.arm(); err != nil {
			t.Fatal(err)
		}
		for _, l := range c.looks {
			s.passTo(m, l.at(x), l.state)
		}
		r := <-s.c.reports
		if !errors.Is(r.Err, c.want) || r.Err == nil && r.Started != x.d.At {
			t.Errorf("%s: %+v, want %v", c.name, r, c.want)
		}
		if m.triggers() != 0 || len(s.c.reports) != 0 || s.tx.active != nil {
			t.Errorf("%s: triggers 0x%02x, %d more reports", c.name, m.triggers(), len(s.c.reports))
		}
	}
}

func TestReportsWaitWhenNobodyTakesThem(t *testing.T) {
	s, _ := modelled(t)
	const n = 100 + reportQueue + 3 // the channel of these tests holds 100
	for i := range n {
		s.c.report(radio.Report{ID: uint64(i)})
	}
	if lost := s.c.stats.lostReports.Load(); lost != 3 {
		t.Errorf("%d lost", lost)
	}
	for i := range n - 3 {
		if len(s.c.reports) == 0 {
			s.c.flushReports()
		}
		if r := <-s.c.reports; r.ID != uint64(i) {
			t.Fatalf("report %d comes as number %d", r.ID, i)
		}
	}
}

func TestAStickyGainControlIsAStall(t *testing.T) {
	s, m := modelled(t)
	m.memory[reg.CommonVersion.Addr()] = 0x10
	m.memory[reg.CommonGenGlobalEn.Addr()] = 0x0F
	m.memory[reg.AGCMCUAGCStatus.Addr()] = stalledAGC
	for i := 1; i < stickyLimit; i++ {
		if err := s.checkAGC(); err != nil {
			t.Errorf("after %d looks: %v", i, err)
		}
	}
	if err := s.checkAGC(); !errors.Is(err, ErrStalled) {
		t.Errorf("%v", err)
	}
	m.memory[reg.AGCMCUAGCStatus.Addr()] = 0
	if err := s.checkAGC(); err != nil || s.health.sticky != 0 {
		t.Errorf("%v", err)
	}
	m.memory[reg.CommonGenGlobalEn.Addr()] = 0
	if err := s.checkPower(); !errors.Is(err, ErrStalled) {
		t.Errorf("switched off: %v", err)
	}
}

// A bus through another process may take milliseconds, and never the same.
func TestTheCounterIsReadOverAnUnsteadyBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := modelled(t)
		rng := rand.New(rand.NewPCG(5, 6))
		m.pause = func() { time.Sleep(time.Duration(rng.IntN(4000)) * time.Microsecond) }
		for range 200 {
			if _, err := s.drv.counter(); err != nil {
				t.Fatal(err)
			}
			if err := s.lookAtCounter(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
	})
}
