package dataapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
)

type silentAir struct{}

func (silentAir) Uplinks() <-chan radio.Uplink                   { return nil }
func (silentAir) Reports() <-chan radio.Report                   { return nil }
func (silentAir) Lead(radio.Downlink) time.Duration              { return 0 }
func (silentAir) Schedule(context.Context, radio.Downlink) error { return radio.ErrStopped }

// gateway is a real edge with a real store behind the API.
type gateway struct {
	t       testing.TB
	edge    *nsedge.Edge
	handler http.Handler
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	edge, st := newEdge(t)
	s, err := New(Config{Documents: st, Edge: edge})
	if err != nil {
		t.Fatal(err)
	}
	return &gateway{t, edge, s.LocalHandler()}
}

// newEdge is a real edge with a real store, which nobody runs.
func newEdge(t testing.TB) (*nsedge.Edge, *store.Store) {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	reg, err := region.Lookup("EU868")
	if err != nil {
		t.Fatal(err)
	}
	edge, err := nsedge.New(nsedge.Config{Region: reg, Store: st}, silentAir{}, func(nsedge.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	return edge, st
}

func (g *gateway) do(method, path, body string) (int, string) {
	g.t.Helper()
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, httptest.NewRequest(method, "/api/v1.0/devices"+path, strings.NewReader(body)))
	text, err := io.ReadAll(w.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return w.Code, string(text)
}

func (g *gateway) load(query, file string) (int, importResult) {
	g.t.Helper()
	status, text := g.do("POST", "/import?"+query, file)
	var r importResult
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		g.t.Fatalf("%d %s: %v", status, text, err)
	}
	return status, r
}

const threeDevices = "dev_eui,app_key,tags,rx1.delay\n" +
	"0102030405060701,000102030405060708090a0b0c0d0e0f,\"a,b\",5\n" +
	"0102030405060702,00,,\n" +
	"0102030405060703,000102030405060708090a0b0c0d0e0f,,99\n"

func TestAnImportIsAllOrNothingUnlessFaultsAreSkipped(t *testing.T) {
	g := newGateway(t)
	for _, query := range []string{"dry_run=1", ""} {
		status, r := g.load(query, threeDevices)
		want := map[string]int{"dry_run=1": 200, "": 422}[query]
		if status != want || r.Applied || r.Format != "csv" || r.Counts["created"] != 1 || r.Counts["refused"] != 2 {
			t.Errorf("%q: %d %+v", query, status, r)
		}
		if row := r.Rows[2]; row.At != "line 4" || row.Field != "rx1.delay" || !strings.Contains(row.Message, "99") || !strings.Contains(row.Message, "15") {
			t.Errorf("a fault names row, field, value and what is allowed: %+v", row)
		}
		if _, text := g.do("GET", "", ""); !strings.Contains(text, `"total":0`) {
			t.Errorf("%q changed something: %s", query, text)
		}
	}
	if status, r := g.load("skip_faults=1", threeDevices); status != 200 || !r.Applied || r.Counts["created"] != 1 {
		t.Errorf("%d %+v", status, r)
	}
	if status, r := g.load("", "dev_eui;tags\n0102030405060701;c\n"); status != 200 || !r.Applied || r.Counts["changed"] != 1 {
		t.Errorf("%d %+v", status, r)
	}
	if status, r := g.load("", "dev_eui;tags\n0102030405060701;c\n0102030405060701;d\n"); status != 422 || r.Counts["refused"] != 1 {
		t.Errorf("a device twice: %d %+v", status, r)
	}
	for file, want := range map[string]string{"": "empty", "dev_eui,colour\n": "colour", "{": "cut off", "[1]": "object"} {
		if status, text := g.do("POST", "/import", file); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%q: %d %s", file, status, text)
		}
	}
}

func TestTheLastImportCanBeTakenBack(t *testing.T) {
	g := newGateway(t)
	one := "dev_eui,app_key,tags\n0102030405060701,000102030405060708090a0b0c0d0e0f,=a\n"
	g.load("", one)
	g.load("", strings.Replace(one, "=a", "=b", 1)+"0102030405060702,000102030405060708090a0b0c0d0e0f,new\n")
	if status, text := g.do("POST", "/import/undo", ""); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	if _, text := g.do("GET", "", ""); !strings.Contains(text, `"total":1`) || !strings.Contains(text, `"tags":["=a"]`) {
		t.Errorf("it is not as before: %s", text)
	}
	if status, _ := g.do("POST", "/import/undo", ""); status != 404 {
		t.Errorf("a second time: %d", status)
	}
	g.load("", strings.Replace(one, "=a", "=c", 1))
	g.do("PATCH", "/0102030405060701", `{"tags":["mine"]}`)
	if status, text := g.do("POST", "/import/undo", ""); status != 400 || !strings.Contains(text, "0102030405060701") {
		t.Errorf("a change since then was lost: %d %s", status, text)
	}
}

func TestAnExportComesBackAsItWas(t *testing.T) {
	for _, format := range []string{"csv", "json"} {
		from, to := newGateway(t), newGateway(t)
		status, r := from.load("", `[{"dev_eui":"0102030405060701","app_key":"000102030405060708090a0b0c0d0e0f","app_eui":"1112131415161718","tags":["a,b","c"],"policy":"lab","lorawan_version":"1.0.4",
			"rx1":{"delay":3,"offset":2},"rx2":{"datarate":3,"freq":869525000,"force":true},"max_duty_cycle":4,"adr":{"mode":"static","datarate":2,"tx_power":1},"geolocation":{"lat":1.5,"lng":-2.25,"precision":7},"dev_class":"C","block_uplink":true},
			{"dev_eui":"0102030405060702","activation":"ABP","dev_addr":"01020304","nwkskey":"000102030405060708090a0b0c0d0e0f","appskey":"0f0102030405060708090a0b0c0d0e0f","counter_up":70000,"counter_down":12,"counters_size":4,"mac":"hands-off"}]`)
		if status != 200 || !r.Applied {
			t.Fatalf("%d %+v", status, r)
		}
		_, file := from.do("GET", "/export?keys=1&format="+format, "")
		if status, r := to.load("", file); status != 200 || r.Counts["created"] != 2 || string(r.Format) != format {
			t.Fatalf("%d %+v", status, r)
		}
		if _, again := to.do("GET", "/export?keys=1&format="+format, ""); again != file {
			t.Errorf("%s came back as\n%s", file, again)
		}
		if _, r := to.load("", file); r.Counts["unchanged"] != 2 {
			t.Errorf("a second import changes something: %+v", r)
		}
		if _, bare := from.do("GET", "/export?format="+format, ""); strings.Contains(bare, "0c0d0e0f") {
			t.Error("keys are in an export without them")
		}
	}
}

// manyDevices is a file of them in random order.
func manyDevices(n int) string {
	var file strings.Builder
	file.WriteString("dev_eui,app_key\n")
	for i := range n {
		fmt.Fprintf(&file, "%016x,000102030405060708090a0b0c0d0e0f\n", (i+1)*7919%1_000_003)
	}
	return file.String()
}

// BenchmarkImport is the time that an import of 20 000 devices takes.
func BenchmarkImport(b *testing.B) {
	const n = 20_000
	file := manyDevices(n)
	for b.Loop() {
		b.StopTimer()
		g := newGateway(b)
		b.StartTimer()
		if status, r := g.load("", file); status != 200 || r.Counts["created"] != n {
			b.Fatalf("%d %s", status, r.Message)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/import")
}

// How long it takes is for BenchmarkImport to tell.
func TestManyDevicesAtOnce(t *testing.T) {
	g := newGateway(t)
	const n = 2000
	if status, r := g.load("", manyDevices(n)); status != 200 || r.Counts["created"] != n {
		t.Errorf("%d %s", status, r.Message)
	}
	var last radio.EUI64
	seen := 0
	if err := g.edge.Devices(t.Context(), func(d nsedge.Device) bool {
		if string(d.DevEUI[:]) <= string(last[:]) {
			t.Fatalf("%v after %v", d.DevEUI, last)
		}
		last, seen = d.DevEUI, seen+1
		return true
	}); err != nil || seen != n {
		t.Errorf("%d devices, %v", seen, err)
	}
	if status, text := g.do("POST", "/import/undo", ""); status != 200 {
		t.Errorf("%d %s", status, text)
	}
}
