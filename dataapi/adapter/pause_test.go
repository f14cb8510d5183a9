package adapter

import (
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestHealthIsAskedAtTheStartAndAfterTenSecondsOfSilence(t *testing.T) {
	for code, state := range map[int]string{200: "connected", 405: "connected", 404: "connected", 500: "down", 503: "down"} {
		synctest.Test(t, func(t *testing.T) {
			b := startHTTP(t, HTTPConfig{URL: "http://as.example:8000/hook/{device}"}, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodOptions {
					w.WriteHeader(code)
				}
			})
			if s := b.Status(); s.State != state {
				t.Errorf("%d: %+v", code, s)
			}
			time.Sleep(25 * time.Second) // virtual
			b.Offer(message(1))          // breaks the silence
			time.Sleep(19 * time.Second) // virtual
			var at []time.Duration
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, s := range b.seen {
				if s.method == http.MethodOptions {
					at = append(at, s.at)
					if s.uri != "/hook/" {
						t.Errorf("asked at %s", s.uri)
					}
				}
			}
			if want := []time.Duration{0, 10 * time.Second, 20 * time.Second, 35 * time.Second}; !slices.Equal(at, want) {
				t.Errorf("asked at %v, want %v", at, want)
			}
		})
	}
}

func TestFailuresPauseTheConnectionForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		b := startHTTP(t, HTTPConfig{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				return
			}
			n++
			if n > 95 && n <= 100 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		for i := range 100 {
			if s := b.Status(); s.State == "paused" {
				t.Fatalf("paused after %d requests", i)
			}
			b.Offer(message(i))
			time.Sleep(time.Millisecond) // virtual
		}
		if s := b.Status(); s.State != "paused" {
			t.Fatalf("5 of 100 failed: %+v", s)
		}
		before := len(b.posts())
		time.Sleep(pauseDuration - 2*time.Millisecond) // virtual
		b.Offer(message(1))
		synctest.Wait()
		if after := len(b.posts()); after != before {
			t.Errorf("%d requests during the pause", after-before)
		}
		time.Sleep(10 * time.Millisecond) // virtual
		b.Offer(message(2))
		synctest.Wait()
		if s := b.Status(); s.State != "connected" || len(b.posts()) != before+1 {
			t.Errorf("after the pause: %+v", s)
		}
	})
}

func TestThePauseCountsTenMinutes(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(1_700_000_000, 0).Add(d) }
	var p pause
	for i := range 96 {
		p.count(at(0), i >= 4) // 4 fail
	}
	for range 3 {
		p.count(at(time.Minute), true)
	}
	if p.count(at(time.Minute), true) || p.active(at(time.Minute)) {
		t.Error("4 of 100 is less than 5 %")
	}
	if p.count(at(11*time.Minute), false) {
		t.Error("what is older than ten minutes counts")
	}
	p = pause{}
	for range 95 {
		p.count(at(0), true)
	}
	p.count(at(0), false)
	for range 3 {
		p.count(at(9*time.Minute), false)
	}
	if !p.count(at(9*time.Minute), false) || !p.active(at(9*time.Minute+59*time.Second)) || p.active(at(10*time.Minute)) {
		t.Error("5 of 100 failed within ten minutes: no pause of a minute")
	}
}
