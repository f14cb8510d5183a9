// Package exampleas is the application server of the demo: it connects to the
// Data API as anybody's would (package dataapi/client), remembers the last
// uplink of each device, and answers each downlink_request in time for the
// first receive window. docs/examples has smaller ones to start from.
//
// [Run] owns what it remembers; it reads one message at a time. Only an answer
// that is held back has a goroutine of its own.
package exampleas

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"gatewayd/dataapi/client"
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
	// Claim are devices that are claimed every ClaimEvery, to be sent something
	// without an uplink before: those of class B and C.
	Claim      []string
	ClaimEvery time.Duration
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

// Run serves until ctx ends; a lost connection is made anew. It is an error if
// the server refuses the connection for good.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Reply == nil {
		cfg.Reply = Echo
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a := &application{cfg: cfg, last: map[string]Uplink{}}
	defer a.held.Wait()
	c, err := client.New(client.Config{URL: cfg.URL, Dial: cfg.Dial, Handle: a.handle, Log: cfg.Log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(cfg.Claim) > 0 {
		a.held.Go(func() { a.claim(ctx, c) })
	}
	return c.Run(ctx)
}

// claim claims devices until ctx ends.
func (a *application) claim(ctx context.Context, c *client.Client) {
	tick := time.NewTicker(a.cfg.ClaimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, device := range a.cfg.Claim {
			if err := c.Claim(ctx, device); err != nil && ctx.Err() == nil {
				a.cfg.Log.Warn("example AS: not claimed", slog.String("device", device), slog.Any("error", err))
			}
		}
	}
}

// application is what the server remembers.
type application struct {
	cfg  Config
	last map[string]Uplink // by device
	held sync.WaitGroup
}

func (a *application) handle(ctx context.Context, c *client.Client, m *client.Message) {
	if err := a.take(ctx, c, m); err != nil {
		a.cfg.Log.Warn("example AS", slog.String("device", m.Meta.Device), slog.Any("error", err))
	}
}

func (a *application) take(ctx context.Context, c *client.Client, m *client.Message) error {
	switch m.Type {
	case client.TypeUplink:
		var up client.Uplink
		if err := m.Decode(&up); err != nil {
			return err
		}
		a.last[m.Meta.Device] = Uplink{up.Counter, up.Port, up.Payload}
	case client.TypeDownlinkRequest:
		if m.Meta.History {
			return nil // its window is over
		}
		var ask client.DownlinkRequest
		if err := m.Decode(&ask); err != nil {
			return err
		}
		a.request(ctx, c, m, Request{
			Device: m.Meta.Device, Uplink: a.last[m.Meta.Device], TXTime: ask.TXTime.Time(), MaxSize: ask.MaxSize, Counter: ask.Counter,
		})
	case client.TypeError, client.TypeWarning:
		var n client.Notice
		if err := m.Decode(&n); err != nil {
			return err
		}
		a.cfg.Log.Warn("example AS: "+m.Type, slog.String("device", m.Meta.Device), slog.String("message", n.Message))
	}
	return nil
}

// request answers now, or later if the answer is to be held back.
func (a *application) request(ctx context.Context, c *client.Client, m *client.Message, req Request) {
	payload, ok := a.cfg.Reply(req)
	if !ok {
		return
	}
	hold := time.Duration(0)
	if a.cfg.Hold != nil {
		hold = a.cfg.Hold(req)
	}
	if hold <= 0 {
		a.answer(ctx, c, m, req, payload)
		return
	}
	a.held.Go(func() {
		select {
		case <-time.After(hold):
			a.answer(ctx, c, m, req, payload)
		case <-ctx.Done():
		}
	})
}

func (a *application) answer(ctx context.Context, c *client.Client, m *client.Message, req Request, payload []byte) {
	if a.cfg.Tell != nil {
		a.cfg.Tell(Answer{req, payload})
	}
	if err := c.Respond(ctx, m, client.DownlinkResponse{Payload: payload, Port: max(req.Uplink.Port, 1)}); err != nil {
		a.cfg.Log.Warn("example AS: answer not sent", slog.String("device", req.Device), slog.Any("error", err))
	}
}
