package dataapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
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

// BenchmarkPublishToClients publishes 50 uplinks a second to n connections
// over TCP and reports the time from Publish to each client, and what a
// connection costs in memory; the clients live in the same process.
func BenchmarkPublishToClients(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("connections%d", n), func(b *testing.B) { publishToClients(b, n) })
	}
}

func publishToClients(b *testing.B, connections int) {
	s, address := serveTCP(b)
	_, token, err := s.Keys().Create(Key{Rights: []Right{RightData}})
	if err != nil {
		b.Fatal(err)
	}
	var a arrivals
	before := memoryInUse()
	for i := range connections {
		url := fmt.Sprintf("ws://%s/api/v1.0/data?access_token=%s&radio=%d&lora=%d", address, token, i&1, i>>1&1)
		c, _, err := websocket.DefaultDialer.Dial(url, nil) //nolint:bodyclose // Dial closes it
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		go a.read(c)
	}
	perConnection := float64(memoryInUse()-before) / float64(connections)
	ev := realEvent()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		a.pending.Add(connections)
		a.published.Store(time.Now().UnixNano())
		s.Publish(ev)
		a.pending.Wait()
	}
	slices.Sort(a.waits)
	b.ReportMetric(float64(a.waits[len(a.waits)/2].Microseconds()), "µs-median")
	b.ReportMetric(float64(a.waits[len(a.waits)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(perConnection/1024, "KiB/connection")
}

// serveTCP runs a server until the benchmark ends.
func serveTCP(b *testing.B) (*Server, net.Addr) {
	s, err := New(Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	running.Go(func() { _ = s.Serve(ctx, l) })
	b.Cleanup(func() { cancel(); running.Wait() })
	return s, l.Addr()
}

// arrivals are the times from Publish to the clients.
type arrivals struct {
	published atomic.Int64 // ns
	pending   sync.WaitGroup
	mu        sync.Mutex
	waits     []time.Duration
}

func (a *arrivals) read(c *websocket.Conn) {
	for {
		_, r, err := c.NextReader()
		if err != nil {
			return
		}
		took := time.Since(time.Unix(0, a.published.Load()))
		_, _ = io.Copy(io.Discard, r)
		a.mu.Lock()
		a.waits = append(a.waits, took)
		a.mu.Unlock()
		a.pending.Done()
	}
}

func memoryInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// benchEncoder is an encoder whose messages nobody checks.
func benchEncoder() *encoder {
	e := testEncoder(nil)
	e.made = nil
	return e
}
