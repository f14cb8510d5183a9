package nsedge

import (
	"slices"

	"gatewayd/nsedge/region"
)

// dataUp finds the session of a data uplink and deals with it.
func (e *Edge) dataUp(r *reception, f *dataUp) {
	first := e.byAddr[f.addr]
	if first == nil {
		e.stats.Foreign++
		return
	}
	// Several devices may have the address: the MIC decides.
	best, counter, s := badMIC, uint32(0), first
	for c := first; c != nil; c = c.next {
		if c.v11 {
			f.heard, r.doubt = e.heardAs(r, c), true
		}
		if v, n := c.judge(f); v > best {
			best, counter, s = v, n, c
		}
		if best == accepted {
			break
		}
	}
	if best != badMIC {
		r.dev, r.doubt = s.dev, false
	}
	if best < repeated {
		e.refuseData(r, f, s, best, counter)
		return
	}
	if s.dev.spec.BlockUplink {
		e.stats.Refused++
		e.notice(Warning, CodeUplinkBlocked, e.meta(s.dev, s, r.hash, r.first.Gateway), "an uplink of a device whose uplinks are blocked was dropped: clear block_uplink to receive it")
		return
	}
	if best == repeated {
		e.repeatData(r, f, s, counter)
		return
	}
	e.deliver(r, f, s, counter, best)
}

// refuseData tells why a data uplink is not delivered.
func (e *Edge) refuseData(r *reception, f *dataUp, s *session, v verdict, c uint32) {
	e.stats.Refused++
	m := e.meta(s.dev, s, r.hash, r.first.Gateway)
	switch v {
	case tooFar:
		e.noticef(Error, CodeUplinkGap, m, "uplink counter %d skips %d, the strict policy allows %d: if the device is right, set its counter_up to %d or its policy to relaxed (strict_counter to false)", c, c-s.up, maxGap-1, c)
	case replayed:
		if c >= s.up {
			e.noticef(Error, CodeUplinkReplay, m, "this very frame, counter %d, was heard before the device began again: a replay", c)
			return
		}
		e.noticef(Error, CodeUplinkReplay, m, "uplink counter %d is not greater than the last known, %d: a replay, or the device lost its counters. If it did, let it join again; an ABP device has to be reset here (counter_up 0), or its policy set to lab", c, s.up-1)
	default:
		if s.next != nil || e.byAddr[f.addr] != s { // of several devices
			m = e.meta(nil, s, r.hash, r.first.Gateway)
		}
		e.noticef(Error, CodeUplinkMIC, m, "the MIC of an uplink with counter …%04x is wrong, also with other upper halves of the counter (%d was expected): check nwkskey, or it is a device of another network with the same address", f.counter, s.up)
	}
}

// repeatData deals with a frame that was delivered already: the device did
// not get an answer. Its windows open again.
func (e *Edge) repeatData(r *reception, f *dataUp, s *session, c uint32) {
	m := e.meta(s.dev, s, r.hash, r.first.Gateway)
	if s.repeats >= maxRepeats {
		e.stats.Refused++
		e.noticef(Error, CodeUplinkReplay, m, "uplink counter %d came more than %d times: a replay. It is not answered any more", c, maxRepeats)
		return
	}
	s.repeats++
	e.noticef(Warning, CodeUplinkRepeated, m, "uplink counter %d again: the device got no answer to it. It is not delivered twice, but answered again", c)
	e.noteRequests(r, s, commandsIn(f, s, c))
	e.open(r, f, s, c)
}

// commandsIn returns the MAC commands of an uplink.
func commandsIn(f *dataUp, s *session, c uint32) []byte {
	switch {
	case f.hasPort && f.port == 0:
		return crypt(s.encKey, true, s.addr, c, f.frm)
	case s.v11 && len(f.opts) > 0:
		return cryptOpts(s.encKey, true, false, s.addr, c, slices.Clone(f.opts))
	}
	return f.opts
}

// heardAs is what the MIC of an uplink of LoRaWAN 1.1 covers besides the
// frame, if it is the session's.
func (e *Edge) heardAs(r *reception, s *session) heardAs {
	h := heardAs{dr: uint8(e.dataRate(&r.first)), channel: -1}
	for _, known := range [][]region.Channel{e.channelsOf(s), e.cfg.Region.Channels()} {
		for _, c := range known {
			if c.Freq == r.first.Freq {
				h.channel = c.Index
				return h
			}
		}
	}
	return h
}

// deliver accepts a data uplink: recorded, published, its window opened.
func (e *Edge) deliver(r *reception, f *dataUp, s *session, c uint32, v verdict) {
	dev := s.dev
	before := s.counters
	s.take(f, c, r.came)
	if err := e.record(s, s.down, false); err != nil {
		s.counters = before // its repetition is as good
		e.notice(Error, CodeServer, e.meta(dev, s, r.hash, r.first.Gateway), "the uplink can't be recorded, so it is not delivered: "+err.Error())
		return
	}
	s.repeats = 0
	waited := slices.Index(dev.pending, s)
	if waited >= 0 {
		e.activate(dev, waited)
	}
	dr := e.dataRate(&r.first)
	ev := &UplinkEvent{
		Meta: e.meta(dev, s, r.hash, r.first.Gateway), RXTime: r.first.Time,
		Counter: c, Port: f.port, Encrypted: f.frm,
		Radio: e.uplinkInfo(&r.first, r.came, dr), Frame: f.info(),
	}
	commands := commandsIn(f, s, c)
	switch {
	case len(f.frm) == 0, f.port == 0:
		ev.Payload = []byte{}
	case s.hasApp:
		ev.Payload = crypt(s.appSKey, true, s.addr, c, f.frm)
	}
	var macErr error
	if len(commands) > 0 {
		ev.Frame.MACCommands, macErr = decodeMAC(true, commands)
	}
	r.event = ev
	e.stats.Delivered++
	e.publish(ev)
	e.logUplink(ev)
	if waited >= 0 {
		e.notice(Info, CodeActivated, ev.Meta, "the device uses its new session")
	}
	e.remarks(r, f, s, v, dr, macErr)
	if v == restarted {
		e.forgetSettings(s)
	}
	e.adrSample(r, f, s, c)
	e.handleMAC(r, s, commands)
	e.noteClassB(r, s, f, commands) // after ResetInd, which forgets
	e.open(r, f, s, c)
	e.nextRXC(dev)
}

// remarks publishes what is worth knowing about a delivered uplink.
func (e *Edge) remarks(r *reception, f *dataUp, s *session, v verdict, dr int, macErr error) {
	m := r.event.Meta
	if v == restarted {
		e.noticef(Warning, CodeUplinkRestarted, m, "the ABP device began again at counter %d: it lost its counters. Set its policy to strict (strict_counter) to refuse that", r.event.Counter)
	}
	if macErr != nil {
		e.noticef(Warning, CodeUplinkMACInvalid, m, "MAC commands in the uplink: %v; those before are used", macErr)
	}
	if band := e.band(s.dev.spec.Band); dr < 0 || !band.Contains(r.first.Freq) || !e.cfg.Region.Contains(r.first.Freq) {
		e.noticef(Warning, CodeOutsideBand, m, "%.3f MHz, %v is outside %v: check the device's band and the gateway's", r.first.Freq.MHz(), r.first.Mod, band)
	}
	if s.unacked {
		s.unacked = false
		if f.has(ctrlACK) {
			e.notice(Info, CodeDownlinkAcked, m, "the device acknowledged the confirmed downlink")
		} else {
			e.notice(Warning, CodeDownlinkNotAcked, m, "the device did not acknowledge the confirmed downlink: answer this uplink to send it again")
		}
	}
	if len(f.frm) == 0 {
		e.notice(Info, CodeUplinkEmpty, m, "an uplink without payload was processed")
	} else {
		e.notice(Info, CodeUplinkProcessed, m, "the uplink was processed")
	}
}

// activate makes a session that waited the one in use: an uplink used it. It
// ends those before it; the device may already have a later one.
func (e *Edge) activate(d *device, waited int) {
	if d.traffic != nil && d.queued != nil && len(d.queued.encrypted) > 0 {
		d.queued = nil
		e.notice(Error, CodeDownlinkCounter, e.meta(d, d.active, PacketHash{}, e.cfg.Gateway), "the kept downlink was encrypted for the session before the join: answer again")
	}
	e.unlink(d.active)
	for _, s := range d.pending[:waited] {
		e.unlink(s)
	}
	d.promote(waited)
}
