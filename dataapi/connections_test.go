package dataapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/dataapi/inproc"
	"gatewayd/nsedge"
)

const connectionsPath = "/api/v1.0/connections"

// hook is an application server that waits for posts.
type hook struct {
	pipes *inproc.Listener

	mu     sync.Mutex
	posts  []envelope
	paths  []string
	answer func(n int, w http.ResponseWriter) // n counts from 1
}

func startHook(t *testing.T) *hook {
	h := &hook{pipes: inproc.Listen()}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(h.serve)}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(h.pipes) })
	t.Cleanup(func() { server.Close(); running.Wait() })
	return h
}

func (h *hook) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions {
		return
	}
	text, _ := io.ReadAll(r.Body)
	var e envelope
	_ = json.Unmarshal(text, &e) // shows as empty
	h.mu.Lock()
	h.posts, h.paths = append(h.posts, e), append(h.paths, r.RequestURI)
	n := len(h.posts)
	answer := h.answer
	h.mu.Unlock()
	if answer != nil {
		answer(n, w)
	}
}

func (h *hook) got() (posts []envelope, paths []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(posts, h.posts...), append(paths, h.paths...)
}

// dialer reaches the hook by any name.
func (h *hook) dialer() func(context.Context, string, string) (net.Conn, error) { return h.pipes.Dial }

func (r *rig) connection(body string) (id string) {
	r.Helper()
	status, got := r.rest("POST", connectionsPath, body)
	if status != http.StatusCreated || len(got) != 1 {
		r.Fatalf("%d %v", status, got)
	}
	synctest.Wait()
	return got["connection"].(map[string]any)["id"].(string)
}

func TestAnHTTPConnectionBringsWhatItsFilterLetsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHook(t)
		r := start(t, Config{Dial: h.dialer()})
		_, body := r.rest("POST", "/api/v1.0/filters", `{"types":"uplink"}`)
		filter := body["filter"].(map[string]any)["id"].(string)
		id := r.connection(`{"type":"http","url":"http://as/{type}/{device}","authorization":"secret","radio":true,"filter":"` + filter + `"}`)
		r.Publish(realRequest())
		r.Publish(uplinkNumber(1))
		time.Sleep(time.Second) // virtual
		posts, paths := h.got()
		if len(posts) != 1 || paths[0] != "/uplink/000516800011abf6" || posts[0].Params["radio"] == nil || posts[0].Params["lora"] != nil {
			t.Errorf("%v %v", paths, posts)
		}
		if status, body := r.rest("DELETE", "/api/v1.0/filters/"+filter, ""); status != http.StatusConflict || body["code"] != codeInUse {
			t.Errorf("deleting a filter in use: %d %v", status, body)
		}
		if status, _ := r.rest("PATCH", "/api/v1.0/filters/"+filter, `{"types":"downlink_request"}`); status != http.StatusOK {
			t.Fatal(status)
		}
		synctest.Wait()
		r.Publish(uplinkNumber(2))
		r.Publish(realRequest())
		time.Sleep(time.Second) // virtual
		if _, paths = h.got(); len(paths) != 2 || !strings.HasPrefix(paths[1], "/downlink_request/") {
			t.Errorf("after the filter was changed: %v", paths)
		}
		if status, _ := r.rest("DELETE", connectionsPath+"/"+id, ""); status != http.StatusNoContent {
			t.Errorf("%d", status)
		}
		r.Publish(realRequest())
		time.Sleep(time.Second) // virtual
		if _, paths = h.got(); len(paths) != 2 {
			t.Errorf("after the connection was deleted: %v", paths)
		}
	})
}

// Section 8 of the contract: "A JSON reply without type is a success and gets
// no error back (it would loop)."
func TestRepliesOfAnApplication(t *testing.T) {
	for _, c := range []struct {
		name, reply string
		answers     int    // that reach the edge
		complaint   string // code of the error that is posted back
	}{
		{"an answer", `{"type":"downlink_response","meta":{"packet_hash":"` + hashText + `"},"params":{"payload":"AQ=="}}`, 1, ""},
		{"JSON without a type", `{"ok":true}`, 0, ""},
		{"a list", `[]`, 0, ""},
		{"a malformed answer", `{"type":"downlink_response","meta":{},"params":{"payload":"AQ=="}}`, 0, codeMissingField},
		{"something else", `{"type":"uplink"}`, 0, codeUnknownType},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := startHook(t)
				h.answer = func(_ int, w http.ResponseWriter) { // the same to everything: it must not loop
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, c.reply)
				}
				r := start(t, Config{Dial: h.dialer()})
				r.connection(`{"type":"http","url":"http://as/"}`)
				r.Publish(realRequest())
				time.Sleep(time.Minute) // virtual
				posts, _ := h.got()
				if n := len(r.edge.taken()); n != c.answers {
					t.Errorf("%d answers", n)
				}
				switch {
				case c.complaint == "" && len(posts) != 1, c.complaint != "" && len(posts) != 2:
					t.Errorf("posts: %v", posts)
				case c.complaint != "" && (posts[1].Type != "error" || posts[1].Params["code"] != c.complaint):
					t.Errorf("complaint: %v", posts[1])
				}
			})
		})
	}
}

func TestARefusalOfTheEdgeIsPostedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHook(t)
		h.answer = func(_ int, w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"type":"downlink_response","meta":{"packet_hash":"`+hashText+`"},"params":{"payload":"AQ=="}}`)
		}
		r := start(t, Config{Dial: h.dialer()})
		r.edge.refuse = &nsedge.Refusal{Code: "late", Message: "too late"}
		r.connection(`{"type":"http","url":"http://as/"}`)
		r.Publish(realRequest())
		time.Sleep(time.Minute) // virtual
		if posts, _ := h.got(); len(posts) != 2 || posts[1].Params["code"] != "late" {
			t.Errorf("%v", posts)
		}
	})
}

func TestTheCallbackTakesMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHook(t)
		r := start(t, Config{Dial: h.dialer()})
		id := r.connection(`{"type":"http","url":"http://as/","authorization":"Basic abc"}`)
		path := "/http2/cb/" + id
		good := `{"type":"downlink_response","meta":{"packet_hash":"` + hashText + `"},"params":{"payload":"AQ=="}}`
		for _, c := range []struct {
			method, path, authorization, body string
			status                            int
		}{
			{"POST", path, "Basic abc", good, 202},
			{"POST", path, "Basic abd", good, 401},
			{"POST", path, "", good, 401},
			{"POST", path, "Bearer " + r.token, good, 401},
			{"POST", "/http2/cb/00", "Basic abc", good, 404},
			{"GET", path, "Basic abc", "", 405},
			{"POST", path, "Basic abc", `{`, 400},
			{"POST", path, "Basic abc", `{"type":"nonsense"}`, 202},
		} {
			header := []string{"Authorization", c.authorization}
			if c.authorization == "" {
				header = nil
			}
			if res, body := r.raw(c.method, c.path, c.body, header...); res.StatusCode != c.status {
				t.Errorf("%+.60v: %d %v", c, res.StatusCode, body)
			}
		}
		// Without a network: the server hangs up on who goes on sending.
		if status, body := r.from("127.0.0.1:4000", "POST", path, strings.Repeat(" ", 70_000), "Authorization", "Basic abc"); status != http.StatusRequestEntityTooLarge {
			t.Errorf("a body that is too large: %d %s", status, body)
		}
		if n := len(r.edge.taken()); n != 1 {
			t.Errorf("%d answers were taken", n)
		}
		time.Sleep(time.Second) // virtual
		if posts, _ := h.got(); len(posts) != 1 || posts[0].Params["code"] != codeUnknownType {
			t.Errorf("the complaint about nonsense: %v", posts)
		}
	})
}

func TestConnectionsResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHook(t)
		d := &memory{}
		r := start(t, Config{Dial: h.dialer(), Documents: d})
		id := r.connection(`{"connection":{"type":"HTTP","url":"http://as/","authorization":"secret one","description":"d","lora":1,"duplicate":"true"}}`)
		status, body := r.rest("GET", connectionsPath+"/"+id, "")
		c, _ := body["connection"].(map[string]any)
		if status != http.StatusOK || c["type"] != "http" || c["description"] != "d" || c["lora"] != true || c["duplicate"] != true || c["radio"] != false || c["status"].(map[string]any)["state"] != "connected" {
			t.Errorf("%d %v", status, body)
		}
		if strings.Contains(fmt.Sprint(body), "secret one") {
			t.Errorf("the authorization is shown: %v", body)
		}
		if status, body = r.rest("GET", connectionsPath, ""); status != http.StatusOK || body["total"] != 1.0 {
			t.Errorf("%d %v", status, body)
		}
		for _, bad := range []struct{ text, field string }{
			{`{}`, "type"}, {`{"type":"amqp"}`, "type"}, {`{"type":"http"}`, "url"}, {`{"type":"http","url":"http://{device}/"}`, "url"}, {`{"type":"http","url":"http://as/","authorization":"a\r\nb"}`, "authorization"},
			{`{"type":"http","url":"http://as/","filter":"nosuch"}`, "filter"}, {`{"type":"http","url":"http://as/","radio":"maybe"}`, "radio"}, {`{"type":"http","url":["x"]}`, "url"},
			{`{"type":"http","url":"https://as/","tls_ca":"no PEM"}`, "tls_ca"},
			{`{"type":"mqtt","topic_up":"x"}`, "uri"}, {`{"type":"mqtt","uri":"mqtt://b"}`, "topic_up"}, {`{"type":"mqtt","uri":"mqtt://b","topic_up":"x","topic_down":"a+"}`, "topic_down"},
		} {
			if status, body = r.rest("POST", connectionsPath, bad.text); status != http.StatusBadRequest || body["field"] != bad.field {
				t.Errorf("%s: %d %v", bad.text, status, body)
			}
		}
		weak := r.key(Key{Rights: []Right{RightData, RightDevices}})
		if status, body = r.rest("POST", connectionsPath, `{"type":"http","url":"http://as/"}`, "Authorization", "Bearer "+weak); status != http.StatusForbidden {
			t.Errorf("a key without the right: %d %v", status, body)
		}
		r.stop(nil)
		again := start(t, Config{Dial: h.dialer(), Documents: d})
		synctest.Wait()
		again.Publish(uplinkNumber(1))
		time.Sleep(time.Second) // virtual
		if posts, _ := h.got(); len(posts) != 1 {
			t.Errorf("after a restart: %v", posts)
		}
		for _, method := range []string{"GET", "DELETE"} {
			if status, body = again.rest(method, connectionsPath+"/00", ""); status != http.StatusNotFound {
				t.Errorf("%s: %d %v", method, status, body)
			}
		}
	})
}

func TestAConnectionIsChangedWithoutSayingItsSecretsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHook(t)
		d := &memory{}
		r := start(t, Config{Dial: h.dialer(), Documents: d})
		id := r.connection(`{"type":"http","url":"http://as/old/{type}","authorization":"secret one"}`)
		path := connectionsPath + "/" + id
		_, shown := r.rest("GET", path, "")
		c := shown["connection"].(map[string]any)
		c["url"], c["radio"], c["description"] = "http://as/new/{type}", true, nil
		whole, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		status, body := r.rest("PATCH", path, string(whole))
		if c, _ = body["connection"].(map[string]any); status != http.StatusOK || len(body) != 1 || c["radio"] != true || c["authorization"] != hidden {
			t.Errorf("%d %v", status, body)
		}
		if kept, err := r.storedConnections(); err != nil || len(kept) != 1 || kept[0].Authorization != "secret one" || !kept[0].Radio {
			t.Errorf("%+v, %v", kept, err)
		}
		synctest.Wait()
		r.Publish(uplinkNumber(1))
		time.Sleep(time.Second) // virtual
		if posts, paths := h.got(); len(posts) != 1 || paths[0] != "/new/uplink" || posts[0].Params["radio"] == nil {
			t.Errorf("%v %v", paths, posts)
		}
		for _, bad := range []struct{ text, field string }{
			{`{"type":"mqtt"}`, "type"}, {`{"url":"ftp://as/"}`, "url"}, {`{"filter":"nosuch"}`, "filter"}, {`{"lora":"maybe"}`, "lora"},
			{`{"url":"http://elsewhere/"}`, "authorization"}, {`{"url":"https://as/","authorization":"(secret)"}`, "authorization"},
		} {
			if status, body = r.rest("PATCH", path, bad.text); status != http.StatusBadRequest || body["field"] != bad.field {
				t.Errorf("%s: %d %v", bad.text, status, body)
			}
		}
		for _, good := range []string{`{"url":"http://elsewhere/","authorization":"secret one"}`, `{"url":"http://as/","authorization":""}`} {
			if status, body = r.rest("PATCH", path, good); status != http.StatusOK {
				t.Errorf("%s: %d %v", good, status, body)
			}
		}
		if status, _ = r.rest("PATCH", connectionsPath+"/00", `{}`); status != http.StatusNotFound {
			t.Errorf("%d", status)
		}
	})
}

func TestTheHiddenPasswordOfABrokerStaysForThatBroker(t *testing.T) {
	old := connection{Type: "mqtt", URI: "mqtt://user:" + "hunter2" + "@broker", TopicUp: "up"}
	for uri, want := range map[string]string{
		"mqtt://user:" + redacted + "@broker":    old.URI,
		"mqtt://user:" + redacted + "@elsewhere": "",
		"mqtt://other@elsewhere":                 "mqtt://other@elsewhere",
		"mqtt://elsewhere":                       "mqtt://elsewhere",
	} {
		c := old
		err := c.parse(fields{m: map[string]json.RawMessage{"uri": json.RawMessage(`"` + uri + `"`)}})
		if (err == nil) != (want != "") || err == nil && c.URI != want {
			t.Errorf("%s: %s, %v", uri, c.URI, err)
		}
	}
}

func TestSecretsOfABrokerAreNotShown(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if v := s.viewConnection(connection{Type: "mqtt", URI: "mqtt://user:" + "hunter2" + "@broker"}); strings.Contains(v.URI, "hunter2") || !strings.Contains(v.URI, "user") || v.Status.State != "stopped" {
		t.Errorf("%+v", v)
	}
}

func TestAReceiverThatFailsDelaysNoWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHook(t)
		hang := make(chan struct{})
		defer close(hang)
		h.answer = func(int, http.ResponseWriter) { <-hang }
		r := start(t, Config{Dial: h.dialer()})
		for range 10 {
			r.connection(`{"type":"http","url":"http://as/"}`)
		}
		conn := r.connect("")
		began := time.Now()
		for i := range 3000 {
			r.Publish(uplinkNumber(uint32(i)))
			r.next(conn)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("3000 uplinks took %v of virtual time", took)
		}
	})
}

// What an MQTT connection pulls out of the history: all, once, in order; what
// was missed is marked.
func TestTheWalkThroughHistoryForMQTT(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l := &link{server: s, filter: filter{kinds: uplink}}
	next := l.next()
	if _, ok := next(0, 0); ok {
		t.Error("there is something in an empty history")
	}
	for i := range 10 {
		s.history.record(infoNotice, notice("x"), packetID{})
		s.history.record(uplink, uplinkNumber(uint32(i)), packetID{byte(i)})
	}
	walk := func(after, missed uint64) (numbers []uint64, marked int) {
		for {
			m, ok := next(after, missed)
			if !ok {
				return numbers, marked
			}
			numbers = append(numbers, m.Number)
			if strings.Contains(string(m.Text), `"history":true`) {
				marked++
			}
			after = m.Number
		}
	}
	if numbers, marked := walk(0, 4); fmt.Sprint(numbers) != "[2 4 6 8 10 12 14 16 18 20]" || marked != 2 {
		t.Errorf("%v, %d marked", numbers, marked)
	}
	if numbers, marked := walk(15, 20); fmt.Sprint(numbers) != "[16 18 20]" || marked != 3 {
		t.Errorf("again: %v, %d marked", numbers, marked)
	}
	s.history.record(uplink, uplinkNumber(11), packetID{})
	if numbers, _ := walk(20, 20); fmt.Sprint(numbers) != "[21]" {
		t.Errorf("%v", numbers)
	}
}
