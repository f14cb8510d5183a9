package dataapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"gatewayd/nsedge"
)

// Codes of close frames that are ours to send. 1000 is not among them: after
// it clients stay away for ever.
const (
	closePolicy = websocket.ClosePolicyViolation // 1008: flood, key revoked
	closeSlow   = websocket.CloseTryAgainLater   // 1013: slow reader
)

// hardLimit is the size of a message that ends the connection (1009) instead
// of getting an error.
const hardLimit = 4 << 20

// subscriber is one connection to the Data API. Its reader goroutine turns
// messages into answers, its writer goroutine owns what goes out.
type subscriber struct {
	id     uint64
	server *Server
	conn   *websocket.Conn // nil until the handshake is through
	log    *slog.Logger
	keyID  string
	local  bool // the key is the administrator's, which is not stored
	filter filter
	shape  shape
	opened time.Time
	since  uint64  // number of the last event before it was registered
	replay *replay // the writer's; nil where nothing is left to replay

	queue   chan *frame
	gone    chan struct{} // closed by end
	done    chan struct{} // closed when the writer is through
	once    sync.Once
	who     string    // the key and the address, for what is counted by both
	flooded sync.Once // and was counted
	code    int       // of the close frame, valid once gone is closed; 0 = none to send
	why     string

	sent     atomic.Uint64
	received uint64 // the reader's
}

// offer queues a message. A connection whose queue is full reads too slowly:
// it is ended, and nobody waits for it.
func (c *subscriber) offer(f *frame) {
	select {
	case <-c.gone:
		return
	default:
	}
	select {
	case c.queue <- f:
	default:
		c.end(closeSlow, fmt.Sprintf("slow reader: %d messages were waiting; reconnect and read faster", cap(c.queue)))
	}
}

// end makes the connection close; the first call decides how.
func (c *subscriber) end(code int, why string) {
	c.once.Do(func() {
		c.code, c.why = code, why
		close(c.gone)
	})
}

// read owns the incoming half until the connection ends.
func (c *subscriber) read() {
	pace := limiter(c.server.cfg.MaxRate)
	malformed := mistakes(c.server.cfg.MaxMalformed)
	c.conn.SetReadLimit(hardLimit)
	c.conn.SetPingHandler(func(data string) error {
		c.offer(newFrame(websocket.PongMessage, []byte(data)))
		return pace.Wait(c.server.life)
	})
	c.conn.SetCloseHandler(c.closing)
	for {
		kind, r, err := c.conn.NextReader()
		if err == nil {
			err = c.receive(kind, r, malformed)
		}
		if err != nil {
			c.end(0, "read: "+err.Error())
			break
		}
		_ = pace.Wait(c.server.life) // at the end nothing paces it
	}
	<-c.done
	_ = c.conn.Close() // nothing is left to say
	c.closed()
	c.server.unregister(c)
}

// limiter lets n things a second through, n of them at once.
func limiter(n int) *rate.Limiter { return rate.NewLimiter(rate.Limit(n), n) }

// mistakes lets n malformed messages a second through, five seconds' worth of
// them at once: who tries out what is allowed doesn't flood.
func mistakes(n int) *rate.Limiter { return rate.NewLimiter(rate.Limit(n), 5*n) }

// closed says how it ended.
func (c *subscriber) closed() {
	if c.code != 0 {
		c.server.metrics.closed.WithLabelValues(closeName(c.code)).Inc()
	}
	c.log.Info("data api connection closed", slog.Int("code", c.code), slog.String("reason", c.why), slog.Duration("after", time.Since(c.opened)),
		slog.Uint64("sent", c.sent.Load()), slog.Uint64("received", c.received))
}

// receive takes one message. An error is one of the connection, not of the
// message: those are told to the client.
func (c *subscriber) receive(kind int, r io.Reader, malformed *rate.Limiter) error {
	most := c.server.cfg.MaxMessage
	text, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return err
	}
	select {
	case <-c.gone:
		return nil // it is told already that nobody listens any more
	default:
	}
	c.received++
	var m message
	var wrong error
	switch {
	case kind != websocket.TextMessage:
		wrong = &problem{Code: codeBinaryFrame, Message: "binary frame; send one JSON object per text frame"}
	case len(text) > most:
		if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
		wrong = &problem{Code: codeTooLarge, Message: fmt.Sprintf("the message is larger than the %d bytes that are allowed", most)}
	default:
		m, wrong = c.server.decode(c.keyID, text)
	}
	if wrong == nil {
		c.answer(m)
		return nil
	}
	c.server.metrics.malformed.Inc()
	c.tell(m.meta(), wrong)
	if !malformed.Allow() {
		c.flooded.Do(func() { c.server.floods.allow(c.who) })
		c.end(closePolicy, fmt.Sprintf("flood: more than %d malformed messages a second", c.server.cfg.MaxMalformed))
	}
	return nil
}

// answer hands a message to the edge. A refusal comes back as an error
// message, however the connection's types are set.
func (c *subscriber) answer(m message) {
	if err := c.mayAnswer(m); err != nil {
		c.server.metrics.answers.WithLabelValues(m.kind, "refused").Inc()
		c.tell(m.meta(), err)
		return
	}
	if meta, err := c.server.handOver(c.server.life, c.log, c.keyID, m); err != nil {
		c.tell(meta, err)
	}
}

// handOver hands a message of an application to the edge. A refusal comes with
// the meta for the error message about it.
func (s *Server) handOver(ctx context.Context, log *slog.Logger, application string, m message) (nsedge.Meta, error) {
	s.leads.answered(application, m.answer)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.AnswerTimeout)
	defer cancel()
	edge, err := s.theEdge()
	if err == nil {
		err = edge.Answer(ctx, m.answer)
	}
	if err == nil {
		s.metrics.answers.WithLabelValues(m.kind, "taken").Inc()
		return nsedge.Meta{}, nil
	}
	s.metrics.answers.WithLabelValues(m.kind, "refused").Inc()
	if p := problemOf(err); p.Code == codeServerError {
		log.Error("hand an answer to the network server", slog.String("type", m.kind), slog.Any("error", err))
		if errors.Is(err, context.DeadlineExceeded) {
			err = &problem{Code: codeServerError, Message: "the network server did not take the " + m.kind + " in time"}
		}
	}
	return s.complete(ctx, m.meta()), err
}

// tell sends an error message to this connection alone.
func (c *subscriber) tell(meta nsedge.Meta, wrong error) {
	c.offer(textFrame(c.server.encode(noticeOf(wrong, meta), newPacketID(), 0)))
}

// complete fills in what the edge knows about the device.
func (s *Server) complete(ctx context.Context, m nsedge.Meta) nsedge.Meta {
	edge, err := s.theEdge()
	if err != nil || m.Device == (nsedge.Meta{}).Device {
		return m
	}
	d, err := edge.Device(ctx, m.Device)
	if err != nil {
		return m // an unknown device has no more than the client said
	}
	m.Application, m.Tags = d.AppEUI, d.Tags
	if d.DevAddr != nil {
		m.DevAddr = *d.DevAddr
	}
	return m
}
