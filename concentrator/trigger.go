package concentrator

import (
	"errors"
	"fmt"
	"math"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// What starts the transmitter: the chip has a trigger bit for each way.
//
//	delayed    when the counter reaches a value: the usual one
//	pulse      at the next pulse of the satellite receiver
//	immediate  when the bit is written
//
// All three are armed, confirmed and taken back alike. A time is known to the
// tick with the first two; the moment at which an immediate trigger was
// written is between two looks at the host's clock.

// soonMargin is added to the lead of an immediate transmission, so that its
// place in the queue is not missed at once.
const soonMargin = time.Millisecond

// pulseWander is how far the next pulse may be from where the last one says.
const pulseWander = 100 * time.Microsecond

// triggerBit is what starts the transmission. With listen before talk an
// immediate one is sent by time: the watch has to last until the trigger.
func (t *transmission) triggerBit() reg.Field {
	switch {
	case t.d.OnPulse:
		return reg.TXTrigGPS
	case t.d.Immediate && t.listen == nil:
		return reg.TXTrigImmediate
	}
	return reg.TXTrigDelayed
}

// immediate tells whether writing the trigger starts the transmission.
func (t *transmission) immediate() bool { return t.triggerBit() == reg.TXTrigImmediate }

// fireAt gives a transmission another trigger.
func (t *transmission) fireAt(trigger ticks, kind RadioType) {
	length := t.end - t.at
	t.trigger = trigger
	t.at = trigger + ticks(t.startDelay(kind))
	t.end = t.at + length
}

// startAt gives a transmission another start, the first microsecond from at on.
func (t *transmission) startAt(at ticks, kind RadioType) {
	at = ticksOf((at + ticksPerMicrosecond - 1).instant())
	t.fireAt(at-ticks(t.startDelay(kind)), kind)
	t.setPlanned()
}

// setPlanned notes when a transmission is to start.
func (t *transmission) setPlanned() { t.d.At, t.report.Planned = t.at.instant(), t.at.instant() }

// soonest moves an immediate transmission to the first place that is free.
func (s *session) soonest(t *transmission, now ticks, lead time.Duration) {
	kind := s.drv.cfg.Radios[t.chain].Type
	t.startAt(now+ticksIn(lead+soonMargin), kind)
	for _, o := range s.tx.all() { // by time
		if t.conflict(o, lead, s.c.Lead(o.d)) || o == s.tx.active && t.at < o.at {
			t.startAt(o.end+ticksIn(lead+soonMargin), kind)
		}
	}
}

// lastPulse is the counter at the last pulse, or [ErrNoPulse].
func (s *session) lastPulse() (ticks, error) {
	pulse, now, err := s.pulse()
	if err != nil {
		return 0, err
	}
	if age := (now - pulse).duration(); s.latched == 0 || age > pulseLate {
		return 0, fmt.Errorf("%w: the last one was %v ago; check the satellite receiver's antenna, or send by time", ErrNoPulse, age.Round(time.Millisecond))
	}
	return pulse, nil
}

// choosePulse moves a transmission to the first pulse that starts it at its
// instant or later; At 0 means the first that can be had.
func (s *session) choosePulse(t *transmission, lead time.Duration) error {
	pulse, err := s.lastPulse()
	if err != nil {
		return err
	}
	kind := s.drv.cfg.Radios[t.chain].Type
	first := t.at
	if t.d.At == 0 {
		first = s.clock.now(time.Now()) + ticksIn(lead)
	}
	from := first - ticks(t.startDelay(kind)) - pulse // to the pulse that is wanted
	t.fireAt(pulse+(from+ticksPerSec-1)/ticksPerSec*ticksPerSec, kind)
	t.setPlanned()
	return nil
}

// nextPulse corrects the moment of a trigger by the pulse shortly before it:
// the counter does not count exactly 32 000 000 ticks a second.
func (s *session) nextPulse(t *transmission) error {
	pulse, err := s.lastPulse()
	if err != nil {
		return err
	}
	// The pulse before the wanted one, with the half of a second to either side.
	if off := (pulse + ticksPerSec - t.trigger).duration(); off.Abs() > time.Second/2 {
		return fmt.Errorf("%w: the next one comes %v beside the one that was wanted", ErrNoPulse, off.Round(time.Millisecond))
	}
	t.fireAt(pulse+ticksPerSec, s.drv.cfg.Radios[t.chain].Type)
	t.setPlanned()
	return nil
}

// writeTrigger writes payload, trigger time and trigger.
func (s *session) writeTrigger(t *transmission) error {
	return s.drv.regs.together(func() error { return s.writeTriggerFrames(t) })
}

func (s *session) writeTriggerFrames(t *transmission) error {
	r := s.drv.regs
	payload, buffer := t.d.Payload, reg.TXBuffer0
	if t.chain == 1 {
		buffer = reg.TXBuffer1
	}
	if t.fsk != nil {
		payload = append([]byte{byte(len(payload))}, payload...)
	}
	open := reg.TXCtrlWriteBuffer.Chain(t.chain)
	if err := r.put(open, 1); err != nil {
		return err
	}
	if err := s.drv.bus.write(buffer, payload); err != nil {
		return err
	}
	if err := r.put(open, 0); err != nil {
		return err
	}
	first := reg.TXTrigImmediate.Chain(t.chain).Addr()
	r.setByte(first, 0)
	if bit := t.triggerBit(); bit == reg.TXTrigDelayed {
		at := s.clock.trigger(t.trigger)
		for i, v := range []byte{byte(at >> 24), byte(at >> 16), byte(at >> 8), byte(at)} {
			r.setByte(first+1+reg.Addr(i), v)
		}
	}
	if err := r.flush(); err != nil {
		return err
	}
	t.written = time.Now()
	return r.put(t.triggerBit().Chain(t.chain), 1)
}

func (s *session) clearTrigger(chain int) error {
	r := s.drv.regs
	r.setByte(reg.TXTrigImmediate.Chain(chain).Addr(), 0)
	return r.flush()
}

// confirm re-reads the counter after the trigger was set.
func (s *session) confirm(t *transmission) error {
	took := time.Since(t.written) // the trigger was written in this time
	r, err := s.drv.counter()
	if err != nil {
		return err
	}
	s.c.stats.counterReads.Add(1)
	expected := s.clock.project(r.at)
	if err := s.clock.sample(r.low, r.at); err != nil {
		return err
	}
	t.report.Armed = s.clock.ticks.instant()
	if t.immediate() {
		half := took / 2
		t.fireAt(s.clock.ticks-ticksIn(r.at.Sub(t.written)-half), s.drv.cfg.Radios[t.chain].Type)
		t.report.Doubt = half + r.doubt + (s.clock.ticks - expected).duration().Abs()
		return nil
	}
	if s.clock.ticks < t.trigger {
		return nil
	}
	// The moment has passed. If it was set in time the transmitter runs.
	status, err := s.status(t.chain)
	if err != nil {
		return err
	}
	if status.emitting() {
		return nil
	}
	return fmt.Errorf("%w: the trigger for %d was set, the counter read back %d µs later",
		radio.ErrTooLate, t.trigger.instant(), (s.clock.ticks-t.trigger)/ticksPerMicrosecond)
}

// started notes when a transmission that was seen on the air began. One that
// a pulse started began with the pulse that the chip latched.
func (s *session) started(t *transmission) error {
	if t.d.OnPulse && t.report.Started == 0 {
		pulse, err := s.lastPulse()
		off := pulse - t.trigger
		off -= ticks(math.Round(float64(off)/ticksPerSec)) * ticksPerSec // others may have come since
		switch known := err == nil && off.duration().Abs() <= pulseWander; {
		case known:
			t.fireAt(t.trigger+off, s.drv.cfg.Radios[t.chain].Type)
		case err == nil || errors.Is(err, ErrNoPulse):
			t.report.Doubt = pulseWander
		default:
			return err
		}
	}
	t.report.Started = t.at.instant()
	return nil
}
