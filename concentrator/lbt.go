package concentrator

import (
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/sx1250"
	"gatewayd/radio/sx1261"
)

// Listen before talk: the SX1261 watches the channel of a transmission for
// its scan time and longer, and shows the AGC on a pin whether it is quiet;
// the AGC looks when the trigger fires, 1.5 ms before the first preamble
// symbol, and lets the frame out or doesn't.

// SX1261 is the companion radio, which listens before transmissions and
// measures the spectrum.
type SX1261 struct {
	Port       spi.Port // its own chip select; nil: there is none
	RSSIOffset radio.DB // what is to be added to its readings on this board
	LBT        LBT
	Survey     Survey // spectral scans in the background
}

// LBT is listen before talk.
type LBT struct {
	Enable bool
	Target radio.DBm // a channel that is this loud is busy; 0 means -80
	// Channels are those that may be sent on. Nil means all that the radios'
	// transmit ranges allow, so that the list follows the plan: the channels,
	// RX2, and what devices are given later. Each is then listened to for 5 ms
	// and may be held for 4 s.
	Channels []LBTChannel
}

// LBTChannel is one channel to be listened to.
type LBTChannel struct {
	Freq        radio.Hertz
	Bandwidth   radio.Hertz   // 125 or 250 kHz; 0 means 125
	ScanTime    time.Duration // 128 µs or 5 ms; 0 means 5 ms
	MaxTransmit time.Duration // from the look at the channel to the end of the frame; 0 means 4 s
}

const (
	defaultLBTTarget   = -80
	defaultMaxTransmit = 4 * time.Second
	lbtTolerance       = 10_000                  // Hz by which a carrier may be off its channel
	lbtAhead           = 1500 * time.Microsecond // the AGC looks this long before the preamble
	lbtAck             = 0xFF
	lbtAckPoll         = 500 * time.Microsecond
	lbtAckLimit        = 50 * time.Millisecond
	lbtFrames          = 8 // of the SX1261 before a transmission, at most
	lbtBits            = 0xC3
)

// attempted is the AGC's status bit that tells of a transmission of a chain;
// shifted by 6 it tells that the channel was busy.
func attempted(chain int) byte { return 1 << chain }

func (c *Config) checkSX1261() error {
	s := &c.SX1261
	if s.LBT.Enable && s.Port == nil {
		return configError("SX1261.LBT.Enable", true, "an SX1261 does the listening: set SX1261.Port (sx1261_spi in the configuration), or turn LBT off")
	}
	if s.Port == nil {
		return nil
	}
	if n := len(c.Firmware.SX1261); n != sx1261.PatchSize {
		return configError("Firmware.SX1261", fmt.Sprintf("%d bytes", n), fmt.Sprintf("%d bytes are wanted; %s", sx1261.PatchSize, howToImport))
	}
	if err := checkBand(c.Radios[0].Freq); err != nil {
		return configError("Radios[0].Freq", int64(c.Radios[0].Freq), "the SX1261 is calibrated for its band: "+err.Error())
	}
	if t := s.threshold(); t < sx1261.MinThreshold || t > sx1261.MaxThreshold {
		return configError("SX1261.LBT.Target", float64(s.LBT.Target), fmt.Sprintf("less SX1261.RSSIOffset (%v dB) it is a reading of %v dBm, the radio reads %v to %v", s.RSSIOffset, t, sx1261.MinThreshold, sx1261.MaxThreshold))
	}
	for i, ch := range s.LBT.Channels {
		name := fmt.Sprintf("SX1261.LBT.Channels[%d]", i)
		switch {
		case ch.Freq <= 0:
			return configError(name+".Freq", int64(ch.Freq), "a frequency in Hz")
		case ch.Bandwidth != 0 && ch.Bandwidth != 125_000 && ch.Bandwidth != 250_000:
			return configError(name+".Bandwidth", int64(ch.Bandwidth), "125000 or 250000")
		case ch.ScanTime != 0 && ch.ScanTime != sx1261.Scan128.Nominal && ch.ScanTime != sx1261.Scan5000.Nominal:
			return configError(name+".ScanTime", ch.ScanTime, "128µs or 5ms")
		case ch.MaxTransmit != 0 && ch.MaxTransmit <= lbtAhead:
			return configError(name+".MaxTransmit", ch.MaxTransmit, fmt.Sprintf("more than %v: the channel is looked at so long before the frame", lbtAhead))
		}
	}
	return nil
}

// checkBand tells whether the SX1261 can be calibrated for a frequency.
func checkBand(f radio.Hertz) error {
	_, err := sx1250.ImageArguments(f)
	return err
}

// threshold is the target as the radio reads it. (The vendor's library adds
// the offset here, though it adds it to readings, too.)
func (s *SX1261) threshold() radio.DBm {
	if s.LBT.Target == 0 {
		return defaultLBTTarget - radio.DBm(s.RSSIOffset)
	}
	return s.LBT.Target - radio.DBm(s.RSSIOffset)
}

// width is the filter that listens to the channel.
func (ch LBTChannel) width() sx1261.Bandwidth {
	if ch.Bandwidth == 250_000 {
		return sx1261.Width250
	}
	return sx1261.Width125
}

func (ch LBTChannel) scan() sx1261.ScanTime {
	if ch.ScanTime == sx1261.Scan128.Nominal {
		return sx1261.Scan128
	}
	return sx1261.Scan5000
}

// channel finds the channel that must be quiet for a transmission. A carrier
// that is a little off its channel is listened to where it is.
func (l *LBT) channel(f radio.Hertz, mod radio.Modulation) (LBTChannel, error) {
	bw := radio.Hertz(125_000)
	switch m := mod.(type) {
	case radio.LoRa:
		bw = m.Bandwidth
	case radio.FSK:
		if 2*m.Dev()+radio.Hertz(m.BitRate) > bw { // Carson's rule
			bw = 250_000
		}
	}
	if bw > 250_000 {
		return LBTChannel{}, fmt.Errorf("%w: bandwidth %d Hz; with listen before talk at most 250000 can be sent", radio.ErrFrame, bw)
	}
	if l.Channels == nil {
		return LBTChannel{Freq: f, Bandwidth: bw}, nil
	}
	for _, ch := range l.Channels {
		off := ch.Freq - f
		if max(off, -off) <= lbtTolerance && max(ch.Bandwidth, 125_000) == bw {
			ch.Freq = f
			return ch, nil
		}
	}
	return LBTChannel{}, fmt.Errorf("%w: %d Hz with %d Hz bandwidth is none of the %d channels for listen before talk; add it to them, or leave them out", radio.ErrFrequency, f, bw, len(l.Channels))
}

// listening is what a transmission needs before and after.
type listening struct {
	channel LBTChannel
	begun   bool
	since   ticks // when the watch began, 0 before
	err     error // it could not
	verdict verdict
	fate    error
	until   ticks // when the acknowledgement must be through
}

// verdict is how far the AGC's answer was taken.
type verdict uint8

const (
	awaited verdict = iota
	acknowledged
	settled
)

// listenFor checks a transmission against the LBT rules; nil when there are
// none.
func (c *Config) listenFor(t *transmission) (*listening, error) {
	if !c.SX1261.LBT.Enable {
		return nil, nil
	}
	ch, err := c.SX1261.LBT.channel(t.d.Freq, t.d.Mod)
	if err != nil {
		return nil, err
	}
	limit := ch.MaxTransmit
	if limit == 0 {
		limit = defaultMaxTransmit
	}
	if held := t.d.Mod.Airtime(len(t.d.Payload)) + lbtAhead; held > limit {
		return nil, fmt.Errorf("%w: holds the channel for %v, %v are allowed with listen before talk", radio.ErrFrame, held.Round(time.Millisecond), limit)
	}
	return &listening{channel: ch}, nil
}

// listenLead is how much earlier a transmission must be known because of LBT.
func (c *Config) listenLead(b *bus, d radio.Downlink) time.Duration {
	if !c.SX1261.LBT.Enable {
		return 0
	}
	ch, err := c.SX1261.LBT.channel(d.Freq, d.Mod)
	if err != nil {
		return 0 // it is refused anyway
	}
	return ch.scan().Window() + lbtFrames*sx1261.Busy + b.costAlone(lbtFrames, 40)
}

// waits tells whether a transmission can't be armed yet because its channel
// is not being watched.
func (t *transmission) waits() bool {
	return t.listen != nil && t.listen.err == nil && t.listen.since == 0
}

// listen begins to watch the channel of the head of the queue.
func (s *session) listen(t *transmission) {
	k, l := s.drv.companion, t.listen
	l.begun = true
	watch := sx1261.LBT(l.channel.scan(), k.cfg.threshold())
	k.begin(&job{
		requests: append(k.listen(l.channel), watch),
		check:    checkReceives,
		done: func(err error) {
			switch {
			case err == nil:
				l.since = s.clock.now(time.Now())
				k.watches = l
			case !errors.Is(err, errPreempted):
				l.err = err
			default:
				l.begun = false
			}
		},
	})
}

// watched says why a transmission may not be armed: the watch failed, or
// began too late to be worth anything when the trigger fires.
func (t *transmission) watched() error {
	switch l := t.listen; {
	case l == nil:
		return nil
	case l.err != nil:
		return fmt.Errorf("listen before talk: %w", l.err)
	case l.since+ticksIn(l.channel.scan().Window()) > t.trigger:
		return fmt.Errorf("%w: its channel is watched for %v before the trigger, %v are needed",
			radio.ErrTooLate, (t.trigger - l.since).duration().Round(time.Microsecond), l.channel.scan().Window())
	}
	return nil
}

// abandon is for a transmission that came to nothing before the AGC was heard:
// the radio rests, and what the AGC may yet say is acknowledged unheard, so
// that it is not taken for an answer to the next one. The other half of the
// acknowledgement comes before the next transmission (see settleVerdict).
func (s *session) abandon(t *transmission) error {
	if t.listen == nil {
		return nil
	}
	s.drv.companion.watches = nil
	s.drv.companion.rest()
	s.tx.unheard = true
	return s.drv.regs.put(reg.AGCMCUMailBoxWrDataByte0, lbtAck)
}

// settleVerdict ends the acknowledgement that abandon has begun.
func (s *session) settleVerdict() error {
	if !s.tx.unheard {
		return nil
	}
	s.tx.unheard = false
	return s.drv.regs.put(reg.AGCMCUMailBoxWrDataByte0, 0)
}

// checkVerdict takes the AGC's answer to the active transmission and
// acknowledges it; then the transmission goes on like any other, or has ended.
func (s *session) checkVerdict(t *transmission) error {
	l := t.listen
	status, err := s.drv.regs.readByte(reg.AGCMCUAGCStatus.Addr())
	if err != nil {
		return err
	}
	now := s.clock.now(time.Now())
	if l.verdict == acknowledged {
		return s.checkAcknowledged(t, status, now)
	}
	switch mine := attempted(t.chain); {
	case status&mine == 0 && now <= t.at+ticksIn(startLimit):
		s.tx.checkAt = now + ticksIn(endPoll)
		return nil
	case status&mine == 0:
		l.fate = fmt.Errorf("%w: the AGC status is 0x%02X %v after the start", ErrNotStarted, status, (now - t.at).duration())
	case status&(mine<<6) != 0:
		l.fate = fmt.Errorf("%w: %d Hz, at or above %v dBm", radio.ErrChannelBusy, t.d.Freq, s.c.cfg.SX1261.threshold()+radio.DBm(s.c.cfg.SX1261.RSSIOffset))
	}
	if err := s.drv.regs.put(reg.AGCMCUMailBoxWrDataByte0, lbtAck); err != nil {
		return err
	}
	l.verdict, l.until = acknowledged, now+ticksIn(lbtAckLimit)
	s.tx.checkAt = now + ticksIn(lbtAckPoll)
	return nil
}

// checkAcknowledged waits until the AGC has taken its answer back.
func (s *session) checkAcknowledged(t *transmission, status byte, now ticks) error {
	if status&lbtBits != 0 {
		if now > t.listen.until {
			return errors.Join(s.finish(t.listen.fate), fmt.Errorf("%w: AGC status 0x%02X %v after the acknowledgement", ErrMCU, status, lbtAckLimit))
		}
		s.tx.checkAt = now + ticksIn(lbtAckPoll)
		return nil
	}
	if err := s.drv.regs.put(reg.AGCMCUMailBoxWrDataByte0, 0); err != nil {
		return err
	}
	t.listen.verdict = settled
	s.drv.companion.watches = nil
	s.drv.companion.rest()
	if t.listen.fate != nil {
		return s.finish(t.listen.fate)
	}
	return s.check()
}
