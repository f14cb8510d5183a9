package air_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio"
	"gatewayd/radio/air"
)

// pipes is a net.Listener whose connections are net.Pipes, for bubbles.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// script is a client of the air protocol.
type script struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (s *script) say(format string, args ...any) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.conn, format+"\n", args...); err != nil {
		s.t.Fatal(err)
	}
}

// line returns the next line from the air.
func (s *script) line() string {
	s.t.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Hour))
	line, err := s.r.ReadString('\n')
	if err != nil {
		s.t.Fatal(err)
	}
	if len(line) > 4097 {
		s.t.Errorf("line of %d bytes", len(line))
	}
	return strings.TrimSuffix(line, "\n")
}

func (s *script) want(format string, args ...any) {
	s.t.Helper()
	if got, want := s.line(), fmt.Sprintf(format, args...); got != want {
		s.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// wantError wants an error with a ref whose message has all the words.
func (s *script) wantError(ref string, words ...string) {
	s.t.Helper()
	line := s.line()
	var e struct {
		Op, Message string
		Ref         json.RawMessage
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Op != "error" || string(e.Ref) != ref {
		s.t.Fatalf("got %s, want an error with ref %s", line, ref)
	}
	for _, w := range words {
		if !strings.Contains(e.Message, w) {
			s.t.Errorf("message %q lacks %q", e.Message, w)
		}
	}
}

// served runs f in a bubble with a server; dial connects.
func served(t *testing.T, f func(s *sky, dial func() *script)) {
	under(t, air.Config{}, func(s *sky) {
		ctx, cancel := context.WithCancel(s.t.Context())
		l := newPipes()
		done := make(chan error)
		go func() { done <- air.Serve(ctx, l, s.Medium, nil) }()
		f(s, func() *script {
			a, b := net.Pipe()
			l.conns <- a
			return &script{s.t, b, bufio.NewReader(b)}
		})
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Serve: %v", err)
		}
	})
}

const uplink = `"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"payload":"dHdlbnR5IGJ5dGVzIG9mIGxvYWQ="`

// The gateway answers exactly a second after the end of the uplink, and the
// script checks RX1 to the microsecond.
func TestProtocolSession(t *testing.T) {
	served(t, func(s *sky, dial func() *script) {
		c := dial()
		c.say(`{"op":"hello","name":"thermometer","path_loss_db":120,"future":1}`)
		c.want(`{"op":"welcome","version":1,"now_us":0,"gateways":["0016c001f1500001"]}`)
		sleep(1500 * time.Microsecond)
		c.say(`{"op":"time"}`)
		c.want(`{"op":"time","now_us":1500}`)
		c.say(`{"op":"tx","id":"up",%s,"power_dbm":14,"at_us":2000}`, uplink)
		c.want(`{"op":"tx_started","id":"up","start_us":2000,"end_us":58576}`)
		c.say(`{"op":"rx","id":2.50,"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"iq_inverted":true,"from_us":1058576,"until_us":1058600}`)
		c.want(`{"op":"tx_done","id":"up"}`)
		if r := s.ear.ended(); len(r) != 1 || r[0].From != "thermometer" || r[0].RSSI != -106 || r[0].Outcome != air.Clear {
			s.t.Fatalf("the gateway heard %+v", r)
		}
		s.send(s.gateway, air.Frame{Payload: []byte("answer"), Freq: 868_100_000, Mod: inverted(sf(7))}, 1_058_576, 14)
		c.want(`{"op":"rx_frame","id":2.50,"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"cr":"4/5","preamble":8,"sync_word":52,` +
			`"iq_inverted":true,"crc":false,"implicit_header":false,"payload":"YW5zd2Vy","start_us":1058576,"end_us":1089552,"rssi_dbm":-106,"snr_db":11.03}`)
		c.say(`{"op":"rx","id":3,"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"iq_inverted":true,"until_us":1100000}`)
		c.want(`{"op":"rx_timeout","id":3}`)
		// Ids that are free again.
		c.say(`{"op":"rx","id":2.50,"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"iq_inverted":true,"until_us":1100000}`)
		c.want(`{"op":"rx_timeout","id":2.50}`)
		c.say(`{"op":"tx","id":"up",%s,"power_dbm":14,"at_us":2000000}`, uplink)
		c.want(`{"op":"tx_started","id":"up","start_us":2000000,"end_us":2056576}`)
	})
}

func TestProtocolFSK(t *testing.T) {
	served(t, func(_ *sky, dial func() *script) {
		a, b := dial(), dial() // without hello: the defaults
		b.say(`{"op":"rx","id":1,"freq_hz":868800000,"modulation":"FSK","bitrate":50000}`)
		synctest.Wait()
		a.say(`{"op":"tx","id":1,"freq_hz":868800000,"modulation":"FSK","bitrate":50000,"deviation_hz":25000,"preamble":5,"payload":"AQI=","power_dbm":14}`)
		a.want(`{"op":"tx_started","id":1,"start_us":0,"end_us":2080}`) // 13 bytes at 160 µs
		a.want(`{"op":"tx_done","id":1}`)
		b.want(`{"op":"rx_frame","id":1,"freq_hz":868800000,"modulation":"FSK","bitrate":50000,"deviation_hz":25000,"preamble":5,"crc":true,"payload":"AQI=",` +
			`"start_us":0,"end_us":2080,"rssi_dbm":-86,"snr_db":32}`)
	})
}

func TestMonitorSeesEveryTransmission(t *testing.T) {
	served(t, func(s *sky, dial func() *script) {
		a, m := dial(), dial()
		a.say(`{"op":"hello","name":"a"}`)
		a.line()
		m.say(`{"op":"monitor"}`)
		m.say(`{"op":"monitor","on":true}`) // twice is once
		synctest.Wait()
		a.say(`{"op":"tx","id":1,%s,"power_dbm":14,"cr":"4/8","sync_word":18,"implicit_header":true,"crc":false,"preamble":10}`, uplink)
		a.line()
		a.line()
		m.want(`{"op":"on_air","from":"a","freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"cr":"4/8","preamble":10,"sync_word":18,` +
			`"iq_inverted":false,"crc":false,"implicit_header":true,"payload":"dHdlbnR5IGJ5dGVzIG9mIGxvYWQ=","start_us":0,"end_us":63744,"power_dbm":14}`)
		s.send(s.gateway, frame(inverted(sf(7))), 1_000_000, 27)
		if line := m.line(); !strings.HasPrefix(line, `{"op":"on_air","from":"0016c001f1500001",`) || !strings.HasSuffix(line, `"power_dbm":27}`) {
			s.t.Errorf("of the gateway: %s", line)
		}
		m.say(`{"op":"monitor","on":false}`)
		synctest.Wait()
		s.send(s.gateway, frame(sf(7)), 2_000_000, 27)
		sleep(2 * time.Second)
		m.say(`{"op":"time"}`)
		if line := m.line(); !strings.HasPrefix(line, `{"op":"time"`) {
			s.t.Errorf("after monitor off: %s", line)
		}
	})
}

func TestCancel(t *testing.T) {
	served(t, func(s *sky, dial func() *script) {
		c := dial()
		c.say(`{"op":"rx","id":1,"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"iq_inverted":true}`)
		c.say(`{"op":"rx","id":1,"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"iq_inverted":true}`)
		c.wantError("1", "id", "open")
		c.say(`{"op":"cancel","id":1}`)
		c.want(`{"op":"cancelled","id":1}`)
		c.say(`{"op":"cancel","id":1}`)
		c.wantError("1", "no rx is open")
		c.say(`{"op":"tx","id":"x",%s,"power_dbm":14,"at_us":1000000}`, uplink)
		c.line()
		c.say(`{"op":"tx","id":"x",%s,"power_dbm":14,"at_us":2000000}`, uplink)
		c.wantError(`"x"`, "id", "not ended")
		c.say(`{"op":"cancel","id":"x"}`)
		c.want(`{"op":"cancelled","id":"x"}`)
		c.say(`{"op":"tx","id":"x",%s,"power_dbm":14}`, uplink)
		c.line()
		sleep(time.Millisecond)
		c.say(`{"op":"cancel","id":"x"}`)
		c.wantError(`"x"`, "has started")
		c.want(`{"op":"tx_done","id":"x"}`)
		sleep(2 * time.Second)
		if len(s.ear.began()) != 1 {
			s.t.Errorf("%d transmissions on the air", len(s.ear.began()))
		}
		c.say(`{"op":"cancel"}`)
		c.wantError("null", "id is missing")
	})
}

// Each error names the field, the value and what is allowed; nothing changes
// and the connection stays.
func TestBadRequestsAreExplained(t *testing.T) {
	const lora = `"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"power_dbm":14,"payload":""`
	const window = `"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000`
	const fsk = `"freq_hz":868100000,"modulation":"FSK","power_dbm":14,"payload":""`
	long := strings.Repeat("A", 344)
	tests := []struct {
		line, ref string
		words     []string
	}{
		{`{`, "null", []string{"no JSON object"}},
		{`[1]`, "null", []string{"[1]", "no JSON object"}},
		{`null`, "null", []string{"no JSON object"}},
		{"{\"op\":\"\xff\"}", "null", []string{"UTF-8"}},
		{`{}`, "null", []string{"op is missing"}},
		{`{"op":7,"id":1}`, "1", []string{"op", "7", "monitor"}},
		{`{"op":"fly","id":"a"}`, `"a"`, []string{"op", "fly", "hello, time, tx"}},
		{`{"op":"` + strings.Repeat("fly", 100) + `"}`, "null", []string{"op", "flyfly"}},
		{`{"op":"tx","id":true}`, "null", []string{"id", "true", "string or a number"}},
		{`{"op":"tx","id":"` + strings.Repeat("i", 63) + `"}`, "null", []string{"id", "64 bytes"}},
		{`{"op":"hello","name":5}`, "null", []string{"name", "5", "string"}},
		{`{"op":"hello","path_loss_db":-1,"id":4}`, "4", []string{"path_loss_db", "-1", "0.001 to 1000"}},
		{`{"op":"hello","position":[1,2]}`, "null", []string{"position", "[1,2]", "three numbers"}},
		{`{"op":"tx",` + lora + `}`, "null", []string{"id is missing"}},
		{`{"op":"tx","id":1}`, "1", []string{"freq_hz is missing"}},
		{`{"op":"tx","id":1,` + lora + `,"freq_hz":868.1}`, "1", []string{"freq_hz", "868.1", "100000000"}},
		{`{"op":"tx","id":1,` + lora + `,"freq_hz":"868100000"}`, "1", []string{"freq_hz", `"868100000"`}},
		{`{"op":"tx","id":1,` + lora + `,"modulation":"lora"}`, "1", []string{"modulation", "lora", `"LORA", "FSK"`}},
		{`{"op":"tx","id":1,"freq_hz":868100000}`, "1", []string{"modulation is missing"}},
		{`{"op":"tx","id":1,` + lora + `,"sf":13}`, "1", []string{"sf", "13", "5 to 12"}},
		{`{"op":"tx","id":1,` + lora + `,"sf":7.5}`, "1", []string{"sf", "7.5", "whole"}},
		{`{"op":"tx","id":1,` + lora + `,"bw_hz":62500}`, "1", []string{"bw_hz", "62500", "125000, 250000, 500000"}},
		{`{"op":"tx","id":1,` + lora + `,"cr":"5/4"}`, "1", []string{"cr", "5/4", `"4/5"`}},
		{`{"op":"tx","id":1,` + lora + `,"cr":1}`, "1", []string{"cr is 1", `"4/5"`}},
		{`{"op":"tx","id":1,` + lora + `,"sync_word":19}`, "1", []string{"sync_word", "19", "52, 18"}},
		{`{"op":"tx","id":1,` + lora + `,"preamble":0}`, "1", []string{"preamble", "0", "1 to 65535", "symbols"}},
		{`{"op":"tx","id":1,` + lora + `,"sf":12,"preamble":65535}`, "1", []string{"time on air", "at most"}},
		{`{"op":"tx","id":1,` + lora + `,"iq_inverted":1}`, "1", []string{"iq_inverted", "true or false"}},
		{`{"op":"tx","id":1,` + lora + `,"crc":"yes"}`, "1", []string{"crc", "yes", "true or false"}},
		{`{"op":"tx","id":1,` + lora + `,"implicit_header":0}`, "1", []string{"implicit_header"}},
		{`{"op":"tx","id":1,` + lora + `,"power_dbm":41}`, "1", []string{"power_dbm", "41", "-100 to 40"}},
		{`{"op":"tx","id":1,` + lora + `,"power_dbm":null}`, "1", []string{"power_dbm is missing"}},
		{`{"op":"tx","id":1,` + lora + `,"payload":"!"}`, "1", []string{"payload", "!", "base64"}},
		{`{"op":"tx","id":1,` + lora + `,"payload":[1]}`, "1", []string{"payload", "[1]", "base64"}},
		{`{"op":"tx","id":1,` + lora + `,"payload":null}`, "1", []string{"payload is missing"}},
		{`{"op":"tx","id":1,` + lora + `,"payload":"` + long + `"}`, "1", []string{"payload", "0 to 255 bytes"}},
		{`{"op":"tx","id":1,` + lora + `,"at_us":-1}`, "1", []string{"at_us", "-1"}},
		{`{"op":"tx","id":1,` + lora + `,"at_us":999999}`, "1", []string{"at_us", "999999", "now_us is 1000000"}},
		{`{"op":"tx","id":1,` + fsk + `}`, "1", []string{"bitrate is missing"}},
		{`{"op":"tx","id":1,` + fsk + `,"bitrate":499}`, "1", []string{"bitrate", "499"}},
		{`{"op":"tx","id":1,` + fsk + `,"bitrate":50000,"deviation_hz":0}`, "1", []string{"deviation_hz", "0"}},
		{`{"op":"tx","id":1,` + fsk + `,"bitrate":50000,"preamble":"x"}`, "1", []string{"preamble", "bytes"}},
		{`{"op":"rx","id":1,` + window + `}`, "1", []string{"iq_inverted is missing"}},
		{`{"op":"rx",` + window + `,"iq_inverted":true}`, "null", []string{"id is missing"}},
		{`{"op":"rx","id":1,` + window + `,"iq_inverted":true,"from_us":10,"until_us":9}`, "1", []string{"until_us", "9", "from_us", "10"}},
		{`{"op":"rx","id":1,` + window + `,"iq_inverted":true,"from_us":"now"}`, "1", []string{"from_us", "now"}},
		{`{"op":"rx","id":1,` + window + `,"iq_inverted":true,"until_us":1.5}`, "1", []string{"until_us", "1.5"}},
		{`{"op":"rx","id":1,"freq_hz":1}`, "1", []string{"freq_hz", "1"}},
		{`{"op":"idle","seen":-1}`, "null", []string{"seen", "-1"}},
		{`{"op":"idle","until_us":"soon"}`, "null", []string{"until_us", "soon"}},
		{`{"op":"monitor","on":"yes"}`, "null", []string{"on", "yes"}},
	}
	served(t, func(s *sky, dial func() *script) {
		c := dial()
		sleep(time.Second)
		for _, tt := range tests {
			c.say("%s", tt.line)
			c.wantError(tt.ref, tt.words...)
		}
		c.say("\r\n") // empty lines are nothing
		c.say(`{"op":"hello"}`)
		c.want(`{"op":"welcome","version":1,"now_us":1000000,"gateways":["0016c001f1500001"]}`)
		c.say(`{"op":"hello"}`)
		c.wantError("null", "already")
		sleep(time.Second)
		if len(s.ear.began()) != 0 {
			s.t.Errorf("a bad tx was on the air: %+v", s.ear.began())
		}
	})
}

func TestLongestLineAndOneMore(t *testing.T) {
	served(t, func(s *sky, dial func() *script) {
		c := dial()
		const head = `{"op":"time","x":"`
		c.say("%s", head+strings.Repeat("x", 4096-len(head)-2)+`"}`)
		c.want(`{"op":"time","now_us":0}`)
		go fmt.Fprint(c.conn, strings.Repeat("x", 5000))
		c.wantError("null", "4096 bytes", "closed")
		if _, err := c.r.ReadByte(); err == nil {
			s.t.Error("connection is still open")
		}
	})
}

// A monitor that doesn't read doesn't stop the air, and is told why it goes.
func TestSlowClientIsClosed(t *testing.T) {
	served(t, func(s *sky, dial func() *script) {
		c := dial()
		c.say(`{"op":"monitor"}`)
		for range 1100 {
			s.send(s.gateway, air.Frame{Freq: 868_100_000, Mod: radio.LoRa{SF: 5, Bandwidth: 500_000}}, air.Immediately, 14)
			sleep(8 * time.Millisecond)
		}
		if now := s.Now(); now != 8_800_000 {
			s.t.Errorf("air time %d", now)
		}
		c.line() // the one that was being written
		c.wantError("null", "1024 lines", "read faster")
	})
}

func TestClientThatHangsUpLeavesTheAir(t *testing.T) {
	served(t, func(s *sky, dial func() *script) {
		c := dial()
		c.say(`{"op":"monitor"}`)
		c.say(`{"op":"rx","id":1,"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"iq_inverted":true}`)
		c.say(`{"op":"tx","id":1,%s,"power_dbm":14,"at_us":1000000}`, uplink)
		c.line()
		c.conn.Close()
		sleep(2 * time.Second)
		if len(s.ear.began()) != 0 {
			s.t.Error("its planned transmission was on the air")
		}
	})
}

func TestTooManyRequests(t *testing.T) {
	served(t, func(_ *sky, dial func() *script) {
		c := dial()
		for i := range 4096 {
			c.say(`{"op":"rx","id":%d,"freq_hz":868100000,"modulation":"LORA","sf":7,"bw_hz":125000,"iq_inverted":true}`, i)
		}
		c.say(`{"op":"tx","id":"x",%s,"power_dbm":14}`, uplink)
		c.wantError(`"x"`, "4096", "another connection")
	})
}
