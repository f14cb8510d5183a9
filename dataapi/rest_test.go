package dataapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/dataapi/inproc"
	"gatewayd/nsedge"
	"gatewayd/radio"
)

func TestHealthReadinessMetricsAndIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := errors.New("the concentrator restarts")
		r := start(t, Config{Ready: func(context.Context) error { return ready }})
		r.Publish(realEvent())
		synctest.Wait()
		if status, body := r.rest("GET", "/healthz", "", "Authorization", ""); status != http.StatusOK || body["status"] != "ok" {
			t.Errorf("%d %v", status, body)
		}
		if status, body := r.rest("GET", "/readyz", ""); status != http.StatusServiceUnavailable || body["code"] != codeNotReady || body["message"] != "the concentrator restarts" {
			t.Errorf("%d %v", status, body)
		}
		ready = nil
		if status, body := r.rest("GET", "/readyz", ""); status != http.StatusOK {
			t.Errorf("%d %v", status, body)
		}
		_, body := r.rest("GET", "/metrics", "")
		for _, line := range []string{`gatewayd_dataapi_events_total{type="uplink"} 1`, "gatewayd_dataapi_connections 0", "go_goroutines"} {
			if text, _ := body["text"].(string); !strings.Contains(text, line) {
				t.Errorf("metrics lack %s", line)
			}
		}
		if _, body = r.rest("GET", "/", ""); !strings.Contains(body["text"].(string), "<title>gatewayd</title>") {
			t.Errorf("%v", body)
		}
	})
}

func TestBeforeTheEdgeIsThere(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := s.Keys().Create(Key{Rights: AllRights()})
	if err != nil {
		t.Fatal(err)
	}
	get := func(method, path string) int {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path+"?access_token="+token, strings.NewReader("{}")))
		return w.Code
	}
	for _, c := range [][2]string{{"GET", "/readyz"}, {"GET", devicesPath}, {"POST", devicesPath}, {"GET", devicesPath + "/0102030405060708"}, {"PATCH", devicesPath + "/0102030405060708"}} {
		if status := get(c[0], c[1]); status != http.StatusServiceUnavailable {
			t.Errorf("%v: %d", c, status)
		}
	}
	s.SetEdge(newFakeEdge())
	if status := get("GET", devicesPath); status != http.StatusOK {
		t.Errorf("after SetEdge: %d", status)
	}
	if status := get("GET", "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("before Run it is ready: %d", status)
	}
}

func TestManners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		cookie := []string{"Authorization", "", "Cookie", "session_token=" + r.token}
		for _, c := range []struct {
			name, method, path, body string
			header                   []string
			status                   int
		}{
			{"no token", "GET", devicesPath, "", []string{"Authorization", ""}, 401},
			{"PUT", "PUT", devicesPath, "{}", nil, 405},
			{"OPTIONS", "OPTIONS", devicesPath, "", nil, 204},
			{"HEAD", "HEAD", devicesPath, "", nil, 200},
			{"a body that is no object", "POST", devicesPath, "[1]", nil, 400},
			{"by cookie, a script", "POST", devicesPath, `{"dev_eui":"0102030405060708"}`, cookie, 201},
			{"by cookie, another site", "POST", devicesPath, `{"dev_eui":"0102030405060709"}`, append(cookie, "Sec-Fetch-Site", "cross-site"), 403},
			{"by cookie, another origin", "DELETE", devicesPath + "/0102030405060708", "", append(cookie, "Origin", "http://elsewhere"), 403},
			{"by cookie, our origin", "DELETE", devicesPath + "/0102030405060708", "", append(cookie, "Origin", "http://gateway", "Sec-Fetch-Site", "same-origin"), 204},
			{organisations, "GET", "/api/v1.0/" + organisations, "", nil, 200},
		} {
			if status, body := r.rest(c.method, c.path, c.body, c.header...); status != c.status {
				t.Errorf("%s: %d %v", c.name, status, body)
			}
		}
		// Without a network: the server hangs up on who goes on sending.
		if status, body := r.from("127.0.0.1:4000", "POST", devicesPath, `{"x":"`+strings.Repeat("x", maxBody)+`"}`, "Authorization", "Bearer "+r.token); status != http.StatusRequestEntityTooLarge {
			t.Errorf("a body that is too large: %d %s", status, body)
		}
		_, body := r.rest("GET", "/api/v1.0/"+organisations, "")
		if o := body[organisations].([]any); len(o) != 1 || o[0].(map[string]any)["id"] != "default" || o[0].(map[string]any)["name"] != "default" {
			t.Errorf("%v", body)
		}
	})
}

func TestBands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Bands: []Band{{
			Names: []string{"EU863-870", "EU868"}, Channels: []BandChannel{{868_100_000, []int{0, 5}}},
			DataRates: []BandDataRate{{0, radio.LoRa{SF: 12, Bandwidth: 125_000}, true, true}, {7, radio.FSK{BitRate: 50_000}, true, true}},
			RX1Delay:  time.Second, RX2Freq: 869_525_000, RX2Rate: 0,
		}}})
		weak := []string{"Authorization", "Bearer " + r.key(Key{Rights: []Right{RightDevices}})}
		_, one := r.rest("GET", "/api/v1.0/bands/eu868", "", weak...)
		want := map[string]any{"name": "EU863-870", "names": []any{"EU863-870", "EU868"}, "channels": []any{map[string]any{"freq": 868.1, "datarates": []any{0.0, 5.0}}},
			"datarates": []any{map[string]any{"index": 0.0, "name": "SF12BW125", "uplink": true, "downlink": true}, map[string]any{"index": 7.0, "name": "FSK50000", "uplink": true, "downlink": true}},
			"rx1":       map[string]any{"delay": 1.0}, "rx2": map[string]any{"freq": 869.525, "datarate": 0.0}}
		if !reflect.DeepEqual(one, map[string]any{"band": want}) {
			t.Errorf("%v", one)
		}
		if _, all := r.rest("GET", "/api/v1.0/bands", ""); !reflect.DeepEqual(all["bands"], []any{want}) || all["total"] != 1.0 {
			t.Errorf("%v", all)
		}
		if status, _ := r.rest("GET", "/api/v1.0/bands?limit=x", ""); status != http.StatusBadRequest {
			t.Errorf("limit=x: %d", status)
		}
		if status, body := r.rest("GET", "/api/v1.0/bands/MARS", ""); status != http.StatusNotFound {
			t.Errorf("%d %v", status, body)
		}
	})
}

func TestTheLocalHandlerNeedsNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		local := inproc.Listen()
		server := &http.Server{Handler: r.LocalHandler(), ReadHeaderTimeout: time.Second}
		go func() { _ = server.Serve(local) }()
		defer server.Close()
		r.pipes, r.token = local, ""
		if status, body := r.rest("POST", "/api/v1.0/keys", `{"description":"d","rights":["data"]}`); status != http.StatusCreated {
			t.Errorf("%d %v", status, body)
		}
		c := r.connect("")
		r.Publish(realEvent())
		if e := r.next(c); e.Type != "uplink" {
			t.Errorf("%v", e)
		}
	})
}

func TestWhatGoesWrongInsideIsLoggedAndNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Edge: brokenEdge{newFakeEdge()}})
		for _, c := range [][2]string{{"GET", devicesPath}, {"GET", devicesPath + "/0102030405060708"}, {"POST", devicesPath}} {
			status, body := r.rest(c[0], c[1], `{"dev_eui":"0102030405060708"}`)
			if status != http.StatusInternalServerError || strings.Contains(body["message"].(string), "disk") {
				t.Errorf("%v: %d %v", c, status, body)
			}
		}
		r.stop(nil)
		if n := strings.Count(r.log.String(), "disk is full"); n != 3 {
			t.Errorf("logged %d times: %s", n, r.log)
		}
	})
}

func TestRefusalsOfTheEdgeHaveTheirStatus(t *testing.T) {
	for code, want := range map[string]int{nsedge.CodeStopped: 503, nsedge.CodeServer: 500, nsedge.CodeDeviceUnknown: 404, nsedge.CodeDeviceExists: 403, "other": 400} {
		if p := problemOf(&nsedge.Refusal{Code: code, Field: "f", Message: "f: m"}); p.Status != want || p.Message != "f: m" {
			t.Errorf("%s: %+v", code, p)
		}
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errBroken }
func (brokenListener) Close() error              { return nil }
func (brokenListener) Addr() net.Addr            { return &net.TCPAddr{} }

func TestAListenerThatFailsIsReported(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), brokenListener{}); !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
}

func TestARequestThatHangsDelaysTheEndOnlyBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c, err := r.pipes.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("POST /api/v1.0/keys?access_token=" + r.token + " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		r.stop(nil)
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("stopping took %v", took)
		}
	})
}
