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
	"syscall"
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

	count     int            // of the published
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
	l.token = l.key()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	running.Go(func() { _ = s.Serve(ctx, listener) })
	b.Cleanup(func() { cancel(); running.Wait(); l.reading.Wait() })
	return l
}

func (l *load) key() (token string) {
	_, token, err := l.server.Keys().Create(Key{Rights: []Right{RightData}})
	if err != nil {
		l.Fatal(err)
	}
	return token
}

func (l *load) dial(query string) *websocket.Conn { return l.dialWith(&l.dialer, query) }

func (l *load) dialWith(dialer *websocket.Dialer, query string) *websocket.Conn {
	c, resp, err := dialer.Dial("ws://"+l.address+"/api/v1.0/data?access_token="+l.token+"&"+query, nil)
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

// run publishes the events in turn as long as the benchmark lasts, and reports
// how long they took to arrive.
func (l *load) run(events []*nsedge.UplinkEvent, matching func(*nsedge.UplinkEvent) int) {
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for l.Loop() {
		<-tick.C
		l.publish(events, matching)
	}
	report(l.B, l.waits())
}

// publish makes the next event. Matching is how many clients want it.
func (l *load) publish(events []*nsedge.UplinkEvent, matching func(*nsedge.UplinkEvent) int) {
	ev := *events[l.count%len(events)]
	ev.Counter = uint32(l.count)
	l.pending.Add(int64(matching(&ev)))
	l.published[l.count%len(l.published)].Store(time.Now().UnixNano())
	l.server.Publish(&ev)
	l.count++
}

// waits are those of all clients since the last call, when all have arrived.
func (l *load) waits() (all []time.Duration) {
	for deadline := time.Now().Add(time.Minute); l.pending.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("%d messages did not arrive", l.pending.Load())
		}
	}
	for _, a := range l.clients {
		all = append(all, a.waits...)
		a.waits = a.waits[:0]
	}
	return all
}

func report(b *testing.B, waits []time.Duration) {
	b.ReportMetric(float64(median(waits).Microseconds()), "µs-median") // sorts
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
// applications, a quarter everything. Rounds of a second with nobody else, with
// ten readers that stall and with a flood take turns, so that what else the
// machine does is in all of them: 21 rounds, whatever b.N.
func BenchmarkFilters(b *testing.B) {
	const rounds = 7
	l := newLoad(b)
	var events []*nsedge.UplinkEvent
	for i := range 100 {
		ev := realEvent()
		ev.Device[7], ev.Application[7], ev.Tags = byte(i), byte(i%5), []string{fmt.Sprint("t", i%10)}
		events = append(events, ev)
	}
	requests := map[string]int{}
	before := memoryInUse()
	for i := range 1000 {
		ev := events[i/4%100]
		l.client("types=uplink&" + []string{"devices=" + ev.Device.String(), "tags=" + ev.Tags[0] + "&radio=1", "applications=" + ev.Application.String() + "&lora=1", "radio=1&lora=1"}[i%4])
		requests[[]string{ev.Device.String(), ev.Tags[0], ev.Application.String(), "all"}[i%4]]++
	}
	perConnection := float64(memoryInUse()-before) / 1000 / 1024
	round := func() []time.Duration {
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		for range perSecond {
			<-tick.C
			l.publish(events, func(ev *nsedge.UplinkEvent) int {
				return requests[ev.Device.String()] + requests[ev.Tags[0]] + requests[ev.Application.String()] + requests["all"]
			})
		}
		return l.waits()
	}
	round() // connections and buffers are warm
	var alone, stalled, flooded []time.Duration
	for range rounds {
		alone = append(alone, round()...)
		end := l.stall(10)
		round() // until they stall
		stalled = append(stalled, round()...)
		end()
		end = l.flood()
		flooded = append(flooded, round()...)
		end()
	}
	report(b, alone)
	b.ReportMetric(float64(median(stalled))/float64(median(alone)), "times-stalled")
	b.ReportMetric(float64(median(flooded))/float64(median(alone)), "times-flooded")
	b.ReportMetric(perConnection, "KiB/connection")
}

func median(waits []time.Duration) time.Duration {
	slices.Sort(waits)
	return waits[len(waits)/2]
}

// stall connects n readers that read nothing. Their buffers are as small as the
// system makes them: after a second of traffic the server waits for them.
func (l *load) stall(n int) (end func()) {
	dialer := l.dialer
	dialer.NetDialContext = (&net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1) }), err)
	}}).DialContext
	var all []*websocket.Conn
	for range n {
		all = append(all, l.dialWith(&dialer, "types=uplink&radio=1&lora=1"))
	}
	return func() {
		for _, c := range all {
			c.Close()
		}
	}
}

// flood sends 10 000 malformed messages a second; whenever it is cut off, it
// comes again. Its key is a new one: floods count by key.
func (l *load) flood() (end func()) {
	junk, token := bytes.Repeat([]byte("{"), 200), l.key()
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
				if c, resp, err = l.dialer.DialContext(ctx, "ws://"+l.address+"/api/v1.0/data?types=error&devices="+euiText+"&access_token="+token, nil); err != nil {
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
		if c != nil {
			c.Close()
		}
	})
	return func() {
		cancel()
		done.Wait()
		if cuts.Load() == 0 {
			l.Error("the flood was not cut off")
		}
	}
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
