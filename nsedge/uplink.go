package nsedge

import (
	"context"
	"slices"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// Stats counts what came and went.
type Stats struct {
	Uplinks    uint64 // frames with a good CRC, copies included
	BadCRC     uint64
	Copies     uint64 // of frames that were there already
	Ghosts     uint64 // of these: by the same gateway on another channel
	Foreign    uint64 // of devices that are not ours
	Downlinks  uint64 // of other gateways, heard by ours
	Malformed  uint64
	Refused    uint64 // wrong MIC, replays, blocked devices
	Delivered  uint64
	Joins      uint64 // join-accepts on the air
	Scheduled  uint64
	Sent       uint64
	SendFailed uint64
}

// Stats returns a copy of the counters.
func (e *Edge) Stats() (s Stats) {
	_ = e.do(context.Background(), func() { s = e.stats }) // fails only by its context
	return s
}

// receive is the way of each frame that a gateway hears.
func (e *Edge) receive(u radio.Uplink) {
	arrived := time.Now()
	if e.cfg.Heard != nil {
		e.cfg.Heard(u)
	}
	if u.CRC != radio.GoodCRC {
		e.stats.BadCRC++
		return
	}
	e.stats.Uplinks++
	if u.Time.IsZero() {
		u.Time = arrived
	}
	u.Time = arrived.Add(u.Time.Sub(arrived)) // with a monotonic reading, which a set clock does not move
	if u.Gateway == (radio.EUI64{}) {
		u.Gateway = e.cfg.Gateway
	}
	if g := e.gatewayOf(&u); g != nil {
		g.anchor.At, g.anchor.Time = u.At, u.Time
	}
	print := identify(u.Payload)
	if r := e.heard.frames[print]; r != nil && r.isCopy(&u) && !r.isGhost(&u) {
		e.again(r, &u, arrived)
		return
	}
	r := &reception{hash: e.packetHash(print), first: u, came: arrived}
	e.heard.add(print, r)

	kind, err := messageType(u.Payload)
	if err != nil {
		e.malformed(&u, err)
		return
	}
	switch kind {
	case lorawan.UnconfirmedDataUp, lorawan.ConfirmedDataUp:
		f, err := parseDataUp(u.Payload)
		if err != nil {
			e.malformed(&u, err)
			return
		}
		e.dataUp(r, &f)
	case lorawan.JoinRequest:
		e.joinRequest(r)
	case lorawan.JoinAccept, lorawan.UnconfirmedDataDown, lorawan.ConfirmedDataDown:
		e.stats.Downlinks++
	case lorawan.RejoinRequest:
		e.rejoinRequest(r)
	default: // proprietary
		e.stats.Foreign++
	}
}

func (e *Edge) malformed(u *radio.Uplink, err error) {
	e.stats.Malformed++
	e.log.Debug("frame dropped", "reason", err, "gateway", u.Gateway, "size", len(u.Payload))
}

// again deals with another copy of a frame.
func (e *Edge) again(r *reception, u *radio.Uplink, arrived time.Time) {
	e.stats.Copies++
	ghost := u.Gateway == r.first.Gateway
	if ghost || slices.Contains(r.gateways, u.Gateway) {
		e.stats.Ghosts++
	} else {
		r.gateways = append(r.gateways, u.Gateway)
	}
	if r.win != nil {
		r.win.hearAgain(e, u)
	}
	if r.dev == nil {
		return
	}
	m := e.meta(r.dev, r.dev.session(), r.hash, u.Gateway)
	if ghost && !r.ghost && u.Freq != r.first.Freq {
		r.ghost = true
		e.noticef(Warning, CodeTooClose, m, "the frame was heard on %.1f MHz and on %.1f MHz at once: the device is too close to the antenna (RSSI %.0f dBm). "+
			"Move it some metres away or lower its power; the copy with the better SNR is answered", r.first.Freq.MHz(), u.Freq.MHz(), float64(u.RSSI))
	}
	switch {
	case r.join:
		e.notice(Info, CodeJoinDuplicate, m, "another copy of the join-request")
	case r.event != nil:
		ev := *r.event
		ev.Meta = m
		ev.DevAddr = r.event.DevAddr
		ev.Duplicate = true
		ev.RXTime = u.Time
		ev.Radio = e.uplinkInfo(u, arrived, e.dataRate(u))
		e.publish(&ev)
		e.notice(Info, CodeUplinkDuplicate, m, "another copy of the uplink")
	}
}
