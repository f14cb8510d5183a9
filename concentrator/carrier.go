package concentrator

import (
	"fmt"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

const (
	sourceCarrier = 0 // of the transmitter's samples

	carrierMost   = time.Minute
	carrierOffset = 490_000 // Hz, by the 12 bits of the deviation
	carrierStep   = 10_000  // Hz, of the deviation
)

// checkCarrier checks an unmodulated carrier.
func (t *transmission) checkCarrier(m radio.Carrier) error {
	switch {
	case m.Duration < time.Millisecond || m.Duration > carrierMost:
		return fmt.Errorf("%w: a carrier for %v, only 1 ms to %v", radio.ErrFrame, m.Duration, carrierMost)
	case m.Offset < -carrierOffset || m.Offset > carrierOffset:
		return fmt.Errorf("%w: a carrier %d Hz beside its frequency, at most %d", radio.ErrFrame, m.Offset, carrierOffset)
	case len(t.d.Payload) != 0:
		return fmt.Errorf("%w: a carrier with %d bytes of payload; it carries none", radio.ErrFrame, len(t.d.Payload))
	}
	t.carrier = &m
	return nil
}

// prepareCarrier: the modulator turns at a part of its deviation: 64 is all
// of it.
func (s *session) prepareCarrier(set func(reg.Field, byte), t *transmission) {
	offset := t.carrier.Offset
	deviation := max((max(offset, -offset)+carrierStep-1)/carrierStep, 1) * carrierStep
	for _, v := range []setting{
		{reg.TXGenCfg0ModulationType, 0}, {reg.TXRffeIFCtrlTXIFSrc, sourceCarrier}, {reg.TXAGCTXBW, agcFilter | 4},
		{reg.TXRffeIFTestModFreq, byte(int8(offset * 64 / deviation))},
	} {
		set(v.field, v.value)
	}
	s.setDeviation(set, deviation)
}

// silence ends a carrier, which would go on for ever.
func (s *session) silence(t *transmission, now ticks) error {
	t.silenced = true
	s.tx.checkAt = now + ticksIn(endPoll)
	return s.clearTrigger(t.chain)
}
