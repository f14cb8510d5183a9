package dataapi

import (
	"encoding/json"
	"strings"
	"testing"

	"gatewayd/nsedge"
)

func TestPingSlotsAndGroupsAreTakenAndShown(t *testing.T) {
	var d nsedge.Device
	for _, c := range []struct{ patch, want string }{
		{`{"dev_class":"B"}`, `{}`},
		{`{"ping_slot":{"periodicity":3,"freq":869525000}}`, `{"ping_slot":{"periodicity":3,"freq":869525000}}`},
		{`{"ping_slot":{"datarate":"5","periodicity":null}}`, `{"ping_slot":{"freq":869525000,"datarate":5}}`},
		{`{"multicast":true,"repeat":2}`, `{"multicast":true,"repeat":2,"ping_slot":{"freq":869525000,"datarate":5}}`},
		{`{"multicast":"false","repeat":0,"ping_slot":{"freq":0,"datarate":null}}`, `{}`},
	} {
		if err := patchDevice(&d, fieldsOf(t, c.patch)); err != nil {
			t.Fatalf("%s: %v", c.patch, err)
		}
		got, err := json.Marshal(viewDevice(&d, "default", false).classBView)
		if err != nil || string(got) != c.want {
			t.Errorf("after %s: %s, %v, want %s", c.patch, got, err, c.want)
		}
	}
	for _, c := range []struct{ patch, field string }{
		{`{"ping_slot":{"periodicity":8}}`, "ping_slot.periodicity"},
		{`{"ping_slot":{"freq":-1}}`, "ping_slot.freq"},
		{`{"ping_slot":7}`, "ping_slot"},
		{`{"repeat":4}`, "repeat"},
		{`{"multicast":"maybe"}`, "multicast"},
	} {
		if err := patchDevice(&d, fieldsOf(t, c.patch)); err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s: %v, want an error about %s", c.patch, err, c.field)
		}
	}
}
