package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/concentrator"
	"gatewayd/dataapi"
	"gatewayd/dataapi/inproc"
	"gatewayd/nsedge/enddevice"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
)

// latencies are how long uplinks take from the end of the frame in the air to
// the JSON message at an application.
type latencies struct {
	mu   sync.Mutex
	ends map[string]time.Time // DevEUI -> end of the last uplink on the host's clock
	took []time.Duration
}

// sent notes an uplink's end; it has the shape of enddevice.Config.Events.
func (l *latencies) sent(eui radio.EUI64, start time.Time) func(enddevice.Event) {
	return func(e enddevice.Event) {
		if s, ok := e.(enddevice.Sent); ok {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.ends[eui.String()] = start.Add(time.Duration(s.End) * time.Microsecond)
		}
	}
}

func (l *latencies) arrived(device string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end, ok := l.ends[device]; ok {
		l.took = append(l.took, at.Sub(end))
		delete(l.ends, device)
	}
}

// quantile q of what was measured.
func (l *latencies) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.took)
	return l.took[min(int(q*float64(len(l.took))), len(l.took)-1)]
}

func (l *latencies) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.took)
}

// The bar is a median of 5 ms and a 99th percentile of 10 ms. In virtual time
// the bus, the poll and the loaded receiver count, computing does not: see
// BenchmarkUplinkToAS for all of it.
func TestUplinkReachesTheASWithinTenMilliseconds(t *testing.T) {
	inBubble(t, setup{lab: true}, func(w *world) {
		defer w.load(5)()
		seen := latencies{ends: map[string]time.Time{}}
		start := time.Now().Add(-w.medium.Elapsed())
		app := w.connect("&types=uplink", func(_ *as, m asMessage) {
			device, _ := m.Meta["device"].(string)
			seen.arrived(device, m.at)
		})
		defer app.close()
		var done sync.WaitGroup
		for i := range 10 {
			dev := w.device(byte(i+1), true, func(c *enddevice.Config) { c.Events = seen.sent(c.DevEUI, start) })
			done.Go(func() {
				defer dev.Close()
				for range 50 {
					w.waitForTurn(i)
					if _, err := dev.Send(w.ctx, 1, []byte("measurement"), false); err != nil {
						t.Error(err)
					}
				}
			})
		}
		done.Wait()
		if n := seen.count(); n < 490 {
			t.Fatalf("%d of 500 uplinks arrived", n)
		}
		median, p99 := seen.quantile(0.5), seen.quantile(0.99)
		t.Logf("median %v, 99th percentile %v", median, p99)
		if median > 5*time.Millisecond || p99 > 10*time.Millisecond {
			t.Errorf("median %v, 99th percentile %v; want at most 5 ms and 10 ms", median, p99)
		}
	})
}

// BenchmarkUplinkToAS measures the same in real time: the simulated chip at 8
// MHz, the store on a disk, a WebSocket over TCP's stand-in. One round is 160
// uplinks of 20 devices, whatever b.N.
func BenchmarkUplinkToAS(b *testing.B) {
	const devices, each = 20, 8
	d, hw, l := benchDaemon(b)
	ctx := b.Context()
	_, token, err := d.server.Keys().Create(dataapi.Key{Rights: dataapi.AllRights()})
	must(b, err)
	conn, resp, err := (&websocket.Dialer{NetDialContext: l.Dial}).DialContext(ctx, "ws://gw/api/v1.0/data?types=uplink&access_token="+token, nil)
	must(b, err)
	must(b, resp.Body.Close())

	seen := latencies{ends: map[string]time.Time{}}
	go func() {
		for {
			var m asMessage
			if conn.ReadJSON(&m) != nil {
				return
			}
			device, _ := m.Meta["device"].(string)
			seen.arrived(device, time.Now())
		}
	}()
	b.ResetTimer()
	benchDevices(b, d, hw, &seen, devices, each)
	b.StopTimer()
	b.ReportMetric(seen.quantile(0.5).Seconds()*1e3, "ms-median")
	b.ReportMetric(seen.quantile(0.99).Seconds()*1e3, "ms-p99")
	must(b, conn.Close())
}

// BenchmarkIdleDaemon measures what a daemon costs that has nothing to do, on
// the simulated chip: 10 s of real time, whatever b.N. Almost all of it is the
// price of waking up for each look at the receive buffer, which
// BenchmarkIdleLoop measures alone.
func BenchmarkIdleDaemon(b *testing.B) {
	benchDaemon(b)
	time.Sleep(2 * time.Second)
	reportIdle(b)
}

// BenchmarkIdleLoop is the floor: a loop that wakes up as often as the idle
// daemon's driver, and does nothing.
func BenchmarkIdleLoop(b *testing.B) {
	const quietPoll = 50 * time.Millisecond // the driver's default
	timer := time.NewTimer(quietPoll)
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			select {
			case <-b.Context().Done():
				return
			case <-timer.C:
				timer.Reset(quietPoll)
			}
		}
	})
	b.Cleanup(loop.Wait)
	reportIdle(b)
}

// reportIdle measures the processor time of the next 10 s.
func reportIdle(b *testing.B) {
	b.Helper()
	const watched = 10 * time.Second
	before := cpuTime(b)
	time.Sleep(watched)
	b.ReportMetric((cpuTime(b)-before).Seconds()/watched.Seconds()*100, "%core")
}

// cpuTime is what this process has used of all processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchDaemon runs a daemon on the simulated chip, in real time, until the
// benchmark ends.
func benchDaemon(b *testing.B) (*daemon, *board.Hardware, *inproc.Listener) {
	b.Helper()
	hw, _, err := board.Emulate(board.Emulation{})
	must(b, err)
	st, err := store.Open(b.TempDir(), store.Options{})
	must(b, err)
	cfg := config.Default()
	cfg.Concentrator.Driver, cfg.Region.DutyCycle = config.DriverEmulated, false
	l := inproc.Listen()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	d, err := newDaemon(cfg, parts{
		hardware: hw, firmware: concentrator.EmulatedFirmware(), store: st, api: l, log: slog.New(slog.DiscardHandler),
		also: []func(context.Context, *daemon) error{func(ctx context.Context, _ *daemon) error { close(ready); <-ctx.Done(); return ctx.Err() }},
	})
	must(b, err)
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	<-ready
	b.Cleanup(func() {
		cancel()
		must(b, <-done)
		must(b, hw.Close())
		must(b, st.Close())
	})
	return d, hw, l
}

// benchDevices lets devices send in turns.
func benchDevices(b *testing.B, d *daemon, hw *board.Hardware, seen *latencies, devices, each int) {
	b.Helper()
	reg, err := region.Lookup(d.cfg.Region.Name)
	must(b, err)
	start := time.Now().Add(-hw.Medium.Elapsed())
	var group sync.WaitGroup
	for i := range devices {
		m := &member{DevEUI: radio.EUI64{2, 0, 0, 0, 0, 0, 0, byte(i)}, ABP: &enddevice.Session{DevAddr: enddevice.DevAddr{0, 0, 0, byte(i)}}}
		must(b, randomKeys(&m.ABP.NwkSKey, &m.ABP.AppSKey))
		must(b, d.edge.CreateDevice(b.Context(), m.device()))
		dev, err := enddevice.New(enddevice.Config{
			DevEUI: m.DevEUI, Region: reg, ABP: m.ABP, DataRate: 5, NoDutyCycle: true, Seed: uint64(i), Events: seen.sent(m.DevEUI, start),
		}, hw.Medium)
		must(b, err)
		group.Go(func() {
			defer dev.Close()
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
			for range each {
				if _, err := dev.Send(b.Context(), 1, []byte("measurement"), false); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
