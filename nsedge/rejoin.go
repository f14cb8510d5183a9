package nsedge

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// rejoin is a rejoin-request, taken apart (LoRaWAN 1.1 §6.2.4).
type rejoin struct {
	kind    lorawan.JoinType
	netID   [3]byte     // types 0 and 2
	joinEUI radio.EUI64 // type 1
	devEUI  radio.EUI64
	count   uint16 // RJcount0, or RJcount1 of type 1
	phy     lorawan.PHYPayload
}

// parseRejoin checks the form of a rejoin-request.
func parseRejoin(phy []byte) (q rejoin, err error) {
	if err := q.phy.UnmarshalBinary(phy); err != nil {
		return q, err
	}
	switch p := q.phy.MACPayload.(type) {
	case *lorawan.RejoinRequestType1Payload:
		q.kind, q.joinEUI, q.devEUI, q.count = p.RejoinType, radio.EUI64(p.JoinEUI), radio.EUI64(p.DevEUI), p.RJCount1
	case *lorawan.RejoinRequestType02Payload:
		q.kind, q.netID, q.devEUI, q.count = p.RejoinType, [3]byte(p.NetID), radio.EUI64(p.DevEUI), p.RJCount0
	}
	return q, nil
}

// signedWith tells whether the MIC is right with this key.
func (q *rejoin) signedWith(key Key) bool {
	ok, err := q.phy.ValidateUplinkJoinMIC(lorawan.AES128Key(key))
	return ok && err == nil
}

// rejoinRequest deals with a rejoin-request: it gets a join-accept, and the
// device keeps its session until it uses the new one.
func (e *Edge) rejoinRequest(r *reception) {
	q, err := parseRejoin(r.first.Payload)
	if err != nil {
		e.malformed(&r.first, err)
		return
	}
	d := e.byEUI[q.devEUI]
	if d == nil {
		e.stats.Foreign++
		m := e.meta(nil, nil, r.hash, r.first.Gateway)
		m.Device, m.Application = q.devEUI, q.joinEUI
		e.noticef(Warning, CodeJoinUnknown, m, "device %v wants to rejoin, but is not registered: create it if it is yours", m.Device)
		return
	}
	r.dev, r.join = d, true
	m := e.meta(d, d.session(), r.hash, r.first.Gateway)
	s, code, message := e.checkRejoin(d, &q)
	if code != "" {
		e.stats.Refused++
		level := Error
		if code == CodeJoinBlocked || code == CodeRejoinUnsupported {
			level = Warning
		}
		e.notice(level, code, m, message)
		return
	}
	if i := slices.Index(d.pending, s); i >= 0 { // nobody else has its keys
		e.activate(d, i)
		e.notice(Info, CodeActivated, m, "the device uses its new session")
	}
	if d.traffic != nil {
		d.force = forced{}
	}
	e.beginJoin(r, d, e.rejoining(d, &q))
}

// checkRejoin checks what needs no disk. It returns the session that signed
// the request, nil for type 1.
func (e *Edge) checkRejoin(d *device, q *rejoin) (s *session, code, message string) {
	p := d.spec
	switch {
	case p.Activation != OTAA:
		return nil, CodeJoinNotOTAA, "a rejoin-request of a device that is registered with activation ABP: register it as OTAA, or configure the device"
	case p.BlockUplink:
		return nil, CodeJoinBlocked, "a rejoin-request of a device whose uplinks are blocked: clear block_uplink"
	case p.Encryption == KeysAtApp:
		return nil, CodeRejoinUnsupported, "a rejoin-request of a device whose keys are at the application: it is not served, the device has to join"
	case p.Version != version11 || p.NwkKey == nil || p.AppKey == nil:
		return nil, CodeRejoinUnsupported, "a rejoin-request of LoRaWAN 1.1 of a device that is not registered so: set lorawan_version to 1.1, nwk_key and app_key"
	case q.kind == lorawan.RejoinRequestType1 && q.joinEUI != p.AppEUI:
		return nil, CodeJoinEUI, fmt.Sprintf("the rejoin-request names JoinEUI %v, registered is %v: correct one of them", q.joinEUI, p.AppEUI)
	case q.kind == lorawan.RejoinRequestType1:
		if !q.signedWith(jsKey(*p.NwkKey, typeJSIntKey, p.DevEUI)) {
			return nil, CodeRejoinMIC, "the MIC of the rejoin-request is wrong: nwk_key is not the one in the device"
		}
		return nil, "", ""
	case q.netID != e.cfg.NetID:
		return nil, CodeJoinFailed, fmt.Sprintf("the rejoin-request is for the network %x, this is %x", q.netID, e.cfg.NetID)
	}
	for _, s := range d.sessions() {
		if s.v11 && q.signedWith(s.sIntKey) {
			return s, "", ""
		}
	}
	return nil, CodeRejoinMIC, "the MIC of the rejoin-request is wrong: it is of a session that ended, or forged. If the device has no other session, it has to join"
}

// rejoining is what a rejoin is worked on with. Types 0 and 1 begin like a
// join; type 2 leaves the radio as it is (LoRaWAN 1.1 §6.2.4).
func (e *Edge) rejoining(d *device, q *rejoin) *joining {
	j := &joining{
		kind: q.kind, nonce: q.count, rxDelay: e.rxDelay(d), rx2DR: e.rx2DR(d),
		keys: &joinKeys{nwk: *d.spec.NwkKey, app: *d.spec.AppKey, v11: true},
	}
	if o := d.spec.RX1Offset; o != nil {
		j.offset = uint8(*o)
	}
	if s := d.active; s != nil && q.kind != lorawan.RejoinRequestType1 {
		j.in = s.gen
		if q.kind == lorawan.RejoinRequestType2 {
			keep := s.settings
			_, dr := e.rx2Of(s)
			j.rxDelay, j.offset, j.rx2DR, j.keep = e.delayOf(s), s.Offset, int8(dr), &keep
		}
	}
	return j
}

// checkRejoin tells why a rejoin-request is not answered, "" if it is.
func (j *joinState) checkRejoin(w *joining) string {
	next, name := j.rejoin1, "RJcount1"
	if w.kind != lorawan.RejoinRequestType1 {
		next, name = j.nextRejoin0(w.in), "RJcount0"
	}
	if uint32(w.nonce) >= next {
		return ""
	}
	return fmt.Sprintf("%s %d was used already, %d is the next: a replay, or the device forgot its counters. If it did, let it join; reset the device for that", name, w.nonce, next)
}

// nextRejoin0 is the lowest RJcount0 that may come next in a session.
func (j *joinState) nextRejoin0(gen byte) uint32 {
	if gen == j.rejoin0In {
		return j.rejoin0
	}
	return 0
}

// noteRejoin uses a rejoin counter up. It is durable before the join-accept
// is on the air.
func (j *joinState) noteRejoin(w *joining) {
	if w.kind == lorawan.RejoinRequestType1 {
		j.rejoin1 = uint32(w.nonce) + 1
		return
	}
	j.rejoin0In, j.rejoin0 = w.in, uint32(w.nonce)+1
}

// appendRejoins encodes the counters; a device that never sent a
// rejoin-request needs none.
func (j *joinState) appendRejoins(b []byte) []byte {
	if j.rejoin1 == 0 && j.rejoin0 == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(j.rejoin1))
	b = binary.AppendUvarint(b, uint64(j.rejoin0))
	return append(b, j.rejoin0In)
}

func (r *reader) rejoins(j *joinState) {
	j.rejoin1, j.rejoin0 = uint32(r.uvarint(1<<16)), uint32(r.uvarint(1<<16))
	j.rejoin0In = r.byte()
	r.failed = r.failed || j.rejoin1 == 0 && j.rejoin0 == 0
}
