package dataapi

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// upgrader's buffers are small and the write buffers shared: most of a
// connection's memory is its goroutines' stacks.
func upgrader() *websocket.Upgrader {
	return &websocket.Upgrader{
		ReadBufferSize:   1024,
		WriteBufferSize:  1024,
		WriteBufferPool:  &sync.Pool{},
		HandshakeTimeout: 5 * time.Second,
		CheckOrigin:      func(*http.Request) bool { return true }, // judged by admit
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			if status == http.StatusBadRequest || status == http.StatusMethodNotAllowed {
				status = http.StatusUpgradeRequired
				w.Header().Set("Upgrade", "websocket")
			}
			refuse(w, &problem{status, codeUpgrade, "", "this address is a WebSocket: " + reason.Error()})
		},
	}
}

// serveData admits a client or refuses it before the upgrade. The subscriber
// is registered before the client learns that it is connected: from then on
// it misses nothing.
func (s *Server) serveData() http.HandlerFunc {
	up := upgrader()
	return func(w http.ResponseWriter, r *http.Request) {
		query := parseParameters(r.URL.RawQuery)
		c, err := s.admit(r, query)
		if err != nil {
			p := problemOf(err)
			refuse(w, p)
			s.audit(r, "", p)
			s.metrics.refused.WithLabelValues(p.Code).Inc()
			s.log.Info("data api connection refused", slog.String("remote", r.RemoteAddr), slog.String("code", p.Code), slog.String("field", p.Field))
			return
		}
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			s.unregister(c)
			s.metrics.refused.WithLabelValues(codeUpgrade).Inc()
			return // the upgrader told the client
		}
		s.connected(c, conn)
	}
}

// A client that flooded may come again at once so many times, and then once in
// a while.
const (
	floodsAtOnce = 3
	floodPause   = 30 * time.Second
)

// admit checks the token, the origin, the parameters and that there is room,
// in that order.
func (s *Server) admit(r *http.Request, query parameters) (*subscriber, error) {
	cred, err := s.authenticate(r, query)
	if err != nil {
		return nil, err
	}
	if err := s.paceKey(cred); err != nil {
		return nil, err
	}
	if cred.cookie && !sameOrigin(r) {
		return nil, errCrossOrigin
	}
	if !cred.key.MayConnect() {
		return nil, errNoData
	}
	who := cred.key.ID + " " + addressOf(r)
	if wait := s.floods.spent(who); wait > 0 {
		return nil, tooMany(wait, "floods of malformed messages from this application")
	}
	req, err := s.parseRequest(query)
	if err != nil {
		return nil, err
	}
	req.filter.within = cred.key.confine()
	c := &subscriber{
		server: s, who: who, keyID: cred.key.ID, local: cred.local, filter: req.filter, shape: req.shape, opened: time.Now(),
		queue: make(chan *frame, s.cfg.Queue), gone: make(chan struct{}), done: make(chan struct{}),
	}
	if err := s.register(c); err != nil {
		return nil, err
	}
	c.replay = s.history.replayOf(&req, c.since)
	return c, nil
}

var errNoData = &problem{http.StatusForbidden, codeForbidden, "access_token",
	"access_token: this key lacks the right data; make one with: gatewayd key create --rights data"}

// register takes a place for a connection.
func (s *Server) register(c *subscriber) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return &problem{http.StatusServiceUnavailable, codeStopping, "", "gatewayd stops; connect again in a moment"}
	}
	if len(s.subscribers) >= s.cfg.MaxConnections {
		return &problem{http.StatusServiceUnavailable, codeTooMany, "", "all places for connections are taken; close one or raise the limit"}
	}
	s.lastID++
	c.id = s.lastID
	c.log = s.log.With(slog.Uint64("connection", c.id))
	c.since = s.history.newest()
	s.subscribers[c] = struct{}{}
	s.open.Add(1)
	return nil
}

// connected lets a subscriber run on its upgraded connection.
func (s *Server) connected(c *subscriber, conn *websocket.Conn) {
	s.mu.Lock()
	c.conn = conn
	s.mu.Unlock()
	c.log.Info("data api connection opened", slog.String("remote", conn.RemoteAddr().String()), slog.String("key", c.keyID),
		slog.String("types", c.filter.kinds.String()))
	if !c.local && !s.lives(c.keyID) { // revoked between admission and registration
		c.end(closePolicy, "access key revoked or changed")
	}
	go c.write()
	go c.read()
}

// unregister gives the place of a connection back.
func (s *Server) unregister(c *subscriber) {
	s.mu.Lock()
	delete(s.subscribers, c)
	s.mu.Unlock()
	s.open.Done()
}

// closeName is the label of a close code in the metrics.
func closeName(code int) string {
	switch code {
	case websocket.CloseGoingAway:
		return "going_away"
	case websocket.CloseServiceRestart:
		return "restart"
	case closeSlow:
		return "slow_reader"
	default:
		return "policy"
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
