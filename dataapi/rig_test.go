package dataapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"gatewayd/dataapi/inproc"
	"gatewayd/dataapi/schema/schematest"
	"gatewayd/nsedge"
	"gatewayd/radio"
)

// fakeEdge registers devices in memory and remembers what it was asked.
type fakeEdge struct {
	mu      sync.Mutex
	devices map[radio.EUI64]nsedge.Device
	answers []nsedge.Answer
	refuse  error         // what Answer returns
	hang    chan struct{} // Answer waits for it
}

func newFakeEdge() *fakeEdge { return &fakeEdge{devices: map[radio.EUI64]nsedge.Device{}} }

// put registers a device; what it doesn't say is as the API makes it.
func (e *fakeEdge) put(d nsedge.Device) {
	made := newDevice("")
	d.Activation, d.Encryption = cmp.Or(d.Activation, nsedge.OTAA), cmp.Or(d.Encryption, made.Encryption)
	d.Class, d.CountersSize, d.ADR.Mode = cmp.Or(d.Class, made.Class), cmp.Or(d.CountersSize, made.CountersSize), cmp.Or(d.ADR.Mode, made.ADR.Mode)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.devices[d.DevEUI] = d
}

func (e *fakeEdge) Answer(ctx context.Context, a nsedge.Answer) error {
	if e.hang != nil {
		select {
		case <-e.hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers = append(e.answers, a)
	return e.refuse
}

func (e *fakeEdge) taken() []nsedge.Answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.answers)
}

func (e *fakeEdge) Device(_ context.Context, eui radio.EUI64) (nsedge.Device, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, ok := e.devices[eui]
	if !ok {
		return d, nsedge.ErrUnknownDevice
	}
	return d, nil
}

func (e *fakeEdge) Devices(_ context.Context, yield func(nsedge.Device) bool) error {
	e.mu.Lock()
	var all []nsedge.Device
	for _, d := range e.devices {
		all = append(all, d)
	}
	e.mu.Unlock()
	slices.SortFunc(all, func(a, b nsedge.Device) int { return bytes.Compare(a.DevEUI[:], b.DevEUI[:]) })
	for _, d := range all {
		if !yield(d) {
			break
		}
	}
	return nil
}

func (e *fakeEdge) CreateDevice(_ context.Context, d nsedge.Device) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.devices[d.DevEUI]; ok {
		return nsedge.ErrDeviceExists
	}
	if d.Band == "MARS" {
		return &nsedge.Refusal{Code: "device_invalid", Field: "band", Message: "MARS is unknown"}
	}
	e.devices[d.DevEUI] = d
	return nil
}

func (e *fakeEdge) UpdateDevice(_ context.Context, eui radio.EUI64, change func(*nsedge.Device) error) (nsedge.Device, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, ok := e.devices[eui]
	if !ok {
		return d, nsedge.ErrUnknownDevice
	}
	if err := change(&d); err != nil {
		return d, err
	}
	e.devices[eui] = d
	return d, nil
}

func (e *fakeEdge) DeleteDevice(_ context.Context, eui radio.EUI64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.devices[eui]; !ok {
		return nsedge.ErrUnknownDevice
	}
	delete(e.devices, eui)
	return nil
}

// brokenEdge fails at everything.
type brokenEdge struct{ *fakeEdge }

var errBroken = errors.New("the disk is full, and this is not the client's business")

func (brokenEdge) Answer(context.Context, nsedge.Answer) error { return errBroken }
func (brokenEdge) Device(context.Context, radio.EUI64) (nsedge.Device, error) {
	return nsedge.Device{}, errBroken
}
func (brokenEdge) Devices(context.Context, func(nsedge.Device) bool) error { return errBroken }

// rig is a running server with a client's means to reach it.
type rig struct {
	*testing.T
	*Server
	edge  *fakeEdge
	log   *bytes.Buffer // read it after stop
	pipes *inproc.Listener
	token string // has all rights
	stop  func(cause error)
}

// lockedWriter lets goroutines share a log.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

const testNetwork = "358b679dd88d47948f6e108677b4b79a"

func start(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{T: t, edge: newFakeEdge(), log: &bytes.Buffer{}, pipes: inproc.Listen()}
	if cfg.Edge == nil {
		cfg.Edge = r.edge
	}
	cfg.Network = testNetwork
	cfg.Log = slog.New(slog.NewTextHandler(&lockedWriter{w: r.log}, nil))
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.handler = checked(t, s.handler)
	s.encoder.made = checkMessage(t)
	r.Server = s
	r.token = r.key(Key{Rights: AllRights()})
	ctx, cancel := context.WithCancelCause(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	listener := r.pipes
	running.Go(func() {
		if err := s.Serve(ctx, listener); err != nil {
			t.Error(err)
		}
	})
	r.stop = func(cause error) { cancel(cause); running.Wait() }
	t.Cleanup(func() { r.stop(nil) })
	return r
}

// checkMessage holds each message that is made against its schema.
func checkMessage(t testing.TB) func([]byte) {
	return func(text []byte) {
		if err := schematest.CheckOutgoing(text); err != nil {
			t.Error(err)
		}
	}
}

func (r *rig) key(k Key) string {
	r.Helper()
	_, token, err := r.Keys().Create(k)
	if err != nil {
		r.Fatal(err)
	}
	return token
}

// connect opens the Data API; query has no token.
func (r *rig) connect(query string) *websocket.Conn {
	r.Helper()
	d := websocket.Dialer{NetDialContext: r.pipes.Dial}
	c, _, err := d.Dial("ws://gateway/api/v1.0/data?access_token="+r.token+"&"+query, nil) //nolint:bodyclose // Dial closes it
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	return c
}

// envelope is a message as a client reads it.
type envelope struct {
	Type   string         `json:"type"`
	Meta   map[string]any `json:"meta"`
	Params map[string]any `json:"params"`
}

func (r *rig) next(c *websocket.Conn) envelope {
	r.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		r.Fatal(err)
	}
	kind, text, err := c.ReadMessage()
	if err != nil {
		r.Fatalf("no message: %v", err)
	}
	if kind != websocket.TextMessage {
		r.Fatalf("frame of type %d, text is wanted", kind)
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		r.Fatalf("%s: %v", text, err)
	}
	return e
}

func (r *rig) send(c *websocket.Conn, text string) {
	r.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		r.Fatal(err)
	}
}

// closeCode reads to the end, which must come within four (virtual) hours.
func closeCode(c *websocket.Conn) (int, string) {
	if err := c.SetReadDeadline(time.Now().Add(4 * time.Hour)); err != nil {
		return 0, err.Error()
	}
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			if e, ok := errors.AsType[*websocket.CloseError](err); ok {
				return e.Code, e.Text
			}
			return 0, err.Error()
		}
	}
}

// rest calls the Management API with all rights, or with those of the header.
func (r *rig) rest(method, path, body string, header ...string) (int, map[string]any) {
	r.Helper()
	res, out := r.raw(method, path, body, append([]string{"Authorization", "Bearer " + r.token}, header...)...)
	return res.StatusCode, out
}

// response is what of an answer is not its body.
type response struct {
	StatusCode int
	Header     http.Header
}

func (r response) Cookies() []*http.Cookie { return (&http.Response{Header: r.Header}).Cookies() }

// raw calls the API without a token of its own.
func (r *rig) raw(method, path, body string, header ...string) (response, map[string]any) {
	r.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: r.pipes.Dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(r.Context(), method, "http://gateway"+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	var out map[string]any
	if len(text) > 0 && json.Unmarshal(text, &out) != nil {
		out = map[string]any{"text": string(text)}
	}
	return response{res.StatusCode, res.Header}, out
}

func mustEUI(s string) radio.EUI64 {
	e, err := radio.ParseEUI64(s)
	if err != nil {
		panic(err)
	}
	return e
}

// hex32 fills a packet hash.
func hex32(b byte) (h nsedge.PacketHash) {
	for i := range h {
		h[i] = b
	}
	return h
}

// value of a counter.
func value(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}
