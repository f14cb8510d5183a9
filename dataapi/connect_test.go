package dataapi

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"

	"gatewayd/radio"
)

func TestRefusalsComeBeforeTheUpgradeAndNameTheParameter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		good := "access_token=" + r.token
		weak := "access_token=" + r.key(Key{Rights: []Right{RightDevices}})
		for _, c := range []struct {
			path, query string
			status      int
			code, field string
			says        string
		}{
			{"/api/v1.0/data", "", 401, codeMissingToken, "access_token", "key create"},
			{"/api/data", "access_token=", 401, codeMissingToken, "access_token", ""},
			{"/api/v1.0/data", "access_token=" + strings.ToUpper(r.token), 401, codeUnknownToken, "access_token", "revoked"},
			{"/api/v1.0/data", "access_token=x&types=nonsense", 401, codeUnknownToken, "access_token", ""},
			{"/api/v1.0/data", weak, 403, codeForbidden, "access_token", "right data"},
			{"/api/v1.0/data", good + "&types=uplink,downlink_response", 400, codeBadParameter, "types", "sent by applications"},
			{"/api/v1.0/data", good + "&types=join_response", 400, codeBadParameter, "types", "allowed are uplink,downlink_request"},
			{"/api/v1.0/data", good + "&types=status_request", 400, codeBadParameter, "types", ""},
			{"/api/v1.0/data", good + "&types=upling", 400, codeBadParameter, "types", `"upling"`},
			{"/api/v1.0/data", good + "&radio=2", 400, codeBadParameter, "radio", "true and false"},
			{"/api/v1.0/data", good + "&lora=yes", 400, codeBadParameter, "lora", ""},
			{"/api/v1.0/data", good + "&duplicates=x", 400, codeBadParameter, "duplicates", ""},
			{"/api/v1.0/data", good + "&devices=0102", 400, codeBadParameter, "devices", "16 hex digits"},
			{"/api/v1.0/data", good + "&gateways=g", 400, codeBadParameter, "gateways", ""},
			{"/api/v1.0/data", good + "&applications=g", 400, codeBadParameter, "applications", ""},
			{"/api/v1.0/data", good + "&last_messages=1001", 400, codeBadParameter, "last_messages", "0 to 1000"},
			{"/api/v1.0/data", good + "&last_messages=-1", 400, codeBadParameter, "last_messages", ""},
			{"/api/v1.0/data", good + "&from_unixtime=NaN", 400, codeBadParameter, "from_unixtime", "unix time"},
			{"/api/v1.0/data", good + "&filter=abc&types=uplink", 400, codeBadParameter, "filter", "excludes types"},
			{"/api/v1.0/data", good + "&filter=abc", 400, codeBadParameter, "filter", "no filter"},
			{"/api/v1.0/data", good, 426, codeUpgrade, "", "WebSocket"},
			{"/api/v2.0/data", good, 404, codeUnknownVersion, "", "/api/v1.0"},
			{"/api/v1/data", good, 404, codeUnknownVersion, "", "/api/v1.0"},
			{"/api/v1.0/nothing", good, 404, codeNotFound, "", "/api/v1.0"},
			{"/nothing", good, 404, codeNotFound, "", ""},
		} {
			status, body := r.rest(http.MethodGet, c.path+"?"+c.query, "", "Authorization", "")
			message, _ := body["message"].(string)
			field, _ := body["field"].(string)
			if status != c.status || body["code"] != c.code || field != c.field || !strings.Contains(message, c.says) {
				t.Errorf("%s?%s: %d %v", c.path, c.query, status, body)
			}
		}
	})
}

func TestToleranceOfTheQuery(t *testing.T) {
	eui := map[radio.EUI64]bool{mustEUI("abcdef0123456789"): true, mustEUI("0000000000000001"): true}
	for _, c := range []struct {
		query string
		want  request
	}{
		{"", request{filter: filter{kinds: defaultKinds}}},
		{"&&radio=true&&lora=TRUE&", request{filter: filter{kinds: defaultKinds}, shape: withRadio | withLoRa}},
		{"radio=1&lora=0&duplicate=1", request{filter: filter{kinds: defaultKinds, duplicates: true}, shape: withRadio}},
		{"radio=false&duplicates=1&duplicate=", request{filter: filter{kinds: defaultKinds, duplicates: true}}},
		{"types=&devices=&tags=&radio=&filter=&last_messages=&from_unixtime=", request{filter: filter{kinds: defaultKinds}}},
		{"types=downlink_claim", request{filter: filter{kinds: defaultKinds}}},
		{"types=uplink,downlink_claim", request{filter: filter{kinds: uplink}}},
		{"types=uplink,+status,%20Error,", request{filter: filter{kinds: uplink | statusResponse | errorNotice}}},
		{"types=uplink&types=info", request{filter: filter{kinds: uplink | infoNotice}}},
		{"devices=ABCDEF0123456789,%200000000000000001", request{filter: filter{kinds: defaultKinds, devices: eui}}},
		{"applications=abcdef0123456789,00-00-00-00-00-00-00-01", request{filter: filter{kinds: defaultKinds, applications: eui}}},
		{"tags=a%20b,c", request{filter: filter{kinds: defaultKinds, tags: map[string]bool{"a b": true, "c": true}}}},
		{"unknown=%zz;&x", request{filter: filter{kinds: defaultKinds}}},
		{"last_messages=1000&from_unixtime=1669718927.25", request{filter: filter{kinds: defaultKinds}, last: 1000, from: 1669718927.25}},
	} {
		got, err := parseRequest(parseParameters(c.query))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v\nwant %+v", c.query, got, err, c.want)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("access_token=x&&radio=1&types=uplink,+error&devices=0102030405060708")
	f.Add("filter=1&tags=%zz&last_messages=9&from_unixtime=1e400")
	f.Fuzz(func(t *testing.T, query string) {
		req, err := parseRequest(parseParameters(query))
		if err != nil {
			if p := problemOf(err); p.Status != http.StatusBadRequest || p.Field == "" {
				t.Errorf("%q: %v", query, p)
			}
			return
		}
		if req.filter.kinds == 0 || req.last < 0 || req.last > mostReplayed || !(req.from >= 0) {
			t.Errorf("%q: %+v", query, req)
		}
	})
}

func TestWaysToAuthorise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		for _, c := range []struct {
			name, query string
			header      []string
			connects    bool
		}{
			{"query", "access_token=" + r.token, nil, true},
			{"query, any origin", "access_token=" + r.token, []string{"Origin", "https://elsewhere.example"}, true},
			{"query beside a header without scheme", "access_token=" + r.token, []string{"Authorization", "secret"}, true},
			{"query beside an unknown bearer", "access_token=" + r.token, []string{"Authorization", "Bearer nobody"}, true},
			{"bearer", "", []string{"Authorization", "bearer " + r.token}, true},
			{"bearer beside an unknown query", "access_token=nobody", []string{"Authorization", "Bearer " + r.token}, true},
			{"cookie", "", []string{"Cookie", "session_token=" + r.token}, true},
			{"cookie, same origin", "", []string{"Cookie", "session_token=" + r.token, "Origin", "http://gateway"}, true},
			{"cookie, other origin", "", []string{"Cookie", "session_token=" + r.token, "Origin", "https://elsewhere.example"}, false},
			{"cookie and query, other origin", "access_token=" + r.token, []string{"Cookie", "session_token=" + r.token, "Origin", "https://elsewhere.example"}, true},
			{"header without scheme", "", []string{"Authorization", r.token}, false},
			{"basic", "", []string{"Authorization", "Basic " + r.token}, false},
			{"everything wrong", "access_token=a", []string{"Authorization", "Bearer b", "Cookie", "session_token=c"}, false},
		} {
			h := http.Header{}
			for i := 0; i+1 < len(c.header); i += 2 {
				h.Set(c.header[i], c.header[i+1])
			}
			d := websocket.Dialer{NetDialContext: r.pipes.Dial}
			for _, path := range []string{"/api/v1.0/data", "/api/data"} {
				conn, res, err := d.Dial("ws://gateway"+path+"?"+c.query, h) //nolint:bodyclose // Dial closes it
				if (err == nil) != c.connects {
					t.Errorf("%s: %v %v", c.name, res, err)
				}
				if err == nil {
					conn.Close()
				}
			}
		}
	})
}

func TestTooManyConnectionsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{MaxConnections: 1})
		r.connect("")
		status, body := r.rest(http.MethodGet, "/api/v1.0/data", "")
		if status != http.StatusServiceUnavailable || body["code"] != codeTooMany {
			t.Errorf("%d %v", status, body)
		}
		r.Server.mu.Lock()
		r.stopped = true
		r.Server.mu.Unlock()
		if status, body = r.rest(http.MethodGet, "/api/v1.0/data", ""); status != http.StatusServiceUnavailable || body["code"] != codeStopping {
			t.Errorf("%d %v", status, body)
		}
		r.Server.mu.Lock()
		r.stopped = false
		r.Server.mu.Unlock()
	})
}

// A handshake that fails after admission gives its place back.
func TestARequestWithoutUpgradeTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{MaxConnections: 1})
		for range 3 {
			if status, body := r.rest(http.MethodGet, "/api/v1.0/data", ""); status != http.StatusUpgradeRequired {
				t.Errorf("%d %v", status, body)
			}
		}
	})
}
