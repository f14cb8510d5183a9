package dataapi

import (
	"testing"

	"gatewayd/nsedge"
)

func TestPolicyVersionAndMACAreTakenAndShown(t *testing.T) {
	var d nsedge.Device
	for _, c := range []struct{ name, value, policy, version, mac string }{
		{"policy", `"LAB"`, "lab", "", "auto"},
		{"lorawan_version", `"1.0.4"`, "lab", "1.0.4", "auto"},
		{"mac", `"hands-off"`, "lab", "1.0.4", "hands-off"},
		{"mac", `"auto"`, "lab", "1.0.4", "auto"},
	} {
		if err := patchDevice(&d, fieldsOf(t, `{"`+c.name+`":`+c.value+`}`)); err != nil {
			t.Fatal(err)
		}
		if v := viewDevice(&d, "default", false); v.Policy != c.policy || v.Version != c.version || v.MAC != c.mac {
			t.Errorf("%s %s: policy %q, version %q, mac %q", c.name, c.value, v.Policy, v.Version, v.MAC)
		}
	}
	for _, bad := range []string{`{"policy":"loose"}`, `{"lorawan_version":"1.0.5"}`, `{"mac":"off"}`} {
		if err := patchDevice(&d, fieldsOf(t, bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// rx1 of the contract: delay is wanted, current_delay is used, status compares.
func TestTheDelayOfRX1IsShownAsWantedAndAsUsed(t *testing.T) {
	for _, c := range []struct {
		wanted, used int
		status       string
	}{{0, 0, "unknown"}, {5, 0, "unknown"}, {0, 1, "synced"}, {5, 1, "pending"}, {5, 5, "synced"}} {
		d := nsedge.Device{RX1Delay: c.wanted, RX1Current: c.used}
		v := viewDevice(&d, "default", false).RX1
		if v.Delay != c.wanted || v.Status != c.status || (v.Current == nil) != (c.used == 0) || v.Current != nil && *v.Current != c.used {
			t.Errorf("%+v: %+v", c, v)
		}
	}
	// What is read-only may come back.
	d := nsedge.Device{RX1Delay: 5, RX1Current: 1}
	if err := patchDevice(&d, fieldsOf(t, `{"rx1":{"delay":5,"status":"synced","current_delay":7}}`)); err != nil || d.RX1Current != 1 {
		t.Errorf("%v: %+v", err, d)
	}
}

func fieldsOf(t *testing.T, text string) fields {
	t.Helper()
	f, err := object("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
