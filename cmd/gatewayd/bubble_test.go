package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/concentrator"
	"gatewayd/concentrator/halconf"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/dataapi"
	"gatewayd/dataapi/inproc"
	"gatewayd/dataapi/schema/schematest"
	"gatewayd/nsedge/enddevice"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// world is a whole daemon in a bubble of virtual time: the driver on the
// simulated chip, whose transfers last what they would, the network server,
// the Data API on in-memory connections. Software devices and WebSocket
// clients live beside it.
type world struct {
	t      *testing.T
	cfg    config.Config
	parts  parts
	ctx    context.Context
	d      *daemon
	chip   *sx1302sim.Chip
	medium *air.Medium
	region *region.Region
	token  string
	api    *inproc.Listener
}

// setup is what tests vary.
type setup struct {
	spiHz  int // 0: 8 MHz
	lab    bool
	change func(*config.Config)
	parts  func(*parts)
	log    *slog.Logger
	sky    *sx1302sim.PPS // with a satellite receiver, whose pulses are as given
	ppm    float64        // of the chip's crystal
	conf   string         // a packet forwarder's configuration
}

// inBubble runs f in a world whose daemon is ready.
func inBubble(t *testing.T, s setup, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, s)
		ready := make(chan struct{})
		w.parts.also = append(w.parts.also, func(ctx context.Context, _ *daemon) error {
			close(ready)
			<-ctx.Done()
			return ctx.Err()
		})
		var err error
		w.d, err = newDaemon(w.cfg, w.parts)
		w.must(err)
		var cancel context.CancelFunc
		w.ctx, cancel = context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.d.Run(w.ctx) }()
		select {
		case <-ready:
		case err := <-done:
			t.Fatalf("the daemon ended: %v", err)
		}
		synctest.Wait() // all parts have begun
		_, w.token, err = w.d.server.Keys().Create(dataapi.Key{Description: "test", Rights: dataapi.AllRights()})
		w.must(err)
		f(w)
		cancel()
		w.must(<-done)
		w.close()
		if n := w.chip.Violations(); n != 0 {
			t.Errorf("the driver did %d things that the chip doesn't allow", n)
		}
	})
}

// newWorld makes all that a daemon needs.
func newWorld(t *testing.T, s setup) *world {
	t.Helper()
	if s.spiHz == 0 {
		s.spiHz = 8_000_000
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	w := &world{t: t, cfg: config.Default(), api: inproc.Listen()}
	w.cfg.Concentrator.Driver = config.DriverEmulated
	w.cfg.Region.DutyCycle = !s.lab
	if s.change != nil {
		s.change(&w.cfg)
	}
	emulation := board.Emulation{
		Seed: 1, PPM: s.ppm,
		Timing: &sx1302sim.Timing{Hz: s.spiHz, PerTransfer: 30 * time.Microsecond, Exact: true},
	}
	if s.sky != nil {
		w.parts.sky = underSky(&emulation)
		pulses := *s.sky
		pulses.Offset = emulation.PPS.Offset
		emulation.PPS = &pulses
	}
	hw, chip, err := board.Emulate(emulation)
	w.must(err)
	hw.Board.SPIHz = int64(s.spiHz)
	w.chip, w.medium = chip, hw.Medium
	w.region, err = region.Lookup(w.cfg.Region.Name)
	w.must(err)
	st, err := store.Open(t.TempDir(), store.Options{})
	w.must(err)
	w.parts = parts{
		sky: w.parts.sky, hardware: hw, firmware: concentrator.EmulatedFirmware(), store: st, api: w.api,
		dial: w.api.Dial, log: s.log,
	}
	if s.parts != nil {
		s.parts(&w.parts)
	}
	if s.conf != "" {
		conf, err := halconf.Parse([]byte(s.conf))
		w.must(err)
		w.parts.conf = &conf
	}
	return w
}

func (w *world) close() {
	w.t.Helper()
	w.must(w.parts.hardware.Close())
	w.must(w.parts.store.Close())
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// randomKey is a random device key.
func randomKey() (k enddevice.Key) {
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// device registers a device and puts it into the air. ABP if abp is set.
func (w *world) device(n byte, abp bool, change func(*enddevice.Config)) *enddevice.Device {
	w.t.Helper()
	m := &member{
		Name:   string(rune('a' + n)),
		DevEUI: radio.EUI64{2, 0, 0, 0xFF, 0xFE, 0, 0, n},
		AppEUI: radio.EUI64{2, 0, 0, 0xFF, 0xFE, 0, 1, 0},
		AppKey: randomKey(),
	}
	if abp {
		m.ABP = &enddevice.Session{DevAddr: enddevice.DevAddr{0, 0, 0, n}, NwkSKey: randomKey(), AppSKey: randomKey()}
	}
	spec := m.device()
	spec.ADR.Mode = "off"
	w.must(w.d.edge.CreateDevice(w.ctx, spec))
	cfg := enddevice.Config{
		DevEUI: m.DevEUI, JoinEUI: m.AppEUI, Region: w.region, AppKey: m.AppKey, ABP: m.ABP,
		DataRate: 5, NoDutyCycle: true, Seed: uint64(n) + 1,
	}
	if change != nil {
		change(&cfg)
	}
	d, err := enddevice.New(cfg, w.medium)
	w.must(err)
	return d
}

// asMessage is a message of the Data API.
type asMessage struct {
	Type   string `json:"type"`
	Meta   map[string]any
	Params map[string]any
	at     time.Time
}

// as is a WebSocket client. It keeps all messages.
type as struct {
	w    *world
	conn *websocket.Conn
	done chan struct{}

	mu       sync.Mutex
	messages []asMessage
	more     chan struct{}
}

// connect opens the Data API; react, if not nil, is called with each message
// by the reader.
func (w *world) connect(query string, react func(a *as, m asMessage)) *as {
	w.t.Helper()
	dialer := websocket.Dialer{NetDialContext: w.api.Dial}
	conn, resp, err := dialer.DialContext(w.ctx, "ws://gateway/api/v1.0/data?access_token="+w.token+query, nil)
	w.must(err)
	resp.Body.Close()
	a := &as{w: w, conn: conn, done: make(chan struct{}), more: make(chan struct{}, 1)}
	go a.read(react)
	return a
}

func (a *as) read(react func(*as, asMessage)) {
	defer close(a.done)
	for {
		_, text, err := a.conn.ReadMessage()
		if err != nil {
			return
		}
		if err := schematest.CheckOutgoing(text); err != nil {
			a.w.t.Error(err)
		}
		m := asMessage{at: time.Now()}
		if err := json.Unmarshal(text, &m); err != nil {
			a.w.t.Errorf("%s: %v", text, err)
			return
		}
		a.mu.Lock()
		a.messages = append(a.messages, m)
		a.mu.Unlock()
		select {
		case a.more <- struct{}{}:
		default:
		}
		if react != nil {
			react(a, m)
		}
	}
}

// answer sends a downlink_response to a request.
func (a *as) answer(m asMessage, payload string, also map[string]any) {
	params := map[string]any{"payload": base64.StdEncoding.EncodeToString([]byte(payload)), "port": 7}
	maps.Copy(params, also)
	if err := a.conn.WriteJSON(map[string]any{"type": "downlink_response", "meta": m.Meta, "params": params}); err != nil {
		a.w.t.Error(err)
	}
}

// close ends the connection.
func (a *as) close() {
	a.conn.Close()
	<-a.done
}

// all returns the messages of a type so far.
func (a *as) all(kind string) []asMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []asMessage
	for _, m := range a.messages {
		if m.Type == kind {
			out = append(out, m)
		}
	}
	return out
}

// text is a parameter as text.
func (m asMessage) text(name string) string { s, _ := m.Params[name].(string); return s }

// number is a parameter as number.
func (m asMessage) number(name string) float64 { f, _ := m.Params[name].(float64); return f }

// txTime is when a request's transmission is planned, on the host's clock.
func (m asMessage) txTime() time.Time {
	return time.UnixMicro(int64(m.number("tx_time")*1e6 + 0.5))
}

// downlinksOf makes a channel of the gateway's transmissions.
func (w *world) watchGateway(f func(air.Transmission)) (stop func()) {
	gateway := w.d.conc.EUI().String()
	return w.medium.Observe(func(t air.Transmission) {
		if t.From == gateway {
			f(t)
		}
	})
}
