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

func fieldsOf(t *testing.T, text string) fields {
	t.Helper()
	f, err := object("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
