package dataapi

import (
	"encoding/json"
	"strings"
	"testing"

	"gatewayd/nsedge"
)

// realEdge is a rig with a real edge and three devices.
func realEdge(t *testing.T) *rig {
	t.Helper()
	edge, _ := newEdge(t)
	r := start(t, Config{Edge: edge})
	for _, body := range []string{
		`{"dev_eui":"0102030405060708","activation":"ABP","dev_addr":"01020304","nwkskey":"000102030405060708090a0b0c0d0e0f","appskey":"000102030405060708090a0b0c0d0e0f","counter_up":7,"rx1":{"delay":5},"tags":["mine"]}`,
		`{"dev_eui":"010203040506070a","activation":"ABP","dev_class":"B","dev_addr":"01020305","nwkskey":"000102030405060708090a0b0c0d0e0f","appskey":"000102030405060708090a0b0c0d0e0f","ping_slot":{"periodicity":5}}`,
		`{"dev_eui":"0102030405060709","app_key":"000102030405060708090a0b0c0d0e0f"}`,
	} {
		if code, out := r.rest("POST", "/api/v1.0/devices", body); code != 201 {
			t.Fatal(code, out)
		}
	}
	return r
}

const abpPath, otaaPath, classBPath = "/api/v1.0/devices/0102030405060708", "/api/v1.0/devices/0102030405060709", "/api/v1.0/devices/010203040506070a"

func TestADevicesStateIsExplained(t *testing.T) {
	r := realEdge(t)
	for path, wants := range map[string][]string{
		abpPath + "/state":    {`"dev_addr":"01020304"`, `"counter_up":7`, `"delay":5`, `"freq":869525000`, `"freq":868300000`, `"joins":[]`, `"pending":null`, `"class_b":null`},
		classBPath + "/state": {`"class_b":{"active":false,"datarate":null,"freq":0,"periodicity":5,"told":true}`},
		otaaPath + "/state":   {`"session":null`},
		abpPath + "/explain":  {"class A device listens only after its uplinks", `"allowed":36`, `"band"`, `"gateway":"`},
		otaaPath + "/explain": {"it has to join", "no join-request of it was heard"},
	} {
		code, out := r.rest("GET", path, "")
		text, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if code != 200 || !strings.Contains(string(text), want) {
				t.Errorf("%s: %d, no %s in %s", path, code, want, text)
			}
		}
		if strings.Contains(string(text), "000102030405") {
			t.Errorf("%s shows a key", path)
		}
	}
	for _, path := range []string{"/api/v1.0/devices/ff02030405060708/state", "/api/v1.0/devices/ff02030405060708/explain"} {
		if code, _ := r.rest("GET", path, ""); code != 404 {
			t.Errorf("%s: %d", path, code)
		}
	}
	if code, out := r.rest("GET", abpPath, ""); code != 200 || out["device"].(map[string]any)["rx1"].(map[string]any)["current_delay"] != 5.0 {
		t.Error(code, out)
	}
	other := r.key(Key{Rights: []Right{RightDevices}, Scope: &lists{Tags: "theirs"}})
	if code, _ := r.rest("GET", abpPath+"/state", "", "Authorization", "Bearer "+other); code != 404 {
		t.Errorf("%d for a key of other devices", code)
	}
}

func TestADeviceIsReset(t *testing.T) {
	r := realEdge(t)
	counter := func() any {
		_, out := r.rest("GET", abpPath, "")
		return out["device"].(map[string]any)["counter_up"]
	}
	reader := r.key(Key{Permissions: Permissions{"devices": {"*": {read}}}})
	if code, _ := r.rest("POST", abpPath+"/reset", "", "Authorization", "Bearer "+reader); code != 403 || counter() != 7.0 {
		t.Error(code, counter())
	}
	changer := r.key(Key{Permissions: Permissions{"devices": {"*": {read, update}}}})
	if code, out := r.rest("POST", abpPath+"/reset", "", "Authorization", "Bearer "+changer); code != 200 || counter() != 0.0 {
		t.Error(code, out, counter())
	}
	if code, _ := r.rest("POST", "/api/v1.0/devices/ff02030405060708/reset", ""); code != 404 {
		t.Error(code)
	}
	if code, _ := start(t, Config{}).rest("POST", abpPath+"/reset", ""); code != 404 {
		t.Error(code)
	}
}

func TestAnEdgeWithoutInsightSaysSo(t *testing.T) {
	r := start(t, Config{})
	r.edge.put(nsedge.Device{DevEUI: mustEUI("0102030405060708")})
	if code, out := r.rest("GET", abpPath+"/state", ""); code != 501 {
		t.Error(code, out)
	}
}
