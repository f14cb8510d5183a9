package dataapi

import (
	"fmt"
	"testing"
)

// BenchmarkEncode is the cost of one uplink in each shape.
func BenchmarkEncode(b *testing.B) {
	e, ev := benchEncoder(), realEvent()
	for s := range shape(shapes) {
		b.Run(fmt.Sprintf("shape%d", s), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.event(ev, realID, s)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	e := benchEncoder()
	text := []byte(`{"type":"downlink_response","meta":{"device":"` + euiText + `","packet_hash":"` + hashText + `"},"params":{"payload":"AQID","port":10}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.decode(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeliver is the owner's cost of one uplink for n connections that
// want four shapes; the sockets are left out.
func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("connections%d", n), func(b *testing.B) {
			s, err := New(Config{})
			if err != nil {
				b.Fatal(err)
			}
			for i := range n {
				c := &subscriber{queue: make(chan *frame, 4), gone: make(chan struct{}), filter: filter{kinds: defaultKinds}, shape: shape(i % shapes)}
				s.subscribers[c] = struct{}{}
			}
			ev := realEvent()
			b.ReportAllocs()
			for b.Loop() {
				s.deliver(ev)
				for c := range s.subscribers {
					<-c.queue
				}
			}
		})
	}
}

// benchEncoder is an encoder whose messages nobody checks.
func benchEncoder() *encoder {
	e := testEncoder(nil)
	e.made = nil
	return e
}
