package dataapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// realUplink is a message of a real network, as the contract quotes it, with
// two differences of ours: times have µs precision, and meta.version is there.
const realUplink = `{"type":"uplink",
 "meta":{"network":"358b679dd88d47948f6e108677b4b79a","tags":["demo"],"packet_hash":"2d12d09d48669879a40f9779f12324a4","application":"6caabba5aa141e23",
         "device_addr":"162a9521","time":1669718927.862,"device":"000516800011abf6","packet_id":"6e1735e722f0dd6835e9cd79bd8f740f","gateway":"b0fd0b7002640000","version":1},
 "params":{"rx_time":1669718927.795157,"port":1,"duplicate":false,"counter_up":6,"payload":"eyJUIjoyMC44fQ==","encrypted_payload":"THVy2YePaE57oA==",
  "radio":{"gps_time":1353754145752,"delay":0.0523,"datarate":0,"size":23,"freq":915.8,"time":1669718927.795157,
           "modulation":{"bandwidth":125000,"type":"LORA","spreading":12,"coderate":"4/5"},
           "hardware":{"status":1,"chain":0,"tmst":1918574140,"snr":-9.8,"rssi":-97,"channel":3,"gps":{"lat":-25.468,"lng":-49.306,"alt":954}}},
  "lora":{"header":{"class_b":false,"confirmed":false,"adr":true,"ack":false,"adr_ack_req":false,"version":0,"type":2},"mac_commands":[]}}}`

var realID = packetID{0x6e, 0x17, 0x35, 0xe7, 0x22, 0xf0, 0xdd, 0x68, 0x35, 0xe9, 0xcd, 0x79, 0xbd, 0x8f, 0x74, 0x0f}

func realMeta() nsedge.Meta {
	return nsedge.Meta{
		Application: mustEUI("6caabba5aa141e23"), Device: mustEUI("000516800011abf6"), DevAddr: nsedge.DevAddr{0x16, 0x2a, 0x95, 0x21},
		Gateway:    mustEUI("b0fd0b7002640000"),
		PacketHash: nsedge.PacketHash{0x2d, 0x12, 0xd0, 0x9d, 0x48, 0x66, 0x98, 0x79, 0xa4, 0x0f, 0x97, 0x79, 0xf1, 0x23, 0x24, 0xa4},
		Time:       time.Unix(1669718927, 862_000_000), Tags: []string{"demo"},
	}
}

func realEvent() *nsedge.UplinkEvent {
	at := time.Unix(1669718927, 795_156_700)
	encrypted, _ := base64.StdEncoding.DecodeString("THVy2YePaE57oA==")
	return &nsedge.UplinkEvent{
		Meta: realMeta(), RXTime: at, Counter: 6, Port: 1, Payload: []byte(`{"T":20.8}`), Encrypted: encrypted,
		Radio: nsedge.RadioInfo{Freq: 915_800_000, Mod: radio.LoRa{SF: 12, Bandwidth: 125_000}, Size: 23, Time: at, GPSTime: 1353754145752 * time.Millisecond,
			Delay: 52_300 * time.Microsecond, Tmst: 1918574140, IFChain: 3, CRC: radio.GoodCRC, RSSI: -97.2, SNR: -9.8},
		Frame: nsedge.FrameInfo{MType: 2, ADR: true},
	}
}

func testEncoder(t testing.TB) *encoder {
	return &encoder{made: checkMessage(t), network: testNetwork, position: func(radio.EUI64) (Position, bool) { return Position{-25.468, -49.306, 954}, true }}
}

// exact decodes JSON so that -97 and -97.0 differ.
func exact(t *testing.T, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestUplinkEqualsTheMessageOfARealNetwork(t *testing.T) {
	got := exact(t, string(testEncoder(t).event(realEvent(), realID, withRadio|withLoRa)))
	if want := exact(t, realUplink); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestRadioAndLoRaComeOnlyWhenAsked(t *testing.T) {
	for _, ev := range []nsedge.Event{realEvent(), realDownlink()} {
		for s := range shape(shapes) {
			params := exact(t, string(testEncoder(t).event(ev, realID, s)))["params"].(map[string]any)
			for name, asked := range map[string]bool{"radio": s&withRadio != 0, "lora": s&withLoRa != 0} {
				if _, there := params[name]; there != asked {
					t.Errorf("%T shape %d: %s there %v, asked %v", ev, s, name, there, asked)
				}
			}
		}
	}
}

func realRequest() *nsedge.DownlinkRequest {
	at := time.Unix(1669718928, 795_157_000)
	return &nsedge.DownlinkRequest{Meta: realMeta(), TXTime: at, Deadline: at.Add(-6 * time.Millisecond), Counter: 1 << 31, MaxSize: 51}
}

func realDownlink() *nsedge.DownlinkEvent {
	return &nsedge.DownlinkEvent{
		Meta: realMeta(), Counter: 70_000, Port: 2, Payload: []byte{}, Encrypted: nil,
		Radio: nsedge.RadioInfo{Freq: 923_300_000, DataRate: 8, Mod: radio.LoRa{SF: 12, Bandwidth: 500_000, InvertIQ: true}, Inverted: true, Size: 12,
			Time: time.Unix(1669718928, 0), Tmst: 5, Power: 26.6},
		Frame: nsedge.FrameInfo{MType: 3, ACK: true, Pending: true, MACCommands: []nsedge.MACCommand{
			{Name: "DutyCycleReq", Value: map[string]int{"MaxDCycle": 0}}, {Name: "Odd", Value: make(chan int)}, {Name: "Empty"}}},
		Timing: nsedge.Timing{Window: "RX1", Planned: 1_000_000, Armed: 990_000, Started: 1_000_000, Ended: 1_020_000, Margin: 10 * time.Millisecond},
	}
}

func TestEachTypeHasItsFields(t *testing.T) {
	meta := `"meta":{"network":"358b679dd88d47948f6e108677b4b79a","tags":["demo"],"packet_hash":"2d12d09d48669879a40f9779f12324a4","application":"6caabba5aa141e23",
         "device_addr":"162a9521","time":1669718927.862,"device":"000516800011abf6","packet_id":"6e1735e722f0dd6835e9cd79bd8f740f","gateway":"b0fd0b7002640000","version":1}`
	withoutPlaintext := realEvent()
	withoutPlaintext.Payload, withoutPlaintext.Duplicate = nil, true
	withoutPlaintext.Meta.Tags = nil
	fsk := realEvent()
	fsk.Radio.Mod, fsk.Radio.DataRate, fsk.Radio.CRC, fsk.Radio.RSSI, fsk.Radio.GPSTime = radio.FSK{BitRate: 50_000}, -1, radio.BadCRC, -80.5, 0
	fsk.Radio.SNR = radio.DB(math.NaN())
	for _, c := range []struct {
		name string
		ev   nsedge.Event
		s    shape
		want string
	}{
		{"plaintext is never invented, lists are never null", withoutPlaintext, 0, `{"type":"uplink",` + strings.Replace(meta, `["demo"]`, `[]`, 1) +
			`,"params":{"rx_time":1669718927.795157,"counter_up":6,"port":1,"encrypted_payload":"THVy2YePaE57oA==","duplicate":true}}`},
		{"an empty frame has an empty payload", &nsedge.UplinkEvent{Meta: realMeta(), RXTime: time.Unix(5, 0)}, 0,
			`{"type":"uplink",` + meta + `,"params":{"rx_time":5,"counter_up":0,"port":0,"payload":"","encrypted_payload":"","duplicate":false}}`},
		{"FSK", fsk, withRadio, `{"type":"uplink",` + meta + `,"params":{"rx_time":1669718927.795157,"counter_up":6,"port":1,"payload":"eyJUIjoyMC44fQ==",
			"encrypted_payload":"THVy2YePaE57oA==","duplicate":false,"radio":{"freq":915.8,"time":1669718927.795157,"delay":0.0523,"size":23,
			"modulation":{"type":"FSK","bitrate":50000},
			"hardware":{"tmst":1918574140,"channel":3,"chain":0,"status":-1,"rssi":-81,"snr":0,"gps":{"lat":-25.468,"lng":-49.306,"alt":954}}}}}`},
		{"downlink", realDownlink(), withRadio | withLoRa, `{"type":"downlink",` + meta + `,"params":{"counter_down":70000,"port":2,"payload":"","encrypted_payload":"",
			"timing":{"window":"RX1","planned":1000000,"armed":990000,"started":1000000,"ended":1020000,"margin":0.01,"late":""},
			"radio":{"freq":923.3,"datarate":8,"time":1669718928,"delay":0,"size":12,"datr":"SF12BW500",
			 "modulation":{"type":"LORA","bandwidth":500000,"spreading":12,"coderate":"4/5","inverted":true},
			 "hardware":{"tmst":5,"channel":0,"chain":0,"power":27,"gps":{"lat":-25.468,"lng":-49.306,"alt":954}}},
			"lora":{"header":{"type":3,"version":0,"confirmed":false,"adr":false,"ack":true,"pending":true},"mac_commands":[{"DutyCycleReq":{"MaxDCycle":0}},{"Odd":{}},{"Empty":{}}]}}}`},
		{"downlink_request", realRequest(), 3,
			`{"type":"downlink_request",` + meta + `,"params":{"tx_time":1669718928.795157,"cutoff_time":1669718928.789157,"counter_down":2147483648,"max_size":51}}`},
		{"join_request", &nsedge.JoinRequest{Meta: realMeta(), DevAddr: nsedge.DevAddr{0x16, 0x2a, 0x95, 0x21}, DevNonce: 0x0abc, NetID: [3]byte{0, 0, 0x13}, CFList: []byte{1, 2}}, 0,
			`{"type":"join_request",` + meta + `,"params":{"dev_eui":"000516800011abf6","dev_addr":"162a9521","dev_nonce":"0abc","net_id":"000013","cf_list":"0102"}}`},
		{"status_response", &nsedge.StatusResponse{Meta: realMeta(), Battery: 255, SNR: -7, RXTime: time.Unix(1669718927, 500_000_000)}, 0,
			`{"type":"status_response",` + meta + `,"params":{"battery":255,"snr":-7,"rx_time":1669718927.5}}`},
		{"location", &nsedge.Location{Meta: realMeta(), Solutions: []nsedge.Solution{{Lat: 1.5, Lng: -0.00000001, Precision: 300, Quality: 7, Method: "simple:moving"}}}, 0,
			`{"type":"location",` + meta + `,"params":{"solutions":[{"lat":1.5,"lng":0,"precision":300,"quality":7,"method":"simple:moving"}]}}`},
		{"a notice quotes safely", &nsedge.Notice{Meta: realMeta(), Level: nsedge.Warning, Code: "c", Message: "a \"b\"\n\u00e9", Timing: &nsedge.Timing{Window: "RX2", Planned: 7, Margin: -time.Millisecond, Late: "as"}}, 0,
			`{"type":"warning",` + meta + `,"params":{"code":"c","message":"a \"b\"\né","timing":{"window":"RX2","planned":7,"margin":-0.001,"late":"as"}}}`},
		{"an error about a device that nobody knows", &nsedge.Notice{Meta: nsedge.Meta{Device: mustEUI("0000000000000001"), Time: time.Unix(5, 0)}, Level: nsedge.Error, Code: "c", Message: "m"}, 0,
			`{"type":"error","meta":{"network":"358b679dd88d47948f6e108677b4b79a","device":"0000000000000001","packet_id":"6e1735e722f0dd6835e9cd79bd8f740f","tags":[],"version":1,"time":5},"params":{"code":"c","message":"m"}}`},
		{"an error tied to no device has just the time", &nsedge.Notice{Meta: nsedge.Meta{Time: time.Unix(5, 0)}, Level: nsedge.Error, Code: "c", Message: "m"}, 0,
			`{"type":"error","meta":{"time":5},"params":{"code":"c","message":"m"}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := string(testEncoder(t).event(c.ev, realID, c.s))
			if got, want := exact(t, text), exact(t, c.want); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}

// The fields of the contract that typed clients decode as integers.
func TestIntegersNeverHaveAFraction(t *testing.T) {
	integers := []string{"rssi", "power", "alt", "tmst", "channel", "chain", "status", "datarate", "size", "gps_time", "precision", "quality", "counter_up", "counter_down",
		"port", "max_size", "bandwidth", "spreading", "version", "type"}
	seen := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				if n, ok := value.(json.Number); ok && slices.Contains(integers, name) {
					seen[name] = true
					if strings.ContainsAny(n.String(), ".eE") {
						t.Errorf("%s is %s", name, n)
					}
				}
				walk(value)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	up, down := realEvent(), realDownlink()
	up.Radio.RSSI, down.Radio.Power = -97.5, 14.04
	for _, ev := range []nsedge.Event{up, down, realRequest(), &nsedge.Location{Meta: realMeta(), Solutions: []nsedge.Solution{{}}}} {
		walk(exact(t, string(testEncoder(t).event(ev, realID, withRadio|withLoRa))))
	}
	for _, name := range integers {
		if !seen[name] {
			t.Errorf("%s was never seen: the test lost its sense", name)
		}
	}
}

func FuzzMillionthsAreExact(f *testing.F) {
	for _, v := range []int64{0, 1, 10, 100_000, 999_999, 1_000_001, 868_100_000, -52_300, 1669718927795157} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v int64) {
		if v == math.MinInt64 {
			return
		}
		w := &writer{}
		w.millionths("v", v)
		text := strings.TrimPrefix(string(w.b), `"v":`)
		got, ok := new(big.Rat).SetString(text)
		if want := big.NewRat(v, 1_000_000); !ok || got.Cmp(want) != 0 {
			t.Errorf("%d: %s", v, text)
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("%s is not JSON", text)
		}
	})
}

func FuzzTagsAndTextsMakeValidJSON(f *testing.F) {
	f.Add("demo", "m")
	f.Add("\"\\\x00\u2028", "\xff")
	f.Fuzz(func(t *testing.T, tag, message string) {
		m := realMeta()
		m.Tags = []string{tag, tag}
		text := testEncoder(t).event(&nsedge.Notice{Meta: m, Code: "c", Message: message}, realID, 0)
		if !json.Valid(text) {
			t.Errorf("%s", text)
		}
	})
}

func ExampleServer_Publish() {
	text := (&encoder{network: "00000013"}).event(&nsedge.DownlinkRequest{
		Meta:   nsedge.Meta{Device: mustEUI("0102030405060708"), Time: time.Unix(1, 0)},
		TXTime: time.Unix(2, 5e8), MaxSize: 51,
	}, packetID{}, 0)
	fmt.Println(string(text))
	// Output:
	// {"type":"downlink_request","meta":{"network":"00000013","application":"0000000000000000","device":"0102030405060708","packet_id":"00000000000000000000000000000000","tags":[],"version":1,"time":1},"params":{"tx_time":2.5,"counter_down":0,"max_size":51}}
}
