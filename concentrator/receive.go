package concentrator

import (
	"bytes"
	"slices"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

const (
	// fifoBurst is how much of the receive buffer one frame takes: short, so
	// that a transmission that becomes due waits 420 µs at most (at 8 MHz). Two
	// of them carry sixteen short packets.
	fifoBurst = 384
	// patience is how many empty looks the beginning of a packet may wait for
	// its rest.
	patience = 4
	// fifoErrorBudget is how many reads may fail in a row.
	fifoErrorBudget = 3
	// twinTicks is how near the two demodulations of one packet are: 24 µs.
	twinTicks = 24 * ticksPerMicrosecond
)

// poll looks into the receive buffer and hands up what is there: one frame
// when there is nothing. busy is true when it is worth to look again soon.
func (s *session) poll() (busy bool, err error) {
	s.c.stats.polls.Add(1)
	n, err := s.waiting()
	if err != nil {
		return false, err
	}
	if n == 0 {
		return false, s.settle()
	}
	// The count is two bytes that can tear while it grows. With a high byte
	// of 0 it is never too large; else the smaller of two readings is there for
	// sure, and the rest is found next time.
	if n > 0xFF {
		again, err := s.waiting()
		if err != nil {
			return false, err
		}
		if n = min(n, again); n == 0 {
			return true, nil
		}
	}
	if n >= reg.RXFIFOSize {
		s.c.stats.overflows.Add(1)
		n = reg.RXFIFOSize
	}
	if err := s.fetch(n); err != nil {
		return false, err
	}
	// Only now the counter: a stamp that is newer would unroll 134 s early.
	if err := s.lookAtTime(); err != nil {
		return false, err
	}
	s.empty = 0
	s.digest(false)
	return true, nil
}

// waiting reads how many bytes the receive buffer holds.
func (s *session) waiting() (int, error) {
	var b [2]byte
	err := s.drv.bus.read(reg.RXBufferNbBytesMSB.Addr(), b[:])
	return int(b[0]&0x1F)<<8 | int(b[1]), err
}

// fetch appends n bytes of the receive buffer to what is left from before.
func (s *session) fetch(n int) error {
	for n > 0 {
		k := min(n, fifoBurst)
		if err := s.between(); err != nil {
			return err
		}
		data, err := s.drv.bus.readFIFO(k)
		if err != nil {
			s.c.stats.fifoErrors.Add(1)
			s.c.cfg.Log.Warn("receive buffer: bytes are lost", "err", err)
			s.partial = s.partial[:0]
			if s.fifoErrors++; s.fifoErrors >= fifoErrorBudget {
				return err
			}
			return nil // what is left is found, and re-synchronised, next time
		}
		s.fifoErrors = 0
		s.partial = append(s.partial, data...)
		n -= k
	}
	return nil
}

// between lets the transmitters have the bus between two bursts: a Schedule
// call that waits is answered, what is due is armed.
func (s *session) between() error {
	select {
	case r := <-s.requests:
		s.serve(r)
	default:
	}
	return s.transmit()
}

// settle gives up on the beginning of a packet whose rest doesn't come. Whole
// packets are still there when the look at the counter after them failed.
func (s *session) settle() error {
	if len(s.partial) == 0 {
		return nil
	}
	if s.empty++; s.empty < patience {
		return nil
	}
	if err := s.lookAtCounter(); err != nil {
		return err
	}
	s.empty = 0
	s.digest(true)
	return nil
}

// digest decodes what was fetched and hands the packets up.
func (s *session) digest(final bool) {
	sv := &s.drv.cfg.Service
	packets, rest, found := decode(s.partial, final, sv.Implicit && sv.ImplicitCRC)
	s.partial = slices.Clone(rest)
	s.c.stats.count(found)
	if s.drv.cfg.FineTimestamp != FineTimestampOff {
		before := len(packets)
		packets = withoutTwins(packets)
		s.c.stats.duplicates.Add(uint64(before - len(packets)))
	}
	up := make([]radio.Uplink, len(packets))
	for i, p := range packets {
		up[i] = s.uplink(p)
	}
	slices.SortStableFunc(up, func(a, b radio.Uplink) int { return int(a.At - b.At) })
	for _, u := range up {
		s.c.stats.packets.Add(1)
		if u.CRC == radio.BadCRC {
			s.c.stats.crcBad.Add(1)
		}
		select {
		case s.c.uplinks <- u:
		default:
			s.c.stats.dropped.Add(1)
		}
	}
}

// withoutTwins keeps one of each two demodulations of the same packet: the
// one with a good CRC, else the one with a fine time stamp.
func withoutTwins(list []packet) []packet {
	var out []packet
next:
	for _, p := range list {
		for i, q := range out {
			apart := int32(p.stamp - q.stamp)
			if p.chain == q.chain && p.sf == q.sf && max(apart, -apart) <= twinTicks && bytes.Equal(p.payload, q.payload) {
				if p.crcError == q.crcError && p.timing && !q.timing || q.crcError && !p.crcError {
					out[i] = p
				}
				continue next
			}
		}
		out = append(out, p)
	}
	return out
}

// uplink digests one packet.
func (s *session) uplink(p packet) radio.Uplink {
	c := s.drv.cfg
	ch := c.chain(p.chain)
	r := c.Radios[ch.Radio]
	at := s.clock.stamp(p.stamp).instant() + radio.Instant(c.stampCorrection(p))
	celsius, _ := s.c.temperature()
	correction := float64(r.RSSIOffset) + temperatureOffset(r.RSSITemperature, celsius)
	u := radio.Uplink{
		Gateway: s.drv.eui, Payload: p.payload, CRC: p.crcState(),
		At: at, Time: s.clock.host(ticksOf(at)).Round(0), Tmst: uint32(at),
		GPSTime: s.gpsTime(s.clock, s.timeState(time.Now()), ticksOf(at)),
		Freq:    r.Freq + ch.IF, IFChain: int(p.chain), RFChain: ch.Radio,
	}
	if p.modem == fskModem {
		u.Mod = radio.FSK{BitRate: c.FSK.BitRate, NoCRC: !p.hasCRC}
		u.RSSI = radio.DBm(fskRSSI(p.rssi) + correction)
		u.SignalRSSI = u.RSSI // there is no other figure, nor an SNR
		return u
	}
	m := c.modulation(p)
	u.Mod = m
	u.FreqOffset = frequencyOffset(p.offset, m.Bandwidth, ch.IF)
	u.FineTime = s.fineTime(p, u.Freq, u.FreqOffset)
	u.SNR = radio.DB(p.snr) / 4
	u.RSSI = radio.DBm(float64(p.rssi) + correction)
	u.SignalRSSI = radio.DBm(float64(p.signal) + correction)
	return u
}

// chain returns the channel of a receive chain.
func (c *Config) chain(n byte) Channel {
	switch n {
	case serviceChain:
		return c.Service.Channel
	case fskChain:
		return c.FSK.Channel
	}
	return c.Channels[n]
}

// modulation is how a LoRa packet was modulated.
func (c *Config) modulation(p packet) radio.LoRa {
	m := radio.LoRa{SF: p.sf, Bandwidth: 125_000, CodeRate: p.codeRate, NoCRC: !p.hasCRC}
	if p.modem == serviceModem {
		m.Bandwidth = c.Service.Bandwidth
		if c.Service.Implicit {
			m.Implicit, m.CodeRate = true, c.Service.ImplicitCodeRate
		}
	}
	if sync := c.networkSync(p.sf); sync != radio.PublicSync {
		m.Sync = sync
	}
	return m
}

// stampCorrection is what to add to a packet's stamp, in microseconds.
func (c *Config) stampCorrection(p packet) int64 {
	if p.modem == fskModem {
		return fskStampCorrection(c.FSK.BitRate)
	}
	m := c.modulation(p)
	// As in the reference: what the chip says of the CRC counts, and a header.
	m.Implicit, m.NoCRC = false, !p.crcEnabled
	if c.FineTimestamp != FineTimestampOff {
		return headerStampCorrection(m, len(p.payload))
	}
	return loraStampCorrection(m.Bandwidth, m.SF, m.Rate(), !m.NoCRC, len(p.payload))
}

func (p *packet) crcState() radio.CRC {
	switch {
	case !p.hasCRC:
		return radio.NoCRC
	case p.crcError:
		return radio.BadCRC
	}
	return radio.GoodCRC
}
