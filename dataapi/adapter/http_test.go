package adapter

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/dataapi/inproc"
)

// pipes is a network inside the process that remembers what was dialled, and
// can hang.
type pipes struct {
	*inproc.Listener
	mu    sync.Mutex
	dials []string
	hang  bool
}

func (p *pipes) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	p.dials = append(p.dials, address)
	hang := p.hang
	p.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return p.Dial(ctx, network, address)
}

// seen is a request as the receiver saw it.
type seen struct {
	at                              time.Duration
	method, uri, body               string
	id, retry, authorization, ctype string
}

// bench is an adapter with a receiver at its other end.
type bench struct {
	*testing.T
	*HTTP
	pipes *pipes
	began time.Time

	mu      sync.Mutex
	seen    []seen
	replies []string
}

// posts are the requests that were no health checks.
func (b *bench) posts() (out []seen) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.seen {
		if s.method != http.MethodOptions {
			out = append(out, s)
		}
	}
	return out
}

func startHTTP(t *testing.T, cfg HTTPConfig, receiver http.HandlerFunc) *bench {
	t.Helper()
	b := &bench{T: t, pipes: &pipes{Listener: inproc.Listen()}, began: time.Now()}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		b.seen = append(b.seen, seen{time.Since(b.began), r.Method, r.RequestURI, string(body), r.Header.Get("Request-Id"), r.Header.Get("Retry-Number"), r.Header.Get("Authorization"), r.Header.Get("Content-Type")})
		b.mu.Unlock()
		receiver(w, r)
	})}
	if cfg.URL == "" {
		cfg.URL = "http://as.example:8000/hook"
	}
	cfg.Dial, cfg.Log = b.pipes.dial, slog.New(slog.DiscardHandler)
	cfg.Reply = func(_ context.Context, to Message, text []byte) {
		b.mu.Lock()
		b.replies = append(b.replies, to.ID+" "+string(text))
		b.mu.Unlock()
	}
	b.HTTP = NewHTTP(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(b.pipes) })
	running.Go(func() {
		if err := b.HTTP.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); server.Close(); running.Wait() })
	synctest.Wait()
	return b
}

func message(n int) Message {
	return Message{ID: fmt.Sprintf("id%d", n), Number: uint64(n), Vars: Vars{"uplink", fmt.Sprintf("%016x", n), "00d1e147", "020000fffe000100", "0016c0fffe000001", "358b679d"}, Text: []byte(`{"type":"uplink"}`)}
}

func ok(http.ResponseWriter, *http.Request) {}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestAMessageIsPostedToTheFilledTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startHTTP(t, HTTPConfig{URL: "http://as.example:8000/{type}/{device}/{device_addr}?a={application}&g={gateway}&n={network}", Authorization: "raw secret"}, ok)
		b.Offer(message(1))
		synctest.Wait()
		want := seen{0, "POST", "/uplink/0000000000000001/00d1e147?a=020000fffe000100&g=0016c0fffe000001&n=358b679d", `{"type":"uplink"}`, "id1", "", "raw secret", "application/json"}
		if got := b.posts(); len(got) != 1 || got[0] != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if s := b.Status(); s.Sent != 1 || s.State != "connected" {
			t.Errorf("%+v", s)
		}
	})
}

func TestAReceiverThatFailsGetsThreeTriesWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startHTTP(t, HTTPConfig{}, status(http.StatusInternalServerError))
		b.Offer(message(1))
		time.Sleep(time.Minute) // virtual
		var at []time.Duration
		var retries []string
		for _, p := range b.posts() {
			at, retries = append(at, p.at), append(retries, p.retry)
			if p.id != "id1" {
				t.Errorf("Request-Id %s", p.id)
			}
		}
		if !slices.Equal(at, []time.Duration{0, time.Second, 3 * time.Second}) || !slices.Equal(retries, []string{"", "1", "2"}) {
			t.Errorf("tries at %v, Retry-Number %q", at, retries)
		}
		if s := b.Status(); s.Failed != 3 || s.Dropped != 1 || s.Sent != 0 || s.State != "down" || !strings.Contains(s.LastError, "500") {
			t.Errorf("%+v", s)
		}
	})
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startHTTP(t, HTTPConfig{}, status(http.StatusNotFound))
		b.Offer(message(1))
		time.Sleep(time.Minute) // virtual
		if n := len(b.posts()); n != 1 {
			t.Errorf("%d tries", n)
		}
	})
}

func TestARecoveredReceiverGetsTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startHTTP(t, HTTPConfig{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Retry-Number") != "1" {
				w.WriteHeader(http.StatusBadGateway)
			}
		})
		b.Offer(message(1))
		time.Sleep(time.Minute) // virtual
		if s := b.Status(); len(b.posts()) != 2 || s.Sent != 1 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTimeOuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		b := startHTTP(t, HTTPConfig{}, func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				<-hang
			}
		})
		b.Offer(message(1))
		time.Sleep(answerTimeout - time.Millisecond) // virtual
		if s := b.Status(); s.Failed != 0 {
			t.Errorf("before a second: %+v", s)
		}
		time.Sleep(2 * time.Millisecond) // virtual
		if s := b.Status(); s.Failed != 1 || s.LastError != errAnswer.Error() {
			t.Errorf("after a second: %+v", s)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := startHTTP(t, HTTPConfig{}, ok)
		b.pipes.mu.Lock()
		b.pipes.hang = true
		b.pipes.mu.Unlock()
		b.client.CloseIdleConnections()
		b.Offer(message(1))
		time.Sleep(connectTimeout - time.Millisecond) // virtual
		if s := b.Status(); s.Failed != 0 {
			t.Errorf("before four seconds: %+v", s)
		}
		time.Sleep(2 * time.Millisecond) // virtual
		if s := b.Status(); s.Failed != 1 || s.LastError != errConnect.Error() {
			t.Errorf("after four seconds: %+v", s)
		}
	})
}

// Section 8 of the contract: 301/302/303 become GET, 307/308 keep the method;
// section 6: two redirects are followed.
func TestRedirects(t *testing.T) {
	for _, c := range []struct {
		code, times int
		method      string
		sent        bool
	}{{301, 1, "GET", true}, {302, 1, "GET", true}, {303, 1, "GET", true}, {307, 2, "POST", true}, {308, 2, "POST", true}, {307, 3, "POST", false}} {
		synctest.Test(t, func(t *testing.T) {
			left := c.times
			b := startHTTP(t, HTTPConfig{}, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodOptions && left > 0 {
					left--
					http.Redirect(w, r, fmt.Sprintf("/moved%d", left), c.code)
				}
			})
			b.Offer(message(1))
			synctest.Wait()
			posts := b.posts()
			last := posts[len(posts)-1]
			if s := b.Status(); (s.Sent == 1) != c.sent {
				t.Errorf("%d %d times: %+v", c.code, c.times, s)
			}
			if c.sent && (last.method != c.method || (last.body != "") != (c.method == "POST") || len(posts) != c.times+1) {
				t.Errorf("%d: %+v", c.code, posts)
			}
		})
	}
}

func TestAtMostTenConnectionsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		b := startHTTP(t, HTTPConfig{}, func(_ http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(500 * time.Millisecond) // virtual
			mu.Lock()
			now--
			mu.Unlock()
		})
		for i := range 300 {
			b.Offer(message(i))
		}
		time.Sleep(time.Minute) // virtual
		mu.Lock()
		defer mu.Unlock()
		b.pipes.mu.Lock()
		defer b.pipes.mu.Unlock()
		if s := b.Status(); s.Sent != 300 || most > 10 || most < 8 || len(b.pipes.dials) > 10 {
			t.Errorf("%+v; %d at a time, %d connections", s, most, len(b.pipes.dials))
		}
	})
}

func TestAReceiverThatHangsBlocksNobodyAndCostsBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		b := startHTTP(t, HTTPConfig{}, func(http.ResponseWriter, *http.Request) { <-hang })
		began := time.Now()
		for i := range 5000 {
			b.Offer(message(i))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Offer took %v", took)
		}
		waiting := 0
		for _, l := range b.lane {
			waiting += len(l)
		}
		if s := b.Status(); s.Dropped+uint64(waiting) < 5000-lanes {
			t.Errorf("%d wait, %+v", waiting, s)
		}
	})
}

func TestMessagesOfOneDeviceKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startHTTP(t, HTTPConfig{}, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) })
		for i := range 50 {
			m := message(7)
			m.ID = fmt.Sprintf("%02d", i)
			b.Offer(m)
		}
		time.Sleep(time.Minute) // virtual
		var ids []string
		for _, p := range b.posts() {
			ids = append(ids, p.id)
		}
		if len(ids) != 50 || !slices.IsSorted(ids) {
			t.Errorf("%v", ids)
		}
	})
}

func TestOnlyJSONOfASuccessIsAReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := map[string]func(http.ResponseWriter){
			"id1": func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				_, _ = io.WriteString(w, `{"a":1}`)
			},
			"id2": func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = io.WriteString(w, `{"a":2}`)
			},
			"id3": func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"a":3}`)
			},
			"id4": func(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/json") },
		}
		b := startHTTP(t, HTTPConfig{}, func(w http.ResponseWriter, r *http.Request) {
			if f := answers[r.Header.Get("Request-Id")]; f != nil {
				f(w)
			}
		})
		for i := range 5 {
			b.Offer(message(i))
		}
		time.Sleep(time.Second) // virtual
		b.mu.Lock()
		defer b.mu.Unlock()
		if !slices.Equal(b.replies, []string{`id1 {"a":1}`}) {
			t.Errorf("%q", b.replies)
		}
	})
}

func TestErrorsDoNotShowTheURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startHTTP(t, HTTPConfig{URL: "http://as.example/hook?token=secret"}, ok)
		b.pipes.Close()
		b.client.CloseIdleConnections()
		b.Offer(message(1))
		synctest.Wait()
		if s := b.Status(); s.Failed == 0 || strings.Contains(s.LastError, "secret") || s.LastError == "" {
			t.Errorf("%+v", s)
		}
	})
}
