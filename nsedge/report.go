package nsedge

import (
	"errors"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// report deals with the fate of a downlink.
func (e *Edge) report(r radio.Report) {
	fl := e.flights[r.ID]
	if fl == nil && e.beaconReport(&r) {
		return
	}
	if fl == nil {
		return
	}
	delete(e.flights, r.ID)
	timing := Timing{Window: fl.slot.name, Planned: r.Planned, Armed: r.Armed, Started: r.Started, Ended: r.Ended, Margin: r.Margin()}
	if timing.Planned == 0 {
		timing.Planned = fl.slot.at
	}
	if r.Armed == 0 {
		timing.Margin = 0
	}
	if fl.c.standby {
		defer e.stoodBy(fl, r.Err != nil)
	}
	if r.Err != nil && fl.replaced {
		return
	}
	if r.Err != nil {
		e.reportFailure(fl, &r, timing)
		return
	}
	e.stats.Sent++
	w := fl.w
	if rx1 := &w.slots[0]; fl.slot == &w.slots[1] && rx1.err == nil && fl.c.app && fl.c.came.After(rx1.cutoff) {
		timing.Late = "as" // for RX1
	}
	m := e.meta(w.dev, w.s, w.hash, w.up.Gateway)
	ev := &DownlinkEvent{Meta: m, Radio: e.downlinkInfo(fl, &r), Frame: FrameInfo{MType: fl.phy[0] >> 5, Major: fl.phy[0] & 3}, Timing: timing}
	switch w.kind {
	case joinWindow:
		e.stats.Joins++
		ev.DevAddr = w.join.addr
		e.publish(ev)
		e.logDownlink(ev)
		e.notice(Info, CodeJoinAccepted, ev.Meta, "the join-accept was sent in "+fl.slot.name)
		return
	case dataWindow, classCWindow:
		e.describe(ev, fl)
	}
	e.publish(ev)
	e.logDownlink(ev)
	e.repeat(fl)
	if fl.c.confirmed {
		w.s.unacked = true
	}
	if fl.c.confirmed || w.asks {
		w.dev.paceRXC(time.Now())
	}
}

// describe fills in what a data downlink carried.
func (e *Edge) describe(ev *DownlinkEvent, fl *flight) {
	ev.Counter, ev.Encrypted = fl.counter, fl.frm
	ev.Frame.Confirmed, ev.Frame.ACK, ev.Frame.Pending = fl.c.confirmed, fl.w.ack, fl.c.pending
	if fl.c.app {
		ev.Port = fl.c.port
		ev.Payload = fl.c.plain
		if ev.Payload == nil && len(fl.c.encrypted) > 0 && fl.w.s.hasApp {
			ev.Payload = crypt(fl.w.s.appSKey, false, fl.w.s.addr, fl.counter, fl.frm)
		}
	}
	if fl.c.size() == 0 {
		ev.Payload = []byte{}
	}
	ev.Frame.MACCommands, _ = decodeMAC(false, fl.mac) // the edge's own
	fl.w.s.onAir(fl.mac)
	_ = eachMAC(false, fl.mac, func(cid lorawan.CID, _ macForm, _ []byte) error {
		switch cid {
		case lorawan.DevStatusReq:
			fl.w.dev.devStatusSent()
		case lorawan.ForceRejoinReq:
			fl.w.dev.forceRejoinSent()
		}
		return nil
	})
}

func (e *Edge) downlinkInfo(fl *flight, r *radio.Report) RadioInfo {
	s := fl.slot
	started := s.start
	if r.Started != 0 {
		started = s.start.Add(r.Started.Sub(s.at))
	}
	return RadioInfo{
		Freq: s.freq, DataRate: s.dr, Mod: s.mod, Inverted: inverted(s.mod), Size: len(fl.phy),
		Time: started, GPSTime: e.gps(&fl.w.up, started), Tmst: uint32(r.Started), Power: r.Power,
	}
}

func inverted(m radio.Modulation) bool {
	l, ok := m.(radio.LoRa)
	return ok && l.InvertIQ
}

// reportFailure deals with a frame that never was on the air: RX2 takes it if
// there is time, else the AS is told.
func (e *Edge) reportFailure(fl *flight, r *radio.Report, t Timing) {
	e.stats.SendFailed++
	fl.slot.gw.ledger.cancel(fl.airtime)
	w := fl.w
	if errors.Is(r.Err, radio.ErrTooLate) {
		t.Late = "chip"
		if fl.schedule.After(fl.slot.cutoff) {
			t.Late = "ns"
			if fl.c.app && fl.c.came.After(fl.slot.cutoff) {
				t.Late = "as"
			}
		}
	}
	defer e.repeat(fl)
	m := e.meta(w.dev, w.s, w.hash, w.up.Gateway)
	code := CodeDownlinkFailed
	switch {
	case w.kind == joinWindow:
		code = CodeJoinFailed
	case errors.Is(r.Err, radio.ErrChannelBusy):
		code = CodeDownlinkBusy
	}
	e.tell(&Notice{Meta: m, Level: Error, Code: code, Timing: &t,
		Message: "the downlink was not sent in " + t.Window + e.by(fl.slot) + ": " + r.Err.Error() + e.retry(fl)})
}

// retry sends the same frame in RX2, or by another gateway, and tells which.
// Its counter is still good, as it never was on the air, and the bytes are the
// same.
func (e *Edge) retry(fl *flight) string {
	w, failed := fl.w, fl.slot.gw
	first := 0
	if fl.slot == &w.slots[1] {
		first = 1
	}
	if e.running == nil || w.dev.traffic != nil && w.dev.win != w || w.kind == classCWindow {
		return ""
	}
	copies := w.copies
	if copies == nil {
		copies = []radio.Uplink{w.up}
	}
	for i := first; i < len(w.slots); i++ {
		for _, u := range copies {
			if i == first && u.Gateway == failed.EUI || fl.c.gateway != nil && u.Gateway != *fl.c.gateway {
				continue
			}
			if len(copies) > 1 {
				e.via(w, u)
			}
			s := &w.slots[i]
			if s.err != nil || !time.Now().Before(s.start) || w.kind == dataWindow && fl.c.size() > s.size-len(fl.mac) {
				continue
			}
			next := *fl
			if next.slot = s; e.launch(&next) == nil {
				return "; it is sent in " + s.name + e.by(s) + " instead"
			}
		}
	}
	return ""
}
