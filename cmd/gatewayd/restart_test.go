package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatewayd/dataapi"
)

// The daemon is set to another region and started again, and at last stopped,
// all over the Management API.
func TestTheConfigurationIsChangedAndTakenByARestart(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	file := writeConfig(t, fmt.Sprintf("# mine\n[concentrator]\ndriver = \"emulated\"\n[air]\nlisten = \"off\"\n[dataapi]\nlisten = %q\n[state]\ndir = %q\n", freeAddress(t), state))
	out, stop := background(t, "msg=ready", "run", "-c", file)
	defer stop()
	call := func(method, path string, in, into any) error {
		a, err := dialAdmin(t.Context(), state)
		if err != nil {
			return err
		}
		defer func() { _ = a.close() }()
		return a.call(t.Context(), method, path, nil, in, into)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	var shown struct{ Config dataapi.Configuration }
	must(call(http.MethodGet, "/system/config", nil, &shown))
	if c := shown.Config; c.Path != file || c.Writable != "" || len(c.Keys) < 30 {
		t.Errorf("%+v", c)
	}
	err := call(http.MethodPatch, "/system/config", map[string]any{"region.name": "MARS"}, nil)
	if r, ok := err.(*refused); !ok || r.Status != http.StatusBadRequest || r.Field != "region.name" || !strings.Contains(r.Message, "EU868") { //nolint:errorlint // call returns it bare
		t.Errorf("an unknown region: %v", err)
	}
	must(call(http.MethodPatch, "/system/config", map[string]any{"region.name": "IN865", "gateway.altitude": 12}, &shown))
	for _, k := range shown.Config.Keys {
		if k.Key == "region.name" && (k.Value != "IN865" || k.Default != "EU868" || len(k.Choices) < 10) {
			t.Errorf("%+v", k)
		}
	}
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "# mine\n") || !strings.Contains(string(text), "altitude = 12") {
		t.Errorf("%v: %s", err, text)
	}
	must(call(http.MethodPost, "/system/restart", nil, nil))
	var system struct{ System dataapi.System }
	for until := time.Now().Add(30 * time.Second); ; {
		if err := call(http.MethodGet, "/system", nil, &system); err == nil && system.System.Region == "IN865" && system.System.Ready == "ok" {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("no new start with the other region: %+v\n%s", system, out)
		}
		<-time.After(20 * time.Millisecond)
	}
	// A file that was spoilt meanwhile is no reason to end.
	if err := os.WriteFile(file, []byte("[region]\nname = 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := call(http.MethodPost, "/system/restart", nil, nil); err == nil || !strings.Contains(err.Error(), "region.name") {
		t.Errorf("a restart with a bad file: %v", err)
	}
	must(call(http.MethodPost, "/system/stop", nil, nil))
	for until := time.Now().Add(30 * time.Second); !strings.Contains(out.String(), "msg=stopped"); {
		if time.Now().After(until) {
			t.Fatalf("it goes on: %s", out)
		}
		<-time.After(20 * time.Millisecond)
	}
}
