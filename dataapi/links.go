package dataapi

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"golang.org/x/time/rate"

	"gatewayd/dataapi/adapter"
	"gatewayd/nsedge"
	"gatewayd/radio"
)

// sender is what carries messages away.
type sender interface {
	Run(ctx context.Context) error
	Offer(m adapter.Message)
	Status() adapter.Status
}

// link is a connection at work.
type link struct {
	server    *Server
	of        connection
	filter    filter
	shape     shape
	sender    sender
	wake      chan struct{} // of senders that pull out of the history; nil for others
	malformed *rate.Limiter
	log       *slog.Logger
	cancel    context.CancelFunc
	done      chan struct{}
}

// links is the set of them.
type links struct {
	changing sync.Mutex // held while a stored connection and its link change

	mu   sync.RWMutex
	ctx  context.Context // nil while the server doesn't run
	byID map[string]*link
}

func (l *links) get(id string) *link {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.byID[id]
}

func (l *links) status(id string) adapter.Status {
	if one := l.get(id); one != nil {
		return one.sender.Status()
	}
	return adapter.Status{State: "stopped"}
}

// open lets links start; they end with the context.
func (l *links) open(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctx = ctx
}

// stop ends a link and waits for that.
func (l *links) stop(id string) {
	l.mu.Lock()
	one := l.byID[id]
	delete(l.byID, id)
	l.mu.Unlock()
	if one != nil {
		one.cancel()
		<-one.done
	}
}

func (l *links) stopAll() {
	l.mu.Lock()
	l.ctx = nil
	ids := slices.Collect(maps.Keys(l.byID))
	for _, one := range l.byID {
		one.cancel()
	}
	l.mu.Unlock()
	for _, id := range ids {
		l.stop(id)
	}
}

// startLink lets a connection work, if the server runs.
func (s *Server) startLink(c connection, req request) {
	l := &link{
		server: s, of: c, filter: req.filter, shape: req.shape, malformed: mistakes(s.cfg.MaxMalformed),
		log: s.log.With(slog.String("connection", c.ID)), done: make(chan struct{}),
	}
	roots, err := c.roots()
	if err != nil {
		l.log.Error("connection doesn't work", slog.Any("error", err))
		return
	}
	switch c.Type {
	case "http":
		l.sender = adapter.NewHTTP(adapter.HTTPConfig{URL: c.URL, Authorization: c.Authorization, Roots: roots, Reply: l.reply, Dial: s.cfg.Dial, Log: l.log})
	case "mqtt":
		l.wake = make(chan struct{}, 1)
		l.sender = adapter.NewMQTT(adapter.MQTTConfig{
			URI: c.URI, ClientID: "gatewayd-" + c.ID[:8], TopicUp: c.TopicUp, TopicDown: c.TopicDown, Roots: roots,
			Newest: s.history.newest, Next: l.next(), Wake: l.wake, Receive: l.receive, Log: l.log,
		})
	}
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	if s.links.ctx == nil {
		return
	}
	ctx, cancel := context.WithCancel(s.links.ctx)
	l.cancel = cancel
	s.links.byID[c.ID] = l
	go func() {
		defer close(l.done)
		_ = l.sender.Run(ctx) // it ends with the context
	}()
}

// offer hands on an event that the link's filter lets through.
func (l *link) offer(k kind, ev nsedge.Event, id packetID, number uint64, text func(shape) []byte) {
	if !l.filter.match(k, ev) {
		return
	}
	if l.wake == nil {
		l.sender.Offer(l.message(k, ev, id, number, text(l.shape.of(k))))
		return
	}
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
}

// next walks through the history for senders that pull.
func (l *link) next() func(after, missed uint64) (adapter.Message, bool) {
	h := l.server.history
	var at cursor
	var known uint64 // the event before the cursor, which starts at the beginning
	wanted := func(p *past) bool { return l.filter.match(p.kind, p.event) }
	return func(after, missed uint64) (adapter.Message, bool) {
		if after != known {
			at, known = h.end(after), after
		}
		p, ok := h.next(&at, h.newest(), wanted)
		if !ok {
			return adapter.Message{}, false
		}
		known = p.number
		s := l.shape
		if p.number <= missed {
			s |= replayed
		}
		return l.message(p.kind, p.event, p.id, p.number, l.server.encode(p.event, p.id, s.of(p.kind))), true
	}
}

func (l *link) message(k kind, ev nsedge.Event, id packetID, number uint64, text []byte) adapter.Message {
	m := ev.About()
	vars := adapter.Vars{Type: k.String(), Network: l.server.cfg.Network}
	for _, v := range []struct {
		into *string
		eui  radio.EUI64
	}{{&vars.Device, m.Device}, {&vars.Application, m.Application}, {&vars.Gateway, m.Gateway}} {
		if v.eui != (radio.EUI64{}) {
			*v.into = v.eui.String()
		}
	}
	addr := m.DevAddr
	if join, ok := ev.(*nsedge.JoinRequest); ok {
		addr = join.DevAddr
	}
	if addr != (nsedge.DevAddr{}) {
		vars.DeviceAddr = addr.String()
	}
	return adapter.Message{ID: hex.EncodeToString(id[:]), Number: number, Vars: vars, Text: text}
}

// reply takes what a receiver answered to a message. JSON that is no message
// is a success; and what answers our complaint gets none: it would loop.
func (l *link) reply(ctx context.Context, to adapter.Message, text []byte) {
	var env struct {
		Type json.RawMessage `json:"type"`
	}
	if json.Unmarshal(text, &env) != nil || env.Type == nil || isNull(env.Type) {
		return
	}
	if to.Vars.Type == errorNotice.String() {
		if m, err := l.server.decode(l.of.ID, text); err != nil {
			l.server.metrics.malformed.Inc()
		} else if _, err := l.server.handOver(ctx, l.log, l.of.ID, m); err != nil {
			return // counted, and logged where it is our fault
		}
		return
	}
	l.receive(ctx, text)
}

// receive takes a message from the application; what is wrong with it goes
// back as an error message, unless there is a flood of them.
func (l *link) receive(ctx context.Context, text []byte) {
	m, err := l.server.decode(l.of.ID, text)
	meta := m.meta()
	if err == nil {
		meta, err = l.server.handOver(ctx, l.log, l.of.ID, m)
	} else {
		l.server.metrics.malformed.Inc()
	}
	if err == nil || !l.malformed.Allow() {
		return
	}
	id, ev := newPacketID(), noticeOf(err, meta)
	l.sender.Offer(l.message(errorNotice, ev, id, 0, l.server.encode(ev, id, 0)))
}
