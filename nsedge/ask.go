package nsedge

import (
	"slices"
	"time"

	"github.com/brocaar/lorawan"
)

// What a device is asked for by MAC commands goes with RX1 or RX2 (mac.go). A
// device that listens without an uplink before is asked at once, by a frame of
// its own: never beside an application's payload, as a device that is newer
// than its registration says would discard both. Each request is tried so once
// between two uplinks; the other tries go with RX1 and RX2.

// askNow asks a device for what is due, as soon as its turn comes, if it may
// be asked between its uplinks. What goes with RX1 or RX2 meanwhile is not
// asked twice.
func (e *Edge) askNow(d *device) {
	s := d.session()
	if e.running == nil || s == nil || d.spec.Multicast || d.spec.BlockDownlink || !d.spec.asksBetween() || !e.anytime(d) {
		return
	}
	if slices.ContainsFunc(d.busy().rxc, func(w *window) bool { return w.asks }) {
		return
	}
	var f fingerprint
	copy(f[:], d.spec.DevEUI[:])
	w, err := e.openRXC(d, e.packetHash(f), nil)
	if err != nil {
		return // with the next uplink
	}
	w.asks, w.dr = true, e.dataRate(&d.lastUp)
	if len(e.requestsDue(w, maxFOpts)) == 0 {
		return
	}
	if err := e.sendRXC(w, &content{came: time.Now()}); err != nil {
		e.log.Debug("MAC commands not sent between uplinks", "device", d.spec.DevEUI, "err", err)
	}
}

// asksBetween tells whether the device takes MAC commands in RXC and in ping
// slots. One of 1.0.4 discards such a frame (TS001-1.0.4 §9.3.1, §15); those
// before it and those of 1.1 treat it like any other.
func (d *Device) asksBetween() bool { return d.Version != version104 }

// requestsDue composes what goes into a frame of MAC commands between uplinks:
// what was not on the air since the last one. Answers belong to RX1 and RX2.
func (e *Edge) requestsDue(w *window, room int) (out []byte) {
	add := func(b []byte) {
		if len(out)+len(b) <= room {
			out = append(out, b...)
		}
	}
	if !w.dev.status.asked {
		add(e.devStatusDue(w))
	}
	if !w.dev.force.asked {
		add(e.forceRejoinDue(w))
	}
	urgent := len(out) > 0
	for _, x := range w.s.ordersDue() {
		if x.sent || w.pings && lorawan.CID(x.CID) == lorawan.PingSlotChannelReq { // LoRaWAN 1.0.3 and 1.1 §14.3
			continue
		}
		urgent = urgent || x.urgent
		add(x.Bytes)
	}
	if !urgent {
		return nil
	}
	return out
}

// moving tells whether the device was asked to move what it listens to
// between its uplinks and did not answer yet: until it does, nobody knows where
// that is (RXParamSetupReq of class C; PingSlotChannelReq, LoRaWAN 1.0.3 §14.3).
func (d *device) moving() bool {
	cid := lorawan.RXParamSetupReq
	if d.spec.Class == "B" {
		cid = lorawan.PingSlotChannelReq
	}
	x := d.session().orders.find(cid)
	return x != nil && x.sent
}
