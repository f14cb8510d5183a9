package dataapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"gatewayd/nsedge"
)

// perSecond uplinks are published, whether or not the last ones arrived.
const perSecond = 50

// load is a benchmark of many clients over TCP; they live in the same process,
// whose cores they share with the server.
type load struct {
	*testing.B
	server  *Server
	address string
	token   string
	dialer  websocket.Dialer

	published []atomic.Int64 // when, by counter modulo their number; ns
	pending   atomic.Int64
	clients   []*arrivals
	reading   sync.WaitGroup
}

// arrivals are the times from Publish to one client.
type arrivals struct{ waits []time.Duration }

func newLoad(b *testing.B) *load {
	s, err := New(Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	l := &load{B: b, server: s, address: listener.Addr().String(), published: make([]atomic.Int64, 1<<16),
		dialer: websocket.Dialer{ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{}}}
	if _, l.token, err = s.Keys().Create(Key{Rights: []Right{RightData}}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	running.Go(func() { _ = s.Serve(ctx, listener) })
	b.Cleanup(func() { cancel(); running.Wait(); l.reading.Wait() })
	return l
}

func (l *load) dial(query string) *websocket.Conn {
	c, resp, err := l.dialer.Dial("ws://"+l.address+"/api/v1.0/data?access_token="+l.token+"&"+query, nil)
	if err != nil {
		l.Fatal(err)
	}
	_ = resp.Body.Close()
	l.Cleanup(func() { c.Close() })
	return c
}

// client reads until the end.
func (l *load) client(query string) {
	a, c := &arrivals{}, l.dial(query)
	l.clients = append(l.clients, a)
	l.reading.Go(func() {
		buffer := make([]byte, 2048)
		for {
			text, err := readInto(buffer, c)
			if err != nil {
				return
			}
			now := time.Now().UnixNano()
			_, rest, _ := bytes.Cut(text, []byte(`"counter_up":`))
			digits, _, _ := bytes.Cut(rest, []byte(","))
			n, err := strconv.Atoi(string(digits))
			if err != nil {
				l.Errorf("%s: %v", text, err)
				return
			}
			a.waits = append(a.waits, time.Duration(now-l.published[n%len(l.published)].Load()))
			l.pending.Add(-1)
		}
	})
}

// readInto reads a message without a new allocation for each.
func readInto(buffer []byte, c *websocket.Conn) ([]byte, error) {
	_, r, err := c.NextReader()
	if err != nil {
		return nil, err
	}
	n, err := io.ReadFull(r, buffer)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return buffer[:n], err
}

// run publishes the events in turn, and waits until all that match arrived.
func (l *load) run(events []*nsedge.UplinkEvent, matching func(*nsedge.UplinkEvent) int) {
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	n := 0
	for l.Loop() {
		<-tick.C
		ev := *events[n%len(events)]
		ev.Counter = uint32(n)
		l.pending.Add(int64(matching(&ev)))
		l.published[n%len(l.published)].Store(time.Now().UnixNano())
		l.server.Publish(&ev)
		n++
	}
	for deadline := time.Now().Add(time.Minute); l.pending.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("%d messages did not arrive", l.pending.Load())
		}
	}
	var all []time.Duration
	for _, a := range l.clients {
		all = append(all, a.waits...)
	}
	report(l.B, all)
}

func report(b *testing.B, waits []time.Duration) {
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "µs-median")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "µs-p99")
}

// BenchmarkPublishToClients: every client wants everything, in four shapes.
func BenchmarkPublishToClients(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("connections%d", n), func(b *testing.B) {
			l := newLoad(b)
			for i := range n {
				l.client(fmt.Sprintf("types=uplink&radio=%d&lora=%d", i&1, i>>1&1))
			}
			l.run([]*nsedge.UplinkEvent{realEvent()}, func(*nsedge.UplinkEvent) int { return n })
		})
	}
}

// BenchmarkFilters: 1000 clients with different filters. A quarter wants one of
// 100 devices each, a quarter one of ten tags, a quarter one of five
// applications, a quarter everything.
func BenchmarkFilters(b *testing.B) {
	b.Run("alone", func(b *testing.B) { filters(b, func(*load) {}) })
	b.Run("stalled10", func(b *testing.B) {
		filters(b, func(l *load) {
			for range 10 {
				l.dial("types=uplink&radio=1&lora=1") // and reads nothing
			}
		})
	})
	b.Run("flood", func(b *testing.B) { filters(b, flood) })
}

func filters(b *testing.B, beside func(*load)) {
	l := newLoad(b)
	var events []*nsedge.UplinkEvent
	for i := range 100 {
		ev := realEvent()
		ev.Device[7], ev.Application[7], ev.Tags = byte(i), byte(i%5), []string{fmt.Sprint("t", i%10)}
		events = append(events, ev)
	}
	before := memoryInUse()
	for i := range 1000 {
		ev := events[i/4%100]
		l.client("types=uplink&" + []string{"devices=" + ev.Device.String(), "tags=" + ev.Tags[0] + "&radio=1", "applications=" + ev.Application.String() + "&lora=1", "radio=1&lora=1"}[i%4])
	}
	perConnection := float64(memoryInUse()-before) / 1000 / 1024
	beside(l)
	requests := map[string]int{}
	for i := range 1000 {
		ev := events[i/4%100]
		requests[[]string{ev.Device.String(), ev.Tags[0], ev.Application.String(), "all"}[i%4]]++
	}
	l.run(events, func(ev *nsedge.UplinkEvent) int {
		return requests[ev.Device.String()] + requests[ev.Tags[0]] + requests[ev.Application.String()] + requests["all"]
	})
	b.ReportMetric(perConnection, "KiB/connection")
}

// flood sends 10 000 malformed messages a second; whenever it is cut off, it
// comes again.
func flood(l *load) {
	junk := bytes.Repeat([]byte("{"), 200)
	ctx, cancel := context.WithCancel(l.Context())
	var cuts atomic.Int64
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		var c *websocket.Conn
		for ctx.Err() == nil {
			<-tick.C
			if c == nil {
				var resp *http.Response
				var err error
				if c, resp, err = l.dialer.DialContext(ctx, "ws://"+l.address+"/api/v1.0/data?types=error&devices="+euiText+"&access_token="+l.token, nil); err != nil {
					c = nil
					continue
				}
				_ = resp.Body.Close()
				go func(c *websocket.Conn) { _, _ = closeCode(c); cuts.Add(1); c.Close() }(c)
			}
			for range 100 {
				if c.WriteMessage(websocket.TextMessage, junk) != nil {
					c.Close()
					c = nil
					break
				}
			}
		}
	})
	l.Cleanup(func() {
		cancel()
		done.Wait()
		if cuts.Load() == 0 {
			l.Error("the flood was not cut off")
		}
	})
}

// BenchmarkEchoServer is the floor: a plain gorilla server that sends back
// what 1000 clients send 50 times a second, of the size of an uplink; the time
// there and back.
func BenchmarkEchoServer(b *testing.B) {
	const n = 1000
	up := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, text, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, text) != nil {
				return
			}
		}
	}))
	defer server.Close()
	text := benchEncoder().event(realEvent(), realID, withRadio|withLoRa)
	dialer := websocket.Dialer{ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{}}
	var began atomic.Int64
	var pending sync.WaitGroup
	waits := make([][]time.Duration, n)
	var conns []*websocket.Conn
	for i := range n {
		c, resp, err := dialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
		if err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
		defer c.Close()
		conns = append(conns, c)
		go func() {
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					return
				}
				waits[i] = append(waits[i], time.Duration(time.Now().UnixNano()-began.Load()))
				pending.Done()
			}
		}()
	}
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		pending.Add(n)
		began.Store(time.Now().UnixNano())
		for _, c := range conns {
			if err := c.WriteMessage(websocket.TextMessage, text); err != nil {
				b.Fatal(err)
			}
		}
		pending.Wait()
	}
	report(b, slices.Concat(waits...))
}

func memoryInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
