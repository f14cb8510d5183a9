package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatewayd/dataapi"
)

func TestTheApplianceIsAskedOverItsSocket(t *testing.T) {
	if a := theAppliance(); a != nil {
		t.Fatal("an appliance without its variable")
	}
	path := filepath.Join(t.TempDir(), "init")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"version":"1.0","kernel":"6.12","slot":3,"trial":true}`)
	})
	mux.HandleFunc("PUT /update", func(w http.ResponseWriter, r *http.Request) {
		if text, _ := io.ReadAll(r.Body); string(text) != "good" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"error":"bad signature"}`)
			return
		}
		_, _ = io.WriteString(w, `{"version":"1.1"}`)
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()

	t.Setenv(applianceVariable, path)
	a := theAppliance()
	if s, err := a.Status(t.Context()); err != nil || s != (dataapi.ApplianceStatus{Version: "1.0", Kernel: "6.12", Slot: 3, Trial: true}) {
		t.Error(s, err)
	}
	if v, err := a.Update(t.Context(), strings.NewReader("good")); err != nil || v != "1.1" {
		t.Error(v, err)
	}
	_, err = a.Update(t.Context(), strings.NewReader("bad"))
	if refused, ok := errors.AsType[*dataapi.ApplianceError](err); !ok || refused.Message != "bad signature" {
		t.Error(err)
	}
	if err := a.Reset(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Error(err)
	}
}

// On an appliance there is nobody but the page to say that the concentrator,
// or its firmware, is missing.
func TestAnApplianceWithoutConcentratorServesThePage(t *testing.T) {
	t.Setenv(applianceVariable, filepath.Join(t.TempDir(), "init"))
	address, state := freeAddress(t), filepath.Join(t.TempDir(), "state")
	file := writeConfig(t, fmt.Sprintf("[concentrator]\nspi = \"unix:%s\"\n[dataapi]\nlisten = %q\n[state]\ndir = %q\n[firmware]\ndir = %q\n",
		filepath.Join(t.TempDir(), "chip"), address, state, t.TempDir()))
	out, stop := background(t, "concentrator failed", "run", "-c", file)
	if status, _ := get(t, "http://"+address+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", status)
	}
	api, err := dialAdmin(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	var shown struct{ System dataapi.System }
	if err := errors.Join(api.call(t.Context(), http.MethodGet, "/system", nil, nil, &shown), api.close()); err != nil || !strings.Contains(shown.System.Ready, "firmware import") {
		t.Errorf("what the page says: %q, %v", shown.System.Ready, err)
	}
	if status, _ := get(t, "http://"+address+"/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, out)
	}
}
