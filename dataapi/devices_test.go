package dataapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"gatewayd/nsedge"
)

const devicesPath = "/api/v1.0/devices"

func deviceOf(t *testing.T, body map[string]any) map[string]any {
	t.Helper()
	d, ok := body["device"].(map[string]any)
	if !ok || len(body) != 1 {
		t.Fatalf("exactly one key, device, is wanted: %v", body)
	}
	return d
}

func TestADevicesLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		status, body := r.rest("POST", devicesPath, `{"dev_eui":"0102030405060708","app_eui":"1112131415161718","app_key":"000102030405060708090A0B0C0D0E0F","nwkskey":"","appskey":null,
			"activation":"otaa","encryption":"NS","band":"EU863-870","tags":["demo"],"dev_class":"A","counters_size":"4","counter_up":"12","strict_counter":"true","block_uplink":0,
			"adr":{"mode":"on","datarate":null,"tx_power":null},"rx1":{"delay":"5","status":null,"current_delay":1},"last_activity":12345,"org":"theirs","unknown":[1]}`)
		if status != http.StatusCreated {
			t.Fatalf("%d %v", status, body)
		}
		d := deviceOf(t, body)
		for field, want := range map[string]any{"dev_eui": "0102030405060708", "activation": "OTAA", "app_key": "000102030405060708090a0b0c0d0e0f", "counters_size": 4.0, "counter_up": 12.0,
			"strict_counter": true, "block_uplink": false, "last_activity": nil, "last_join": nil, "org": "default", "dev_addr": nil, "geolocation": nil,
			"tags": []any{"demo"}, "adr": map[string]any{"mode": "on", "enabled": true, "datarate": nil, "tx_power": nil}, "rx1": map[string]any{"delay": 5.0, "status": "unknown", "current_delay": nil}} {
			if got, there := d[field]; !there || !reflect.DeepEqual(got, want) {
				t.Errorf("%s is %v, not %v", field, got, want)
			}
		}
		if status, body = r.rest("POST", devicesPath, `{"dev_eui":"0102030405060708"}`); status != http.StatusForbidden || body["message"] != "Device already existing" {
			t.Errorf("a duplicate: %d %v", status, body)
		}
		one := devicesPath + "/01-02-03-04-05-06-07-08"
		status, body = r.rest("PATCH", one, `{"device":{"adr":{"datarate":"3"},"geolocation":{"lat":1.5},"tags":"a, b"}}`)
		if d = deviceOf(t, body); status != http.StatusOK || !reflect.DeepEqual(d["adr"], map[string]any{"mode": "on", "enabled": true, "datarate": 3.0, "tx_power": nil}) || !reflect.DeepEqual(d["tags"], []any{"a", "b"}) {
			t.Errorf("%d %v", status, d)
		}
		_, body = r.rest("PATCH", one, `{"dev_eui":"0102030405060708","adr":{"datarate":null,"enabled":false},"geolocation":{"lng":2,"precision":9},"rx2":{"force":true},"dev_addr":"0A0B0C0D"}`)
		if d = deviceOf(t, body); !reflect.DeepEqual(d["adr"], map[string]any{"mode": "off", "enabled": false, "datarate": nil, "tx_power": nil}) ||
			!reflect.DeepEqual(d["geolocation"], map[string]any{"lat": 1.5, "lng": 2.0, "precision": 9.0}) || d["dev_addr"] != "0a0b0c0d" || d["rx2"].(map[string]any)["force"] != true {
			t.Errorf("merged: %v", d)
		}
		_, body = r.rest("PATCH", one, `{"geolocation":null,"adr":{"enabled":"1","mode":"static"},"tags":[]}`)
		if d = deviceOf(t, body); d["geolocation"] != nil || d["adr"].(map[string]any)["mode"] != "static" || !reflect.DeepEqual(d["tags"], []any{}) {
			t.Errorf("cleared: %v", d)
		}
		if status, body = r.rest("DELETE", one, ""); status != http.StatusNoContent || body != nil {
			t.Errorf("%d %v", status, body)
		}
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			if status, body = r.rest(method, one, `{}`); status != http.StatusNotFound || body["code"] != codeNotFound {
				t.Errorf("%s of an unknown device: %d %v", method, status, body)
			}
		}
		if status, _ = r.rest("GET", devicesPath+"/xyz", ""); status != http.StatusNotFound {
			t.Errorf("GET of no EUI: %d", status)
		}
	})
}

func TestTheUnversionedAliasAnswers200(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		for _, alias := range []string{"/devices", "/api/devices"} {
			status, body := r.rest("POST", alias, `{"dev_eui":"0102030405060708","app_key":"000102030405060708090a0b0c0d0e0f"}`)
			if status != http.StatusOK || deviceOf(t, body)["dev_eui"] != "0102030405060708" {
				t.Errorf("%d %v", status, body)
			}
			if status, _ = r.rest("GET", alias, ""); status != http.StatusOK {
				t.Errorf("list: %d", status)
			}
			if status, body = r.rest("DELETE", alias+"/0102030405060708", ""); status != http.StatusOK || body == nil {
				t.Errorf("%d %v", status, body)
			}
			if status, _ = r.rest("DELETE", alias+"/0102030405060708", ""); status != http.StatusNotFound {
				t.Errorf("a second DELETE: %d", status)
			}
		}
	})
}

func TestSecretsAreShownOnlyToThoseWithTheRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		eui, k := mustEUI("0102030405060708"), nsedge.Key{0xfe, 0xed}
		r.edge.put(nsedge.Device{DevEUI: eui, AppKey: &k, NwkKey: &k, NwkSKey: &k, AppSKey: &k})
		for _, c := range []struct {
			name string
			key  Key
			sees bool
		}{
			{"devices", Key{Rights: []Right{RightDevices}}, false},
			{"devices and secrets", Key{Rights: []Right{RightDevices, RightSecrets}}, true},
			{"Everynet's devices: read", Key{Permissions: Permissions{"devices": {"*": {read}}}}, true},
		} {
			token := r.key(c.key)
			for _, path := range []string{devicesPath, devicesPath + "/" + eui.String()} {
				_, body := r.rest("GET", path, "", "Authorization", "Bearer "+token)
				text, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(string(text), "feed0000"); n != map[bool]int{true: 4, false: 0}[c.sees] {
					t.Errorf("%s sees %d keys in %s", c.name, n, path)
				}
			}
		}
	})
}

func TestAKeyForOneDeviceSeesJustThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		for i := range 3 {
			eui := mustEUI(fmt.Sprintf("%016x", i))
			r.edge.put(nsedge.Device{DevEUI: eui})
		}
		auth := []string{"Authorization", "Bearer " + r.key(Key{Permissions: Permissions{"devices": {"0000000000000001": {read}}}})}
		if _, body := r.rest("GET", devicesPath, "", auth...); body["total"] != 1.0 {
			t.Errorf("%v", body)
		}
		for path, want := range map[string]int{"/0000000000000001": 200, "/0000000000000002": 403} {
			if status, _ := r.rest("GET", devicesPath+path, "", auth...); status != want {
				t.Errorf("%s: %d", path, status)
			}
		}
		if status, _ := r.rest("DELETE", devicesPath+"/0000000000000001", "", auth...); status != http.StatusForbidden {
			t.Errorf("it may delete: %d", status)
		}
	})
}

func TestListsOfDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Org: "farm"})
		for i := range 400 {
			eui := mustEUI(fmt.Sprintf("%016x", i))
			d := nsedge.Device{DevEUI: eui, Class: "A", Activation: nsedge.OTAA, Encryption: nsedge.KeysAtNS, CounterUp: uint32(i * 7 % 400)}
			if i < 3 {
				d.Tags, d.Class, d.Activation, d.Encryption, d.Band = []string{"few", fmt.Sprint(i)}, "C", nsedge.ABP, nsedge.KeysAtApp, "EU863-870"
				d.DevAddr, d.AppEUI, d.Multicast = &nsedge.DevAddr{0xaa, 0, 0, byte(i)}, mustEUI("00000000000000bb"), i == 2
			}
			r.edge.put(d)
		}
		for _, c := range []struct {
			query, first string
			total, items int
		}{
			{"", "0000000000000000", 400, 400},
			{"limit=300", "0000000000000000", 400, 300},
			{"limit=0", "", 400, 0},
			{"limit=10&offset=395", "000000000000018b", 400, 5},
			{"offset=1000", "", 400, 0},
			{"sort=-dev_eui&limit=1&whatever=1", "000000000000018f", 400, 1},
			{"sort=-counter_up&limit=1", "0000000000000039", 400, 1}, // 57 * 7 = 399
			{"sort=dev_class,-dev_eui&limit=1", "000000000000018f", 400, 1},
			{"sort=-dev_addr&limit=1", "0000000000000002", 400, 1},
			{"sort=app_eui,activation,encryption,band,tags,counter_down,last_activity,last_join,org&limit=1", "0000000000000003", 400, 1},
			{"q=tag:few", "0000000000000000", 3, 3},
			{"q=tags:1,2", "0000000000000001", 2, 2},
			{"q=tag:few+dev_eui:0002", "0000000000000002", 1, 1},
			{"q=dev_addr:AA000001", "0000000000000001", 1, 1},
			{"q=dev_class:c&q=activation:abp", "0000000000000000", 3, 3},
			{"q=encryption:APP+app_eui:BB+band:eu863-870", "0000000000000000", 3, 3},
			{"q=multicast:true", "0000000000000002", 1, 1},
			{"q=multicast:FALSE", "0000000000000000", 399, 399},
			{"q=org:farm", "0000000000000000", 400, 400},
			{"q=org:UNKNOWN", "", 0, 0},
			{"q=", "0000000000000000", 400, 400},
		} {
			status, body := r.rest("GET", devicesPath+"?"+c.query, "")
			items, ok := body["devices"].([]any)
			if status != http.StatusOK || !ok || body["total"] != float64(c.total) || len(items) != c.items || body["limit"] == nil || body["offset"] == nil {
				t.Errorf("%s: %d, total %v, %d items", c.query, status, body["total"], len(items))
				continue
			}
			if c.first != "" && items[0].(map[string]any)["dev_eui"] != c.first {
				t.Errorf("%s: first %v", c.query, items[0].(map[string]any)["dev_eui"])
			}
		}
		for _, c := range []struct{ query, field string }{{"limit=x", "limit"}, {"limit=10001", "limit"}, {"offset=-1", "offset"}, {"sort=colour", "sort"}, {"q=colour:red", "q"}, {"q=red", "q"}} {
			if status, body := r.rest("GET", devicesPath+"?"+c.query, ""); status != http.StatusBadRequest || body["field"] != c.field {
				t.Errorf("%s: %d %v", c.query, status, body)
			}
		}
	})
}

func TestBadDeviceFieldsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		eui := mustEUI("0102030405060708")
		r.edge.put(nsedge.Device{DevEUI: eui})
		for _, c := range []struct{ field, value string }{
			{"dev_eui", `"01"`}, {"dev_eui", `7`}, {"dev_eui", `"0102030405060709"`}, {"app_eui", `"x"`}, {"dev_addr", `"0102"`}, {"app_key", `"secret"`}, {"nwk_key", `7`}, {"nwkskey", `"00"`}, {"appskey", `"00"`},
			{"activation", `"maybe"`}, {"encryption", `"AS"`}, {"dev_class", `"D"`}, {"tags", `[1]`}, {"tags", `7`}, {"counters_size", `3`}, {"counters_size", `"x"`}, {"counter_up", `-1`},
			{"counter_down", `4294967296`}, {"strict_counter", `"maybe"`}, {"block_uplink", `2`}, {"block_downlink", `[]`}, {"adr", `7`}, {"band", `{}`},
			{"adr.mode", `{"mode":"auto"}`}, {"adr.datarate", `{"datarate":16}`}, {"adr.tx_power", `{"tx_power":"x"}`}, {"adr.enabled", `{"enabled":"maybe"}`},
			{"rx1.delay", `{"delay":16}`}, {"rx2.force", `{"force":7}`}, {"geolocation.lat", `{"lat":91}`}, {"geolocation.lng", `{"lng":"NaN"}`}, {"geolocation.precision", `{"precision":-1}`},
		} {
			name, _, _ := strings.Cut(c.field, ".")
			status, body := r.rest("PATCH", devicesPath+"/"+eui.String(), `{"`+name+`":`+c.value+`}`)
			message, _ := body["message"].(string)
			if status != http.StatusBadRequest || body["field"] != c.field || !strings.HasPrefix(message, c.field+": ") || strings.Contains(message, "secret") {
				t.Errorf("%s %s: %d %v", c.field, c.value, status, body)
			}
		}
		if status, body := r.rest("POST", devicesPath, `{"app_key":""}`); status != http.StatusBadRequest || body["field"] != "dev_eui" {
			t.Errorf("no dev_eui: %d %v", status, body)
		}
		if status, body := r.rest("POST", devicesPath, `{"dev_eui":"1102030405060708","band":"MARS"}`); status != http.StatusBadRequest || body["field"] != "band" || body["code"] != "device_invalid" {
			t.Errorf("the edge's refusal: %d %v", status, body)
		}
	})
}

func TestAnABPDeviceNeedsNoActivation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		_, body := r.rest("POST", devicesPath, `{"device":{"dev_eui":"0102030405060708","dev_addr":"01020304","nwkskey":"000102030405060708090a0b0c0d0e0f"}}`)
		if d := deviceOf(t, body); d["activation"] != "ABP" {
			t.Errorf("%v", d)
		}
	})
}

// Section 8 of the contract: session keys beside an app_key are taken.
func TestHalfASessionBesideAnAppKeyIsLeftOut(t *testing.T) {
	for name, fields := range map[string]string{
		"keys without an address": `"nwkskey":"000102030405060708090a0b0c0d0e0f","appskey":"000102030405060708090a0b0c0d0e0f","dev_addr":""`,
		"an address without keys": `"dev_addr":"01020304","nwkskey":null`,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Config{})
			status, body := r.rest("POST", devicesPath, `{"dev_eui":"0102030405060708","activation":"OTAA","app_key":"000102030405060708090a0b0c0d0e0f",`+fields+`}`)
			if d := deviceOf(t, body); status != http.StatusCreated || d["dev_addr"] != nil || r.edge.devices[mustEUI("0102030405060708")].NwkSKey != nil {
				t.Errorf("%s: %d %v", name, status, d)
			}
		})
	}
}

func FuzzDevicePatch(f *testing.F) {
	f.Add(`{"dev_eui":"0102030405060708","adr":{"datarate":"3"},"tags":["a"],"geolocation":{"lat":1}}`)
	f.Add(`{"adr_ack":{"limit_exp":"3"},"rejoin":{"time_n":4},"snwksintkey":"000102030405060708090a0b0c0d0e0f","nwksenckey":"000102030405060708090a0b0c0d0e0f","counter_down_app":3,"lorawan_version":"1.1"}`)
	f.Add(`{"counters_size":"2","block_uplink":"1","app_key":"000102030405060708090a0b0c0d0e0f"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var m map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &m) != nil {
			return
		}
		var d nsedge.Device
		if err := patchDevice(&d, fields{m: m}); err != nil {
			if p := problemOf(err); p.Field == "" || p.Code != codeBadField {
				t.Errorf("%s: %+v", text, p)
			}
			return
		}
		// What is shown can be given back and changes nothing.
		shown, err := json.Marshal(viewDevice(&d, "default", true))
		if err != nil {
			t.Fatal(err)
		}
		var again nsedge.Device
		m = nil
		if err := json.Unmarshal(shown, &m); err != nil {
			t.Fatal(err)
		}
		for name, raw := range m { // what was never set is shown empty
			if string(raw) == `""` || name == "counters_size" && d.CountersSize == 0 {
				delete(m, name)
			}
		}
		if err := patchDevice(&again, fields{m: m}); err != nil {
			t.Fatalf("%s is not taken back: %v", shown, err)
		}
		back, err := json.Marshal(viewDevice(&again, "default", true))
		if err != nil || d.ADR.Mode != "" && string(back) != string(shown) {
			t.Errorf("%s became %s, %v", shown, back, err)
		}
	})
}
