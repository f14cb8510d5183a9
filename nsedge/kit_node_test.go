package nsedge

import (
	"slices"
	"testing/synctest"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// node is a device: brocaar/lorawan with keys and counters.
type node struct {
	b        *bench
	eui, app radio.EUI64
	appKey   Key
	nonce    uint16
	addr     DevAddr
	nwk, ses Key
	up, high uint32  // the latter: upper half of FCntDown
	v11      *node11 // nil is LoRaWAN 1.0
	freq     radio.Hertz
	sf       uint8
	snr      radio.DB
	adr      bool // the ADR bit
}

func newNode(b *bench, id byte) *node {
	return &node{
		b: b, eui: radio.EUI64{1, 2, 3, 4, 5, 6, 7, id}, app: radio.EUI64{7: 0xaa}, appKey: Key{id, 1}, addr: DevAddr{2, 0, 0, id},
		nwk: Key{id, 2}, ses: Key{id, 3}, freq: 868_100_000, sf: 7, snr: 5,
	}
}

func (n *node) abp() Device {
	return Device{DevEUI: n.eui, AppEUI: n.app, Activation: ABP, Encryption: KeysAtNS, DevAddr: &n.addr, NwkSKey: &n.nwk, AppSKey: &n.ses, Tags: []string{"test"}}
}

func (n *node) otaa(enc Encryption) Device {
	d := Device{DevEUI: n.eui, AppEUI: n.app, Activation: OTAA, Encryption: enc}
	if enc == KeysAtNS {
		d.AppKey = &n.appKey
	}
	return d
}

func (b *bench) register(d Device) {
	b.Helper()
	if err := b.edge.CreateDevice(b.Context(), d); err != nil {
		b.Fatal(err)
	}
}

// abpNode registers an ABP device.
func (b *bench) abpNode(id byte, change func(*Device)) *node {
	b.Helper()
	n := newNode(b, id)
	d := n.abp()
	if change != nil {
		change(&d)
	}
	b.register(d)
	return n
}

// frame is what an uplink may ask for.
type frame struct {
	confirmed, ack, adrAckReq bool
	classB                    bool
	port                      *uint8
	payload, opts             []byte
	counter                   *uint32
}

func ptr[T any](v T) *T { return &v }

// encode makes a PHYPayload the way a device does.
func (n *node) encode(f frame) []byte {
	counter := n.up
	if f.counter != nil {
		counter = *f.counter
	} else {
		n.up++
	}
	m := &lorawan.MACPayload{FHDR: lorawan.FHDR{
		DevAddr: lorawan.DevAddr(n.addr), FCnt: counter, FCtrl: lorawan.FCtrl{ADR: n.adr, ACK: f.ack, ADRACKReq: f.adrAckReq, ClassB: f.classB},
	}}
	if f.opts != nil {
		m.FHDR.FOpts = []lorawan.Payload{&lorawan.DataPayload{Bytes: f.opts}}
	}
	key := n.ses
	if f.payload != nil || f.port != nil {
		port := uint8(1)
		if f.port != nil {
			port = *f.port
		}
		if port == 0 {
			key = n.encKey()
		}
		m.FPort = &port
		m.FRMPayload = []lorawan.Payload{&lorawan.DataPayload{Bytes: slices.Clone(f.payload)}}
	}
	p := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.UnconfirmedDataUp}, MACPayload: m}
	if f.confirmed {
		p.MHDR.MType = lorawan.ConfirmedDataUp
	}
	if len(m.FRMPayload) > 0 {
		n.b.must(p.EncryptFRMPayload(lorawan.AES128Key(key)))
	}
	nwk := lorawan.AES128Key(n.nwk)
	if n.v11 != nil {
		n.seal11(&p)
	} else {
		n.b.must(p.SetUplinkDataMIC(lorawan.LoRaWAN1_0, 0, 0, 0, nwk, nwk))
	}
	out, err := p.MarshalBinary()
	n.b.must(err)
	return out
}

// hear puts bytes into the air as this node sends them; it returns when the
// edge is idle.
func (n *node) hear(phy []byte) radio.Uplink {
	u := n.uplink(phy)
	n.b.air.up <- u
	synctest.Wait()
	return u
}

func (n *node) uplink(phy []byte) radio.Uplink {
	now := time.Now()
	return radio.Uplink{
		Gateway: gatewayEUI, Payload: phy, CRC: radio.GoodCRC, At: n.b.air.instant(now), Time: now, Tmst: uint32(n.b.air.instant(now)),
		Freq: n.freq, Mod: radio.LoRa{SF: n.sf, Bandwidth: 125_000}, RSSI: -60, SNR: n.snr, IFChain: 1,
	}
}

func (n *node) send(f frame) radio.Uplink { return n.hear(n.encode(f)) }

// received is a downlink as the device decodes it.
type received struct {
	radio.Downlink
	mac     *lorawan.MACPayload
	kind    lorawan.MType
	payload []byte
}

// decode checks a downlink's MIC and decrypts it.
func (n *node) decode(d radio.Downlink) received {
	n.b.Helper()
	var p lorawan.PHYPayload
	n.b.must(p.UnmarshalBinary(slices.Clone(d.Payload)))
	p.MACPayload.(*lorawan.MACPayload).FHDR.FCnt |= n.high
	if n.v11 != nil {
		n.open11(&p)
	} else if ok, err := p.ValidateDownlinkDataMIC(lorawan.LoRaWAN1_0, 0, lorawan.AES128Key(n.nwk)); err != nil || !ok {
		n.b.Fatalf("MIC of downlink % x is wrong, %v", d.Payload, err)
	}
	m := p.MACPayload.(*lorawan.MACPayload)
	r := received{Downlink: d, mac: m, kind: p.MHDR.MType}
	if len(m.FRMPayload) > 0 {
		n.b.must(p.DecryptFRMPayload(lorawan.AES128Key(n.ses)))
		r.payload = m.FRMPayload[0].(*lorawan.DataPayload).Bytes
	}
	return r
}

// onlyDownlink is the only frame on the air since the last call of clear.
func (n *node) onlyDownlink() received {
	n.b.Helper()
	fs := n.b.air.frames()
	if len(fs) != 1 {
		n.b.Fatalf("%d downlinks, want 1; events:%s", len(fs), describe(n.b.take()))
	}
	n.b.air.clear()
	return n.decode(fs[0])
}

// joinRequest makes a join-request with a new DevNonce.
func (n *node) joinRequest() []byte {
	p := lorawan.PHYPayload{
		MHDR:       lorawan.MHDR{MType: lorawan.JoinRequest},
		MACPayload: &lorawan.JoinRequestPayload{JoinEUI: lorawan.EUI64(n.app), DevEUI: lorawan.EUI64(n.eui), DevNonce: lorawan.DevNonce(n.nonce)},
	}
	n.nonce++
	root := n.appKey
	if n.v11 != nil {
		root = n.v11.nwkKey
	}
	n.b.must(p.SetUplinkJoinMIC(lorawan.AES128Key(root)))
	out, err := p.MarshalBinary()
	n.b.must(err)
	return out
}

// accept decodes the join-accept that answers the last join-request, and
// begins its session.
func (n *node) accept(phy []byte) *lorawan.JoinAcceptPayload {
	n.b.Helper()
	return n.acceptOf(phy, lorawan.JoinRequestType, n.nonce-1)
}

// acceptOf is accept for any request.
func (n *node) acceptOf(phy []byte, kind lorawan.JoinType, nonce uint16) *lorawan.JoinAcceptPayload {
	n.b.Helper()
	var p lorawan.PHYPayload
	n.b.must(p.UnmarshalBinary(slices.Clone(phy)))
	sign, encrypt := lorawan.AES128Key(n.appKey), lorawan.AES128Key(n.appKey)
	if n.v11 != nil {
		sign, encrypt = n.v11.jsInt(n.eui), lorawan.AES128Key(n.v11.nwkKey)
		if kind != lorawan.JoinRequestType {
			encrypt = n.v11.jsEnc(n.eui)
		}
	}
	n.b.must(p.DecryptJoinAcceptPayload(encrypt))
	ok, err := p.ValidateDownlinkJoinMIC(kind, lorawan.EUI64(n.app), lorawan.DevNonce(nonce), sign)
	n.b.must(err)
	if !ok {
		n.b.Fatal("MIC of the join-accept is wrong")
	}
	a := p.MACPayload.(*lorawan.JoinAcceptPayload)
	if a.DLSettings.OptNeg != (n.v11 != nil) {
		n.b.Fatalf("OptNeg is %v", a.DLSettings.OptNeg)
	}
	n.addr, n.up = DevAddr(a.DevAddr), 0
	if n.v11 != nil {
		n.begin11(a, nonce)
		return a
	}
	n.nwk, n.ses = sessionKeys(n.appKey, uint32(a.JoinNonce), [3]byte(a.HomeNetID), nonce)
	return a
}
