package dataapi

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

func TestASlowReaderIsClosedWith1013AndDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Queue: 8})
		stalled := r.connect("")
		lively := r.connect("")
		began := time.Now()
		for range 30 { // a pipe buffers nothing: the stalled one's queue is full after 9
			r.Publish(realEvent())
			r.next(lively)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the lively reader waited %v", waited)
		}
		code, why := closeCode(stalled)
		if code != 1013 || !strings.Contains(why, "slow reader: 8 messages") {
			t.Errorf("the slow reader was closed with %d %q", code, why)
		}
		synctest.Wait()
		if n := r.connections(); n != 1 {
			t.Errorf("%v connections are left", n)
		}
	})
}

// Over TCP the kernel holds some hundred messages more; the close frame comes
// after them.
func TestASlowReaderOverTCPStillLearnsWhy(t *testing.T) {
	s, err := New(Config{Queue: 8, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := s.Keys().Create(Key{Rights: []Right{RightData}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/api/v1.0/data?access_token="+token, nil) //nolint:bodyclose // Dial closes it
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var slow *subscriber
	s.mu.RLock()
	for slow = range s.subscribers {
	}
	s.mu.RUnlock()
	ev := realEvent()
	ev.Encrypted = make([]byte, 64<<10) // fills the kernel's buffers sooner
	for ended := false; !ended; {
		s.deliver(ev)
		select {
		case <-slow.gone:
			ended = true
		default:
		}
	}
	if code, why := closeCode(c); code != 1013 || !strings.Contains(why, "slow reader") {
		t.Errorf("closed with %d %q", code, why)
	}
}

func TestAReaderThatNeverReadsAgainIsGoneAfterTheWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Queue: 8})
		r.connect("")
		r.Publish(realEvent())
		time.Sleep(21 * time.Second)
		if n := r.connections(); n != 0 {
			t.Errorf("%v connections are left", n)
		}
	})
}

func TestTheEndIsNever1000(t *testing.T) {
	for _, c := range []struct {
		cause error
		code  int
	}{{nil, websocket.CloseGoingAway}, {ErrRestart, websocket.CloseServiceRestart}} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Config{})
			conn := r.connect("")
			got := make(chan int)
			go func() { code, _ := closeCode(conn); got <- code }()
			r.stop(c.cause)
			if code := <-got; code != c.code {
				t.Errorf("cause %v: closed with %d", c.cause, code)
			}
		})
	}
}

func TestWhatWasPublishedBeforeTheEndArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		for range 5 {
			r.Publish(realEvent())
		}
		go r.stop(nil)
		for range 5 {
			r.next(c)
		}
		if code, _ := closeCode(c); code != websocket.CloseGoingAway {
			t.Errorf("closed with %d", code)
		}
	})
}

func TestAClientThatIgnoresTheEndDelaysItOnlyBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.connect("") // never reads
		r.Publish(realEvent())
		synctest.Wait()
		began := time.Now()
		r.stop(nil)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("stopping took %v", took)
		}
	})
}

func TestAFloodIsCutOffWith1008(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		go func() {
			for range 1000 {
				if c.WriteMessage(websocket.TextMessage, []byte("x")) != nil {
					return
				}
			}
		}()
		code, why := closeCode(c)
		if code != 1008 || !strings.Contains(why, "flood") {
			t.Errorf("closed with %d %q", code, why)
		}
	})
}

func TestWhoFloodsAgainAndAgainHasToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		other := r.key(Key{Rights: []Right{RightData}})
		flood := func() {
			c := r.connect("")
			go func() {
				for range 200 {
					if c.WriteMessage(websocket.TextMessage, []byte("x")) != nil {
						return
					}
				}
			}()
			if code, _ := closeCode(c); code != 1008 {
				t.Errorf("closed with %d", code)
			}
		}
		for range floodsAtOnce {
			flood()
		}
		path := "/api/v1.0/data?access_token="
		if status, body := r.rest(http.MethodGet, path+r.token, ""); status != http.StatusTooManyRequests || body["code"] != codeRateLimited {
			t.Errorf("%d %v", status, body)
		}
		if status, _ := r.rest(http.MethodGet, path+other, "", "Authorization", ""); status != http.StatusUpgradeRequired {
			t.Errorf("another key gets %d", status)
		}
		time.Sleep(floodPause)
		flood()
	})
}

func TestAHurryingClientIsReadAtItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		began := time.Now()
		for range 2001 {
			r.send(c, `{"type":"status","meta":{"device":"0102030405060708"}}`)
		}
		synctest.Wait()
		if took := time.Since(began); len(r.edge.taken()) != 2001 || took < 2900*time.Millisecond || took > 3100*time.Millisecond {
			t.Errorf("%d messages were taken in %v; 500 at once and 500 a second are allowed", len(r.edge.taken()), took)
		}
	})
}

func TestAConnectionCutAtAnyByteLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		handshake := "GET /api/v1.0/data?access_token=" + r.token + " HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
		frame := "\x81\x82\x00\x00\x00\x00{}" // text, masked with zeros
		whole := handshake + frame
		for n := range len(whole) + 1 {
			c, err := r.pipes.Dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for _, part := range []string{whole[:min(n, len(handshake))], whole[min(n, len(handshake)):n]} {
				if _, err := io.WriteString(c, part); err != nil {
					t.Fatalf("byte %d: %v", n, err)
				}
				synctest.Wait()
			}
			r.Publish(realEvent())
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if left := r.connections(); left != 0 {
				t.Fatalf("cut at byte %d: %v connections are left", n, left)
			}
		}
	})
}

func TestAFewMistakesASecondAreNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		for i := range 300 {
			r.send(c, "x")
			if e := r.next(c); e.Type != "error" {
				t.Fatal(e)
			}
			if i >= 99 { // 100 are taken at once
				time.Sleep(100 * time.Millisecond)
			}
		}
	})
}

func TestARevokedKeyEndsItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		got := make(chan int)
		go func() { code, _ := closeCode(c); got <- code }()
		synctest.Wait() // else it could be refused at the door
		if err := r.Keys().Revoke(r.Keys().List()[0].ID); err != nil {
			t.Fatal(err)
		}
		if code := <-got; code != 1008 {
			t.Errorf("closed with %d", code)
		}
	})
}

func TestAClientThatDoesNotCloseIsCutOffAfterTheCloseTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		go func() { _, _ = io.Copy(io.Discard, c.NetConn()) }() // takes the close frame, says nothing
		synctest.Wait()
		if err := r.Keys().Revoke(r.Keys().List()[0].ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := r.connections(); n != 1 {
			t.Errorf("it had no time to close: %v connections", n)
		}
		time.Sleep(3*time.Second + time.Millisecond)
		if n := r.connections(); n != 0 {
			t.Errorf("%v connections are left", n)
		}
	})
}
