package nsedge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// The test kit: a scripted Air, a store whose synced part is known, and
// devices made of brocaar/lorawan. Everything runs in a synctest bubble.

// bench is an edge under test, with all that it published.
type bench struct {
	*testing.T
	air   *fakeAir
	store *memStore
	edge  *Edge
	stop  func()

	mu     sync.Mutex
	events []Event
}

func mustRegion(t testing.TB, name string) *region.Region {
	t.Helper()
	r, err := region.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var gatewayEUI = radio.EUI64{0, 0x16, 0xc0, 1, 0xf1, 0x50, 0, 1}

func testConfig(t testing.TB, s Store) Config {
	return Config{Region: mustRegion(t, "EU868"), NetID: [3]byte{0, 0, 1}, Gateway: gatewayEUI, Store: s, GPS: HostGPS}
}

// scenario runs f with a running edge in a bubble.
func scenario(t *testing.T, f func(b *bench)) { scenarioWith(t, nil, f) }

func scenarioWith(t *testing.T, change func(*Config), f func(b *bench)) {
	t.Helper()
	scenarioOn(t, nil, change, f)
}

// scenarioOn is scenarioWith; made is given the bench before it starts.
func scenarioOn(t *testing.T, made func(*bench), change func(*Config), f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, air: newAir(), store: newStore()}
		if made != nil {
			made(b)
		}
		b.start(change)
		defer func() { b.stop() }()
		f(b)
	})
}

// start makes and runs an edge on the bench's store.
func (b *bench) start(change func(*Config)) {
	b.Helper()
	cfg := testConfig(b, b.store)
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg, b.air, func(ev Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, ev)
	})
	if err != nil {
		b.Fatal(err)
	}
	b.edge = e
	b.run()
}

// run runs the edge until stop.
func (b *bench) run() {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.edge.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			b.Errorf("Run returned %v", err)
		}
	}
	synctest.Wait()
}

// restart ends the edge and begins anew on what store holds.
func (b *bench) restart(s *memStore) {
	b.Helper()
	b.stop()
	time.Sleep(5 * time.Second) // reports of the old one
	b.store, b.air = s, newAir()
	b.start(nil)
}

// take returns and forgets what was published since.
func (b *bench) take() []Event {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.events
	b.events = nil
	return out
}

// all returns the events of type T among evs.
func all[T Event](evs []Event) (out []T) {
	for _, ev := range evs {
		if v, ok := ev.(T); ok {
			out = append(out, v)
		}
	}
	return out
}

// one wants exactly one event of type T.
func one[T Event](t testing.TB, evs []Event) T {
	t.Helper()
	found := all[T](evs)
	if len(found) != 1 {
		t.Fatalf("%d events of type %T, want 1, among %s", len(found), *new(T), describe(evs))
	}
	return found[0]
}

// notice finds a notice by its code.
func notice(evs []Event, code string) *Notice {
	for _, n := range all[*Notice](evs) {
		if n.Code == code {
			return n
		}
	}
	return nil
}

func wantNotice(t testing.TB, evs []Event, level Level, code string) *Notice {
	t.Helper()
	n := notice(evs, code)
	if n == nil {
		t.Fatalf("no %v %s among %s", level, code, describe(evs))
	}
	if n.Level != level {
		t.Errorf("%s is %v, want %v", code, n.Level, level)
	}
	return n
}

func describe(evs []Event) (s string) {
	for _, ev := range evs {
		if n, ok := ev.(*Notice); ok {
			s += fmt.Sprintf("\n  %v %s: %s", n.Level, n.Code, n.Message)
		} else {
			s += fmt.Sprintf("\n  %T", ev)
		}
	}
	return s
}

// answer sends an answer that must be taken.
func (b *bench) answer(a Answer) {
	b.Helper()
	if err := b.edge.Answer(b.Context(), a); err != nil {
		b.Fatalf("%T refused: %v", a, err)
	}
}

// refused sends an answer that must be refused with the code.
func (b *bench) refused(a Answer, code string) *Refusal {
	b.Helper()
	err := b.edge.Answer(b.Context(), a)
	var r *Refusal
	if !errors.As(err, &r) {
		b.Fatalf("%T: %v, want a refusal with %s", a, err, code)
	}
	if r.Code != code {
		b.Fatalf("refused with %v, want %s", r, code)
	}
	return r
}

func (b *bench) must(err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}
