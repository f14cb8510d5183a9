package nsedge

import (
	"crypto/aes"
	"encoding/binary"
	"slices"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// node11 is what a device of LoRaWAN 1.1 has besides. Its keys are derived
// here as the specification words it, by code that the edge does not use; MICs
// and encryption are brocaar/lorawan's.
type node11 struct {
	nwkKey      Key
	sInt, enc   Key
	appHigh     uint32 // upper half of AFCntDown
	confDown    uint32 // counter of the confirmed downlink that the next uplink acknowledges
	channel     uint8
	rj0, rj1    uint16
	downs, apps map[uint32]bool // counters that were heard
}

// node11 makes the device one of LoRaWAN 1.1.
func newNode11(b *bench, id byte) *node {
	n := newNode(b, id)
	n.v11 = &node11{nwkKey: Key{id, 4}, sInt: Key{id, 5}, enc: Key{id, 6}}
	n.v11.begin()
	return n
}

func (v *node11) begin() {
	v.downs, v.apps, v.rj0, v.confDown = map[uint32]bool{}, map[uint32]bool{}, 0, 0
}

func (n *node) encKey() Key {
	if n.v11 != nil {
		return n.v11.enc
	}
	return n.nwk
}

func (n *node) abp11() Device {
	d := n.abp()
	d.Version, d.SNwkSIntKey, d.NwkSEncKey = version11, &n.v11.sInt, &n.v11.enc
	return d
}

func (n *node) otaa11() Device {
	d := n.otaa(KeysAtNS)
	d.Version, d.NwkKey = version11, &n.v11.nwkKey
	return d
}

func (b *bench) abpNode11(id byte, change func(*Device)) *node {
	b.Helper()
	n := newNode11(b, id)
	d := n.abp11()
	if change != nil {
		change(&d)
	}
	b.register(d)
	return n
}

// joinedNode11 registers a device and lets it join; its first uplink, with
// RekeyInd, is answered.
func (b *bench) joinedNode11(id byte, change func(*Device)) *node {
	b.Helper()
	n := newNode11(b, id)
	d := n.otaa11()
	if change != nil {
		change(&d)
	}
	b.register(d)
	n.join()
	n.rekey()
	return n
}

// rekey sends the first uplink of a session and waits for RekeyConf.
func (n *node) rekey() {
	n.b.Helper()
	if o := n.ordered(frame{payload: []byte("first"), opts: []byte{0x0b, 1}}); len(o) < 2 || o[0] != 0x0b || o[1] != 1 {
		n.b.Fatalf("FOpts % x: RekeyConf is missing", o)
	}
	n.b.air.clear()
	n.b.take()
}

// seal11 encrypts FOpts and signs.
func (n *node) seal11(p *lorawan.PHYPayload) {
	v := n.v11
	n.b.must(p.EncryptFOpts(lorawan.AES128Key(v.enc)))
	dr, err := n.b.edge.cfg.Region.DataRateOf(radio.LoRa{SF: n.sf, Bandwidth: 125_000}, true)
	n.b.must(err)
	n.b.must(p.SetUplinkDataMIC(lorawan.LoRaWAN1_1, v.confDown, uint8(dr), v.channel, lorawan.AES128Key(n.nwk), lorawan.AES128Key(v.sInt)))
}

// open11 checks a downlink's MIC and counter, and decrypts FOpts.
func (n *node) open11(p *lorawan.PHYPayload) {
	n.b.Helper()
	v, m := n.v11, p.MACPayload.(*lorawan.MACPayload)
	app := m.FPort != nil && *m.FPort > 0
	seen := v.downs
	if app {
		seen = v.apps
		m.FHDR.FCnt = m.FHDR.FCnt&0xffff | v.appHigh
	}
	if ok, err := p.ValidateDownlinkDataMIC(lorawan.LoRaWAN1_1, n.up-1, lorawan.AES128Key(v.sInt)); err != nil || !ok {
		n.b.Fatalf("MIC of a downlink is wrong: %v", err)
	}
	if seen[m.FHDR.FCnt] {
		n.b.Errorf("counter %d (app %v) came twice", m.FHDR.FCnt, app)
	}
	seen[m.FHDR.FCnt] = true
	if p.MHDR.MType == lorawan.ConfirmedDataDown {
		v.confDown = m.FHDR.FCnt
	}
	n.b.must(p.EncryptFOpts(lorawan.AES128Key(v.enc))) // decrypts
}

// begin11 begins a joined session: FNwkSIntKey, SNwkSIntKey, NwkSEncKey and
// AppSKey are AES(root, 01, 03, 04 or 02 | JoinNonce | JoinEUI | DevNonce).
func (n *node) begin11(a *lorawan.JoinAcceptPayload, nonce uint16) {
	v := n.v11
	derive := func(root Key, kind byte) (out Key) {
		b := []byte{kind, byte(a.JoinNonce), byte(a.JoinNonce >> 8), byte(a.JoinNonce >> 16)}
		b = append(b, onAir(n.app)...)
		b = binary.LittleEndian.AppendUint16(b, nonce)
		return Key(aesECB(lorawan.AES128Key(root), append(b, 0, 0)))
	}
	n.nwk, v.sInt, v.enc, n.ses = derive(v.nwkKey, 1), derive(v.nwkKey, 3), derive(v.nwkKey, 4), derive(n.appKey, 2)
	v.begin()
	n.high, v.appHigh = 0, 0
}

// jsInt and jsEnc are AES(NwkKey, 06 or 05 | DevEUI).
func (v *node11) jsInt(eui radio.EUI64) lorawan.AES128Key {
	return aesECB(lorawan.AES128Key(v.nwkKey), append(append([]byte{6}, onAir(eui)...), make([]byte, 7)...))
}

func (v *node11) jsEnc(eui radio.EUI64) lorawan.AES128Key {
	return aesECB(lorawan.AES128Key(v.nwkKey), append(append([]byte{5}, onAir(eui)...), make([]byte, 7)...))
}

func onAir(e radio.EUI64) []byte {
	b := slices.Clone(e[:])
	slices.Reverse(b)
	return b
}

func aesECB(key lorawan.AES128Key, b []byte) (out lorawan.AES128Key) {
	c, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	c.Encrypt(out[:], b)
	return out
}

// rejoinRequest makes a rejoin-request with the next RJcount.
func (n *node) rejoinRequest(kind lorawan.JoinType) (phy []byte, count uint16) {
	v := n.v11
	p := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.RejoinRequest}}
	key := lorawan.AES128Key(v.sInt)
	if kind == lorawan.RejoinRequestType1 {
		count, key = v.rj1, v.jsInt(n.eui)
		v.rj1++
		p.MACPayload = &lorawan.RejoinRequestType1Payload{RejoinType: kind, JoinEUI: lorawan.EUI64(n.app), DevEUI: lorawan.EUI64(n.eui), RJCount1: count}
	} else {
		count = v.rj0
		v.rj0++
		p.MACPayload = &lorawan.RejoinRequestType02Payload{RejoinType: kind, NetID: lorawan.NetID{0, 0, 1}, DevEUI: lorawan.EUI64(n.eui), RJCount0: count}
	}
	n.b.must(p.SetUplinkJoinMIC(key))
	out, err := p.MarshalBinary()
	n.b.must(err)
	return out, count
}
