package concentrator

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// phase is where the active transmission is.
type phase uint8

const (
	armed phase = iota + 1
	emitting
)

const (
	startCheck = 300 * time.Microsecond // after the first preamble symbol, to see that it runs
	startLimit = 3 * time.Millisecond   // by then it must
	endCheck   = 200 * time.Microsecond // after the computed end
	endLimit   = 50 * time.Millisecond
	endPoll    = time.Millisecond
	// armMargin is the least time that must be left to the trigger when the
	// payload has not yet been written.
	armMargin = 100 * time.Microsecond
)

// transmitters is the queue of what is to be sent and the one transmission
// that the chip has. The two chains never send at once: they share the AGC's
// mailbox and, on most boards, the antenna.
type transmitters struct {
	queue    []*transmission // by time
	prepared *transmission   // whose settings are in the chip: the head of the queue, or nil
	active   *transmission
	phase    phase
	checkAt  ticks // when the active one is looked at next
	unheard  bool  // the AGC's answer to an earlier one was not waited for
}

// txStatus is a state of the transmitter: free, emitting, or 0x91 and 0x92
// while it waits for its trigger. Which of the emitting values means what is
// not documented.
type txStatus byte

func (s txStatus) free() bool { return s == 0x80 }
func (s txStatus) emitting() bool {
	return s == 0x30 || s == 0x50 || s == 0x60 || s == 0x70
}

// admit decides about a request at the present moment.
func (s *session) admit(t *transmission) error {
	if time.Since(s.clock.at) > freshClock {
		if err := s.lookAtCounter(); err != nil {
			return err
		}
	}
	now := s.clock.now(time.Now())
	lead := s.c.Lead(t.d)
	switch {
	case t.d.Immediate:
		s.soonest(t, now, lead)
	case t.d.OnPulse:
		if err := s.choosePulse(t, lead); err != nil {
			return err
		}
	}
	left := (t.at - now).duration()
	switch {
	case left < lead:
		return fmt.Errorf("%w: %v before its start at %d, %v is needed", radio.ErrTooLate, left.Round(time.Microsecond), t.d.At, lead.Round(time.Microsecond))
	case left > horizon:
		return fmt.Errorf("%w: %v before its start, at most %v", radio.ErrTooEarly, left.Round(time.Millisecond), horizon)
	case len(s.tx.queue) >= txQueue && t.d.Replaces == 0:
		return fmt.Errorf("%w: %w: %d transmissions wait", radio.ErrCollision, ErrQueueFull, len(s.tx.queue))
	}
	old, err := s.replaced(t, now)
	if err != nil {
		return err
	}
	for _, o := range s.tx.all() {
		if o == old {
			continue
		}
		if t.conflict(o, lead, s.c.Lead(o.d)) || o == s.tx.active && t.at < o.at {
			return fmt.Errorf("%w: downlink %d holds the transmitter from %d to %d, this one wants %d to %d",
				radio.ErrCollision, o.d.ID, o.at.instant(), o.end.instant(), t.at.instant(), t.end.instant())
		}
	}
	if old != nil {
		if err := s.withdraw(old); err != nil {
			return err
		}
	}
	t.d.Payload = slices.Clone(t.d.Payload)
	i, _ := slices.BinarySearchFunc(s.tx.queue, t, func(a, b *transmission) int { return int(max(min(a.at-b.at, 1), -1)) })
	s.tx.queue = slices.Insert(s.tx.queue, i, t)
	return nil
}

// all lists the active and the waiting transmissions.
func (x *transmitters) all() []*transmission {
	if x.active == nil {
		return x.queue
	}
	return append([]*transmission{x.active}, x.queue...)
}

// due returns the host time at which transmit has something to do; ok is
// false when nothing is on the way.
func (s *session) due() (at time.Time, ok bool) {
	x := &s.tx
	switch {
	case x.active != nil:
		return s.clock.host(x.checkAt), true
	case len(x.queue) == 0:
		return at, false
	case x.prepared != x.queue[0]:
		return time.Now(), true
	case x.queue[0].immediate():
		return time.Now(), true
	case x.queue[0].waits() && x.queue[0].listen.begun:
		return at, false // the SX1261 is at it
	}
	ahead := max(armAhead, s.c.Lead(x.queue[0].d)) // a slow bus needs more to listen first
	return s.clock.host(x.queue[0].at).Add(-ahead), true
}

// transmit does what is due now.
func (s *session) transmit() error {
	x := &s.tx
	if err := s.drv.companion.work(); err != nil {
		s.broken = true
		return err
	}
	for {
		at, ok := s.due()
		if !ok || time.Until(at) > 0 {
			return nil
		}
		var err error
		switch {
		case x.active == nil && x.prepared != x.queue[0]:
			x.prepared = x.queue[0]
			err = errors.Join(s.settleVerdict(), s.prepare(x.prepared))
		case x.active == nil && x.queue[0].waits():
			s.listen(x.queue[0])
		case x.active == nil:
			err = s.arm()
		default:
			err = s.check()
		}
		if err != nil {
			s.broken = true
			return err
		}
	}
}

// arm gives the head of the queue to the chip: payload, trigger, and the
// proof that the trigger was set in time. A trigger set a tick too late would
// fire 134 s later, so it is taken back at once.
func (s *session) arm() error {
	x := &s.tx
	t := x.queue[0]
	x.queue = x.queue[1:]
	x.prepared = nil
	if err := t.watched(); err != nil {
		return s.giveUp(t, err)
	}
	if time.Since(s.clock.at) > counterStale/2 {
		if err := s.lookAtCounter(); err != nil {
			return s.giveUp(t, err)
		}
	}
	if t.d.OnPulse {
		if err := s.nextPulse(t); err != nil {
			return s.giveUp(t, err)
		}
	}
	left := (t.trigger - s.clock.now(time.Now())).duration()
	if need := s.drv.bus.cost(armFrames-2, armBytes+len(t.d.Payload)) + armMargin; left < need {
		return s.giveUp(t, fmt.Errorf("%w: %v to the trigger when the bus was free, %v is needed", radio.ErrTooLate, left, need))
	}
	err := s.writeTrigger(t)
	if err == nil {
		err = s.confirm(t)
	}
	if err != nil {
		taken := errors.Join(s.clearTrigger(t.chain), s.abandon(t))
		s.fail(t, err)
		if errors.Is(err, radio.ErrTooLate) {
			return taken
		}
		return err
	}
	x.active, x.phase = t, armed
	x.checkAt = t.at + ticksIn(startCheck)
	return nil
}

// giveUp reports a transmission that was not armed. An error of the bus ends
// the run.
func (s *session) giveUp(t *transmission, err error) error {
	s.fail(t, err)
	if errors.Is(err, ErrTransfer) || errors.Is(err, ErrCounter) {
		return err
	}
	return s.abandon(t)
}

// check looks at the active transmission when it should have started, and
// when it should have ended.
func (s *session) check() error {
	x := &s.tx
	t := x.active
	if t.listen != nil && t.listen.verdict != settled {
		return s.checkVerdict(t)
	}
	now := s.clock.now(time.Now())
	status, err := s.status(t.chain)
	if err != nil {
		return err
	}
	switch {
	case t.carrier != nil && status.emitting() && now >= t.end && !t.silenced:
		return s.silence(t, now)
	case status.free() && now >= t.end:
		if err := s.started(t); err != nil {
			return err
		}
		t.report.Ended = (t.end - ticksPerMicrosecond).instant()
		return s.finish(nil)
	case x.phase == armed && status.emitting():
		if err := s.started(t); err != nil {
			return err
		}
		x.phase = emitting
		x.checkAt = t.end + ticksIn(endCheck)
	case status.free() && x.phase == emitting:
		return s.finish(fmt.Errorf("%w: it was free at %d, before the end at %d", ErrTransmitter, now.instant(), t.end.instant()))
	case x.phase == armed && now > t.at+ticksIn(startLimit):
		return s.finish(fmt.Errorf("%w: its state is 0x%02X %v after the start", ErrNotStarted, byte(status), (now - t.at).duration()))
	case now > t.end+ticksIn(endLimit):
		return s.finish(fmt.Errorf("%w: its state is 0x%02X %v after the end", ErrTransmitter, byte(status), (now - t.end).duration()))
	default:
		x.checkAt = now + ticksIn(endPoll)
	}
	return nil
}

// finish takes the trigger back, so that it can't fire again when the counter
// comes round, and reports.
func (s *session) finish(fate error) error {
	t := s.tx.active
	s.tx.active = nil
	err := s.clearTrigger(t.chain)
	if fate != nil {
		s.fail(t, fate)
		return err
	}
	s.c.stats.sent.Add(1)
	s.c.report(t.report)
	return err
}

// fail reports a transmission that was not on the air, or not whole.
func (s *session) fail(t *transmission, err error) {
	switch {
	case errors.Is(err, radio.ErrTooLate):
		s.c.stats.tooLate.Add(1)
	case errors.Is(err, radio.ErrChannelBusy):
		s.c.stats.busy.Add(1)
	case errors.Is(err, radio.ErrCancelled): // as its owner wished
	default:
		s.c.stats.txFailed.Add(1)
	}
	t.report.Err = fmt.Errorf("transmit downlink %d: %w", t.d.ID, err)
	s.c.report(t.report)
}

// failAll reports everything that was on its way: the chip stops.
func (s *session) failAll(cause error) {
	for _, t := range s.tx.all() {
		s.fail(t, cause)
	}
	s.tx = transmitters{}
}

func (s *session) status(chain int) (txStatus, error) {
	v, err := s.drv.regs.readByte(reg.TXFsmStatusTX.Chain(chain).Addr())
	return txStatus(v), err
}
