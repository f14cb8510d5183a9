package air

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Whatever a client says, it gets lines of JSON within the limit, an error
// changes nothing, and the next request works.
func FuzzProtocol(f *testing.F) {
	const lora = `"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"payload":"AQI="`
	for _, line := range []string{
		`{"op":"hello","name":"x","position":[1,2,3]}`,
		`{"op":"time"}`,
		`{"op":"tx","id":1,"power_dbm":14,` + lora + `,"cr":"4/8","sync_word":18,"at_us":5}`,
		`{"op":"tx","id":"a","power_dbm":14,"freq_hz":868800000,"modulation":"FSK","bitrate":50000,"payload":""}`,
		`{"op":"rx","id":-1e3,"iq_inverted":true,` + lora + `,"from_us":1,"until_us":2}`,
		`{"op":"cancel","id":1}`,
		`{"op":"monitor","on":false}`,
		`{"op":"idle","seen":1,"until_us":2}`,
		`{"op":null,"id":{}}`,
		"{\"op\":\"<\u2028\"}",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || len(line) > maxLine || bytes.ContainsRune(line, '\n') {
			return
		}
		m := New(Config{})
		defer m.Close()
		c := &client{m: m, out: make(chan []byte, 8), fail: func(err error) { t.Error(err) }, txs: map[string]uint64{}, rxs: map[string]func() bool{}}
		defer c.leave()
		c.handle(line)
		for len(c.out) > 0 {
			var answer struct{ Op, Message string }
			got := <-c.out
			if err := json.Unmarshal(got, &answer); err != nil || len(got) > maxLine || got[len(got)-1] != '\n' {
				t.Fatalf("answer %q: %v", got, err)
			}
			if answer.Op == "error" && (answer.Message == "" || len(c.txs)+len(c.rxs) > 0 || c.monitor != nil || c.station != nil) {
				t.Errorf("%q: error %q changed something", line, got)
			}
		}
		c.handle([]byte(`{"op":"time"}`))
		if got := <-c.out; !bytes.Contains(got, []byte(`"now_us"`)) {
			t.Errorf("then time answers %q", got)
		}
	})
}
