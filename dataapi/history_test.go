package dataapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// uplinkNumber is an uplink of now.
func uplinkNumber(n uint32) *nsedge.UplinkEvent {
	ev := *realEvent()
	ev.Time, ev.RXTime, ev.Counter = time.Now(), time.Now(), n
	return &ev
}

func notice(code string) *nsedge.Notice {
	m := realMeta()
	m.Time = time.Now()
	return &nsedge.Notice{Meta: m, Level: nsedge.Info, Code: code, Message: "text"}
}

// past publishes n uplinks, a (virtual) second apart, and waits until they
// are history.
func (r *rig) past(n int) {
	r.Helper()
	for i := range n {
		r.Publish(uplinkNumber(uint32(i)))
		time.Sleep(time.Second) // virtual
	}
	synctest.Wait()
}

func counters(list []any) (out []int) {
	for _, m := range list {
		params := m.(map[string]any)["params"].(map[string]any)
		if c, ok := params["counter_up"].(float64); ok {
			out = append(out, int(c))
		}
	}
	return out
}

func TestThePastIsReplayedInOrderAndMarkedThenComesTheNew(t *testing.T) {
	for _, c := range []struct {
		query string // @7 is seven seconds after the start
		want  []int
	}{
		{"last_messages=3", []int{7, 8, 9}},
		{"last_messages=1000", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"from_unixtime=0.5&last_messages=2", []int{8, 9}},
		{"from_unixtime=@7", []int{7, 8, 9}},
		{"from_unixtime=@7.000001", []int{8, 9}},
		{"from_unixtime=@5&last_messages=1", []int{9}},
		{"from_unixtime=@60", nil},
		{"last_messages=1&tags=demo&radio=1&types=uplink,info", []int{9}},
		{"last_messages=0", nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Config{})
			began := time.Now().Unix()
			r.past(10)
			before, after, at := strings.Cut(c.query, "@")
			query := c.query
			if at {
				query = fmt.Sprintf("%s%d%s", before, began+int64(after[0]-'0'), after[1:])
			}
			if strings.Contains(c.query, "@60") {
				query = fmt.Sprintf("from_unixtime=%d", began+60)
			}
			conn := r.connect(query)
			for _, want := range c.want {
				m := r.next(conn)
				if m.Params["counter_up"] != float64(want) || m.Meta["history"] != true {
					t.Errorf("%s: wanted uplink %d, got %v %v", query, want, m.Params["counter_up"], m.Meta)
				}
				if (m.Params["radio"] != nil) != strings.Contains(query, "radio=1") {
					t.Errorf("%s: radio of a replayed message: %v", query, m.Params["radio"])
				}
			}
			r.Publish(uplinkNumber(4711))
			if m := r.next(conn); m.Params["counter_up"] != 4711.0 || m.Meta["history"] != nil {
				t.Errorf("%s: the past is followed by %v", query, m)
			}
		})
	}
}

func TestAReplayedMessageKeepsItsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		live := r.connect("")
		r.Publish(uplinkNumber(1))
		a := r.next(live)
		b := r.next(r.connect("last_messages=1"))
		if a.Meta["packet_id"] != b.Meta["packet_id"] || a.Meta["history"] != nil || b.Meta["history"] != true {
			t.Errorf("live %v, replayed %v", a.Meta, b.Meta)
		}
	})
}

func TestReconnectingLosesNothingAndDoublesOnlyWhatIsMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		const total = 500
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range total {
				r.Publish(uplinkNumber(uint32(i)))
				time.Sleep(10 * time.Millisecond) // virtual
			}
		}()
		seen := map[int]int{}
		marked := map[int]int{}
		last := float64(time.Now().UnixMicro()) / 1e6
		for round := 0; len(seen) < total; round++ {
			conn := r.connect(fmt.Sprintf("from_unixtime=%.6f", last))
			for range 1 + round%7 {
				m := r.next(conn)
				n := int(m.Params["counter_up"].(float64))
				if m.Meta["history"] == true {
					marked[n]++
				} else if seen[n] > 0 {
					t.Fatalf("uplink %d came again without a mark", n)
				}
				seen[n]++
				last = max(last, m.Meta["time"].(float64))
				if len(seen) == total {
					break
				}
			}
			conn.Close()
			if round > 2*total {
				t.Fatalf("only %d of %d came", len(seen), total)
			}
		}
		<-done
		if len(marked) == 0 {
			t.Error("nothing was replayed: the test shows nothing")
		}
	})
}

func TestTheNewDoesNotWaitForThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.past(1000)
		conn := r.connect("last_messages=1000")
		if m := r.next(conn); m.Meta["history"] != true {
			t.Fatalf("got %v", m)
		}
		r.Publish(uplinkNumber(4711))
		synctest.Wait()
		// A net.Pipe has no buffer: one message was being written, no more.
		before := 0
		for r.next(conn).Params["counter_up"] != 4711.0 {
			before++
		}
		if before > 2 {
			t.Errorf("%d replayed messages went before the new one", before)
		}
		for range 999 - before {
			if m := r.next(conn); m.Meta["history"] != true {
				t.Errorf("got %v", m.Meta)
			}
		}
	})
}

func TestUplinksLast48HoursAndTheRestOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		held := func() (types string) {
			_, body := r.rest("GET", "/api/v1.0/history/data.json?types=uplink,info", "")
			var list []struct{ Type string }
			if err := json.Unmarshal([]byte(body["text"].(string)), &list); err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				types += m.Type + " "
			}
			return types
		}
		r.Publish(uplinkNumber(1))
		r.Publish(notice("a"))
		for _, c := range []struct {
			wait time.Duration
			want string
		}{{0, "uplink info "}, {time.Hour - time.Second, "uplink info "}, {2 * time.Second, "uplink "}, {46*time.Hour + 59*time.Minute, "uplink "}, {2 * time.Minute, ""}} {
			time.Sleep(c.wait) // virtual
			synctest.Wait()
			if got := held(); got != c.want {
				t.Errorf("after another %v: %q, want %q", c.wait, got, c.want)
			}
		}
	})
}

func TestTheHistoryIsBoundedInBytes(t *testing.T) {
	const most = 1 << 20
	h := newHistory(most)
	for i := range 20_000 {
		h.record(uplink, uplinkNumber(uint32(i)), packetID{})
		h.record(infoNotice, notice("flood"), packetID{})
		if _, bytes := h.held(); bytes > most {
			t.Fatalf("%d bytes after %d events", bytes, i)
		}
	}
	through := h.newest()
	var c cursor
	p, ok := h.next(&c, through, func(p *past) bool { return p.kind == uplink })
	if !ok {
		t.Fatal("a flood of notices displaced the uplinks")
	}
	first := p.event.(*nsedge.UplinkEvent).Counter
	n := 1
	for ; ; n++ {
		if p, ok = h.next(&c, through, func(p *past) bool { return p.kind == uplink }); !ok {
			break
		}
		if got := p.event.(*nsedge.UplinkEvent).Counter; got != first+uint32(n) {
			t.Fatalf("after %d events comes %d, want %d", n, got, first+uint32(n))
		}
	}
	if first+uint32(n) != 20_000 {
		t.Errorf("the newest uplink is missing: %d from %d", n, first)
	}
}

// freshEvent shares nothing with another, as those of the edge do.
func freshEvent(n uint32) *nsedge.UplinkEvent {
	ev := uplinkNumber(n)
	ev.Payload = append([]byte(nil), ev.Payload...)
	ev.Encrypted = append([]byte(nil), ev.Encrypted...)
	ev.Radio.Mod = radio.LoRa{SF: 7 + uint8(n%6), Bandwidth: 125_000}
	return ev
}

func TestTheEstimateOfMemoryIsTrue(t *testing.T) {
	h := newHistory(1 << 30)
	before := heapInUse()
	for i := range 20_000 {
		h.record(uplink, freshEvent(uint32(i)), packetID{})
	}
	used := heapInUse() - before
	events, bytes := h.held()
	t.Logf("%d bytes per event, estimated %d", used/uint64(events), bytes/events)
	if ratio := float64(used) / float64(bytes); ratio > 1.15 || ratio < 0.6 {
		t.Errorf("%d events take %d bytes of the heap, estimated %d", events, used, bytes)
	}
	runtime.KeepAlive(h)
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// list is a bare list of the Management API.
func (r *rig) list(path string) []any {
	r.Helper()
	status, body := r.rest("GET", path, "")
	text, ok := body["text"].(string)
	var list []any
	if status != http.StatusOK || !ok || json.Unmarshal([]byte(text), &list) != nil || list == nil {
		r.Fatalf("%s: %d %v", path, status, body)
	}
	return list
}

func TestHistoryOverREST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		const path = "/api/v1.0/history/data.json"
		if list := r.list(path); len(list) != 0 {
			t.Errorf("empty history: %v", list)
		}
		began := time.Now().UTC()
		r.past(5)
		copied := uplinkNumber(9)
		copied.Duplicate = true
		r.Publish(copied)
		synctest.Wait()
		stamp := func(seconds int) string {
			return began.Add(time.Duration(seconds) * time.Second).Format(stampLayout)
		}
		for _, c := range []struct {
			query string
			want  string
		}{
			{"", "[0 1 2 3 4]"},
			{"duplicate=1", "[0 1 2 3 4 9]"},
			{"limit=2", "[3 4]"},
			{"from=" + stamp(1) + "&limit=2", "[1 2]"},
			{"from=" + stamp(1) + "&to=" + stamp(3), "[1 2 3]"},
			{"to=" + stamp(1), "[0 1]"},
			{"to=" + stamp(1) + "&limit=1", "[1]"},
			{"limit=0", "[]"},
			{"from=" + stamp(9), "[]"},
			{"types=info", "[]"},
			{"types=uplink&devices=000516800011ABF6", "[0 1 2 3 4]"},
			{"devices=0000000000000009", "[]"},
			{"unknown=1&limit=300", "[0 1 2 3 4]"},
		} {
			if got := fmt.Sprint(counters(r.list(path + "?" + c.query))); got != c.want {
				t.Errorf("%s: %s, want %s", c.query, got, c.want)
			}
		}
		if m := r.list(path + "?limit=1")[0].(map[string]any)["meta"].(map[string]any); m["history"] != true {
			t.Errorf("meta %v", m)
		}
		for query, field := range map[string]string{"from=2026": "from", "to=20261323000000": "to", "limit=10001": "limit", "types=x": "types", "filter=nosuch": "filter"} {
			if status, body := r.rest("GET", path+"?"+query, ""); status != http.StatusBadRequest || body["field"] != field {
				t.Errorf("%s: %d %v", query, status, body)
			}
		}
		weak := r.key(Key{Rights: []Right{RightDevices}})
		if status, body := r.rest("GET", path, "", "Authorization", "Bearer "+weak); status != http.StatusForbidden {
			t.Errorf("without the right data: %d %v", status, body)
		}
	})
}

func TestStoredFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		const path = "/api/v1.0/filters"
		status, body := r.rest("POST", path, `{"description":"d","types":"uplink, error","devices":"000516800011ABF6","tags":["demo"],"id":"mine","gateways":null}`)
		f, _ := body["filter"].(map[string]any)
		if status != http.StatusCreated || len(body) != 1 || f["types"] != "uplink, error" || f["tags"] != "demo" || f["gateways"] != "" {
			t.Fatalf("%d %v", status, body)
		}
		id := f["id"].(string)
		conn := r.connect("radio=1&filter=" + strings.ToUpper(id))
		r.Publish(realRequest())
		r.Publish(uplinkNumber(1))
		if m := r.next(conn); m.Type != "uplink" || m.Params["radio"] == nil {
			t.Errorf("through the filter came %v", m)
		}
		if status, body = r.rest("GET", path, ""); status != http.StatusOK || body["total"] != 1.0 || len(body["filters"].([]any)) != 1 {
			t.Errorf("%d %v", status, body)
		}
		if status, body = r.rest("PATCH", path+"/"+id, `{"filter":{"types":"info"}}`); status != http.StatusOK || body["filter"].(map[string]any)["types"] != "info" || body["filter"].(map[string]any)["tags"] != "demo" {
			t.Errorf("%d %v", status, body)
		}
		for _, bad := range []struct{ text, field string }{{`{"types":"downlink_response"}`, "types"}, {`{"devices":"1"}`, "devices"}, {`{"tags":7}`, "tags"}, {`{"description":[]}`, "description"}} {
			if status, body = r.rest("POST", path, bad.text); status != http.StatusBadRequest || body["field"] != bad.field || body["code"] != codeBadField {
				t.Errorf("%s: %d %v", bad.text, status, body)
			}
		}
		if status, body = r.rest("GET", path+"/"+id, ""); status != http.StatusOK || body["filter"].(map[string]any)["id"] != id {
			t.Errorf("%d %v", status, body)
		}
		if status, body = r.rest("DELETE", path+"/"+id, ""); status != http.StatusNoContent {
			t.Errorf("%d %v", status, body)
		}
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			if status, body = r.rest(method, path+"/"+id, `{}`); status != http.StatusNotFound {
				t.Errorf("%s of a deleted filter: %d %v", method, status, body)
			}
		}
	})
}

func TestVeryOldClientsGetModulationAsANumber(t *testing.T) {
	fsk := realEvent()
	fsk.Radio.Mod = radio.FSK{BitRate: 50_000}
	for _, c := range []struct {
		ev    *nsedge.UplinkEvent
		shape shape
		want  string
	}{{realEvent(), withRadio, `"type":"LORA"`}, {realEvent(), withRadio | withNumbers, `"type":0`}, {fsk, withRadio, `"type":"FSK"`}, {fsk, withRadio | withNumbers, `"type":1`}} {
		if text := string(testEncoder(t).event(c.ev, realID, c.shape)); !strings.Contains(text, `"modulation":{`+c.want) {
			t.Errorf("wanted %s in %s", c.want, text)
		}
	}
	r, err := parseRequest(parseParameters("radio=1&numeric_modulation=1"))
	if err != nil || r.shape != withRadio|withNumbers {
		t.Errorf("%v %v", r, err)
	}
}

// BenchmarkReplay is the cost of one replayed message.
func BenchmarkReplay(b *testing.B) {
	h := newHistory(1 << 30)
	for i := range 50_000 {
		h.record(uplink, freshEvent(uint32(i)), packetID{})
	}
	e := benchEncoder()
	b.ReportAllocs()
	p := &replay{history: h, through: h.newest(), wanted: func(*past) bool { return true }}
	for b.Loop() {
		ev, ok := p.next()
		if !ok {
			p.cursor = cursor{}
			continue
		}
		_, _ = io.Discard.Write(e.event(ev.event, ev.id, replayed))
	}
}

func TestTheEndOfTheReplayIsMarkedForWhoAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.Publish(realEvent())
		synctest.Wait()
		for query, past := range map[string]int{"types=uplink&last_messages=1&history_end=1": 1, "types=uplink&history_end=1": 0} {
			opened := time.Now()
			c := r.connect(query)
			time.Sleep(time.Second)
			for range past {
				if e := r.next(c); e.Type != "uplink" || e.Meta["history"] != true {
					t.Errorf("%s: %v", query, e)
				}
			}
			e := r.next(c)
			if e.Type != "info" || e.Params["code"] != codeHistoryEnd || len(e.Meta) != 1 || e.Meta["time"] != float64(opened.UnixMicro())/1e6 {
				t.Errorf("%s: %v at %v", query, e, opened)
			}
			r.Publish(realEvent())
			if e := r.next(c); e.Type != "uplink" {
				t.Errorf("%s: then came %v", query, e)
			}
			c.Close()
		}
	})
}

// held is how many events and bytes are remembered.
func (h *history) held() (events, bytes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.shelf {
		events += len(s.events)
		bytes += s.bytes
	}
	return events, bytes
}
