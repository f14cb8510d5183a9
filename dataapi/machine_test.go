package dataapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio"
)

// fakeMachine has a spectrum, a clock and a log.
type fakeMachine struct {
	mu     sync.Mutex
	noScan bool
	broken bool          // scans fail
	hang   chan struct{} // scans wait for it
	setErr error
	set    time.Time
	ended  []bool
	endErr error

	region, readOnly, recording string

	scanned []radio.Hertz
}

func (m *fakeMachine) System() System {
	return System{Version: "test", Ready: "ok", Time: Time{Quality: "host", Settable: m.setErr == nil}, GNSS: &GNSS{Fix: "good", Position: &GatewayPosition{}}, TLS: &TLSInfo{Mode: "self", Names: []string{"gw.local"}}}
}

func (m *fakeMachine) Radio() Radio {
	return Radio{
		EUI: "0016c001ff100001", Radios: []RadioFront{{Type: "SX1250"}}, Channels: []RadioChannel{{Kind: "fsk", Spreading: []int{}, BitRate: 50000}}, CanScan: !m.noScan,
		Counters: map[string]uint64{"packets": 1}, Network: map[string]uint64{"uplinks": 1}, Duty: []Duty{{Band: "g1"}},
	}
}

func (m *fakeMachine) Scan(ctx context.Context, freq, _ radio.Hertz, samples int) (ScanPoint, error) {
	if m.hang != nil {
		select {
		case <-m.hang:
		case <-ctx.Done():
			return ScanPoint{}, fmt.Errorf("scan: %w", ctx.Err())
		}
	}
	if m.broken {
		return ScanPoint{}, errors.New("the SX1261 does not answer")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scanned = append(m.scanned, freq)
	return ScanPoint{Freq: freq.MHz(), At: 1.5, Samples: samples, Levels: []ScanLevel{{-100, samples}}}, nil
}

func (m *fakeMachine) Spectrum() []ScanPoint {
	return []ScanPoint{{Freq: 868.1, At: 2.5, Samples: 7, Levels: []ScanLevel{{-90, 7}}}}
}

func (m *fakeMachine) SetTime(t time.Time) error { m.set = t; return m.setErr }
func (m *fakeMachine) End(restart bool) error {
	m.ended = append(m.ended, restart)
	return m.endErr
}

func (m *fakeMachine) Log() []LogLine {
	var all []LogLine
	for i, level := range []string{"debug", "info", "warn", "error"} {
		all = append(all, LogLine{Number: uint64(i + 1), Level: level, Message: "m", Fields: map[string]string{"a": "b"}})
	}
	return all
}

func (m *fakeMachine) Recording() func(io.Writer) error {
	if m.recording == "" {
		return nil
	}
	return func(w io.Writer) error { _, err := io.WriteString(w, m.recording); return err }
}

func (m *fakeMachine) Config() Configuration {
	return Configuration{Path: "/etc/gatewayd.toml", Writable: m.readOnly, Keys: []ConfigKey{{Key: "region.name", Value: m.region, Default: "EU868", Choices: []string{"EU868"}}, {Key: "region.duty_cycle", Value: true, Default: true}}}
}

func (m *fakeMachine) SetConfig(changes map[string]json.RawMessage) error {
	for key, v := range changes {
		if key != "region.name" {
			return &ConfigFault{key, key + ": unknown key"}
		}
		m.region, _ = unquote(v)
	}
	return nil
}

func (m *fakeMachine) Support(w io.Writer) error { _, err := io.WriteString(w, "PK"); return err }

const (
	scanPath = root + "/radio/scan"
	jobsPath = root + "/jobs"
)

func TestTheRadioIsShown(t *testing.T) {
	r := start(t, Config{Machine: &fakeMachine{}})
	if status, body := r.rest("GET", root+"/radio", ""); status != http.StatusOK || body["radio"].(map[string]any)["eui"] != "0016c001ff100001" {
		t.Errorf("%d %v", status, body)
	}
	if status, body := r.rest("GET", root+"/system", ""); status != http.StatusOK || body["system"].(map[string]any)["version"] != "test" {
		t.Errorf("%d %v", status, body)
	}
	// Rights: gateways for the radio, keys for the system.
	seer, admin := r.key(Key{Rights: []Right{RightGateways}}), r.key(Key{Rights: []Right{RightKeys}})
	for _, c := range []struct {
		token, path string
		status      int
	}{{seer, "/radio", 200}, {seer, "/jobs", 200}, {seer, "/system", 403}, {seer, "/audit", 403}, {admin, "/system", 200}, {admin, "/audit", 200}, {admin, "/radio", 403}} {
		if status, _ := r.rest("GET", root+c.path, "", "Authorization", "Bearer "+c.token); status != c.status {
			t.Errorf("%s: %d, want %d", c.path, status, c.status)
		}
	}
	if status, _ := start(t, Config{}).rest("GET", root+"/radio", ""); status != http.StatusNotImplemented {
		t.Errorf("without a machine: %d", status)
	}
}

func TestTheSpectrumIsShown(t *testing.T) {
	r := start(t, Config{Machine: &fakeMachine{}})
	status, body := r.rest("GET", scanPath, "")
	points, _ := body["points"].([]any)
	if status != http.StatusOK || len(points) != 1 || points[0].(map[string]any)["freq"] != 868.1 || points[0].(map[string]any)["at"] != 2.5 {
		t.Errorf("%d %v", status, body)
	}
}

func (r *rig) job(body map[string]any) map[string]any {
	r.Helper()
	job, ok := body["job"].(map[string]any)
	if !ok {
		r.Fatalf("no job: %v", body)
	}
	return job
}

func TestASpectralScanIsAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeMachine{hang: make(chan struct{})}
		r := start(t, Config{Machine: m})
		status, body := r.rest("POST", scanPath, `{"from":868.0,"to":"868.3","samples":100}`)
		if status != http.StatusAccepted {
			t.Fatalf("%d %v", status, body)
		}
		id := r.job(body)["id"].(string)
		if status, body := r.rest("POST", scanPath, `{"from":868,"to":869}`); status != http.StatusConflict {
			t.Errorf("a second scan: %d %v", status, body)
		}
		for range 2 {
			m.hang <- struct{}{}
		}
		synctest.Wait()
		_, body = r.rest("GET", jobsPath+"/"+id, "")
		if j := r.job(body); j["state"] != "running" || j["done"] != 2.0 || j["of"] != 4.0 || len(j["result"].([]any)) != 2 {
			t.Errorf("halfway: %v", j)
		}
		close(m.hang)
		synctest.Wait()
		_, body = r.rest("GET", jobsPath+"/"+strings.ToUpper(id), "")
		if j := r.job(body); j["state"] != "done" || j["done"] != 4.0 || len(j["result"].([]any)) != 4 || j["ended"] == nil {
			t.Errorf("at the end: %v", j)
		}
		if want := []radio.Hertz{868_000_000, 868_100_000, 868_200_000, 868_300_000}; fmt.Sprint(m.scanned) != fmt.Sprint(want) {
			t.Errorf("scanned %v", m.scanned)
		}
		m.broken = true
		_, body = r.rest("POST", scanPath, `{"from":868,"to":868}`)
		synctest.Wait()
		_, body = r.rest("GET", jobsPath+"/"+r.job(body)["id"].(string), "")
		if j := r.job(body); j["state"] != "failed" || j["error"] != "the SX1261 does not answer" {
			t.Errorf("%v", j)
		}
		_, body = r.rest("GET", jobsPath, "")
		if all := body["jobs"].([]any); len(all) != 2 || all[0].(map[string]any)["state"] != "failed" || all[1].(map[string]any)["result"] != nil {
			t.Errorf("%v", body)
		}
	})
}

func TestAJobIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Machine: &fakeMachine{hang: make(chan struct{})}})
		for name, end := range map[string]func(path string){
			"by its client": func(path string) {
				if status, body := r.rest("DELETE", path, ""); status != http.StatusNoContent {
					t.Errorf("%d %v", status, body)
				}
			},
		} {
			_, body := r.rest("POST", scanPath, `{"from":868,"to":869}`)
			path := jobsPath + "/" + r.job(body)["id"].(string)
			end(path)
			synctest.Wait()
			if _, body := r.rest("GET", path, ""); r.job(body)["state"] != "cancelled" {
				t.Errorf("%s: %v", name, body)
			}
			r.rest("DELETE", path, "") // forgets it
			if status, _ := r.rest("GET", path, ""); status != http.StatusNotFound {
				t.Errorf("%s: still there: %d", name, status)
			}
		}
		// One that runs ends with the server: the rig's stop waits for it.
		r.rest("POST", scanPath, `{"from":868,"to":869}`)
		r.stop(nil)
		if j := r.jobs.all[0]; j.running() {
			t.Error("a job outlives the server")
		}
	})
}

func TestOnlySoManyJobsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Machine: &fakeMachine{}})
		for range mostJobs + 5 {
			r.rest("POST", scanPath, `{"from":868,"to":868}`)
			synctest.Wait()
		}
		if _, body := r.rest("GET", jobsPath, ""); body["total"] != float64(mostJobs) {
			t.Errorf("%v jobs", body["total"])
		}
	})
}

func TestBadScansAreRefused(t *testing.T) {
	m := &fakeMachine{}
	r := start(t, Config{Machine: m})
	for body, field := range map[string]string{
		`{"to":868}`: "from", `{"from":868}`: "to", `{"from":"x","to":868}`: "from", `{"from":868,"to":867}`: "to",
		`{"from":868,"to":869,"step":0.0001}`: "step", `{"from":800,"to":900,"step":0.01}`: "step", `{"from":868,"to":869,"bandwidth":0.2}`: "bandwidth",
		`{"from":868,"to":869,"samples":0}`: "samples", `{"from":1e9,"to":869}`: "from", `{"from":868,"to":{}}`: "to",
	} {
		if status, got := r.rest("POST", scanPath, body); status != http.StatusBadRequest || got["field"] != field || !strings.Contains(got["message"].(string), field) {
			t.Errorf("%s: %d %v", body, status, got)
		}
	}
	m.noScan = true
	if status, body := r.rest("POST", scanPath, `{"from":868,"to":869}`); status != http.StatusConflict {
		t.Errorf("%d %v", status, body)
	}
}

func TestTheClockIsSetByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeMachine{}
		r := start(t, Config{Machine: m})
		r.user()
		token := r.signInToken()
		path := root + "/system/time"
		for _, bad := range []string{`{}`, `{"time":0}`, `{"time":"noon"}`, `{"time":1e12}`, `{"time":true}`} {
			if status, body := r.rest("POST", path, bad); status != http.StatusBadRequest || body["field"] != "time" {
				t.Errorf("%s: %d %v", bad, status, body)
			}
		}
		if status, body := r.rest("POST", path, `{"time":1795404932.115776}`, "Authorization", "Bearer "+token); status != http.StatusOK || !m.set.Equal(time.UnixMicro(1795404932115776)) {
			t.Errorf("%d %v: %v", status, body, m.set)
		}
		// 27 years later by the clock, as after a start without one, the session
		// goes on: time itself stands still here, so its end has moved.
		for _, one := range r.sessions.byHash {
			if one.Used.Year() != 2026 {
				t.Errorf("the session was used %v", one.Used)
			}
		}
		for _, why := range []error{ErrTimeKnown, ErrNotPermitted} {
			m.setErr = fmt.Errorf("%w: for a reason", why)
			if status, body := r.rest("POST", path, `{"time":1795404932}`); status != http.StatusConflict || !strings.Contains(body["message"].(string), "for a reason") {
				t.Errorf("%d %v", status, body)
			}
		}
	})
}

func TestTheLogIsShown(t *testing.T) {
	r := start(t, Config{Machine: &fakeMachine{}})
	for query, want := range map[string]int{"": 4, "level=warn": 2, "after=3": 1, "limit=1": 1, "level=ERROR&after=4": 0} {
		if status, body := r.rest("GET", root+"/system/log?"+query, ""); status != http.StatusOK || len(body["log"].([]any)) != want {
			t.Errorf("%s: %d %v", query, status, body)
		}
	}
	_, body := r.rest("GET", root+"/system/log?limit=1", "")
	if line := body["log"].([]any)[0].(map[string]any); line["number"] != 4.0 || body["total"] != 4.0 {
		t.Errorf("%v", body)
	}
	for query, field := range map[string]string{"level=loud": "level", "after=x": "after", "limit=-1": "limit"} {
		if status, body := r.rest("GET", root+"/system/log?"+query, ""); status != http.StatusBadRequest || body["field"] != field {
			t.Errorf("%s: %d %v", query, status, body)
		}
	}
	if status, body := r.rest("GET", root+"/system/support", ""); status != http.StatusOK || body["text"] != "PK" {
		t.Errorf("%d %v", status, body)
	}
}

func TestTheDaemonEndsOverTheAPI(t *testing.T) {
	m := &fakeMachine{}
	r := start(t, Config{Machine: m})
	for _, path := range []string{"/system/stop", "/system/restart"} {
		if status, body := r.rest("POST", root+path, ""); status != http.StatusAccepted {
			t.Errorf("%d %v", status, body)
		}
	}
	if fmt.Sprint(m.ended) != "[false true]" {
		t.Errorf("ended %v", m.ended)
	}
	m.endErr = errors.New("the configuration has faults")
	if status, body := r.rest("POST", root+"/system/restart", ""); status != http.StatusConflict || body["message"] != "the configuration has faults" {
		t.Errorf("%d %v", status, body)
	}
	if status, _ := r.rest("GET", root+"/system/stop", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", status)
	}
}

func TestTheConfigurationIsShownAndChanged(t *testing.T) {
	m := &fakeMachine{}
	r := start(t, Config{Machine: m})
	path := root + "/system/config"
	if status, body := r.rest("PATCH", path, `{"config":{"region.name":"US915-2"}}`); status != http.StatusOK || m.region != "US915-2" {
		t.Errorf("%d %v", status, body)
	}
	if status, body := r.rest("PATCH", path, `{"region.nam":"x"}`); status != http.StatusBadRequest || body["field"] != "region.nam" || body["message"] != "region.nam: unknown key" {
		t.Errorf("%d %v", status, body)
	}
	m.readOnly = "edit it on the gateway"
	if status, body := r.rest("PATCH", path, `{"region.name":"EU868"}`); status != http.StatusConflict || body["message"] != "edit it on the gateway" || m.region != "US915-2" {
		t.Errorf("%d %v", status, body)
	}
}

func TestTheAuditTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.rest("GET", root+"/keys?access_token=0123456789abcdef0123456789abcdef", "", "Authorization", "")
		r.rest("POST", root+"/filters", `{}`)
		_, body := r.rest("GET", root+"/audit", "")
		all := body["audit"].([]any)
		if len(all) != 2 || all[0].(map[string]any)["what"] != "changed" || all[1].(map[string]any)["code"] != codeUnknownToken || all[1].(map[string]any)["path"] != root+"/keys" {
			t.Errorf("%v", all)
		}
		for range mostAudited {
			r.rest("POST", root+"/filters", `{}`)
		}
		if _, body := r.rest("GET", root+"/audit?limit=1", ""); body["total"] != float64(mostAudited) || len(body["audit"].([]any)) != 1 {
			t.Errorf("%v of them", body["total"])
		}
	})
}

func TestClientsAreShownAndEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		path := root + "/clients"
		admin := r.token
		r.token = r.key(Key{Description: "my AS", Rights: []Right{RightData}})
		c := r.connect("types=uplink")
		r.Publish(realEvent())
		r.next(c)
		r.token = admin
		_, body := r.rest("GET", path, "")
		all := body["clients"].([]any)
		if len(all) != 1 {
			t.Fatalf("%v", body)
		}
		one := all[0].(map[string]any)
		if one["description"] != "my AS" || one["types"] != "uplink" || one["sent"] != 1.0 || one["queue"] != 512.0 {
			t.Errorf("%v", one)
		}
		if status, _ := r.rest("DELETE", path+"/99", ""); status != http.StatusNotFound {
			t.Errorf("another one: %d", status)
		}
		if status, body := r.rest("DELETE", path+"/"+one["id"].(string), ""); status != http.StatusNoContent {
			t.Errorf("%d %v", status, body)
		}
		if code, _ := closeCode(c); code != closePolicy {
			t.Errorf("closed with %d", code)
		}
	})
}
