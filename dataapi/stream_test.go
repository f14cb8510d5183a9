package dataapi

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"gatewayd/dataapi/schema"
	"gatewayd/nsedge"
)

func TestPongComesEvery25SecondsToASilentClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		began := time.Now()
		var pongs []time.Duration
		c.SetPongHandler(func(data string) error {
			if data != "" {
				t.Errorf("pong with %q", data)
			}
			pongs = append(pongs, time.Since(began))
			return nil
		})
		ended := make(chan int)
		go func() { code, _ := closeCode(c); ended <- code }()
		time.Sleep(3*time.Hour + time.Second) // virtual
		r.stop(nil)
		if code := <-ended; code != websocket.CloseGoingAway {
			t.Errorf("closed with %d", code)
		}
		if len(pongs) != 3*3600/25 || pongs[0] != 25*time.Second || pongs[1] != 50*time.Second {
			t.Errorf("%d pongs, the first at %v", len(pongs), pongs[:min(2, len(pongs))])
		}
	})
}

func TestPingIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		got := make(chan string, 1)
		c.SetPongHandler(func(data string) error { got <- data; return nil })
		go closeCode(c)
		if err := c.WriteControl(websocket.PingMessage, []byte("hello"), time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if data := <-got; data != "hello" {
			t.Errorf("pong with %q", data)
		}
	})
}

func TestEachConnectionHasItsOwnView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		plain := r.connect("")
		full := r.connect("radio=1&lora=1&duplicates=1")
		quiet := r.connect("types=error&devices=0000000000000001")
		copied := realEvent()
		copied.Duplicate = true
		r.Publish(realEvent())
		r.Publish(copied)
		r.Publish(&nsedge.Notice{Meta: nsedge.Meta{Device: mustEUI("0000000000000002"), Time: time.Unix(1, 0)}, Level: nsedge.Error, Code: "not yours"})
		r.Publish(&nsedge.Notice{Meta: nsedge.Meta{Device: mustEUI("0000000000000001"), Time: time.Unix(1, 0)}, Level: nsedge.Error, Code: "yours"})
		r.Publish(realRequest())

		first := r.next(plain)
		if first.Type != "uplink" || first.Params["radio"] != nil || first.Params["duplicate"] != false {
			t.Errorf("plain got %v", first)
		}
		if second := r.next(plain); second.Type != "downlink_request" {
			t.Errorf("plain got a %v %v", second.Type, second.Params)
		}
		a, b, request := r.next(full), r.next(full), r.next(full)
		if a.Params["radio"] == nil || a.Params["lora"] == nil || b.Params["duplicate"] != true || request.Type != "downlink_request" {
			t.Errorf("full got %v, %v, %v", a, b, request)
		}
		if a.Meta["packet_id"] == b.Meta["packet_id"] || a.Meta["packet_hash"] != b.Meta["packet_hash"] {
			t.Errorf("packet_id must differ, packet_hash must not: %v, %v", a.Meta, b.Meta)
		}
		if a.Meta["packet_id"] != first.Meta["packet_id"] {
			t.Errorf("the same message has two ids: %v, %v", a.Meta, first.Meta)
		}
		if e := r.next(quiet); e.Params["code"] != "yours" {
			t.Errorf("quiet got %v", e)
		}
	})
}

func TestAMessageIsEncodedOncePerShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		var all []*websocket.Conn
		for i := range 40 {
			all = append(all, r.connect([]string{"", "radio=1", "lora=1", "radio=1&lora=1"}[i%4]))
		}
		r.Publish(realEvent())
		for _, c := range all {
			r.next(c)
		}
		if n := value(t, r.metrics.encoded); n != 4 {
			t.Errorf("an uplink for 40 connections of 4 shapes was encoded %v times", n)
		}
		r.Publish(realRequest())
		for _, c := range all {
			r.next(c)
		}
		if n := value(t, r.metrics.encoded); n != 5 {
			t.Errorf("a downlink_request, which has one shape, was encoded %v times", n-4)
		}
	})
}

func TestMalformedMessagesGetAnErrorAndTheConnectionStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{MaxMessage: 200})
		c := r.connect("types=uplink")
		for _, m := range []struct {
			kind       int
			text, code string
			says       string
		}{
			{websocket.TextMessage, `{`, codeBadJSON, "not a JSON object"},
			{websocket.TextMessage, `[]`, codeBadJSON, "not a JSON object"},
			{websocket.TextMessage, "\xff", codeBadJSON, "UTF-8"},
			{websocket.TextMessage, `{"type":"uplink"}`, codeUnknownType, "downlink_response"},
			{websocket.BinaryMessage, `{}`, codeBinaryFrame, "text frame"},
			{websocket.TextMessage, `{"type":"` + strings.Repeat("x", 1000) + `"}`, codeTooLarge, "200 bytes"},
		} {
			if err := c.WriteMessage(m.kind, []byte(m.text)); err != nil {
				t.Fatal(err)
			}
			e := r.next(c)
			if e.Type != "error" || e.Params["code"] != m.code || !strings.Contains(e.Params["message"].(string), m.says) {
				t.Errorf("%.40s: got %v", m.text, e)
			}
			if len(e.Meta) != 1 || e.Meta["time"] == nil {
				t.Errorf("%.40s: meta of an error tied to no device: %v", m.text, e.Meta)
			}
		}
		r.Publish(realEvent())
		if e := r.next(c); e.Type != "uplink" {
			t.Errorf("after the errors came %v", e)
		}
	})
}

func TestAnAnswerReachesTheEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		hash := hex32(0xab)
		r.send(c, `{"type":"downlink_response","meta":{"packet_hash":"`+strings.ToUpper(hash.String())+`"},"params":{"payload":"AQI"}}`)
		synctest.Wait()
		got := r.edge.taken()
		if len(got) != 1 {
			t.Fatalf("the edge got %v", got)
		}
		a := got[0].(nsedge.DownlinkResponse)
		if a.PacketHash != hash || string(a.Payload) != "\x01\x02" || a.Port != 1 || !a.HasPayload {
			t.Errorf("the edge got %+v", a)
		}
	})
}

func TestARefusalComesBackWithTheDevicesMeta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		eui := mustEUI("0102030405060708")
		r.edge.devices[eui] = nsedge.Device{DevEUI: eui, AppEUI: mustEUI("1112131415161718"), DevAddr: &nsedge.DevAddr{1, 2, 3, 4}, Tags: []string{"x"}}
		r.edge.refuse = &nsedge.Refusal{Code: "downlink_late", Field: "params.payload", Message: "it came 3 ms too late",
			Timing: &nsedge.Timing{Window: "RX2", Planned: 2_000_000, Margin: -3 * time.Millisecond, Late: "as"}}
		c := r.connect("")
		hash := hex32(1).String()
		r.send(c, `{"type":"downlink_response","meta":{"device":"0102030405060708","packet_hash":"`+hash+`"},"params":{"payload":""}}`)
		e := r.next(c)
		if e.Type != "error" || e.Params["code"] != "downlink_late" || e.Params["message"] != "params.payload: it came 3 ms too late" {
			t.Errorf("got %v", e)
		}
		if want := map[string]any{"window": "RX2", "planned": 2e6, "margin": -0.003, "late": "as"}; !reflect.DeepEqual(e.Params["timing"], want) {
			t.Errorf("timing %v", e.Params["timing"])
		}
		for field, want := range map[string]string{"device": "0102030405060708", "application": "1112131415161718", "device_addr": "01020304", "packet_hash": hash} {
			if e.Meta[field] != want {
				t.Errorf("meta.%s is %v, not %s", field, e.Meta[field], want)
			}
		}
	})
}

func TestAnEdgeThatHangsOrFailsIsTold(t *testing.T) {
	const claim = `{"type":"downlink_claim","meta":{"device":"0102030405060708"}}`
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.edge.hang = make(chan struct{})
		c := r.connect("")
		r.send(c, claim)
		if e := r.next(c); e.Params["code"] != codeServerError || !strings.Contains(e.Params["message"].(string), "in time") {
			t.Errorf("hanging: %v", e)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Edge: brokenEdge{}})
		c := r.connect("")
		r.send(c, claim)
		e := r.next(c)
		if e.Params["code"] != codeServerError || strings.Contains(e.Params["message"].(string), "disk") {
			t.Errorf("failing: %v", e)
		}
		r.stop(nil)
		if !strings.Contains(r.log.String(), "disk is full") {
			t.Errorf("the log doesn't say why: %s", r.log)
		}
	})
}

func TestTheTokenIsNeverLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("devices=0102030405060708")
		r.send(c, `{"type":"join_response","meta":{"packet_hash":"`+hex32(1).String()+`"},"params":{"nwkskey":"000102030405060708090a0b0c0d0e0f","accept_payload":"AAAAAAAAAAAAAAAAAAAAAA=="}}`)
		r.rest(http.MethodGet, "/api/v1.0/devices?access_token="+r.token, "")
		r.rest(http.MethodGet, "/api/v1.0/nowhere?access_token="+r.token, "")
		r.stop(nil)
		if text := r.log.String(); strings.Contains(text, r.token) || !strings.Contains(text, "data api connection opened") || !strings.Contains(text, "data api connection closed") {
			t.Errorf("the log: %s", text)
		}
		if n := strings.Count(r.log.String(), "\n"); n != 2 {
			t.Errorf("%d lines for one connection:\n%s", n, r.log)
		}
	})
}

func TestPublishNeverBlocks(t *testing.T) {
	s, err := New(Config{}) // nobody runs it
	if err != nil {
		t.Fatal(err)
	}
	for range intake + 100 {
		s.Publish(realEvent())
	}
	if n := value(t, s.metrics.dropped); n != 100 {
		t.Errorf("%v events were counted as dropped", n)
	}
}

func TestRunRunsOnce(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.running.Store(true)
	if err := s.Run(context.Background()); err == nil {
		t.Error("a second Run was not refused")
	}
}

func TestEventsAreFilteredByEveryList(t *testing.T) {
	meta := realMeta()
	for _, c := range []struct {
		query string
		want  bool
	}{
		{"", true},
		{"types=downlink", false},
		{"types=uplink,error", true},
		{"devices=000516800011ABF6,1111111111111111", true},
		{"devices=1111111111111111", false},
		{"gateways=b0-fd-0b-70-02-64-00-00", true},
		{"gateways=1111111111111111", false},
		{"applications=6caabba5aa141e23", true},
		{"applications=1111111111111111", false},
		{"tags=x, demo", true},
		{"tags=Demo", false},
		{"tags=demo&devices=1111111111111111", false}, // kinds are ANDed
	} {
		req, err := parseRequest(parseParameters(strings.ReplaceAll(c.query, " ", "+")))
		if err != nil {
			t.Fatalf("%s: %v", c.query, err)
		}
		if got := req.filter.match(uplink, &nsedge.UplinkEvent{Meta: meta}); got != c.want {
			t.Errorf("%q: match %v", c.query, got)
		}
	}
}

func TestEveryTypeHasItsName(t *testing.T) {
	for _, ev := range []nsedge.Event{&nsedge.UplinkEvent{}, &nsedge.DownlinkRequest{}, &nsedge.DownlinkEvent{}, &nsedge.JoinRequest{}, &nsedge.StatusResponse{},
		&nsedge.Location{}, &nsedge.Notice{Level: nsedge.Error}, &nsedge.Notice{Level: nsedge.Warning}, &nsedge.Notice{Level: nsedge.Info}} {
		k := kindOf(ev)
		if again, ok := parseKind(k.String()); !ok || again != k {
			t.Errorf("%T: %q", ev, k)
		}
	}
	if got, want := schema.Outgoing(), strings.Split(kind(1<<len(kindNames)-1).String(), ","); !slices.Equal(got, want) {
		t.Errorf("schemas for %v, types %v", got, want)
	}
	if got := fmt.Sprint(defaultKinds); got != "uplink,downlink_request,downlink,join_request,status_response" {
		t.Errorf("default types %s", got)
	}
}
