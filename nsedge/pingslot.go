package nsedge

import (
	"fmt"
	"slices"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/classb"
	"gatewayd/radio"
)

// PingSlots is where a class B device or group listens.
type PingSlots struct {
	// Periodicity of a group: a slot each 2^n seconds, about; 0 to 7. A device
	// says by itself (PingSlotInfoReq); this is what counts until it does.
	Periodicity *int        `json:"period,omitempty"`
	Freq        radio.Hertz `json:"freq,omitempty"` // 0: the region's channel, or channels
	DataRate    *int        `json:"dr,omitempty"`   // nil: the region's
}

func (p PingSlots) clone() PingSlots {
	p.Periodicity, p.DataRate = copied(p.Periodicity), copied(p.DataRate)
	return p
}

// pingSettings are a device's class B parameters as far as the edge knows.
type pingSettings struct {
	On          bool        `json:"on,omitempty"`   // by the bit in its last uplink
	Told        bool        `json:"told,omitempty"` // it told its periodicity
	Periodicity uint8       `json:"period,omitempty"`
	Freq        radio.Hertz `json:"freq,omitempty"`   // of PingSlotChannelReq; 0 is the region's
	DR          int8        `json:"dr"`               // of the same; -1 is the region's
	Beacon      radio.Hertz `json:"beacon,omitempty"` // of BeaconFreqReq; 0 is the region's

	unheard int // confirmed frames in a row without an acknowledgement
}

const (
	// pingAhead is how long before its deadline a frame is given to the Air: the
	// counter's relation to GPS time should be fresh.
	pingAhead = 200 * time.Millisecond
	// pingLife bounds how long a frame may wait for a ping slot.
	pingLife = 10 * time.Minute
	// pingPatience is how many confirmed frames without an acknowledgement are
	// sent in ping slots before the device is taken to be in class A.
	pingPatience = 3
)

// pings are a session's class B parameters.
func (s *session) pings() pingSettings {
	if s.Ping != nil {
		return *s.Ping
	}
	p := pingSettings{DR: -1}
	if n := s.dev.spec.PingSlots.Periodicity; n != nil {
		p.Periodicity, p.Told = uint8(*n), true
	}
	return p
}

// classB tells whether the device listens in ping slots.
func (d *device) classB() bool {
	s := d.session()
	if d.spec.Class != "B" || s == nil {
		return false
	}
	p := s.pings()
	return d.spec.Multicast || p.On && p.Told
}

// anytime tells whether the device can be sent something now, without an
// uplink before.
func (e *Edge) anytime(d *device) bool {
	return (d.classC() || d.classB() && slices.ContainsFunc(e.gateways, (*gateway).pings)) && !d.moving()
}

// noteClassB takes from an uplink whether the device is in class B, and where
// its ping slots are.
func (e *Edge) noteClassB(r *reception, s *session, f *dataUp, commands []byte) {
	if s.dev.spec.Class != "B" {
		return
	}
	before := s.pings()
	before.unheard = 0
	p := before
	p.On = f.has(ctrlClassB)
	_ = eachMAC(true, commands, func(cid lorawan.CID, _ macForm, b []byte) error { // errors were published
		if cid == lorawan.PingSlotInfoReq {
			p.Periodicity, p.Told = b[0]&7, true
		}
		return nil
	})
	s.Ping = &p
	if p == before {
		return
	}
	o := s.ordering()
	o.blocking = o.blocking || p.Periodicity != before.Periodicity
	e.saveSettings(s)
	if p.On != before.On {
		e.tellClass(s, r.hash, "")
	}
}

// tellClass tells that a device has another class than before.
func (e *Edge) tellClass(s *session, hash PacketHash, why string) {
	m := e.meta(s.dev, s, hash, e.cfg.Gateway)
	p := s.pings()
	switch {
	case p.On && p.Told:
		e.noticef(Info, CodeClassBEntered, m, "the device is in class B: %d ping slots in each beacon period of %v", 1<<(classb.MaxPeriodicity-p.Periodicity), classb.Period)
	case p.On:
		e.notice(Warning, CodeClassBEntered, m, "the device is in class B, but did not tell where its ping slots are (PingSlotInfoReq): register ping_slot.periodicity, or it is answered as class A")
	default:
		e.notice(Info, CodeClassBLeft, m, "the device is in class A"+why)
	}
}

// pingMissed notes that a confirmed frame in a ping slot was not acknowledged.
// After some of them the device is taken to have lost the beacons.
func (e *Edge) pingMissed(w *window) {
	if w.s.Ping == nil || !w.s.Ping.On {
		return
	}
	if w.s.Ping.unheard++; w.s.Ping.unheard < pingPatience {
		return
	}
	p := w.s.pings()
	p.On, p.unheard = false, 0
	w.s.Ping = &p
	e.saveSettings(w.s)
	e.tellClass(w.s, w.hash, fmt.Sprintf(", as far as can be told: it acknowledged none of %d frames in ping slots. The next uplink will tell", pingPatience))
}

// pingChannel is where a session has its ping slots in a beacon period.
func (e *Edge) pingChannel(s *session, period int64) (radio.Hertz, int) {
	freq, dr := e.cfg.Region.PingChannel(s.addr, period)
	p := s.pings()
	if p.Freq != 0 {
		freq = p.Freq
	}
	if p.DR >= 0 {
		dr = int(p.DR)
	}
	return freq, dr
}

// planPing sets the slot of w to the next ping slot from a moment on, in a
// gateway, that does not touch the device's RX1 and RX2.
func (e *Edge) planPing(w *window, g *gateway, size int, from time.Time) error {
	if !g.pings() {
		return refuse(CodeDownlinkNoWindow, "device", "there are no ping slots at present: %s", g.beacons.Why)
	}
	at, ok := g.now()
	if !ok {
		return refuse(CodeDownlinkNoWindow, "device", "the gateway's counter is not known: try again when the gateway runs")
	}
	now := time.Now()
	gps, _ := g.Clock.GPSTime(at)
	w.up = radio.Uplink{Gateway: g.EUI, At: at, Time: now}
	for {
		start := classb.NextPing(gps+from.Sub(now), w.s.addr, int(w.s.pings().Periodicity))
		freq, dr := e.pingChannel(w.s, classb.Count(start))
		s := e.slot(w, "ClassB", start-gps, freq, dr, nil)
		if s.err != nil {
			return refuse(CodeDownlinkNoWindow, "device", "ping slot: %v", s.err)
		}
		s.at, _ = g.Clock.InstantAt(start)
		w.slots = [2]slot{s, {name: "RX2", err: errOnlyRXC}}
		from = s.start.Add(time.Microsecond)
		switch after, busy := w.dev.listening(s.start, s.start.Add(s.mod.Airtime(size+frameOverhead))); {
		case busy:
			from = after
		case now.Before(s.cutoff):
			return nil
		}
	}
}

// listening tells whether the device's RX1 and RX2 are within a time, or so
// near to it that the device may be at them, and when they are over.
func (d *device) listening(from, until time.Time) (after time.Time, busy bool) {
	if d.traffic == nil || d.win == nil || d.win.kind != dataWindow || d.win.state >= sent {
		return after, false
	}
	after = d.win.slots[1].start.Add(classCGuard)
	return after, from.Before(after) && until.After(d.win.slots[0].start.Add(-classCGuard))
}
