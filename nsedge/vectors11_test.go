package nsedge

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// vector11 is a session of LoRaWAN 1.1 as an independent implementation has
// it: see testdata/lorapacket11/vectors.mjs.
type vector11 struct {
	AppKey    hexBytes `json:"app_key"`
	NwkKey    hexBytes `json:"nwk_key"`
	DevEUI    hexBytes `json:"dev_eui"`
	JoinEUI   hexBytes `json:"join_eui"`
	JoinNonce hexBytes `json:"join_nonce"`
	DevNonce  hexBytes `json:"dev_nonce"`
	DevAddr   hexBytes `json:"dev_addr"`
	NetID     hexBytes `json:"net_id"`
	FNwkSInt  hexBytes `json:"fnwksintkey"`
	SNwkSInt  hexBytes `json:"snwksintkey"`
	NwkSEnc   hexBytes `json:"nwksenckey"`
	AppS      hexBytes `json:"appskey"`
	JSInt     hexBytes `json:"jsintkey"`
	JSEnc     hexBytes `json:"jsenckey"`
	Frames    []struct {
		Up      bool     `json:"up"`
		Counter uint32   `json:"counter"`
		Conf    uint16   `json:"conf"`
		DR      uint8    `json:"dr"`
		Channel int      `json:"channel"`
		ACK     bool     `json:"ack"`
		Opts    hexBytes `json:"opts"`
		Payload *string  `json:"payload"`
		PHY     hexBytes `json:"phy"`
	} `json:"frames"`
	Rejoins []struct {
		Type  lorawan.JoinType `json:"type"`
		Count uint16           `json:"count"`
		PHY   hexBytes         `json:"phy"`
	} `json:"rejoins"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func vectors11(t *testing.T) (all []vector11) {
	t.Helper()
	raw, err := os.ReadFile("testdata/lorapacket11/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no vectors")
	}
	return all
}

func (v *vector11) number(b hexBytes) (n uint32) {
	for _, x := range b {
		n = n<<8 | uint32(x)
	}
	return n
}

func TestKeysOf11AreThoseOfLoraPacket(t *testing.T) {
	for i, v := range vectors11(t) {
		root := joinKeys{nwk: Key(v.NwkKey), app: Key(v.AppKey), v11: true}
		got := root.session(v.number(v.JoinNonce), [3]byte{1, 2, 3}, radio.EUI64(v.JoinEUI), uint16(v.number(v.DevNonce)))
		want := keys{nwkSKey: Key(v.FNwkSInt), sIntKey: Key(v.SNwkSInt), encKey: Key(v.NwkSEnc), appSKey: Key(v.AppS), hasApp: true, v11: true}
		if got != want {
			t.Errorf("session %d: other keys", i)
		}
		if jsKey(Key(v.NwkKey), typeJSIntKey, radio.EUI64(v.DevEUI)) != Key(v.JSInt) || jsKey(Key(v.NwkKey), typeJSEncKey, radio.EUI64(v.DevEUI)) != Key(v.JSEnc) {
			t.Errorf("session %d: other JSIntKey or JSEncKey", i)
		}
	}
}

func TestFramesOf11AreThoseOfLoraPacket(t *testing.T) {
	for i, v := range vectors11(t) {
		s := &session{dev: &device{spec: &Device{}}, addr: DevAddr(v.DevAddr), keys: keys{nwkSKey: Key(v.FNwkSInt), sIntKey: Key(v.SNwkSInt), encKey: Key(v.NwkSEnc), appSKey: Key(v.AppS), hasApp: true, v11: true}}
		for j, c := range v.Frames {
			if !c.Up {
				fl := &flight{w: &window{s: s, dev: s.dev, kind: classCWindow, ack: c.ACK, acked: uint32(c.Conf)}, c: &content{}, counter: c.Counter, mac: c.Opts}
				if c.Payload != nil {
					fl.c.app, fl.c.port, fl.c.plain = true, 9, []byte(*c.Payload)
				}
				if err := fl.seal(); err != nil || !slices.Equal(fl.phy, c.PHY) {
					t.Errorf("session %d, downlink %d: %v\n got % x\nwant % x", i, j, err, fl.phy, c.PHY)
				}
				continue
			}
			f, err := parseDataUp(c.PHY)
			if err != nil {
				t.Fatal(err)
			}
			f.heard = heardAs{c.DR, c.Channel}
			s.conf = confirmed{c.Conf, c.Conf, c.Conf}
			if !s.authentic(&f, c.Counter) {
				t.Errorf("session %d, uplink %d: MIC refused", i, j)
			}
			if got := commandsIn(&f, s, c.Counter); !slices.Equal(got, c.Opts) {
				t.Errorf("session %d, uplink %d: FOpts % x, want % x", i, j, got, c.Opts)
			}
			if c.Payload != nil && string(crypt(s.appSKey, true, s.addr, c.Counter, f.frm)) != *c.Payload {
				t.Errorf("session %d, uplink %d: another payload than %q", i, j, *c.Payload)
			}
			for name, change := range map[string]func(){
				"data rate": func() { f.heard.dr++ }, "channel": func() { f.heard.channel++ }, "counter": func() { c.Counter++ },
				"first half": func() { f.mic[0]++ }, "second half": func() { f.mic[3]++ }, "message": func() { f.msg = slices.Clone(f.msg); f.msg[0] ^= 0x80 },
			} {
				before, counter := f, c.Counter
				if change(); s.authentic(&f, c.Counter) {
					t.Errorf("session %d, uplink %d: accepted with another %s", i, j, name)
				}
				f, c.Counter = before, counter
			}
			s.conf = confirmed{c.Conf + 1, c.Conf + 2, c.Conf + 3}
			if s.authentic(&f, c.Counter) == c.ACK {
				t.Errorf("session %d, uplink %d: ConfFCnt counts with ACK only", i, j)
			}
		}
	}
}

func TestRejoinRequestsAreThoseOfLoraPacket(t *testing.T) {
	for i, v := range vectors11(t) {
		for _, c := range v.Rejoins {
			q, err := parseRejoin(c.PHY)
			if err != nil || q.kind != c.Type || q.count != c.Count || q.devEUI != radio.EUI64(v.DevEUI) {
				t.Errorf("session %d, type %d: %+v, %v", i, c.Type, q, err)
			}
			good, bad := Key(v.SNwkSInt), Key(v.JSInt)
			if c.Type == lorawan.RejoinRequestType1 {
				good, bad = bad, good
				if q.joinEUI != radio.EUI64(v.JoinEUI) {
					t.Errorf("JoinEUI %v", q.joinEUI)
				}
			} else if q.netID != [3]byte(v.NetID) {
				t.Errorf("NetID %x", q.netID)
			}
			if !q.signedWith(good) || q.signedWith(bad) {
				t.Errorf("session %d, type %d: MIC", i, c.Type)
			}
		}
	}
}
