package exampleas_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"gatewayd/cmd/gatewayd/exampleas"
	"gatewayd/dataapi/inproc"
)

// Messages as the Data API sends them, shortened.
const (
	uplink  = `{"type":"uplink","meta":{"device":"0200000000000001","packet_hash":"aa"},"params":{"counter_up":7,"port":3,"payload":"aGVsbG8="}}`
	request = `{"type":"downlink_request","meta":{"device":"0200000000000001","packet_hash":"aa","odd":[1,2]},"params":{"tx_time":946684801.5,"counter_down":4,"max_size":51}}`
	small   = `{"type":"downlink_request","meta":{"device":"0200000000000001","packet_hash":"bb"},"params":{"tx_time":946684801.5,"counter_down":4,"max_size":3}}`
	failure = `{"type":"error","meta":{"time":1},"params":{"code":"x","message":"something is wrong"}}`
)

// serve runs an application server against script, which gets each
// connection, for a minute of virtual time.
func serve(t *testing.T, cfg exampleas.Config, script func(n int, c *websocket.Conn)) error {
	t.Helper()
	l := inproc.Listen()
	n := 0
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("access_token") != "good" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			w.Write([]byte(`{"code":"unknown_token","message":"this token is unknown"}`))
			return
		}
		var up websocket.Upgrader
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		n++
		script(n, c)
	})}
	go srv.Serve(l)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg.Dial = l.Dial
	if cfg.URL == "" {
		cfg.URL = "ws://gw/api/v1.0/data?access_token=good"
	}
	err := exampleas.Run(ctx, cfg)
	srv.Close()
	synctest.Wait()
	return err
}

// ask sends messages and returns the first answer, "" if none comes in 10 s.
func ask(t *testing.T, c *websocket.Conn, messages ...string) string {
	t.Helper()
	for _, m := range messages {
		if err := c.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			t.Error(err)
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Error(err)
	}
	_, text, err := c.ReadMessage()
	if err != nil {
		return ""
	}
	return string(text)
}

func TestAnswerCarriesTheRequestsOwnMeta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []exampleas.Answer
		good(t, exampleas.Config{Tell: func(a exampleas.Answer) { told = append(told, a) }}, func(n int, c *websocket.Conn) {
			if n > 1 {
				return
			}
			var got struct {
				Type   string
				Meta   json.RawMessage
				Params struct {
					Payload []byte
					Port    int
				}
			}
			if err := json.Unmarshal([]byte(ask(t, c, uplink, request)), &got); err != nil {
				t.Error(err)
				return
			}
			if got.Type != "downlink_response" || string(got.Meta) != `{"device":"0200000000000001","packet_hash":"aa","odd":[1,2]}` {
				t.Errorf("%s %s", got.Type, got.Meta)
			}
			if string(got.Params.Payload) != "ack 7" || got.Params.Port != 3 {
				t.Errorf("%q on port %d", got.Params.Payload, got.Params.Port)
			}
		})
		if len(told) != 1 || told[0].Request.Counter != 4 || told[0].Request.MaxSize != 51 || !told[0].Request.TXTime.Equal(time.Unix(946684801, 5e8)) {
			t.Errorf("told %+v", told)
		}
	})
}

func TestNothingIsAnsweredThatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good(t, exampleas.Config{}, func(n int, c *websocket.Conn) {
			if n > 1 {
				return
			}
			if got := ask(t, c, uplink, small); got != "" {
				t.Errorf("answered %s", got)
			}
		})
	})
}

func TestHeldAnswerComesLaterAndBlocksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := map[uint32]time.Duration{4: 3 * time.Second}
		cfg := exampleas.Config{Hold: func(r exampleas.Request) time.Duration { return hold[r.Counter] }}
		good(t, cfg, func(n int, c *websocket.Conn) {
			if n > 1 {
				return
			}
			began := time.Now()
			quick := strings.Replace(request, `"counter_down":4`, `"counter_down":5`, 1)
			if got := ask(t, c, uplink, request, quick); got == "" || time.Since(began) != 0 {
				t.Errorf("%q after %v", got, time.Since(began))
			}
			if got := ask(t, c); got == "" || time.Since(began) != 3*time.Second {
				t.Errorf("%q after %v", got, time.Since(began))
			}
		})
	})
}

func TestLostConnectionIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		good(t, exampleas.Config{}, func(n int, c *websocket.Conn) {
			connections = n
			if n == 3 {
				if ask(t, c, uplink, request) == "" {
					t.Error("no answer on the third connection")
				}
				ask(t, c)
			}
		})
		if connections < 3 {
			t.Errorf("%d connections", connections)
		}
	})
}

func TestErrorsAreLoggedAndARefusalEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		cfg := exampleas.Config{Log: slog.New(slog.NewTextHandler(&log, nil))}
		good(t, cfg, func(_ int, c *websocket.Conn) { ask(t, c, failure) })
		if !strings.Contains(log.String(), "something is wrong") {
			t.Errorf("%s", &log)
		}
		cfg.URL = "ws://gw/?access_token=bad"
		err := serve(t, cfg, func(int, *websocket.Conn) {})
		if err == nil || !strings.Contains(err.Error(), "this token is unknown") || strings.Contains(err.Error()+log.String(), "=bad") {
			t.Errorf("%v, log %s", err, &log)
		}
	})
}

// good is serve, where no error is wanted.
func good(t *testing.T, cfg exampleas.Config, script func(n int, c *websocket.Conn)) {
	t.Helper()
	if err := serve(t, cfg, script); err != nil {
		t.Errorf("at the end: %v", err)
	}
}
