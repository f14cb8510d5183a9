package dataapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gatewayd/nsedge"
)

// badBodies are bodies that clients have no business to send.
func badBodies() []string {
	return []string{
		``, `{}`, `[]`, `null`, `{"device":null}`, `{"device":{}}`, `{"key":7}`,
		`{"dev_eui":"0102030405060708","app_eui":1,"adr":{"mode":[]},"rx1":{"delay":99},"geolocation":{"lat":"north"},"tags":{"a":1}}`,
		`{"email":"a@b","password":"12345678","permissions":{"devices":{"*":null}}}`, `{"rights":["root"],"scope":{"devices":["x"],"types":7}}`,
		`{"type":"http","url":"http://as/{device}","authorization":"a\nb","tls_ca":"x"}`, `{"type":"mqtt","uri":"mqtt://[::1","topic_up":"#"}`,
		`{"from":1e308,"to":-1,"step":0,"samples":1.5}`, `{"time":1e308}`, `{"devices":"0102030405060708,","types":"uplink,,status"}`,
		"dev_eui,app_eui\n0102030405060708,x\n", "\xff\xfe", `{"dev_eui":"` + strings.Repeat("0", 5000) + `"}`, `{"a":` + strings.Repeat("[", 2000),
	}
}

// stands says what is wrong with the answer to a call: it must be one of the
// contract's, never a server's error, and a refusal of a field names it.
func stands(c *contract, h http.Handler, call, query string, body []byte) error {
	method, path, _ := strings.Cut(call, " ")
	r := httptest.NewRequestWithContext(context.Background(), method, "http://gateway"+path, bytes.NewReader(body))
	r.URL.RawQuery = url.PathEscape(query)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code >= http.StatusInternalServerError && w.Code != http.StatusNotImplemented {
		return fmt.Errorf("%s %q: %d %s", call, body, w.Code, w.Body)
	}
	if err := c.check(r, w.Code, w.Header(), w.Body.Bytes()); err != nil {
		return fmt.Errorf("%s %q: %w", call, body, err)
	}
	var p problem
	if w.Code == http.StatusBadRequest && (json.Unmarshal(w.Body.Bytes(), &p) != nil || p.Message == "" || p.Field != "" && !strings.Contains(p.Message, p.Field)) {
		return fmt.Errorf("%s %q: %s does not name its field", call, body, w.Body)
	}
	return nil
}

func TestEveryCallStandsAnyBody(t *testing.T) {
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	h, calls := fuzzedAPI(t)
	for _, call := range calls {
		for _, body := range badBodies() {
			if err := stands(c, h, call, "", []byte(body)); err != nil {
				t.Error(err)
			}
		}
	}
}

// FuzzREST sends any body and query to any call.
func FuzzREST(f *testing.F) {
	c, err := theContract()
	if err != nil {
		f.Fatal(err)
	}
	h, calls := fuzzedAPI(f)
	for i := range calls {
		f.Add(uint8(i), "", []byte(badBodies()[i%len(badBodies())]))
	}
	f.Add(uint8(0), "limit=x&sort=-&q=a:b&offset=99999999999999999999", []byte(`{}`))
	f.Fuzz(func(t *testing.T, which uint8, query string, body []byte) {
		if err := stands(c, h, calls[int(which)%len(calls)], query, body); err != nil {
			t.Error(err)
		}
	})
}

// fuzzedAPI has one thing of each kind; the calls are "METHOD path".
func fuzzedAPI(f testing.TB) (http.Handler, []string) {
	f.Helper()
	edge := newFakeEdge()
	edge.put(nsedge.Device{DevEUI: mustEUI("0102030405060708")})
	s, err := New(Config{Edge: edge, Machine: &fakeMachine{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		f.Fatal(err)
	}
	s.users.hasher.memory = 64
	h := s.LocalHandler()
	make := func(path, body, name string) (id string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(f.Context(), http.MethodPost, "http://gateway"+root+path, strings.NewReader(body)))
		var made map[string]struct{ ID string }
		if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || made[name].ID == "" {
			f.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return made[name].ID
	}
	one := map[string]string{
		"/devices/{id}": "0102030405060708",
		"/users/{id}":   make("/users", firstUser, "user"),
		"/keys/{id}":    make("/keys", `{}`, "key"),
		"/filters/{id}": make("/filters", `{}`, "filter"),
	}
	var calls []string
	for _, r := range s.table() {
		if r.path == "/radio/frames" {
			continue // its answer lasts
		}
		for _, method := range sortedKeys(r.methods) {
			if method == http.MethodDelete {
				continue // it takes no body, and what it takes is needed
			}
			path := r.path
			if id, ok := one[path]; ok {
				path = strings.Replace(path, "{id}", id, 1)
			}
			calls = append(calls, method+" "+root+strings.Replace(path, "{id}", "x", 1))
		}
	}
	return h, calls
}
