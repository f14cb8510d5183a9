package nsedge

import (
	"encoding/binary"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// keys are those of a session. LoRaWAN 1.0 has one network key: it stands in
// all three places.
type keys struct {
	nwkSKey Key  // NwkSKey; FNwkSIntKey of 1.1
	sIntKey Key  // SNwkSIntKey of 1.1
	encKey  Key  // NwkSEncKey of 1.1
	appSKey Key  // if hasApp
	hasApp  bool // the edge holds the AppSKey
	v11     bool // the session is one of LoRaWAN 1.1
}

// keys10 are those of a LoRaWAN 1.0 session without an AppSKey.
func keys10(nwkSKey Key) keys { return keys{nwkSKey: nwkSKey, sIntKey: nwkSKey, encKey: nwkSKey} }

// setApp gives the session an AppSKey.
func (k *keys) setApp(app Key) { k.appSKey, k.hasApp = app, true }

// joinKeys are what a join or rejoin is worked on with.
type joinKeys struct {
	nwk Key // NwkKey; AppKey of 1.0
	app Key // AppKey of 1.1
	v11 bool
}

// Types of the keys that are derived from a root key (LoRaWAN 1.1 §6.1.1.3,
// §6.2.5; 1.0.4 §6.2.5 has the first two).
const (
	typeFNwkSIntKey = 1
	typeAppSKey     = 2
	typeSNwkSIntKey = 3
	typeNwkSEncKey  = 4
	typeJSEncKey    = 5
	typeJSIntKey    = 6
)

// session derives the keys of a session. nonce is the DevNonce of a
// join-request, or the RJcount of a rejoin-request.
func (r *joinKeys) session(joinNonce uint32, netID [3]byte, joinEUI radio.EUI64, nonce uint16) keys {
	if !r.v11 {
		nwk, app := sessionKeys(r.nwk, joinNonce, netID, nonce)
		k := keys10(nwk)
		k.setApp(app)
		return k
	}
	b := [16]byte{1: byte(joinNonce), 2: byte(joinNonce >> 8), 3: byte(joinNonce >> 16)}
	putEUI(b[4:], joinEUI)
	binary.LittleEndian.PutUint16(b[12:], nonce)
	derive := func(root Key, kind byte) Key {
		b[0] = kind
		return encryptBlock(root, b)
	}
	k := keys{nwkSKey: derive(r.nwk, typeFNwkSIntKey), sIntKey: derive(r.nwk, typeSNwkSIntKey), encKey: derive(r.nwk, typeNwkSEncKey), v11: true}
	k.setApp(derive(r.app, typeAppSKey))
	return k
}

// jsKey derives JSIntKey or JSEncKey, which outlive all sessions.
func jsKey(nwkKey Key, kind byte, devEUI radio.EUI64) Key {
	b := [16]byte{0: kind}
	putEUI(b[1:], devEUI)
	return encryptBlock(nwkKey, b)
}

// putEUI writes an EUI as it is on the air: least significant byte first.
func putEUI(b []byte, e radio.EUI64) {
	for i, v := range e {
		b[len(e)-1-i] = v
	}
}

// sessionKeys derives the keys of a 1.0 session (LoRaWAN 1.0.4 §6.2.5).
func sessionKeys(appKey Key, joinNonce uint32, netID [3]byte, devNonce uint16) (nwkSKey, appSKey Key) {
	b := [16]byte{1: byte(joinNonce), 2: byte(joinNonce >> 8), 3: byte(joinNonce >> 16), 4: netID[2], 5: netID[1], 6: netID[0]}
	binary.LittleEndian.PutUint16(b[7:], devNonce)
	b[0] = typeFNwkSIntKey
	nwkSKey = encryptBlock(appKey, b)
	b[0] = typeAppSKey
	return nwkSKey, encryptBlock(appKey, b)
}

// heardAs is what the MIC of a LoRaWAN 1.1 uplink covers besides the frame.
type heardAs struct {
	dr      uint8
	channel int // index in the device's channel plan; -1 is unknown
}

// authentic tells whether the MIC of an uplink is right with this counter.
func (s *session) authentic(f *dataUp, counter uint32) bool {
	if !s.v11 {
		return f.valid(s.nwkSKey, counter)
	}
	if half := dataMIC(s.nwkSKey, true, f.addr, counter, f.msg); [2]byte(f.mic[2:]) != [2]byte(half[:2]) {
		return false
	}
	if f.heard.channel >= 0 {
		return s.served(f, counter, uint8(f.heard.channel))
	}
	for c := range uint8(16) { // a channel that the edge was not told of
		if s.served(f, counter, c) {
			return true
		}
	}
	return false
}

// served tells whether the half of the MIC that only the serving network
// knows is right (LoRaWAN 1.1 §4.4.1).
func (s *session) served(f *dataUp, counter uint32, channel uint8) bool {
	b1 := micBlock(true, f.addr, counter, len(f.msg))
	b1[3], b1[4] = f.heard.dr, channel
	if !f.has(ctrlACK) {
		half := cmac(s.sIntKey, &b1, f.msg)
		return [2]byte(f.mic[:2]) == [2]byte(half[:2])
	}
	for _, c := range s.conf {
		binary.LittleEndian.PutUint16(b1[1:], c)
		if half := cmac(s.sIntKey, &b1, f.msg); [2]byte(f.mic[:2]) == [2]byte(half[:2]) {
			f.acked = c
			return true
		}
	}
	return false
}

// sameFrame tells whether an uplink with the same counter is the one with
// this MIC again. In 1.1 a repetition on another channel has another first half.
func (s *session) sameFrame(f *dataUp, mic [micSize]byte) bool {
	if s.v11 {
		return [2]byte(f.mic[2:]) == [2]byte(mic[2:]) && mic != lost && mic != ([micSize]byte{})
	}
	return f.mic == mic
}

// downMIC is the MIC of a downlink that acknowledges uplink acked, if ack
// (LoRaWAN 1.1 §4.4.2).
func (s *session) downMIC(counter uint32, ack bool, acked uint32, msg []byte) [micSize]byte {
	b0 := micBlock(false, s.addr, counter, len(msg))
	if s.v11 && ack {
		binary.LittleEndian.PutUint16(b0[1:], uint16(acked))
	}
	return cmac(s.sIntKey, &b0, msg)
}

// cryptOpts encrypts or decrypts FOpts in place, which are the same (LoRaWAN
// 1.1 §4.3.1.6, as the erratum of 2018 about FOpts and FCntDwn has it).
func cryptOpts(key Key, uplink, app bool, addr DevAddr, counter uint32, opts []byte) []byte {
	out, err := lorawan.EncryptFOpts(lorawan.AES128Key(key), app, uplink, lorawan.DevAddr(addr), counter, opts)
	if err != nil { // never: the key has 16 bytes, and FOpts 15 at most
		panic(err)
	}
	return out
}
