package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"gatewayd/dataapi"
	"gatewayd/dataapi/inproc"
)

// A gateway elsewhere is reached by its own authority and a token, or not at all.
func TestAnApplianceElsewhereIsAskedUpdatedAndReset(t *testing.T) {
	var asked []string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		text, _ := io.ReadAll(r.Body)
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"message":"no such token"}`)
		case r.URL.Path == "/api/v1.0/system/appliance":
			_, _ = io.WriteString(w, `{"appliance":{"version":"1.0","kernel":"6.12","slot":2,"trial":false}}`)
		case string(text) == "bad":
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"message":"the signature is not by the key"}`)
		default:
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"message":"the machine restarts","version":"1.1"}`)
		}
	}))
	defer srv.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	token, wrong := write("token", "secret\n"), write("wrong", "other")
	good, bad := write("good.update", "good"), write("bad.update", "bad")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"status", "--ca", ca, "--token-file", token}, exitOK, "version  1.0, kept\nslot     2\nkernel   6.12"},
		{[]string{"update", good, "--no-wait", "--ca", ca, "--token-file", token}, exitOK, "version 1.1 is installed in the place of 1.0"},
		{[]string{"update", bad, "--ca", ca, "--token-file", token}, exitFailure, "signature"},
		{[]string{"update", filepath.Join(dir, "none"), "--ca", ca, "--token-file", token}, exitUsage, "none"},
		{[]string{"reboot", "--ca", ca, "--token-file", token}, exitOK, "restarts"},
		{[]string{"reset", "--yes", "--ca", ca, "--token-file", token}, exitOK, "restarts"},
		{[]string{"reset", "--ca", ca, "--token-file", token}, exitUsage, "--yes"},
		{[]string{"status", "--ca", ca, "--token-file", wrong}, exitFailure, "no such token"},
		{[]string{"status", "--token-file", token}, exitFailure, "certificate"},
		{[]string{"status", "--ca", token, "--token-file", token}, exitUsage, "no certificate"},
		{[]string{"status", "--ca", ca}, exitUsage, "--token-file"},
	} {
		code, out, errText := cli(t, append([]string{"appliance", "--to", srv.URL}, c.args...)...)
		if code != c.code || !strings.Contains(out+errText, c.want) || strings.Contains(out+errText, "secret") {
			t.Errorf("%v: %d, %s%s", c.args, code, out, errText)
		}
	}
	if got := strings.Join(asked, ", "); strings.Count(got, "POST /api/v1.0/system/reset") != 1 || strings.Count(got, "POST /api/v1.0/system/reboot") != 1 {
		t.Error(got)
	}
	if code, _, errText := cli(t, "appliance", "status", "--to", "192.168.1.5", "--token-file", token); code != exitUsage || !strings.Contains(errText, "https://") {
		t.Error(code, errText)
	}
}

func TestTheApplianceOfThisMachineSaysThatItIsNone(t *testing.T) {
	config, _ := stateConfig(t)
	if code, _, errText := cli(t, "appliance", "status", "-c", config); code != exitFailure || !strings.Contains(errText, "no appliance") {
		t.Error(code, errText)
	}
}

// The gateway goes away, and comes back in the new slot or in the old one.
func TestAnUpdateIsAwaited(t *testing.T) {
	for name, c := range map[string]struct {
		seen []string // slot, and T for on trial; "" is no answer
		want string
	}{
		"kept":        {[]string{"2", "", "", "3T", "3T", "3"}, "version 1.1 is well, and kept"},
		"not well":    {[]string{"2", "", "3T", "", "2"}, "version 1.1 was not well: 1.0 is back"},
		"not started": {[]string{"2", "", "", "2"}, "version 1.1 was not well: 1.0 is back"},
		"lost":        {[]string{"2", ""}, "not come back within 15m"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, n := inproc.Listen(), 0
				srv := &http.Server{ReadHeaderTimeout: adminTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					state := c.seen[min(n, len(c.seen)-1)]
					n++
					if state == "" {
						panic(http.ErrAbortHandler)
					}
					s := dataapi.ApplianceStatus{Version: "1.0", Slot: int(state[0] - '0'), Trial: strings.HasSuffix(state, "T")}
					if s.Slot == 3 {
						s.Version = "1.1"
					}
					_ = json.NewEncoder(w).Encode(map[string]any{"appliance": s})
				})}
				go func() { _ = srv.Serve(l) }()
				transport := &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}
				defer func() { transport.CloseIdleConnections(); _ = srv.Close(); synctest.Wait() }()
				var out bytes.Buffer
				err := awaitUpdate(t.Context(), &out, &api{http: &http.Client{Transport: transport}}, "1.1", dataapi.ApplianceStatus{Version: "1.0", Slot: 2})
				got := out.String()
				if err != nil {
					got = err.Error()
				}
				if !strings.Contains(got, c.want) || (err == nil) != (name == "kept") {
					t.Errorf("%s, %v", got, err)
				}
			})
		})
	}
}
