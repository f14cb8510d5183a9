package nsedge

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatewayd/radio"
)

// document is a registered device as it is stored: JSON, readable for ever,
// with short names. Counters of the running session are not in it.
type document struct {
	Version    int               `json:"v"`
	Gen        byte              `json:"gen,omitempty"` // of the session that was registered
	DevEUI     hexEUI            `json:"dev_eui"`
	AppEUI     hexEUI            `json:"app_eui"`
	Activation Activation        `json:"act"`
	Encryption Encryption        `json:"enc"`
	Class      string            `json:"cls,omitempty"`
	Band       string            `json:"band,omitempty"`
	Tags       []string          `json:"tags,omitempty"`
	Org        string            `json:"org,omitempty"`
	AppKey     hexKey            `json:"app_key,omitempty"`
	NwkKey     hexKey            `json:"nwk_key,omitempty"`
	DevAddr    string            `json:"addr,omitempty"`
	NwkSKey    hexKey            `json:"nwks,omitempty"`
	AppSKey    hexKey            `json:"apps,omitempty"`
	SIntKey    hexKey            `json:"sint,omitempty"`
	EncKey     hexKey            `json:"senc,omitempty"`
	Up         uint32            `json:"up,omitempty"`
	Down       uint32            `json:"down,omitempty"`
	DownApp    uint32            `json:"downa,omitempty"`
	Size       int               `json:"size,omitempty"`
	Strict     bool              `json:"strict,omitempty"`
	Lab        bool              `json:"lab,omitempty"`
	LoRaWAN    string            `json:"lorawan,omitempty"`
	ADR        *ADR              `json:"adr,omitempty"`
	RX1Delay   int               `json:"rx1,omitempty"`
	RX2Force   bool              `json:"rx2,omitempty"`
	MAC        string            `json:"mac,omitempty"`
	RX1Offset  *int              `json:"rx1off,omitempty"`
	RX2Rate    *int              `json:"rx2dr,omitempty"`
	RX2Freq    radio.Hertz       `json:"rx2f,omitempty"`
	MaxDuty    *int              `json:"duty,omitempty"`
	DownCh     []DownlinkChannel `json:"dlch,omitempty"`
	ADRParam   *ADRParam         `json:"adrp,omitempty"`
	Rejoin     *RejoinParam      `json:"rejoin,omitempty"`
	Ping       *PingSlots        `json:"ping,omitempty"`
	Group      bool              `json:"mc,omitempty"`
	Repeat     int               `json:"rep,omitempty"`
	BlockUp    bool              `json:"blkup,omitempty"`
	BlockDown  bool              `json:"blkdn,omitempty"`
	Geo        *Position         `json:"geo,omitempty"`
}

const documentVersion = 1

var errDocument = errors.New("not a device of a known version")

// hexKey is a key as hex digits; "" is none.
type hexKey string

func toHex(k *Key) hexKey {
	if k == nil {
		return ""
	}
	return hexKey(hex.EncodeToString(k[:]))
}

func (h hexKey) key() (*Key, error) {
	if h == "" {
		return nil, nil
	}
	var k Key
	if len(h) != 2*len(k) {
		return nil, fmt.Errorf("%w: a key has %d digits", errDocument, len(h))
	}
	if _, err := hex.Decode(k[:], []byte(h)); err != nil {
		return nil, fmt.Errorf("%w: a key is not hex", errDocument)
	}
	return &k, nil
}

// hexEUI is an EUI as 16 hex digits. radio.EUI64 would decode itself, but
// tolerates separators at a cost that 100 000 devices feel.
type hexEUI string

func (h hexEUI) eui() (e radio.EUI64, err error) {
	if len(h) != 2*len(e) {
		return e, fmt.Errorf("%w: an EUI has %d digits", errDocument, len(h))
	}
	if _, err := hex.Decode(e[:], []byte(h)); err != nil {
		return e, fmt.Errorf("%w: an EUI is not hex", errDocument)
	}
	return e, nil
}

func encodeDocument(d *Device, gen byte) ([]byte, error) {
	doc := document{
		Version: documentVersion, Gen: gen,
		DevEUI: hexEUI(d.DevEUI.String()), AppEUI: hexEUI(d.AppEUI.String()), Activation: d.Activation, Encryption: d.Encryption,
		Class: d.Class, Band: d.Band, Tags: d.Tags, Org: d.Org,
		AppKey: toHex(d.AppKey), NwkKey: toHex(d.NwkKey), NwkSKey: toHex(d.NwkSKey), AppSKey: toHex(d.AppSKey),
		Up: d.CounterUp, Down: d.CounterDown, Size: d.CountersSize, Strict: d.Policy == PolicyStrict, Lab: d.Policy == PolicyLab,
		RX1Delay: d.RX1Delay, RX2Force: d.RX2Force, BlockUp: d.BlockUplink, BlockDown: d.BlockDownlink, Geo: d.Geolocation,
	}
	doc.MAC, doc.RX1Offset, doc.RX2Rate, doc.RX2Freq, doc.MaxDuty, doc.DownCh = d.MAC, d.RX1Offset, d.RX2DataRate, d.RX2Freq, d.MaxDutyCycle, d.DownlinkChannels
	doc.ADRParam, doc.Rejoin = d.ADRParam, d.RejoinParam
	doc.SIntKey, doc.EncKey, doc.DownApp = toHex(d.SNwkSIntKey), toHex(d.NwkSEncKey), d.CounterDownApp
	doc.Group, doc.Repeat = d.Multicast, d.Repeat
	if d.PingSlots != (PingSlots{}) {
		doc.Ping = &d.PingSlots
	}
	if d.DevAddr != nil {
		doc.DevAddr = d.DevAddr.String()
	}
	if d.Version != defaultVersion {
		doc.LoRaWAN = d.Version
	}
	if d.ADR != (ADR{}) {
		doc.ADR = &d.ADR
	}
	return json.Marshal(doc)
}

func decodeDocument(b []byte) (*Device, byte, error) {
	var doc document
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errDocument, err)
	}
	if doc.Version != documentVersion {
		return nil, 0, fmt.Errorf("%w: version %d", errDocument, doc.Version)
	}
	d := &Device{
		Activation: intern(doc.Activation, OTAA, ABP), Encryption: intern(doc.Encryption, KeysAtNS, KeysAtApp),
		Class: intern(doc.Class, "A", "B", "C"), Band: doc.Band, Tags: doc.Tags, Org: doc.Org,
		CounterUp: doc.Up, CounterDown: doc.Down, CounterDownApp: doc.DownApp, CountersSize: doc.Size, StrictCounter: doc.Strict,
		RX1Delay: doc.RX1Delay, RX2Force: doc.RX2Force, BlockUplink: doc.BlockUp, BlockDownlink: doc.BlockDown, Geolocation: doc.Geo,
	}
	d.MAC, d.RX1Offset, d.RX2DataRate, d.RX2Freq, d.MaxDutyCycle, d.DownlinkChannels = intern(doc.MAC, MACHandsOff), doc.RX1Offset, doc.RX2Rate, doc.RX2Freq, doc.MaxDuty, doc.DownCh
	d.ADRParam, d.RejoinParam = doc.ADRParam, doc.Rejoin
	if d.Multicast, d.Repeat = doc.Group, doc.Repeat; doc.Ping != nil {
		d.PingSlots = *doc.Ping
	}
	var errs [8]error
	d.DevEUI, errs[4] = doc.DevEUI.eui()
	d.AppEUI, errs[5] = doc.AppEUI.eui()
	d.AppKey, errs[0] = doc.AppKey.key()
	d.NwkKey, errs[1] = doc.NwkKey.key()
	d.NwkSKey, errs[2] = doc.NwkSKey.key()
	d.AppSKey, errs[3] = doc.AppSKey.key()
	d.SNwkSIntKey, errs[6] = doc.SIntKey.key()
	d.NwkSEncKey, errs[7] = doc.EncKey.key()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, 0, err
	}
	if doc.DevAddr != "" {
		var a DevAddr
		if n, err := hex.Decode(a[:], []byte(doc.DevAddr[:min(len(doc.DevAddr), 8)])); err != nil || n != len(a) || len(doc.DevAddr) != 8 {
			return nil, 0, fmt.Errorf("%w: address %q", errDocument, doc.DevAddr)
		}
		d.DevAddr = &a
	}
	if doc.ADR != nil {
		d.ADR = *doc.ADR
	}
	d.Version, d.Policy = intern(cmp.Or(doc.LoRaWAN, defaultVersion), versions...), PolicyRelaxed
	switch {
	case doc.Strict:
		d.Policy = PolicyStrict
	case doc.Lab:
		d.Policy = PolicyLab
	}
	return d, doc.Gen, nil
}

// intern replaces s by the equal one among known, so that 100 000 devices
// share it.
func intern[S ~string](s S, known ...S) S {
	for _, k := range known {
		if s == k {
			return k
		}
	}
	return s
}

// clone copies the device with all that it points to.
func (d *Device) clone() Device {
	c := *d
	c.Tags = slices.Clone(d.Tags)
	c.AppKey, c.NwkKey = copied(d.AppKey), copied(d.NwkKey)
	c.DevAddr, c.NwkSKey, c.AppSKey = copied(d.DevAddr), copied(d.NwkSKey), copied(d.AppSKey)
	c.SNwkSIntKey, c.NwkSEncKey = copied(d.SNwkSIntKey), copied(d.NwkSEncKey)
	c.ADR.DataRate, c.ADR.TXPower = copied(d.ADR.DataRate), copied(d.ADR.TXPower)
	c.Geolocation = copied(d.Geolocation)
	c.RX1Offset, c.RX2DataRate, c.MaxDutyCycle = copied(d.RX1Offset), copied(d.RX2DataRate), copied(d.MaxDutyCycle)
	c.DownlinkChannels = slices.Clone(d.DownlinkChannels)
	c.ADRParam, c.RejoinParam = copied(d.ADRParam), copied(d.RejoinParam)
	c.PingSlots = d.PingSlots.clone()
	return c
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// snapshot is the device as the outside sees it: what was registered with
// what its session knows.
func (e *Edge) snapshot(d *device) Device {
	p := d.spec.clone()
	s := d.session()
	if s == nil {
		return p
	}
	p.RX1Current = int(e.delayOf(s))
	addr, nwk := s.addr, s.nwkSKey
	p.DevAddr, p.NwkSKey, p.AppSKey = &addr, &nwk, nil
	if s.hasApp {
		app := s.appSKey
		p.AppSKey = &app
	}
	p.SNwkSIntKey, p.NwkSEncKey = nil, nil
	if s.v11 {
		p.SNwkSIntKey, p.NwkSEncKey = copied(&s.sIntKey), copied(&s.encKey)
	}
	p.CounterUp, p.CounterDown, p.CounterDownApp = s.up, s.down, s.appDown
	if s.seen > 0 {
		p.LastActivity = time.Unix(s.seen, 0)
	}
	p.LastJoin = s.joined
	if s := d.newest(); s != nil {
		p.LastJoin = s.joined
	}
	return p
}
