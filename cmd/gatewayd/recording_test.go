package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/flight"
)

// download gets a file of the Management API.
func (w *world) download(path string) (status int, body []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, "http://gateway/api/v1.0"+path, nil)
	w.must(err)
	req.Header.Set("Authorization", "Bearer "+w.token)
	client := http.Client{Transport: &http.Transport{DialContext: w.api.Dial, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	w.must(err)
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	w.must(err)
	return resp.StatusCode, body
}

// A network at work, recorded and replayed: everything is in the file but
// secrets, and the simulated chip does all of it again.
func TestARecordingOfANetworkIsReplayedWithoutADifference(t *testing.T) {
	const key = "00112233445566778899aabbccddeeff"
	var file []byte
	inBubble(t, setup{}, func(w *world) {
		app := w.connect("&radio=1", func(a *as, m asMessage) {
			if m.Type == "downlink_request" {
				a.answer(m, "hello device", map[string]any{"nwkskey": key, "note": map[string]any{"My-Token": key}})
			}
		})
		dev := w.device(1, false, nil)
		defer dev.Close()
		w.must(dev.Join(w.ctx))
		for range 3 {
			_, err := dev.Send(w.ctx, 3, []byte("hello network"), true)
			w.must(err)
			time.Sleep(time.Minute)
		}
		app.close()
		status, _ := w.download("/devices?access_token=" + w.token)
		if status != http.StatusOK {
			t.Errorf("devices: %d", status)
		}
		if status, file = w.download("/system/recording"); status != http.StatusOK {
			t.Fatalf("%d %s", status, file)
		}
		if bytes.Contains(unzipped(t, file), []byte(w.token)) {
			t.Error("the recording has a token")
		}
	})
	text := unzipped(t, file)
	for _, want := range []string{`"type":"heard"`, `"event":"UplinkEvent"`, `"event":"DownlinkEvent"`, `"way":"in"`, `"way":"out"`, `"nwkskey":"(secret)"`, `"My-Token":"(secret)"`, `"path":"/api/v1.0/devices"`, `"type":"reset"`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the recording has no %s", want)
		}
	}
	if bytes.Contains(text, []byte(key)) {
		t.Error("the recording has a key")
	}
	path := filepath.Join(t.TempDir(), "run.jsonl.gz")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := cli(t, "replay", "--drift", "0", path)
	if code != exitOK || !strings.Contains(out, "frames replayed: no difference\n") || !strings.Contains(out, "gateway 0016c0fffe000001, emulated, EU868") {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}

	i := bytes.Index(text, []byte(`"out":"005605","in":"0f10"`))
	turned := bytes.Clone(text)
	turned[i+len(`"out":"005605","in":"0f`)] = '3'
	if err := os.WriteFile(path, turned, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr = cli(t, "replay", path)
	if code != exitFailure || !strings.Contains(out, "first difference: line ") ||
		!strings.Contains(out, "read of 2 bytes at 0x5605, in 0x5606 (CommonVersion): recorded 0f30, the simulated chip says 0f10") {
		t.Errorf("with a byte turned: exit %d\n%s%s", code, out, stderr)
	}
}

func unzipped(t *testing.T, file []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A concentrator that fails leaves a file of what was before, once.
func TestAFaultLeavesARecording(t *testing.T) {
	w := setup{}
	var folder string
	w.change = func(c *config.Config) { c.Recorder.Size = 1 }
	inBubble(t, w, func(w *world) {
		folder = filepath.Join(t.TempDir(), "recordings")
		w.d.faults = &flight.Files{Folder: folder, Recorder: w.d.recorder}
		for range 2 {
			w.chip.SetReset(true) // somebody else pulls the line
			time.Sleep(time.Minute)
		}
	})
	files, err := filepath.Glob(filepath.Join(folder, "gatewayd-*-concentrator.jsonl.gz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v; want one file", files, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec, err := flight.Read(f)
	if err != nil || !strings.HasPrefix(rec.Reason, "concentrator: ") {
		t.Errorf("%+v, %v", rec, err)
	}
	var out bytes.Buffer
	err = replay(&out, rec, flight.DefaultDrift)
	if !errors.Is(err, errDifferent) || !strings.Contains(out.String(), "(CommonGenGlobalEn") {
		t.Errorf("the replay of a chip that somebody reset: %v\n%s", err, &out)
	}
}

func TestWithoutARecorderThereIsNoRecording(t *testing.T) {
	inBubble(t, setup{change: func(c *config.Config) { c.Recorder.Size = 0 }}, func(w *world) {
		if status, body := w.download("/system/recording"); status != http.StatusNotFound || !bytes.Contains(body, []byte("recorder.size_mib")) {
			t.Errorf("%d %s", status, body)
		}
		w.d.fault("concentrator", context.Canceled) // does nothing
	})
}
