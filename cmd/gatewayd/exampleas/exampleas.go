// Package exampleas is an application server in a hundred lines: it connects
// to the Data API as anybody's would, remembers the last uplink of each
// device, and answers each downlink_request in time for the first receive
// window. The demo runs it; it is also the place to look at before writing
// one's own.
//
// [Run] owns the connection and what it remembers; it reads one message at a
// time. Only an answer that is held back has a goroutine of its own.
package exampleas

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Config of [Run].
type Config struct {
	URL  string                                                            // ws://HOST/api/v1.0/data?access_token=…
	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: TCP

	// Reply decides on the answer to a request; false lets the window pass.
	// Nil is [Echo].
	Reply func(Request) ([]byte, bool)
	// Hold is how long an answer is kept back, for others to answer first. Nil
	// is not at all.
	Hold func(Request) time.Duration
	// Tell, if not nil, is called with each answer just before it is sent.
	Tell func(Answer)

	Log *slog.Logger // nil: none
}

// Request is what the server asks and what is known of the device.
type Request struct {
	Device  string // DevEUI, 16 lower-case hex digits
	Uplink  Uplink // the last one; zero if there was none
	TXTime  time.Time
	MaxSize int
	Counter uint32
}

// Uplink is what the device said.
type Uplink struct {
	Counter uint32
	Port    uint8
	Payload []byte
}

// Answer is what was sent.
type Answer struct {
	Request Request
	Payload []byte
}

// Echo answers "ack N" with the counter of the uplink that it answers.
func Echo(r Request) ([]byte, bool) {
	text := fmt.Appendf(nil, "ack %d", r.Uplink.Counter)
	return text, len(text) <= r.MaxSize
}

// message is any message of the Data API, as far as this server cares.
type message struct {
	Type   string          `json:"type"`
	Meta   json.RawMessage `json:"meta"` // goes back unchanged
	Params params          `json:"params"`
}

type params struct {
	Port        uint8   `json:"port"`
	Payload     string  `json:"payload"`
	CounterUp   uint32  `json:"counter_up"`
	CounterDown uint32  `json:"counter_down"`
	TXTime      float64 `json:"tx_time"`
	MaxSize     int     `json:"max_size"`
	Message     string  `json:"message"`
}

type response struct {
	Type   string          `json:"type"`
	Meta   json.RawMessage `json:"meta"`
	Params responseParams  `json:"params"`
}

type responseParams struct {
	Payload string `json:"payload"`
	Port    uint8  `json:"port"`
}

// Pauses between attempts to connect.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// Run serves until ctx ends; a lost connection is made anew.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Reply == nil {
		cfg.Reply = Echo
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	pause := firstPause
	for {
		connected, err := serve(ctx, cfg)
		if ctx.Err() != nil {
			return nil
		}
		if connected {
			pause = firstPause
		}
		cfg.Log.Warn("example AS: connection lost", "err", err, "retry_in", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// serve is the life of one connection.
func serve(ctx context.Context, cfg Config) (connected bool, err error) {
	dialer := websocket.Dialer{NetDialContext: cfg.Dial, HandshakeTimeout: 5 * time.Second}
	conn, resp, err := dialer.DialContext(ctx, cfg.URL, nil)
	if err != nil {
		return false, refusal(resp, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	c := &connection{cfg: cfg, conn: conn, gone: make(chan struct{})}
	defer c.end()
	last := map[string]Uplink{}
	for {
		var m message
		if err := conn.ReadJSON(&m); err != nil {
			return true, err
		}
		switch m.Type {
		case "uplink":
			payload, err := base64.StdEncoding.DecodeString(m.Params.Payload)
			if err != nil {
				return true, fmt.Errorf("uplink payload: %w", err)
			}
			last[device(m)] = Uplink{m.Params.CounterUp, m.Params.Port, payload}
		case "downlink_request":
			c.request(m, last[device(m)])
		case "error", "warning":
			cfg.Log.Warn("example AS: "+m.Type, "device", device(m), "message", m.Params.Message)
		}
	}
}

// connection sends the answers.
type connection struct {
	cfg  Config
	conn *websocket.Conn
	gone chan struct{}
	held sync.WaitGroup
	turn sync.Mutex // to write
}

// end waits for answers that are held back; they are not sent any more.
func (c *connection) end() {
	close(c.gone)
	c.held.Wait()
}

// request answers now, or later if the answer is to be held back.
func (c *connection) request(m message, up Uplink) {
	req := Request{
		Device:  device(m),
		Uplink:  up,
		TXTime:  time.UnixMicro(int64(m.Params.TXTime * 1e6)),
		MaxSize: m.Params.MaxSize,
		Counter: m.Params.CounterDown,
	}
	payload, ok := c.cfg.Reply(req)
	if !ok {
		return
	}
	hold := time.Duration(0)
	if c.cfg.Hold != nil {
		hold = c.cfg.Hold(req)
	}
	if hold <= 0 {
		c.answer(m, req, payload)
		return
	}
	c.held.Go(func() {
		select {
		case <-time.After(hold):
			c.answer(m, req, payload)
		case <-c.gone:
		}
	})
}

// answer sends the response with the request's own meta. If that fails, so
// does the next read, which ends the connection.
func (c *connection) answer(m message, req Request, payload []byte) {
	if c.cfg.Tell != nil {
		c.cfg.Tell(Answer{req, payload})
	}
	port := req.Uplink.Port
	if port == 0 {
		port = 1
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	err := c.conn.WriteJSON(response{
		Type:   "downlink_response",
		Meta:   m.Meta,
		Params: responseParams{base64.StdEncoding.EncodeToString(payload), port},
	})
	if err != nil {
		c.cfg.Log.Warn("example AS: answer not sent", "device", req.Device, "err", err)
	}
}

// device is the DevEUI that a message is about, "" if none.
func device(m message) string {
	var meta struct {
		Device string `json:"device"`
	}
	if json.Unmarshal(m.Meta, &meta) != nil {
		return ""
	}
	return meta.Device
}

// refusal adds what the server said to a failed handshake.
func refusal(resp *http.Response, err error) error {
	if resp == nil {
		return err
	}
	defer resp.Body.Close()
	var body struct{ Code, Message string }
	if json.NewDecoder(resp.Body).Decode(&body) != nil {
		return fmt.Errorf("%w: %s", err, resp.Status)
	}
	return errors.Join(err, fmt.Errorf("%s: %s: %s", resp.Status, body.Code, body.Message))
}
