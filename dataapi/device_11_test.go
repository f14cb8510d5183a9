package dataapi

import (
	"encoding/json"
	"testing"

	"gatewayd/nsedge"
)

func TestADeviceOf11IsShownAndChanged(t *testing.T) {
	var d nsedge.Device
	patch := func(text string) {
		t.Helper()
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		if err := patchDevice(&d, fields{m: m}); err != nil {
			t.Fatal(err)
		}
	}
	patch(`{"lorawan_version":"1.1","nwk_key":"00000000000000000000000000000001","fnwksintkey":"00000000000000000000000000000002",
		"snwksintkey":"00000000000000000000000000000003","nwksenckey":"00000000000000000000000000000004","counter_down":5,"counter_down_app":"6",
		"adr_ack":{"limit_exp":4},"rejoin":{"count_n":2}}`)
	v := viewDevice(&d, "default", true)
	if *v.NwkKey != "00000000000000000000000000000001" || *v.NwkSKey != "00000000000000000000000000000002" || *v.SNwkSIntKey != "00000000000000000000000000000003" ||
		*v.NwkSEncKey != "00000000000000000000000000000004" || v.CounterDown != 5 || *v.CounterDownApp != 6 || v.Version != "1.1" {
		t.Errorf("%+v", v)
	}
	if *v.ADRAck != (nsedge.ADRParam{Limit: 4, Delay: 5}) || *v.Rejoin != (nsedge.RejoinParam{Time: 15, Count: 2}) {
		t.Errorf("%+v %+v", v.ADRAck, v.Rejoin)
	}
	if v := viewDevice(&d, "default", false); v.SNwkSIntKey != nil || v.NwkSEncKey != nil || v.CounterDownApp == nil {
		t.Error("without the right to see them, keys are shown")
	}
	patch(`{"adr_ack":null,"rejoin":null}`)
	if v := viewDevice(&d, "default", true); v.ADRAck != nil || v.Rejoin != nil {
		t.Errorf("%+v %+v", v.ADRAck, v.Rejoin)
	}
}

func TestADeviceIsAskedToRejoin(t *testing.T) {
	r := realEdge(t)
	const path = "/api/v1.0/devices/0102030405060710"
	if code, out := r.rest("POST", "/api/v1.0/devices", `{"dev_eui":"0102030405060710","lorawan_version":"1.1","app_key":"000102030405060708090a0b0c0d0e0f","nwk_key":"000102030405060708090a0b0c0d0e0f",
		"activation":"OTAA","dev_addr":"01020305","nwkskey":"000102030405060708090a0b0c0d0e0f","snwksintkey":"000102030405060708090a0b0c0d0e0f","nwksenckey":"000102030405060708090a0b0c0d0e0f"}`); code != 201 {
		t.Fatal(code, out)
	}
	reader := r.key(Key{Permissions: Permissions{"devices": {"*": {read}}}})
	for _, c := range []struct {
		path, body string
		code       int
		header     []string
	}{
		{path, `{}`, 202, nil},
		{path, `{"type":2}`, 202, nil},
		{path, `{"type":1}`, 400, nil},
		{path, `{"type":3}`, 400, nil},
		{path, `{"type":0}`, 403, []string{"Authorization", "Bearer " + reader}},
		{abpPath, `{"type":0}`, 400, nil},
		{"/api/v1.0/devices/ff02030405060708", `{"type":0}`, 404, nil},
	} {
		if code, out := r.rest("POST", c.path+"/rejoin", c.body, c.header...); code != c.code {
			t.Errorf("%s %s: %d %v, want %d", c.path, c.body, code, out, c.code)
		}
	}
}
