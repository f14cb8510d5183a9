package nsedge

import (
	"context"
	"fmt"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// joining is a join that is worked on. Background jobs read its first part,
// which does not change under them.
type joining struct {
	eui     radio.EUI64
	joinEUI radio.EUI64
	kind    lorawan.JoinType
	keys    *joinKeys // nil where the AS holds them
	version string
	policy  Policy
	nonce   uint16 // DevNonce, or the RJcount of a rejoin-request
	addr    DevAddr
	rxDelay uint8
	offset  uint8
	rx2DR   int8
	keep    *settings // of a rejoin of type 2: the radio stays as it is
	valid   standing  // the sessions that stay valid until the new one is used
	in      byte      // generation of the session of a rejoin of type 0 or 2

	ready    bool // an AS may answer now
	answered bool
}

const joinRequestSize = 1 + 8 + 8 + 2 + micSize

// joinRequest deals with a join-request (LoRaWAN 1.0.4 §6.2.4).
func (e *Edge) joinRequest(r *reception) {
	phy := r.first.Payload
	if len(phy) != joinRequestSize {
		e.malformed(&r.first, fmt.Errorf("%w: a join-request of %d bytes, it has %d", errLength, len(phy), joinRequestSize))
		return
	}
	var p lorawan.JoinRequestPayload
	if err := p.UnmarshalBinary(true, phy[1:len(phy)-micSize]); err != nil {
		e.malformed(&r.first, err)
		return
	}
	d := e.byEUI[radio.EUI64(p.DevEUI)]
	if d == nil {
		e.stats.Foreign++
		m := e.meta(nil, nil, r.hash, r.first.Gateway)
		m.Device, m.Application = radio.EUI64(p.DevEUI), radio.EUI64(p.JoinEUI)
		e.noticef(Warning, CodeJoinUnknown, m, "device %v wants to join, but is not registered: create it if it is yours", m.Device)
		return
	}
	r.dev, r.join = d, true
	if code, message := e.checkJoin(d, phy, &p); code != "" {
		e.stats.Refused++
		level := Error
		if code == CodeJoinBlocked {
			level = Warning
		}
		e.notice(level, code, e.meta(d, nil, r.hash, r.first.Gateway), message)
		return
	}
	j := &joining{kind: lorawan.JoinRequestType, nonce: uint16(p.DevNonce), rxDelay: e.rxDelay(d), rx2DR: e.rx2DR(d)}
	if d.spec.Encryption == KeysAtNS {
		j.keys = d.spec.joinKeys(phy)
		if o := d.spec.RX1Offset; o != nil {
			j.offset = uint8(*o)
		}
	}
	e.beginJoin(r, d, j)
}

// checkJoin checks what needs no disk; the code is "" if all is well.
func (e *Edge) checkJoin(d *device, phy []byte, p *lorawan.JoinRequestPayload) (code, message string) {
	switch {
	case d.spec.Activation != OTAA:
		return CodeJoinNotOTAA, "a join-request of a device that is registered with activation ABP: register it as OTAA, or configure the device"
	case d.spec.AppEUI != radio.EUI64(p.JoinEUI):
		return CodeJoinEUI, fmt.Sprintf("the join-request names AppEUI (JoinEUI) %v, registered is %v: correct one of them", radio.EUI64(p.JoinEUI), d.spec.AppEUI)
	case d.spec.BlockUplink:
		return CodeJoinBlocked, "a join-request of a device whose uplinks are blocked: clear block_uplink"
	case d.spec.Encryption == KeysAtApp:
		return "", ""
	case d.spec.AppKey == nil:
		return CodeJoinFailed, "the device has no app_key: set it, or set encryption to APP if the application holds it"
	case d.spec.Version == version11 && d.spec.NwkKey == nil:
		return CodeJoinFailed, "the device has no nwk_key, which LoRaWAN 1.1 needs: set it, or set lorawan_version to 1.0.4 and app_key to the NwkKey in the device"
	case d.spec.joinKeys(phy) == nil && d.spec.NwkKey != nil:
		return CodeJoinMIC, "the MIC of the join-request is wrong: nwk_key is not the one in the device"
	case d.spec.joinKeys(phy) == nil:
		return CodeJoinMIC, "the MIC of the join-request is wrong: app_key is not the one in the device"
	}
	return "", ""
}

// joinKeys are the root keys with which a join-request was signed, nil if
// with none of the device's. A device of LoRaWAN 1.1 signs with its NwkKey,
// also where it is registered as an older one, and is treated as that.
func (d *Device) joinKeys(phy []byte) *joinKeys {
	end := len(phy) - micSize
	for _, root := range []*Key{d.NwkKey, d.AppKey} {
		old := root == d.AppKey
		if root == nil || d.AppKey == nil || old && d.Version == version11 || joinMIC(*root, phy[:end]) != [micSize]byte(phy[end:]) {
			continue
		}
		return &joinKeys{nwk: *root, app: *d.AppKey, v11: d.Version == version11}
	}
	return nil
}

// joinMIC is the MIC of a join-request or a join-accept.
func joinMIC(key Key, msg []byte) [micSize]byte {
	return cmac(key, (*[16]byte)(msg[:16]), msg[16:])
}

// beginJoin looks the nonce up, off the owner's goroutine.
func (e *Edge) beginJoin(r *reception, d *device, j *joining) {
	m := e.meta(d, nil, r.hash, r.first.Gateway)
	if d.busy().joining {
		e.notice(Info, CodeJoinDuplicate, m, "another join-request while one is worked on: it is ignored")
		return
	}
	addr, err := e.newAddr()
	if err != nil {
		e.notice(Error, CodeJoinFailed, m, err.Error())
		return
	}
	if d.win != nil {
		e.closeWindow(d.win)
	}
	w := &window{
		hash: r.hash, kind: joinWindow, dev: d, r: r, up: r.first, dr: e.dataRate(&r.first), index: -1,
		join: j,
	}
	j.eui, j.joinEUI, j.version, j.policy, j.addr, j.valid = d.spec.DevEUI, d.spec.AppEUI, d.spec.Version, d.spec.Policy, addr, d.validSessions(j.kind)
	if j.kind != lorawan.JoinRequestType {
		w.s = d.active // it listens as it does now
	}
	e.plan(w)
	job := e.askAS
	if j.keys != nil {
		job = e.makeAccept
	}
	if !e.background(func(context.Context) func() { return job(w) }) {
		e.noticef(Error, CodeJoinFailed, m, "%d joins are worked on already: the device will try again", backgroundJobs)
		return
	}
	d.joining = true
	r.win, d.win = w, w
	e.windows[w.hash] = w
	e.reserve(w)
	e.arm(w, w.slots[0].cutoff)
}

// joinFailed ends a join with an error; it runs on the owner's goroutine.
func (e *Edge) joinFailed(w *window, code, message string) func() {
	return func() {
		w.dev.busy().joining = false
		e.stats.Refused++
		e.closeWindow(w)
		e.notice(Error, code, e.meta(w.dev, nil, w.hash, w.up.Gateway), message)
	}
}

// readJoin reads a device's join state and checks the DevNonce. It returns
// the end of the join if that is wrong. The caller holds docs.
func (e *Edge) readJoin(w *window) (j joinState, failed func()) {
	eui := w.join.eui
	registered, err := e.cfg.Store.Get(bucketDevices, eui[:])
	if err != nil {
		return j, e.joinFailed(w, CodeServer, "the join failed inside the server: "+err.Error())
	}
	if registered == nil {
		return j, e.joinFailed(w, CodeJoinFailed, "the device was deleted meanwhile")
	}
	raw, err := e.cfg.Store.Get(bucketJoins, eui[:])
	if err == nil {
		j, err = decodeJoinState(raw)
	}
	j.nonce = max(j.nonce, e.firstJoin)
	if err != nil {
		return j, e.joinFailed(w, CodeServer, "the join failed inside the server: "+err.Error())
	}
	if w.join.kind != lorawan.JoinRequestType {
		if why := j.checkRejoin(w.join); why != "" {
			return j, e.joinFailed(w, CodeRejoinReplay, why)
		}
		return j, nil
	}
	if why := checkNonce(w.join.version, w.join.policy, j.nonces, w.join.nonce); why != "" {
		return j, e.joinFailed(w, CodeJoinReplay, why)
	}
	return j, nil
}

// makeAccept makes a session and a join-accept for a device whose keys are
// here: recorded before it is sent.
func (e *Edge) makeAccept(w *window) func() {
	e.docs.Lock()
	defer e.docs.Unlock()
	j, failed := e.readJoin(w)
	if failed != nil {
		return failed
	}
	if j.nonce >= maxJoinNonce {
		return e.joinFailed(w, CodeJoinFailed, "the JoinNonces of the device are used up: give it another DevEUI or AppKey")
	}
	j.nonce++
	s := e.newJoined(w)
	s.keys = w.join.keys.session(j.nonce, e.cfg.NetID, w.join.joinEUI, w.join.nonce)
	phy, err := e.joinAccept(w, j.nonce, s)
	if err != nil {
		return e.joinFailed(w, CodeServer, "the join-accept can't be made: "+err.Error())
	}
	return e.finishJoin(w, &j, s, phy)
}

// finishJoin records the new session, durably, and then sends the accept.
// The caller holds docs.
func (e *Edge) finishJoin(w *window, j *joinState, s joined, phy []byte) func() {
	j.standing = w.join.valid
	j.joins++
	for j.has(joinGen(j.joins)) {
		j.joins++ // the journal's state may be that session's
	}
	s.gen = joinGen(j.joins)
	if s.gen == j.rejoin0In {
		j.rejoin0 = 0 // generations come again
	}
	switch {
	case w.join.kind != lorawan.JoinRequestType:
		j.noteRejoin(w.join)
	case !j.nonces.has(w.join.nonce): // the lab policy takes it twice
		j.nonces = j.nonces.add(w.join.nonce)
	}
	j.sessions = append(j.sessions, s)
	eui := w.join.eui
	if err := e.cfg.Store.Put(bucketJoins, eui[:], j.encode()); err != nil {
		return e.joinFailed(w, CodeServer, "the join can't be recorded: "+err.Error())
	}
	return func() { e.joined(w, s, phy) }
}

// joined installs a recorded session and sends its join-accept.
func (e *Edge) joined(w *window, s joined, phy []byte) {
	d := w.dev
	d.busy().joining = false
	if e.byEUI[d.spec.DevEUI] != d {
		return // deleted meanwhile
	}
	for len(d.pending) > 0 && (w.join.kind == lorawan.JoinRequestType || len(d.pending) >= maxPending) {
		e.unlink(d.pending[0])
		d.pending = d.pending[1:]
	}
	d.pending = append(d.pending, d.joinedSession(s))
	e.link(d.newest())
	if e.running == nil || w.state >= sent {
		e.notice(Error, CodeJoinFailed, e.meta(d, nil, w.hash, w.up.Gateway), "the join was recorded too late for both windows: the disk is slow. The device will try again")
		return
	}
	w.waiting = &content{raw: phy}
	if now := time.Now(); now.Sub(w.r.came) < ghostSpan {
		e.arm(w, w.r.came.Add(ghostSpan)) // a better copy may be on its way
		return
	}
	e.flush(w)
}

// joinExpired publishes why a join was not answered.
func (e *Edge) joinExpired(w *window) {
	m := e.meta(w.dev, nil, w.hash, w.up.Gateway)
	if w.join.ready && !w.join.answered {
		e.notice(Error, CodeJoinNoAnswer, m, "no application answered the join_request in time: the device will try again")
	}
}

// newJoined makes the part of a session that is the same for all joins. It is
// called off the owner's goroutine.
func (e *Edge) newJoined(w *window) joined {
	return joined{addr: w.join.addr, rxDelay: w.join.rxDelay, offset: w.join.offset, rx2DR: w.join.rx2DR, keep: w.join.keep, at: time.Now().Unix()}
}

// rx2DR is the data rate of RX2 that a device is given.
func (e *Edge) rx2DR(d *device) int8 {
	if p := d.spec.RX2DataRate; p != nil && d.spec.Encryption == KeysAtNS {
		return int8(*p)
	}
	_, dr := e.cfg.Region.RX2()
	return int8(dr)
}

// rxDelay is the RX1 delay in seconds that a device is given.
func (e *Edge) rxDelay(d *device) uint8 {
	if d.spec.RX1Delay > 0 {
		return uint8(d.spec.RX1Delay)
	}
	return uint8(e.cfg.Region.Delays().RX1 / time.Second)
}

// validSessions are those that stay valid until the session of another join
// is used: the one in use, and, as a device that sends a rejoin-request may be
// in it already, one that waits.
func (d *device) validSessions(kind lorawan.JoinType) (st standing) {
	if s := d.active; s != nil {
		if st.registered = s.gen < joinedGen; !st.registered {
			st.sessions = append(st.sessions, s.joinedRecord())
		}
	}
	if kind != lorawan.JoinRequestType {
		for _, s := range d.pending[max(0, len(d.pending)+1-maxPending):] {
			st.sessions = append(st.sessions, s.joinedRecord())
		}
	}
	return st
}

// joinedRecord is a joined session as it is stored.
func (s *session) joinedRecord() joined {
	return joined{
		gen: s.gen, addr: s.addr, keys: s.keys,
		rxDelay: s.RXDelay, offset: s.Offset, rx2DR: s.RX2DR, keep: s.kept, at: s.joined.Unix(),
	}
}

// joinAccept makes an encrypted join-accept (LoRaWAN 1.0.4 §6.2.5, 1.1 §6.2.3).
func (e *Edge) joinAccept(w *window, nonce uint32, s joined) ([]byte, error) {
	p := &lorawan.JoinAcceptPayload{
		JoinNonce:  lorawan.JoinNonce(nonce),
		HomeNetID:  lorawan.NetID(e.cfg.NetID),
		DevAddr:    lorawan.DevAddr(s.addr),
		DLSettings: lorawan.DLSettings{RX2DataRate: uint8(s.rx2DR), RX1DROffset: s.offset, OptNeg: s.v11},
		RXDelay:    s.rxDelay,
	}
	if raw := e.cfList(w.join.version); raw != nil {
		p.CFList = &lorawan.CFList{}
		if err := p.CFList.UnmarshalBinary(raw); err != nil {
			return nil, err
		}
	}
	sign, encrypt := w.join.keys.nwk, w.join.keys.nwk
	if s.v11 {
		sign = jsKey(w.join.keys.nwk, typeJSIntKey, w.join.eui)
	}
	if w.join.kind != lorawan.JoinRequestType {
		encrypt = jsKey(w.join.keys.nwk, typeJSEncKey, w.join.eui)
	}
	phy := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.JoinAccept}, MACPayload: p}
	if err := phy.SetDownlinkJoinMIC(w.join.kind, lorawan.EUI64(w.join.joinEUI), lorawan.DevNonce(w.join.nonce), lorawan.AES128Key(sign)); err != nil {
		return nil, err
	}
	if err := phy.EncryptJoinAcceptPayload(lorawan.AES128Key(encrypt)); err != nil {
		return nil, err
	}
	return phy.MarshalBinary()
}

func (e *Edge) cfList(version string) []byte {
	return e.cfg.Region.CFList(region.Version{LoRaWAN: version})
}
