package nsedge_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// antenna is an ideal gateway in the simulated medium: an [nsedge.Air].
type antenna struct {
	m       *air.Medium
	station *air.Station
	zero    time.Time
	up      chan radio.Uplink
	reports chan radio.Report
	losing  sync.Mutex
	lossy   *rand.Rand         // every fifth frame is lost, unless it is nil
	taken   []air.Transmission // what it has been given, but for what is long over
}

var gateway = radio.EUI64{0, 0x16, 0xc0, 1, 0xf1, 0x50, 0, 1}

func newAntenna(t *testing.T, m *air.Medium) *antenna {
	a := &antenna{m: m, zero: time.Now().Add(-m.Elapsed()), up: make(chan radio.Uplink, 100), reports: make(chan radio.Report, 100)}
	var err error
	if a.station, err = m.Join(air.StationConfig{Gateway: &gateway}, a); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *antenna) loses() bool {
	a.losing.Lock()
	defer a.losing.Unlock()
	return a.lossy != nil && a.lossy.IntN(5) == 0
}

func (a *antenna) Began(air.Reception) {}

func (a *antenna) Ended(r air.Reception) {
	if l, ok := r.Mod.(radio.LoRa); r.Outcome != air.Clear || ok && l.InvertIQ || a.loses() {
		return
	}
	a.up <- radio.Uplink{
		Gateway: gateway, Payload: r.Payload, CRC: radio.GoodCRC, At: r.End, Time: a.zero.Add(time.Duration(r.End) * time.Microsecond),
		Freq: r.Freq, Mod: r.Mod, RSSI: r.RSSI, SNR: r.SNR,
	}
}

func (a *antenna) Uplinks() <-chan radio.Uplink      { return a.up }
func (a *antenna) Reports() <-chan radio.Report      { return a.reports }
func (a *antenna) Lead(radio.Downlink) time.Duration { return 3 * time.Millisecond }

func (a *antenna) Schedule(_ context.Context, d radio.Downlink) error {
	if d.At.Sub(a.m.Now()) < 3*time.Millisecond || d.Replaces != 0 { // a Station keeps what it has
		return radio.ErrTooLate
	}
	a.taken = slices.DeleteFunc(a.taken, func(tx air.Transmission) bool { return tx.End < a.m.Now() })
	for _, tx := range a.taken {
		if d.At < tx.End && tx.Start < d.At.Add(d.Mod.Airtime(len(d.Payload))) {
			return radio.ErrCollision
		}
	}
	if a.loses() { // what no device understands
		d.Payload = slices.Clone(d.Payload)
		d.Payload[len(d.Payload)-1] ^= 1
	}
	tx, err := a.station.Transmit(air.Frame{Payload: d.Payload, Freq: d.Freq, Mod: d.Mod}, d.At, d.Power)
	if err != nil {
		return fmt.Errorf("%w: %w", radio.ErrFrame, err)
	}
	a.taken = append(a.taken, tx)
	r := radio.Report{ID: d.ID, Planned: d.At, Armed: d.At - 3000, Started: tx.Start, Ended: tx.End, Power: d.Power}
	time.AfterFunc(tx.End.Sub(a.m.Now()), func() { a.reports <- r })
	return nil
}

// world is a medium with one network server.
type world struct {
	t      *testing.T
	m      *air.Medium
	edge   *nsedge.Edge
	region *region.Region

	mu     sync.Mutex
	events []nsedge.Event
	answer func(*nsedge.DownlinkRequest) *nsedge.DownlinkResponse
	gate   *antenna
}

func inWorld(t *testing.T, name string, f func(*world)) {
	t.Helper()
	inWorldOf(t, name, nil, f)
}

// inWorldOf is inWorld with another configuration of the server.
func inWorldOf(t *testing.T, name string, change func(*nsedge.Config), f func(*world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r, err := region.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		st, err := store.Open(dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}()
		w := &world{t: t, m: air.New(air.Config{}), region: r}
		defer w.m.Close()
		requests := make(chan *nsedge.DownlinkRequest, 100)
		cfg := nsedge.Config{Region: r, NetID: [3]byte{0, 0, 1}, Gateway: gateway, Store: st, GPS: nsedge.HostGPS}
		if change != nil {
			change(&cfg)
		}
		w.gate = newAntenna(t, w.m)
		w.edge, err = nsedge.New(cfg, w.gate, func(ev nsedge.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, ev)
			if req, ok := ev.(*nsedge.DownlinkRequest); ok {
				requests <- req
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = w.edge.Run(ctx) })
		running.Go(func() { // the application
			for {
				select {
				case req := <-requests:
					if a := w.answerTo(req); a != nil {
						if err := w.edge.Answer(ctx, *a); err != nil {
							t.Errorf("answer refused: %v", err)
						}
					}
				case <-ctx.Done():
					return
				}
			}
		})
		f(w)
		cancel()
		running.Wait()
	})
}

// answers sets what the application says to a request; nil is nothing.
func (w *world) answers(f func(*nsedge.DownlinkRequest) *nsedge.DownlinkResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = f
}

func (w *world) answerTo(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
	w.mu.Lock()
	f := w.answer
	w.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(req)
}

// device registers a device and makes it.
func (w *world) device(id byte, change func(*enddevice.Config, *nsedge.Device)) *enddevice.Device {
	w.t.Helper()
	eui, app := radio.EUI64{1, 2, 3, 4, 5, 6, 7, id}, radio.EUI64{7: 1}
	key := nsedge.Key{id, 9}
	cfg := enddevice.Config{DevEUI: eui, JoinEUI: app, Region: w.region, AppKey: enddevice.Key(key), NoDutyCycle: true, DataRate: 3, Tolerance: 10 * time.Microsecond}
	dev := nsedge.Device{DevEUI: eui, AppEUI: app, Activation: nsedge.OTAA, Encryption: nsedge.KeysAtNS, AppKey: &key}
	if change != nil {
		change(&cfg, &dev)
	}
	dev.Version = cmp.Or(dev.Version, cfg.Version, "1.0.4")
	if err := w.edge.CreateDevice(w.t.Context(), dev); err != nil {
		w.t.Fatal(err)
	}
	d, err := enddevice.New(cfg, w.m)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(d.Close)
	return d
}

func (w *world) count(keep func(nsedge.Event) bool) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ev := range w.events {
		if keep(ev) {
			n++
		}
	}
	return n
}

func TestSoftwareDevicesJoinAndTalkInEveryRegion(t *testing.T) {
	for _, name := range []string{"EU868", "US915-2", "AU915-1", "AS923-1", "IN865", "KR920", "RU864", "EU433", "CN470-1", "CN470-20A-8", "CN470-26A-2"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, name, func(w *world) {
				w.answers(func(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
					if req.MaxSize < 2 {
						return nil
					}
					return &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("ok"), HasPayload: true, Port: 5}
				})
				for id, version := range []string{"1.0.2", "1.0.3", "1.0.4", "1.1"} {
					d := w.device(byte(id), func(c *enddevice.Config, dev *nsedge.Device) {
						if c.Version = version; version == "1.1" {
							of11(c, dev)
						}
					})
					if err := d.Join(w.t.Context()); err != nil {
						w.t.Fatalf("%s: %v", version, err)
					}
					for i := range 5 {
						res, err := d.Send(w.t.Context(), 1, []byte{byte(i)}, i%2 == 1)
						if err != nil {
							w.t.Fatalf("%s: uplink %d: %v", version, i, err)
						}
						if res.Downlink == nil || string(res.Downlink.Payload) != "ok" || res.Downlink.Window != "RX1" || res.Downlink.Offset != 0 {
							w.t.Fatalf("%s: uplink %d: %+v", version, i, res.Downlink)
						}
						if len(res.Uplinks) != 1 {
							w.t.Errorf("%d transmissions of uplink %d", len(res.Uplinks), i)
						}
						time.Sleep(20 * time.Second)
					}
				}
				ups := w.count(func(ev nsedge.Event) bool { u, ok := ev.(*nsedge.UplinkEvent); return ok && !u.Duplicate })
				downs := w.count(func(ev nsedge.Event) bool { _, ok := ev.(*nsedge.DownlinkEvent); return ok })
				if ups != 20 || downs != 24 {
					w.t.Errorf("%d uplinks and %d downlinks, want 20 and 24", ups, downs)
				}
				w.noErrors()
			})
		})
	}
}

func (w *world) noErrors() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ev := range w.events {
		if n, ok := ev.(*nsedge.Notice); ok && n.Level == nsedge.Error {
			w.t.Errorf("%s: %s", n.Code, n.Message)
		}
	}
}

func TestASoftwareDeviceGetsTimeMarginAndIsAskedForItsStatus(t *testing.T) {
	inWorld(t, "EU868", func(w *world) {
		d := w.device(1, func(c *enddevice.Config, _ *nsedge.Device) { c.Battery = 77 })
		if err := d.Join(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if err := errors.Join(d.RequestLinkCheck(w.t.Context()), d.RequestTime(w.t.Context())); err != nil {
			w.t.Fatal(err)
		}
		res, err := d.Send(w.t.Context(), 1, []byte("x"), false)
		if err != nil || res.Downlink == nil || len(res.Downlink.Commands) != 2 {
			w.t.Fatalf("%+v, %v", res, err)
		}
		if err := w.edge.Answer(w.t.Context(), nsedge.StatusRequest{Device: radio.EUI64{1, 2, 3, 4, 5, 6, 7, 1}}); err != nil {
			w.t.Fatal(err)
		}
		for range 2 {
			if _, err := d.Send(w.t.Context(), 1, []byte("x"), false); err != nil {
				w.t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		if n := w.count(func(ev nsedge.Event) bool { s, ok := ev.(*nsedge.StatusResponse); return ok && s.Battery == 77 }); n != 1 {
			w.t.Errorf("%d status responses", n)
		}
		w.noErrors()
	})
}
