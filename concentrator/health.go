package concentrator

import (
	"bytes"
	"fmt"
	"time"

	"gatewayd/concentrator/reg"
)

// healthPeriod is how often the chip is asked whether it still lives; that
// costs four frames. Whatever takes three looks to be noticed is noticed, and
// the chip started again, in less than 10 s.
const healthPeriod = 3 * time.Second

// stickyLimit is how many successive equal, abnormal AGC states make a stall.
const stickyLimit = 2

// stalledAGC is the AGC status that was seen while reception was dead: a
// gain change that never ends (field reports on the vendor's library).
const stalledAGC = 0x14

// The arbiter's debug counters move on a chip that lives, for it finds
// something in any noise. What they count is not documented, so their
// standing still says something only after they moved between so many looks,
// and only if it lasts longer than it ever did on this site without a stall.
const (
	arbMoves  = 8
	arbStands = 2 // so many looks more than ever before, and it has stalled
)

// arbCounters are the arbiter's debug counters 1 to 15; 0 is its version.
const arbCounters = 15

// health watches for a chip that answers on the bus but receives no more.
type health struct {
	next   time.Time
	turn   int // which look is next: a frame at a time, to hold the bus for short
	sticky int

	counters []byte // of the arbiter, at the last look
	moved    int    // looks in a row at which they had moved, up to arbMoves
	stood    int    // looks since then at which they had not
	longest  int    // the largest stood after which they moved again
}

// arbiterStands compares two samples of the arbiter's debug counters.
func (h *health) arbiterStands(now []byte) bool {
	before := h.counters
	h.counters = bytes.Clone(now)
	switch {
	case before == nil:
	case !bytes.Equal(before, now):
		h.longest = max(h.longest, h.stood)
		h.moved, h.stood = min(h.moved+1, arbMoves), 0
	case h.moved < arbMoves:
		h.moved = 0
	default:
		h.stood++
	}
	return h.stood >= h.longest+arbStands
}

// upkeep does what is needed now and then, and nothing otherwise: the
// counter before it can wrap unseen, the health check, waiting reports. It
// holds the bus for one frame at most, two where there are pulses.
func (s *session) upkeep(now time.Time) error {
	if err := s.lookAtPulses(now); err != nil {
		return err
	}
	if len(s.c.backlog) > 0 {
		s.c.flushReports()
	}
	if now.Sub(s.clock.at) >= counterStale {
		return s.lookAtCounter()
	}
	looks := [...]func() error{s.checkPower, s.checkAGC, s.checkARB, s.checkArbiter}
	if s.health.next.IsZero() {
		s.health.next = now.Add(healthPeriod)
	}
	if now.Before(s.health.next) {
		return nil
	}
	s.health.next = now.Add(healthPeriod / time.Duration(len(looks)))
	look := looks[s.health.turn]
	s.health.turn = (s.health.turn + 1) % len(looks)
	if err := look(); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	return nil
}

// checkPower reads the enables and the version: a chip that lost power has
// the former at their reset values.
func (s *session) checkPower() error {
	common, err := s.drv.regs.read(reg.CommonGenGlobalEn.Addr(), 2)
	if err != nil {
		return err
	}
	if err := diagnose(common[1]); err != nil {
		return fmt.Errorf("%w: %w", ErrStalled, err)
	}
	if reg.CommonGenGlobalEn.Get(common[0]) == 0 {
		return fmt.Errorf("%w: reception is switched off (0x5605 = 0x%02X), as after a loss of power", ErrStalled, common[0])
	}
	return nil
}

// checkAGC reads control and status of the AGC.
func (s *session) checkAGC() error {
	status, err := s.checkMCU(agcMCU)
	if err != nil {
		return err
	}
	if status != stalledAGC {
		s.health.sticky = 0
		return nil
	}
	if s.health.sticky++; s.health.sticky >= stickyLimit {
		return fmt.Errorf("%w: the AGC status stays at 0x%02X", ErrStalled, status)
	}
	return nil
}

// checkARB reads control and status of the arbiter.
func (s *session) checkARB() error {
	_, err := s.checkMCU(arbMCU)
	return err
}

// checkMCU returns a microcontroller's status, if its program is whole.
func (s *session) checkMCU(m mcu) (status byte, err error) {
	b, err := s.drv.regs.read(m.parity.Addr(), 2)
	if err != nil {
		return 0, err
	}
	if m.parity.Get(b[0]) == 1 {
		return 0, fmt.Errorf("%w: %s: program memory damaged (control 0x%02X, status 0x%02X)", ErrStalled, m.name, b[0], b[1])
	}
	return b[1], nil
}

// checkArbiter looks at the arbiter's debug counters.
func (s *session) checkArbiter() error {
	counters, err := s.drv.regs.read(reg.ARBDebugSts1.Addr(), arbCounters)
	if err != nil {
		return err
	}
	if s.health.arbiterStands(counters) {
		return fmt.Errorf("%w: the arbiter's debug counters moved all the time and now stand still", ErrStalled)
	}
	return nil
}
