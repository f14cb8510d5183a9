package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatewayd/cmd/gatewayd/config"
	"gatewayd/dataapi"
)

// ask calls the world's Management API with all rights.
func (w *world) ask(method, path string, body string, into any) int {
	w.t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: w.api.Dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(w.ctx, method, "http://gateway/api/v1.0"+path, strings.NewReader(body))
	w.must(err)
	req.Header.Set("Authorization", "Bearer "+w.token)
	res, err := client.Do(req)
	w.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	w.must(err)
	if raw, ok := into.(*[]byte); ok {
		*raw = text
	} else if into != nil {
		w.must(json.Unmarshal(text, into))
	}
	return res.StatusCode
}

func TestTheMachineIsShown(t *testing.T) {
	inBubble(t, setup{change: func(c *config.Config) { c.Concentrator.LBT = config.LBTOn }}, func(w *world) {
		var radio struct{ Radio dataapi.Radio }
		if status := w.ask("GET", "/radio", "", &radio); status != http.StatusOK {
			t.Fatal(status)
		}
		r := radio.Radio
		if !r.Running || r.EUI != w.d.gateway.String() || len(r.Radios) != 2 || len(r.Channels) < 8 || !r.CanScan || r.SPI.Frames == 0 || r.Counters["starts"] != 1 || len(r.Duty) == 0 {
			t.Errorf("%+v", r)
		}
		for i, want := range []float64{868.1, 868.3, 868.5} { // EU868's own channels are among them
			found := false
			for _, c := range r.Channels {
				found = found || c.Kind == "multi-sf" && c.Freq == want
			}
			if !found {
				t.Errorf("channel %d, %v MHz, is not shown: %+v", i, want, r.Channels)
			}
		}
		var system struct{ System dataapi.System }
		w.ask("GET", "/system", "", &system)
		if s := system.System; s.Ready != "ok" || s.Region != "EU868" || s.Time.Settable || s.Storage.Path != w.cfg.State.Dir || s.Memory.Heap == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// The simulated SX1261 is scanned through the real driver.
func TestAScanOfTheSimulatedSpectrum(t *testing.T) {
	inBubble(t, setup{change: func(c *config.Config) { c.Concentrator.LBT = config.LBTOn }}, func(w *world) {
		var job struct {
			Job struct {
				ID, State, Error string
				Result           []dataapi.ScanPoint
			}
		}
		if status := w.ask("POST", "/radio/scan", `{"from":868.1,"to":868.3,"samples":1000}`, &job); status != http.StatusAccepted {
			t.Fatalf("%d %+v", status, job)
		}
		for until := time.Now().Add(time.Minute); job.Job.State == "running" && time.Now().Before(until); {
			<-time.After(100 * time.Millisecond) // virtual
			w.ask("GET", "/jobs/"+job.Job.ID, "", &job)
		}
		if job.Job.State != "done" || len(job.Job.Result) != 3 {
			t.Fatalf("%+v", job)
		}
		for _, p := range job.Job.Result {
			n := 0
			for _, l := range p.Levels {
				n += l.Count
			}
			if n != 1000 || p.Samples != 1000 {
				t.Errorf("%v MHz: %d samples", p.Freq, n)
			}
		}
	})
}

func TestTheSupportBundleHasNoSecrets(t *testing.T) {
	var log bytes.Buffer
	inBubble(t, setup{log: slog.New(slog.NewTextHandler(&log, nil))}, func(w *world) {
		w.d.log.Info("a careless line", "url", "mqtt://user:hunter22@broker", "access_token", w.token, "app_key", "2b7e151628aed2a6abf7158809cf4f3c", "setup_code", "abcde-fghij")
		var text []byte
		if status := w.ask("GET", "/system/support", "", &text); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
		w.must(err)
		whole := map[string]string{}
		for _, f := range z.File {
			r, err := f.Open()
			w.must(err)
			b, err := io.ReadAll(r)
			w.must(err)
			whole[strings.TrimPrefix(f.Name, "gatewayd-support/")] = string(b)
			for _, secret := range []string{w.token, "hunter22", "2b7e151628aed2a6abf7158809cf4f3c", "abcde-fghij"} {
				if strings.Contains(string(b), secret) {
					t.Errorf("%s has the secret %s", f.Name, secret)
				}
			}
		}
		for name, part := range map[string]string{
			"system.json": `"region": "EU868"`, "radio.json": `"packets"`, "gatewayd.toml": "EU868", "log.txt": "a careless line", "metrics.txt": "gatewayd_dataapi_connections", "report.txt": "Verdict:", "board.toml": "reset", "goroutines.txt": "goroutine",
		} {
			if !strings.Contains(whole[name], part) {
				t.Errorf("%s lacks %s", name, part)
			}
		}
	})
}

func TestTheRingKeepsTheLastLines(t *testing.T) {
	var out bytes.Buffer
	log, ring := withRing(slog.New(slog.NewTextHandler(&out, nil)))
	log.Debug("not enabled")
	log.With("a", 1).WithGroup("g").With("b", 2).Warn("w", "c", time.Second, "setup_code", "abcde-fghij")
	lines := ring.snapshot()
	if len(lines) != 1 || lines[0].Level != "warn" || lines[0].Fields["a"] != "1" || lines[0].Fields["g.b"] != "2" || lines[0].Fields["g.c"] != "1s" || len(lines[0].Fields) != 3 {
		t.Errorf("%+v", lines)
	}
	if !strings.Contains(out.String(), "g.c=1s") {
		t.Errorf("the log itself: %s", out.String())
	}
	for range ringLines + 10 {
		log.Info("x")
	}
	if lines = ring.snapshot(); len(lines) != ringLines || lines[0].Number != 12 || lines[len(lines)-1].Number != ringLines+11 {
		t.Errorf("%d lines from %d on", len(lines), lines[0].Number)
	}
}

func TestTheHostsClockIsSetOnlyWhereNothingBetterKeepsIt(t *testing.T) {
	inBubble(t, setup{}, func(w *world) {
		m := newMachine(w.d)
		var set time.Time
		disciplined, permitted := false, true
		var fails error
		m.clock = clock{
			judge:     func() (bool, time.Duration) { return disciplined, 0 },
			permitted: func() bool { return permitted },
			set:       func(t time.Time) error { set = t; return fails },
		}
		at := time.Unix(1_800_000_000, 0)
		if err := m.SetTime(at); !errors.Is(err, dataapi.ErrTimeKnown) || !set.IsZero() {
			t.Errorf("with a simulated concentrator: %v", err)
		}
		m.daemon = &daemon{cfg: w.d.cfg, parts: w.d.parts, conc: w.d.conc}
		m.cfg.Concentrator.Driver = config.DriverSX1302
		permitted = false
		if err := m.SetTime(at); !errors.Is(err, dataapi.ErrNotPermitted) || !strings.Contains(err.Error(), "CAP_SYS_TIME") || m.time().Settable {
			t.Errorf("without permission: %v", err)
		}
		permitted, disciplined = true, true
		if err := m.SetTime(at); !errors.Is(err, dataapi.ErrTimeKnown) || m.time().Settable {
			t.Errorf("with a time server: %v", err)
		}
		disciplined = false
		if err := m.SetTime(at); err != nil || !set.Equal(at) || !m.time().Settable {
			t.Errorf("with nothing: %v, set to %v", err, set)
		}
		fails = errors.New("no")
		if err := m.SetTime(at); !errors.Is(err, dataapi.ErrNotPermitted) {
			t.Errorf("the kernel refuses: %v", err)
		}
	})
}

func TestTheDaemonIsEndedFromWithin(t *testing.T) {
	inBubble(t, setup{}, func(w *world) {
		m := newMachine(w.d)
		if err := m.End(false); err == nil {
			t.Error("nobody can end this one, and it says nothing")
		}
		var why error
		m.parts.end = func(err error) error { why = err; return nil }
		if err := m.End(true); err != nil || !errors.Is(why, dataapi.ErrRestart) {
			t.Errorf("%v: %v", err, why)
		}
		if err := m.End(false); err != nil || !errors.Is(why, errStop) {
			t.Errorf("%v: %v", err, why)
		}
	})
}
