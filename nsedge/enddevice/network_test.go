package enddevice_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/enddevice"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

var (
	devEUI  = radio.EUI64{1, 2, 3, 4, 5, 6, 7, 8}
	joinEUI = radio.EUI64{8, 7, 6, 5, 4, 3, 2, 1}
	appKey  = enddevice.Key{1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}
	devAddr = lorawan.DevAddr{0x26, 0x01, 0x1B, 0xDA}
	session = enddevice.Session{DevAddr: enddevice.DevAddr(devAddr), NwkSKey: enddevice.Key{1}, AppSKey: enddevice.Key{2}}
)

// reply is what the scripted network sends after an uplink.
type reply struct {
	window    int           // 1 or 2, -1: RXC, which is sent at once
	shift     time.Duration // against the begin of the window
	accept    *lorawan.JoinAcceptPayload
	mtype     lorawan.MType // of a data frame; 0 is unconfirmed
	fcnt      *uint32       // nil: the next
	ctrl      lorawan.FCtrl
	options   []lorawan.MACCommand
	port      *uint8
	payload   []byte
	wrongMIC  bool
	otherAddr bool
	freq      radio.Hertz // 0: by the rules
	dr        *int
	raw       []byte // instead of a frame
}

// network is a scripted network server with one gateway.
type network struct {
	t       *testing.T
	m       *air.Medium
	gateway *air.Station
	region  *region.Region

	nwk, app   lorawan.AES128Key
	fcntDown   uint32
	fcntUpHigh uint32 // bits that uplinks don't carry
	rx1Delay   time.Duration
	rx1Offset  int
	rx2Freq    radio.Hertz
	rx2DR      int

	answer  func(up uplink) []reply
	uplinks []uplink
	events  []enddevice.Event // of the device
}

// uplink is a frame that the network heard.
type uplink struct {
	air.Reception
	phy     lorawan.PHYPayload
	mac     *lorawan.MACPayload // nil for join-requests
	join    *lorawan.JoinRequestPayload
	options []lorawan.MACCommand
	payload []byte
	dr      int
}

func (n *network) Began(air.Reception) {}

// Ended hears an uplink: checks the MIC, decrypts, and answers by the script.
func (n *network) Ended(r air.Reception) {
	if r.Outcome != air.Clear {
		return
	}
	up := uplink{Reception: r}
	if err := up.phy.UnmarshalBinary(r.Payload); err != nil {
		n.t.Errorf("uplink %x: %v", r.Payload, err)
		return
	}
	up.dr, _ = n.region.DataRateOf(r.Mod, true)
	switch p := up.phy.MACPayload.(type) {
	case *lorawan.JoinRequestPayload:
		up.join = p
		if ok, err := up.phy.ValidateUplinkJoinMIC(lorawan.AES128Key(appKey)); err != nil || !ok {
			n.t.Errorf("join-request: MIC is wrong: %v", err)
		}
	case *lorawan.MACPayload:
		up.mac = p
		n.read(&up)
	}
	n.uplinks = append(n.uplinks, up)
	if n.answer == nil {
		return
	}
	for _, rep := range n.answer(up) {
		n.send(up, rep)
	}
}

func (n *network) read(up *uplink) {
	p := up.mac
	p.FHDR.FCnt |= n.fcntUpHigh
	if ok, err := up.phy.ValidateUplinkDataMIC(lorawan.LoRaWAN1_0, 0, 0, 0, n.nwk, n.nwk); err != nil || !ok {
		n.t.Errorf("uplink %d: MIC is wrong: %v", p.FHDR.FCnt, err)
	}
	if err := up.phy.DecodeFOptsToMACCommands(); err != nil {
		n.t.Errorf("uplink %d: FOpts: %v", p.FHDR.FCnt, err)
	}
	for _, o := range p.FHDR.FOpts {
		up.options = append(up.options, *o.(*lorawan.MACCommand))
	}
	if err := up.phy.DecryptFRMPayload(n.app); err != nil {
		n.t.Errorf("uplink %d: %v", p.FHDR.FCnt, err)
	}
	for _, d := range p.FRMPayload {
		up.payload = append(up.payload, d.(*lorawan.DataPayload).Bytes...)
	}
}

// send transmits a reply.
func (n *network) send(up uplink, rep reply) {
	frame := rep.raw
	switch {
	case frame != nil:
	case rep.accept != nil:
		frame = n.acceptFrame(up, rep)
	default:
		frame = n.dataFrame(up, rep)
	}
	freq, dr, err := n.region.RX1(up.Freq, up.dr, n.rx1Offset)
	if err != nil {
		n.t.Error(err)
	}
	delay := n.rx1Delay
	if up.join != nil {
		delay = n.region.Delays().JoinAccept1
	}
	if rep.window != 1 {
		freq, dr, delay = n.rx2Freq, n.rx2DR, delay+time.Second
	}
	if rep.window < 0 {
		delay = 10 * time.Millisecond
	}
	if rep.freq != 0 {
		freq = rep.freq
	}
	if rep.dr != nil {
		dr = *rep.dr
	}
	mod, err := n.region.Downlink(dr)
	if err != nil {
		n.t.Error(err)
	}
	if _, err := n.gateway.Transmit(air.Frame{Payload: frame, Freq: freq, Mod: mod}, up.End.Add(delay+rep.shift), 14); err != nil {
		n.t.Error(err)
	}
}

func (n *network) acceptFrame(up uplink, rep reply) []byte {
	phy := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.JoinAccept}, MACPayload: rep.accept}
	key := lorawan.AES128Key(appKey)
	if err := phy.SetDownlinkJoinMIC(lorawan.JoinRequestType, up.join.JoinEUI, up.join.DevNonce, key); err != nil {
		n.t.Error(err)
	}
	if rep.wrongMIC {
		phy.MIC[0] ^= 1
	}
	if err := phy.EncryptJoinAcceptPayload(key); err != nil {
		n.t.Error(err)
	}
	frame, err := phy.MarshalBinary()
	if err != nil {
		n.t.Error(err)
	}
	return frame
}

func (n *network) dataFrame(up uplink, rep reply) []byte {
	fcnt := n.fcntDown
	if rep.fcnt != nil {
		fcnt = *rep.fcnt
	}
	n.fcntDown = fcnt + 1
	if rep.mtype == 0 {
		rep.mtype = lorawan.UnconfirmedDataDown
	}
	mac := &lorawan.MACPayload{FHDR: lorawan.FHDR{DevAddr: up.mac.FHDR.DevAddr, FCtrl: rep.ctrl, FCnt: fcnt}, FPort: rep.port}
	if rep.otherAddr {
		mac.FHDR.DevAddr[3] ^= 1
	}
	var commands []lorawan.Payload
	for _, c := range rep.options {
		commands = append(commands, &c)
	}
	key := n.app
	switch {
	case rep.port != nil && *rep.port == 0:
		key = n.nwk
		mac.FRMPayload = commands
	default:
		mac.FHDR.FOpts = commands
		if rep.port != nil {
			mac.FRMPayload = []lorawan.Payload{&lorawan.DataPayload{Bytes: rep.payload}}
		}
	}
	phy := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: rep.mtype}, MACPayload: mac}
	if err := phy.EncryptFRMPayload(key); err != nil {
		n.t.Error(err)
	}
	if err := phy.SetDownlinkDataMIC(lorawan.LoRaWAN1_0, 0, n.nwk); err != nil {
		n.t.Error(err)
	}
	if rep.wrongMIC {
		phy.MIC[0] ^= 1
	}
	frame, err := phy.MarshalBinary()
	if err != nil {
		n.t.Error(err)
	}
	return frame
}

// with runs f in a bubble with a network and a device of that configuration.
func with(t *testing.T, name string, cfg enddevice.Config, f func(t *testing.T, n *network, d *enddevice.Device)) {
	synctest.Test(t, func(t *testing.T) {
		r, err := region.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		n := &network{t: t, m: air.New(air.Config{}), region: r, rx1Delay: r.Delays().RX1}
		defer n.m.Close()
		n.rx2Freq, n.rx2DR = r.RX2()
		n.nwk, n.app = lorawan.AES128Key(session.NwkSKey), lorawan.AES128Key(session.AppSKey)
		eui := radio.EUI64{0xAA}
		if n.gateway, err = n.m.Join(air.StationConfig{Gateway: &eui}, n); err != nil {
			t.Fatal(err)
		}
		cfg.DevEUI, cfg.JoinEUI, cfg.Region, cfg.AppKey = devEUI, joinEUI, r, appKey
		cfg.Events = func(e enddevice.Event) { n.events = append(n.events, e) }
		d, err := enddevice.New(cfg, n.m)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		f(t, n, d)
	})
}

// abp is with for a device that is activated.
func abp(t *testing.T, name string, cfg enddevice.Config, f func(t *testing.T, n *network, d *enddevice.Device)) {
	s := session
	cfg.ABP = &s
	with(t, name, cfg, f)
}

// must sends an uplink.
func must(t *testing.T, d *enddevice.Device, port uint8, payload []byte) enddevice.Result {
	t.Helper()
	r, err := d.Send(t.Context(), port, payload, false)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// last returns the newest uplink.
func (n *network) last() uplink {
	n.t.Helper()
	if len(n.uplinks) == 0 {
		n.t.Fatal("nothing was heard")
	}
	return n.uplinks[len(n.uplinks)-1]
}

// once answers the next uplink only.
func (n *network) once(replies ...reply) {
	n.answer = func(uplink) []reply {
		n.answer = nil
		return replies
	}
}

// options encodes the MAC commands of an uplink.
func (u uplink) encoded(t *testing.T) []byte {
	var out bytes.Buffer
	for _, c := range u.options {
		b, err := c.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	return out.Bytes()
}

// rejected returns the reasons of all frames that the device did not take.
func (n *network) rejected() (out []string) {
	for _, e := range n.events {
		if r, ok := e.(enddevice.Rejected); ok {
			out = append(out, r.Reason.Error())
		}
	}
	return out
}
