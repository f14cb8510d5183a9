package dataapi

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// fakeAppliance takes one update.
type fakeAppliance struct {
	installed       string
	reboots, resets int
	broken          error
}

func (f *fakeAppliance) Status(context.Context) (ApplianceStatus, error) {
	return ApplianceStatus{Version: "1.0", Kernel: "6.12", Slot: 3, Trial: true}, f.broken
}

func (f *fakeAppliance) Update(_ context.Context, r io.Reader) (string, error) {
	text, err := io.ReadAll(r)
	switch {
	case err != nil:
		return "", err
	case string(text) != "good":
		return "", &ApplianceError{"the signature is not by the key that this gateway trusts"}
	}
	f.installed = string(text)
	return "1.1", f.broken
}

func (f *fakeAppliance) Reboot(context.Context) error { f.reboots++; return f.broken }

func (f *fakeAppliance) Reset(context.Context) error { f.resets++; return f.broken }

func TestAnApplianceIsUpdatedAndReset(t *testing.T) {
	f := &fakeAppliance{}
	r := start(t, Config{Appliance: f})
	const status, update, reboot, reset = "/api/v1.0/system/appliance", "/api/v1.0/system/update", "/api/v1.0/system/reboot", "/api/v1.0/system/reset"
	if code, out := r.rest("GET", status, ""); code != 200 || out["appliance"].(map[string]any)["slot"] != 3.0 {
		t.Error(code, out)
	}
	if code, out := r.rest("POST", update, "bad"); code != 422 || f.installed != "" || !strings.Contains(out["message"].(string), "signature") {
		t.Error(code, out)
	}
	if code, out := r.rest("POST", update, "good"); code != 202 || f.installed != "good" || out["version"] != "1.1" {
		t.Error(code, out)
	}
	if code, out := r.rest("POST", reboot, ""); code != 202 || f.reboots != 1 || f.resets != 0 {
		t.Error(code, out)
	}
	if code, out := r.rest("POST", reset, ""); code != 202 || f.resets != 1 {
		t.Error(code, out)
	}
	f.broken = errors.New("the init does not answer")
	for _, c := range [][3]string{{"GET", status, ""}, {"POST", update, "good"}, {"POST", reboot, ""}, {"POST", reset, ""}} {
		if code, out := r.rest(c[0], c[1], c[2]); code != 500 {
			t.Error(c, code, out)
		}
	}
}

func TestNoApplianceSaysSo(t *testing.T) {
	r := start(t, Config{})
	for _, c := range [][2]string{{"GET", "appliance"}, {"POST", "update"}, {"POST", "reboot"}, {"POST", "reset"}} {
		if code, out := r.rest(c[0], "/api/v1.0/system/"+c[1], ""); code != 501 || !strings.Contains(out["message"].(string), "no appliance") {
			t.Error(c, code, out)
		}
	}
}
