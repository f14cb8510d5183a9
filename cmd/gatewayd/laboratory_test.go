package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"gatewayd/cmd/gatewayd/config"
)

// verb calls a verb of the bench over HTTP.
func (w *world) verb(name string, args map[string]any) (int, map[string]any) {
	w.t.Helper()
	body, err := json.Marshal(args)
	w.must(err)
	req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, "http://gateway/api/v1.0/lab/verbs/"+name, bytes.NewReader(body))
	w.must(err)
	req.Header.Set("Authorization", "Bearer "+w.token)
	client := http.Client{Transport: &http.Transport{DialContext: w.api.Dial, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	w.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	w.must(err)
	var out map[string]any
	w.must(json.Unmarshal(text, &out))
	if result, ok := out["result"].(map[string]any); ok {
		return resp.StatusCode, result
	}
	return resp.StatusCode, out
}

// A program without Starlark tests a device: the bench over HTTP, the raw
// radio beside it.
func TestTheBenchServesProgramsOverHTTP(t *testing.T) {
	inBubble(t, setup{change: func(c *config.Config) { c.Lab.Enabled = true }}, func(w *world) {
		dialer := websocket.Dialer{NetDialContext: w.api.Dial}
		radio, resp, err := dialer.DialContext(w.ctx, "ws://gateway/api/v1.0/lab/radio?access_token="+w.token, nil)
		w.must(err)
		resp.Body.Close()
		defer radio.Close()
		if status, out := w.verb("device", map[string]any{"virtual": "healthy"}); status != http.StatusOK {
			t.Fatalf("device: %d %v", status, out)
		}
		if status, out := w.verb("expect_join", nil); status != http.StatusOK || out["dev_addr"] == nil {
			t.Fatalf("expect_join: %d %v", status, out)
		}
		_, up := w.verb("expect_uplink", nil)
		type message struct {
			Type  string
			Frame struct{ Hex string }
		}
		messages := make(chan message, 100)
		go func() {
			for {
				var m message
				if radio.ReadJSON(&m) != nil {
					return
				}
				messages <- m
			}
		}()
		heard := <-messages
		if heard.Type != "heard" || len(heard.Frame.Hex) != 2*23 {
			t.Errorf("the raw radio heard %+v, want the join-request", heard)
		}
		if status, out := w.verb("fault", map[string]any{"kind": "drop", "direction": "up", "count": 2}); status != http.StatusOK {
			t.Errorf("fault: %d %v", status, out)
		}
		_, next := w.verb("expect_uplink", nil)
		if gap := next["fcnt"].(float64) - up["fcnt"].(float64); gap != 3 {
			t.Errorf("two frames were dropped, but the counter rose by %v", gap)
		}
		if status, out := w.verb("expect_uplink", map[string]any{"port": 99, "within": 5}); status != http.StatusUnprocessableEntity || !strings.Contains(out["message"].(string), "port 99") {
			t.Errorf("what doesn't come: %d %v", status, out)
		}
		if status, _ := w.verb("expect_uplink", map[string]any{"porl": 99}); status != http.StatusBadRequest {
			t.Errorf("a wrong argument: %d", status)
		}
		w.verb("reboot", nil)
		w.must(radio.WriteJSON(map[string]any{"hex": "e0010203", "freq": 868.1, "sf": 7}))
		for heard.Type == "heard" {
			heard = <-messages
		}
		if heard.Type != "sent" {
			t.Errorf("a raw frame was answered with %q", heard.Type)
		}
	})
}

func TestACaptureOfEachCase(t *testing.T) {
	dir := t.TempDir()
	if out, err := labRun(t, "--capture", dir, "lab/examples/join.star"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "test_a_device_joins_and_is_answered.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte{6, 0, 0, 0}); n < 5 || !bytes.HasPrefix(text, []byte{0x0A, 0x0D, 0x0D, 0x0A}) {
		t.Errorf("%d packets in %d bytes", n, len(text))
	}
}

func TestTheSameSeedMakesTheSameCaptureToTheBit(t *testing.T) {
	var captures [3][]byte
	for i, seed := range []string{"5", "5", "6"} {
		dir := t.TempDir()
		if out, err := labRun(t, "--seed", seed, "--capture", dir, "lab/examples/join.star"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var err error
		if captures[i], err = os.ReadFile(filepath.Join(dir, "test_a_device_joins_and_is_answered.pcapng")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(captures[0], captures[1]) {
		t.Error("two runs with one seed made different captures")
	}
	if bytes.Equal(captures[0], captures[2]) {
		t.Error("another seed made the same capture")
	}
}
