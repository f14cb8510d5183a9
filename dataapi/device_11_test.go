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
