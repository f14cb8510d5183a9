package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/dataapi"
	"gatewayd/dataapi/client"
	"gatewayd/dataapi/inproc"
	"gatewayd/nsedge"
	"gatewayd/radio"
)

// edge takes every answer.
type edge struct {
	dataapi.Edge
	mu      sync.Mutex
	answers []nsedge.Answer
}

func (e *edge) Answer(_ context.Context, a nsedge.Answer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers = append(e.answers, a)
	return nil
}

// server is a Data API that runs.
type server struct {
	*dataapi.Server
	*inproc.Listener
	edge  edge
	token string
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{Listener: inproc.Listen()}
	var err error
	if s.Server, err = dataapi.New(dataapi.Config{Edge: &s.edge, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if _, s.token, err = s.Keys().Create(dataapi.Key{Rights: dataapi.AllRights()}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	running.Go(func() { _ = s.Serve(ctx, s.Listener) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

// uplink publishes one whose counter is n.
func (s *server) uplink(n uint32) {
	at := time.Now()
	s.Publish(&nsedge.UplinkEvent{
		Meta:   nsedge.Meta{Device: radio.EUI64{1}, DevAddr: nsedge.DevAddr{1}, Gateway: radio.EUI64{2}, PacketHash: nsedge.PacketHash{1, byte(n), byte(n >> 8)}, Time: at},
		RXTime: at, Counter: n, Port: 1, Payload: []byte("x"), Encrypted: []byte("y"),
	})
}

// run lets a client run until the test ends, or stop is called.
func run(t *testing.T, cfg client.Config) (c *client.Client, stop func()) {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return c, func() { cancel(); <-done }
}

// book is what an application heard.
type book struct {
	*testing.T
	mu       sync.Mutex
	counters map[uint32]int
	types    []string
}

func (b *book) handle(_ context.Context, _ *client.Client, m *client.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.types = append(b.types, m.Type)
	if m.Type != client.TypeUplink {
		return
	}
	var up client.Uplink
	if err := m.Decode(&up); err != nil {
		b.Error(err)
	}
	b.counters[up.Counter]++
}

// once checks that each of n uplinks came exactly once.
func (b *book) once(n uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range n {
		if b.counters[i] != 1 {
			b.Errorf("uplink %d came %d times", i, b.counters[i])
		}
	}
	if len(b.counters) != int(n) {
		b.Errorf("%d uplinks came, %d were sent", len(b.counters), n)
	}
}

// cut is a connection that breaks after so many bytes from the server.
type cut struct {
	net.Conn
	left int
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// chaos has a client whose n-th connection breaks after bytes(n) bytes, for as
// long as that is not negative, while uplinks are sent; in the end each must
// have come once. It tells how many there were.
func chaos(t *testing.T, between time.Duration, bytes func(n int) int) (uplinks uint32) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		b := &book{T: t, counters: map[uint32]int{}}
		n := 0
		over := make(chan struct{})
		_, stop := run(t, client.Config{URL: "ws://gw/api/v1.0/data?types=uplink&access_token=" + s.token, Since: time.Now(), Handle: b.handle,
			Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := s.Dial(ctx, network, address)
				left := bytes(n)
				if n++; left >= 0 {
					return &cut{c, left}, err
				}
				close(over)
				return c, err
			}})
		defer stop()
		for {
			select {
			case <-over:
				time.Sleep(time.Minute)
				synctest.Wait()
				b.once(uplinks)
				return
			case <-time.After(between):
				s.uplink(uplinks)
				uplinks++
			}
		}
	})
	return uplinks
}

func TestConnectionsThatBreakAtEachByteLoseNothing(t *testing.T) {
	const last = 1000 // the handshake, and some messages
	n := chaos(t, 20*time.Second, func(n int) int {
		if n > last {
			return -1
		}
		return n
	})
	t.Logf("%d uplinks", n)
	if n < 500 {
		t.Errorf("%d uplinks: the test lost its sense", n)
	}
}

func TestFiveHundredBreaksUnderLoadLoseNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 7))
	n := chaos(t, 50*time.Millisecond, func(n int) int {
		if n == 500 {
			return -1
		}
		return 300 + rnd.IntN(4000)
	})
	t.Logf("%d uplinks", n)
	if n < 500 {
		t.Errorf("%d uplinks: the test lost its sense", n)
	}
}

func TestARestartedApplicationGoesOnWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		cfg := client.Config{URL: "ws://gw/api/v1.0/data?types=uplink", Token: s.token, Dial: s.Dial}
		first := &book{T: t, counters: map[uint32]int{}}
		cfg.Handle = first.handle
		s.uplink(0) // before its time
		time.Sleep(time.Hour)
		c, stop := run(t, cfg)
		synctest.Wait()
		s.uplink(1)
		time.Sleep(time.Minute)
		stop()
		if len(first.counters) != 1 || first.counters[1] != 1 {
			t.Errorf("the first heard %v", first.counters)
		}
		if p := c.Position(); time.Since(p) > 61*time.Second || time.Since(p) < 59*time.Second {
			t.Errorf("position %v at %v", p, time.Now())
		}
		s.uplink(2)
		second := &book{T: t, counters: map[uint32]int{}}
		cfg.Handle, cfg.Since = second.handle, c.Position()
		_, stop = run(t, cfg)
		defer stop()
		time.Sleep(time.Second)
		synctest.Wait()
		if second.counters[2] != 1 || second.counters[0] != 0 {
			t.Errorf("the second heard %v", second.counters)
		}
	})
}

func TestAnswersReachTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		hash := nsedge.PacketHash{7}
		_, stop := run(t, client.Config{URL: "ws://gw/api/v1.0/data", Token: s.token, Dial: s.Dial,
			Handle: func(ctx context.Context, c *client.Client, m *client.Message) {
				var req client.DownlinkRequest
				if err := m.Decode(&req); err != nil || req.MaxSize != 51 || time.Until(req.TXTime.Time()) != time.Second {
					t.Errorf("%+v %v", req, err)
				}
				for _, err := range []error{
					c.Respond(ctx, m, client.DownlinkResponse{Payload: []byte("hello"), Port: 10, Confirmed: true}),
					c.Respond(ctx, m, client.DownlinkResponse{}),
					c.RespondJoin(ctx, m, [16]byte{1}, make([]byte, 16)),
					c.Claim(ctx, "0100000000000000"),
					c.RequestStatus(ctx, "0100000000000000"),
					c.Send(ctx, "status", m.Meta, nil),
				} {
					if err != nil {
						t.Error(err)
					}
				}
			}})
		defer stop()
		synctest.Wait()
		s.Publish(&nsedge.DownlinkRequest{Meta: nsedge.Meta{Device: radio.EUI64{1}, PacketHash: hash, Time: time.Now()}, TXTime: time.Now().Add(time.Second), Deadline: time.Now().Add(time.Second), MaxSize: 51})
		synctest.Wait()
		want := []nsedge.Answer{
			nsedge.DownlinkResponse{PacketHash: hash, Device: radio.EUI64{1}, Payload: []byte("hello"), HasPayload: true, Port: 10, Confirmed: true},
			nsedge.DownlinkResponse{PacketHash: hash, Device: radio.EUI64{1}, Payload: []byte{}, HasPayload: true, Port: 1},
			nsedge.JoinResponse{PacketHash: hash, Device: radio.EUI64{1}, NwkSKey: [16]byte{1}, Accept: make([]byte, 16)},
			nsedge.Claim{Device: radio.EUI64{1}},
			nsedge.StatusRequest{Device: radio.EUI64{1}},
			nsedge.StatusRequest{Device: radio.EUI64{1}},
		}
		got, err := json.Marshal(s.edge.answers)
		if err != nil {
			t.Fatal(err)
		}
		if wanted, _ := json.Marshal(want); string(got) != string(wanted) {
			t.Errorf("got  %s\nwant %s", got, wanted)
		}
	})
}

func TestAClientThatDoesNotRunSendsNothing(t *testing.T) {
	c, err := client.New(client.Config{URL: "ws://gw/api/v1.0/data", Token: "t", Handle: func(context.Context, *client.Client, *client.Message) {}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Claim(t.Context(), "0100000000000000"); !errors.Is(err, client.ErrNotConnected) {
		t.Error(err)
	}
}

func TestARefusalForGoodEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		c, err := client.New(client.Config{URL: "ws://gw/api/v1.0/data", Token: "wrong", Dial: s.Dial, Handle: func(context.Context, *client.Client, *client.Message) {}})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Run(t.Context())
		if r, ok := errors.AsType[*client.Refused](err); !ok || r.Status != http.StatusUnauthorized || r.Code != "unknown_token" {
			t.Errorf("%v", err)
		}
	})
}

func TestABadConfigurationIsRefused(t *testing.T) {
	handle := func(context.Context, *client.Client, *client.Message) {}
	for _, cfg := range []client.Config{{URL: "http://x/", Handle: handle}, {URL: "ws://", Handle: handle}, {URL: "ws://x\n/", Handle: handle}, {URL: "ws://x/"}} {
		if _, err := client.New(cfg); err == nil {
			t.Errorf("%s was taken", cfg.URL)
		}
	}
}
