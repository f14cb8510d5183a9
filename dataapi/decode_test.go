package dataapi

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatewayd/dataapi/schema/schematest"
	"gatewayd/nsedge"
	"gatewayd/radio"
)

const (
	hashText = "2d12d09d48669879a40f9779f12324a4"
	euiText  = "000516800011abf6"
)

func TestMessagesOfExistingClientsAreUnderstood(t *testing.T) {
	hash, eui, gateway := realMeta().PacketHash, realMeta().Device, realMeta().Gateway
	seven := uint32(7)
	for _, c := range []struct {
		name, text string
		want       nsedge.Answer
	}{
		{"the whole meta copied", `{"type":"downlink_response","meta":{"network":"358b","tags":["demo"],"packet_hash":"` + hashText + `","application":"6caabba5aa141e23","device_addr":"162a9521",
			"time":1669718927.862,"device":"` + euiText + `","packet_id":"6e1735e722f0dd6835e9cd79bd8f740f","gateway":"b0fd0b7002640000","version":1,"history":false},
			"params":{"payload":"AQID","port":10,"confirmed":true,"pending":true,"counter_down":7,"queue_if_late":true}}`,
			nsedge.DownlinkResponse{PacketHash: hash, Device: eui, Payload: []byte{1, 2, 3}, HasPayload: true, Port: 10, Confirmed: true, Pending: true, Counter: &seven, QueueIfLate: true}},
		{"the hash alone, in upper case, the rest oddly typed", `{"type":"downlink_response","meta":{"packet_hash":"` + strings.ToUpper(hashText) + `","packet_id":17,"time":null,"device":5,"version":"x"},"params":{"payload":"AQ"}}`,
			nsedge.DownlinkResponse{PacketHash: hash, Payload: []byte{1}, HasPayload: true, Port: 1}},
		{"the device alone", `{"type":"downlink_response","meta":{"device":"` + euiText + `"},"params":{"encrypted_payload":"AQI=","counter_down":null,"payload":null}}`,
			nsedge.DownlinkResponse{Device: eui, Encrypted: []byte{1, 2}, Port: 1}},
		{"an empty payload beside an encrypted one", `{"type":"downlink_response","meta":{"packet_hash":"` + hashText + `"},"params":{"encrypted_payload":"AQI=","payload":""}}`,
			nsedge.DownlinkResponse{PacketHash: hash, Encrypted: []byte{1, 2}, Port: 1}},
		{"an empty encrypted one beside the payload", `{"type":"downlink_response","meta":{"packet_hash":"` + hashText + `"},"params":{"encrypted_payload":"","payload":"/+8="}}`,
			nsedge.DownlinkResponse{PacketHash: hash, Payload: []byte{0xff, 0xef}, HasPayload: true, Port: 1}},
		{"MAC commands", `{"type":"downlink_response","meta":{"packet_hash":"` + hashText + `"},"params":{"payload":"BAU=","port":0}}`,
			nsedge.DownlinkResponse{PacketHash: hash, MAC: []byte{4, 5}}},
		{"an empty payload, whole numbers with a point", `{"type":"downlink_response","meta":{"packet_hash":"` + hashText + `"},"params":{"payload":"","port":2.0}}`,
			nsedge.DownlinkResponse{PacketHash: hash, Payload: []byte{}, HasPayload: true, Port: 2}},
		{"join_response of 1.1", `{"type":"join_response","meta":{"packet_hash":"` + hashText + `"},"params":{"fnwksintkey":"01000000000000000000000000000000","snwksintkey":"02000000000000000000000000000000","nwksenckey":"03000000000000000000000000000000","opt_neg":true,"join_eui":"0102030405060708","accept_payload":"AAECAwQFBgcICQoLDA0ODw"}}`,
			nsedge.JoinResponse{PacketHash: hash, OptNeg: true, NwkSKey: [16]byte{1}, SNwkSIntKey: [16]byte{2}, NwkSEncKey: [16]byte{3}, JoinEUI: mustEUI("0102030405060708"), Accept: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}},
		{"join_response", `{"type":"join_response","meta":{"packet_hash":"` + hashText + `"},"params":{"nwkskey":"000102030405060708090A0B0C0D0E0F","accept_payload":"AAECAwQFBgcICQoLDA0ODw"}}`,
			nsedge.JoinResponse{PacketHash: hash, NwkSKey: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Accept: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}},
		{"status_request", `{"type":"status_request","meta":{"device":"000516800011ABF6","gateway":"b0fd0b7002640000"},"params":{}}`,
			nsedge.StatusRequest{Device: eui, Gateway: &gateway}},
		{"status without params", `{"type":"status","meta":{"device":"` + euiText + `","gateway":""}}`, nsedge.StatusRequest{Device: eui}},
		{"a bare claim", `{"type":"downlink_claim","meta":{"device":"` + euiText + `"}}`, nsedge.Claim{Device: eui}},
		{"a claim with our network", `{"type":"downlink_claim","meta":{"network":"` + strings.ToUpper(testNetwork) + `","device":"` + euiText + `","gateway":null},"params":null}`,
			nsedge.Claim{Device: eui, Network: strings.ToUpper(testNetwork)}},
		{"a claim for a gateway", `{"type":"downlink_claim","meta":{"device":"` + euiText + `","gateway":"B0FD0B7002640000"},"params":7}`, nsedge.Claim{Device: eui, Gateway: &gateway}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := testEncoder(t).decode([]byte(c.text))
			if err != nil || !reflect.DeepEqual(m.answer, c.want) {
				t.Errorf("got %+v, %v\nwant %+v", m.answer, err, c.want)
			}
			if err := schematest.CheckIncoming([]byte(c.text)); err != nil {
				t.Error("its schema refuses what the server understands:", err)
			}
		})
	}
}

func TestMalformedMessagesSayWhichFieldAndWhatIsAllowed(t *testing.T) {
	meta := `"meta":{"packet_hash":"` + hashText + `"}`
	response := func(params string) string {
		return `{"type":"downlink_response",` + meta + `,"params":{` + params + `}}`
	}
	join := func(params string) string {
		return `{"type":"join_response",` + meta + `,"params":{"nwkskey":"000102030405060708090a0b0c0d0e0f",` + params + `}}`
	}
	for _, c := range []struct{ text, code, field, says string }{
		{``, codeBadJSON, "", "not a JSON object"},
		{`null`, codeMissingField, "type", "downlink_response"},
		{`"x"`, codeBadJSON, "", "not a JSON object: it is of the type string; a message is"},
		{`{"type":"status"} {}`, codeBadJSON, "", "not a JSON object"},
		{`{}`, codeMissingField, "type", "downlink_response"},
		{`{"type":7}`, codeBadField, "type", "7"},
		{`{"Type":"status"}`, codeMissingField, "type", ""},
		{`{"type":"uplink"}`, codeUnknownType, "type", "not for applications"},
		{`{"type":"downlink_response","meta":[],"params":{"payload":""}}`, codeBadField, "meta", "[]"},
		{`{"type":"downlink_response",` + meta + `,"params":7}`, codeBadField, "params", "7"},
		{`{"type":"downlink_response","params":{"payload":""}}`, codeMissingField, "meta.packet_hash", "packet_hash"},
		{`{"type":"downlink_response","meta":{"packet_hash":"12"},"params":{"payload":""}}`, codeBadField, "meta.packet_hash", "32 hex digits"},
		{`{"type":"downlink_response","meta":{"packet_hash":7},"params":{"payload":""}}`, codeBadField, "meta.packet_hash", "7"},
		{`{"type":"downlink_response","meta":{"device":"12"},"params":{"payload":""}}`, codeBadField, "meta.device", "16 hex digits"},
		{response(``), codeMissingField, "params.payload", "encrypted_payload"},
		{response(`"payload":"*"`), codeBadField, "params.payload", "standard alphabet"},
		{response(`"payload":"-_8"`), codeBadField, "params.payload", "standard alphabet"},
		{response(`"payload":[1]`), codeBadField, "params.payload", "base64"},
		{response(`"encrypted_payload":1`), codeBadField, "params.encrypted_payload", "base64"},
		{response(`"payload":"AQ","encrypted_payload":"AQ"`), codeBadField, "params.payload", "one of them"},
		{response(`"payload":"","port":-1`), codeBadField, "params.port", "0 to 224"},
		{response(`"payload":"","port":0`), codeBadField, "params.payload", "1 to 15"},
		{response(`"payload":"BAUEBQQFBAUEBQQFBAUEBQ==","port":0`), codeBadField, "params.payload", "16 bytes"},
		{response(`"encrypted_payload":"BAU=","port":0`), codeBadField, "params.encrypted_payload", "give payload"},
		{response(`"payload":"","port":256`), codeBadField, "params.port", "256"},
		{response(`"payload":"","port":"1"`), codeBadField, "params.port", `"1"`},
		{response(`"payload":"","port":1.5`), codeBadField, "params.port", "1.5"},
		{response(`"payload":"","confirmed":1`), codeBadField, "params.confirmed", "true and false"},
		{response(`"payload":"","pending":"no"`), codeBadField, "params.pending", "true and false"},
		{response(`"payload":"","queue_if_late":[]`), codeBadField, "params.queue_if_late", ""},
		{response(`"payload":"","counter_down":-1`), codeBadField, "params.counter_down", "4294967295"},
		{response(`"payload":"","counter_down":4294967296`), codeBadField, "params.counter_down", ""},
		{join(`"accept_payload":""`), codeMissingField, "params.accept_payload", "MHDR"},
		{join(`"x":1`), codeMissingField, "params.accept_payload", "MHDR"},
		{join(`"accept_payload":"IAAAAAAAAAAAAAAAAAAAAAA="`), codeBadField, "params.accept_payload", "without its MHDR"},
		{join(`"accept_payload":"AAA="`), codeBadField, "params.accept_payload", "2 bytes"},
		{`{"type":"join_response",` + meta + `,"params":{}}`, codeMissingField, "params.nwkskey", "32 hex digits"},
		{`{"type":"join_response",` + meta + `,"params":{"nwkskey":"secret"}}`, codeBadField, "params.nwkskey", "6 characters"},
		{`{"type":"join_response",` + meta + `,"params":{"nwkskey":5}}`, codeBadField, "params.nwkskey", "32 hex digits"},
		{`{"type":"join_response",` + meta + `,"params":{"fnwksintkey":"00"}}`, codeBadField, "params.fnwksintkey", "2 characters"},
		{`{"type":"join_response",` + meta + `,"params":{"opt_neg":true,"nwkskey":"000102030405060708090a0b0c0d0e0f"}}`, codeMissingField, "params.fnwksintkey", "opt_neg"},
		{`{"type":"join_response",` + meta + `,"params":{"fnwksintkey":"000102030405060708090a0b0c0d0e0f","snwksintkey":"000102030405060708090a0b0c0d0e0f"}}`, codeMissingField, "params.nwksenckey", "1.1"},
		{`{"type":"join_response",` + meta + `,"params":{"opt_neg":5,"nwkskey":"000102030405060708090a0b0c0d0e0f"}}`, codeBadField, "params.opt_neg", "true"},
		{`{"type":"join_response",` + meta + `,"params":{"join_eui":"x","nwkskey":"000102030405060708090a0b0c0d0e0f"}}`, codeBadField, "params.join_eui", "16 hex"},
		{`{"type":"join_response","params":{}}`, codeMissingField, "meta.packet_hash", ""},
		{`{"type":"status_request"}`, codeMissingField, "meta.device", "16 hex digits"},
		{`{"type":"status_request","meta":{"device":"` + euiText + `","gateway":"x"}}`, codeBadField, "meta.gateway", "16 hex digits"},
		{`{"type":"downlink_claim","meta":{}}`, codeMissingField, "meta.device", ""},
		{`{"type":"downlink_claim","meta":{"device":"` + euiText + `","network":"00000000"}}`, codeUnknownNetwork, "meta.network", testNetwork},
		{`{"type":"downlink_claim","meta":{"device":"` + euiText + `","network":7}}`, codeBadField, "meta.network", ""},
	} {
		if schematest.CheckIncoming([]byte(c.text)) == nil && c.code != codeUnknownNetwork { // which a schema can't know
			t.Errorf("%s: its schema takes what the server refuses", c.text)
		}
		m, err := testEncoder(t).decode([]byte(c.text))
		if err == nil {
			t.Errorf("%s was taken: %+v", c.text, m)
			continue
		}
		p := problemOf(err)
		if p.Code != c.code || p.Field != c.field || !strings.Contains(p.Message, c.says) {
			t.Errorf("%s: %+v", c.text, p)
		}
		if strings.Contains(p.Message, "secret") {
			t.Errorf("the message repeats a key: %s", p.Message)
		}
	}
}

func TestTheErrorOfAMalformedMessageCarriesItsMeta(t *testing.T) {
	m, err := testEncoder(t).decode([]byte(`{"type":"nonsense","meta":{"device":"` + euiText + `","gateway":"x","application":"6caabba5aa141e23"}}`))
	if want := (nsedge.Meta{Device: mustEUI(euiText), Application: mustEUI("6caabba5aa141e23")}); err == nil || !reflect.DeepEqual(m.meta(), want) {
		t.Errorf("%+v, %v", m.meta(), err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"downlink_response","meta":{"packet_hash":"` + hashText + `"},"params":{"payload":"AQ","port":1,"counter_down":3}}`))
	f.Add([]byte(`{"type":"join_response","meta":{"packet_hash":"` + hashText + `"},"params":{"nwkskey":"000102030405060708090a0b0c0d0e0f","accept_payload":"AAECAwQFBgcICQoLDA0ODw"}}`))
	f.Add([]byte(`{"type":"downlink_claim","meta":{"device":"` + euiText + `"}}`))
	f.Add([]byte(`{"type":"status","meta":{"device":"` + euiText + `"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e := testEncoder(t)
		m, err := e.decode(text)
		if err != nil && problemOf(err).Code != codeUnknownNetwork && schematest.CheckIncoming(text) == nil {
			t.Errorf("%s: its schema takes what the server refuses: %v", text, err)
		}
		if (err == nil) != (m.answer != nil) {
			t.Fatalf("%s: %v, %v", text, m, err)
		}
		if err != nil {
			p := problemOf(err)
			if p.Code == codeServerError || p.Message == "" {
				t.Errorf("%s: %+v", text, p)
			}
			if out := e.event(&nsedge.Notice{Meta: timed(m.meta()), Level: nsedge.Error, Code: p.Code, Message: p.Message}, packetID{}, 0); !json.Valid(out) {
				t.Errorf("%s", out)
			}
			return
		}
		if d, ok := m.answer.(nsedge.DownlinkResponse); ok {
			if d.Port < 1 || d.Port > 224 || d.HasPayload == (d.Encrypted != nil) || d.PacketHash == (nsedge.PacketHash{}) && d.Device == (radio.EUI64{}) && !strings.Contains(string(text), hex.EncodeToString(make([]byte, 8))) {
				t.Errorf("%s: %+v", text, d)
			}
		}
	})
}

// timed is the meta with a time, as each message has one.
func timed(m nsedge.Meta) nsedge.Meta {
	m.Time = time.Unix(1, 0)
	return m
}
