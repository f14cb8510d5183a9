package dataapi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// Edge is the network server as this package needs it; *nsedge.Edge is one.
// Its methods are called from many goroutines.
type Edge interface {
	Answer(ctx context.Context, a nsedge.Answer) error // nil, or a *nsedge.Refusal
	Device(ctx context.Context, eui radio.EUI64) (nsedge.Device, error)
	Devices(ctx context.Context, yield func(nsedge.Device) bool) error // in order of DevEUI
	CreateDevice(ctx context.Context, d nsedge.Device) error
	UpdateDevice(ctx context.Context, eui radio.EUI64, change func(*nsedge.Device) error) (nsedge.Device, error)
	DeleteDevice(ctx context.Context, eui radio.EUI64) error
}

// ErrRestart as the cause of the context given to [Server.Run] closes the
// connections with 1012 (service restart) instead of 1001 (going away).
var ErrRestart = errors.New("gatewayd restarts")

// Config of a [Server]. The zero value works: it serves the Data API to keys
// that are kept in memory.
type Config struct {
	// Network is meta.network: 8 or 32 hex digits. Where it is empty, one is
	// made and kept in Documents.
	Network string
	// Org is the name of the one organisation; "default" if empty.
	Org string
	// Documents keep the keys; in memory if nil.
	Documents Documents
	// Edge may also be given later with [Server.SetEdge].
	Edge Edge
	// Position of a gateway, nil if none is known.
	Position func(gateway radio.EUI64) (p Position, ok bool)
	// Bands are what /bands lists.
	Bands []Band
	// BandNamed finds a band by other names than those of Bands; nil: there are no others.
	BandNamed func(name string) (b Band, ok bool)
	// Gateways are those of this site; nil: there are none.
	Gateways func() []Gateway
	// Ready says why the daemon isn't ready; nil if there is nothing to ask.
	Ready func(context.Context) error
	// TLS tells which certificate is served; nil, or nil from it: none.
	TLS func() *TLSInfo
	// Machine is the radio and the daemon; nil: there is none to show.
	Machine Machine
	// Observer is told of messages and requests; nil: nobody is.
	Observer Observer
	// Lab is the test bench; nil: it is off.
	Lab Laboratory
	// Backups of the whole gateway; nil: there are none.
	Backups Backups
	// Appliance is the machine, if there is nothing else on it; else nil.
	Appliance Appliance
	// Origins are the other sites whose pages may call, such as
	// "https://example.org", or "*" for all. They need a token, cookies don't count.
	Origins []string
	// Dial makes the connections of HTTP adapters; nil is the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log of connections and failures; slog.Default if nil.
	Log *slog.Logger

	HistoryBytes   int           // what the history may take; 32 MiB
	HistoryFile    string        // where it outlasts the process, with as much in each of two files; "": in memory only
	Queue          int           // messages that wait for one connection; 512
	MaxConnections int           // 4096
	MaxMessage     int           // bytes of a message from an AS; 64 KiB
	MaxRate        int           // messages a second that are read from an AS; the rest waits in its socket; 500
	MaxMalformed   int           // malformed messages a second, five times as many at once, before a client is cut off; 20
	MaxRequests    int           // requests a second from one address or with one key; 500
	PongInterval   time.Duration // 25 s, which clients rely on
	WriteTimeout   time.Duration // for one message to one connection; 20 s
	AnswerTimeout  time.Duration // for the edge to take an answer; 5 s
	CloseTimeout   time.Duration // for closing handshakes and open requests at the end; 3 s
}

func (c *Config) setDefaults() error {
	for _, d := range []struct {
		v *int
		d int
	}{{&c.HistoryBytes, 32 << 20}, {&c.Queue, 512}, {&c.MaxConnections, 4096}, {&c.MaxMessage, 64 << 10}, {&c.MaxRate, 500}, {&c.MaxMalformed, 20}, {&c.MaxRequests, 500}} {
		if *d.v <= 0 {
			*d.v = d.d
		}
	}
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&c.PongInterval, 25 * time.Second}, {&c.WriteTimeout, 20 * time.Second}, {&c.AnswerTimeout, 5 * time.Second}, {&c.CloseTimeout, 3 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.d
		}
	}
	if c.Org == "" {
		c.Org = "default"
	}
	if c.Documents == nil {
		c.Documents = &memory{}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c.setNetwork()
}

// setNetwork checks the identifier, or makes one that lasts.
func (c *Config) setNetwork() error {
	const bucket, key = "dataapi", "network"
	if c.Network == "" {
		kept, err := c.Documents.Get(bucket, []byte(key))
		if err != nil {
			return fmt.Errorf("read the network's identifier: %w", err)
		}
		if c.Network = string(kept); kept == nil {
			c.Network = randomHex(16)
			if err := c.Documents.Put(bucket, []byte(key), []byte(c.Network)); err != nil {
				return fmt.Errorf("keep the network's identifier: %w", err)
			}
		}
	}
	c.Network = strings.ToLower(c.Network)
	if b, err := hex.DecodeString(c.Network); err != nil || len(b) != 4 && len(b) != 16 {
		return fmt.Errorf("network %s: 8 or 32 hex digits are wanted", shown(c.Network))
	}
	return nil
}

// intake bounds the events that wait for [Server.Run].
const intake = 4096

// Server serves the Data API and the Management API.
type Server struct {
	cfg       Config
	log       *slog.Logger
	encoder   encoder
	keys      *Keys
	users     *users
	sessions  *sessions
	byAddress *limits // sign-ins
	byAccount *limits
	pace      *limits       // requests of all kinds
	floods    *limits       // cut off, by key and address
	auditPace *rate.Limiter // lines of the log about refusals
	trail     auditTrail
	setup     setup
	jobs      jobs
	watchers  watchers
	ending    chan struct{} // closed when Run ends
	history   *history
	batches   batches
	links     links
	metrics   *metrics
	requests  requests
	leads     *leads
	locator   locator
	handler   http.Handler
	edge      atomic.Pointer[Edge]
	events    chan nsedge.Event
	life      context.Context // ends when Run does: for what connections ask of the edge
	kill      context.CancelFunc
	running   atomic.Bool

	mu          sync.RWMutex
	subscribers map[*subscriber]struct{}
	stopped     bool
	lastID      uint64
	open        sync.WaitGroup
}

// New makes a server that works; connections are accepted by [Server.Handler]
// or [Server.Serve], and events flow while [Server.Run] runs.
func New(cfg Config) (*Server, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	keys, err := OpenKeys(cfg.Documents)
	if err != nil {
		return nil, err
	}
	users, err := openUsers(cfg.Documents)
	if err != nil {
		return nil, err
	}
	sessions, err := openSessions(cfg.Documents, users)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:         cfg,
		log:         cfg.Log,
		encoder:     encoder{network: cfg.Network, position: cfg.Position},
		keys:        keys,
		users:       users,
		sessions:    sessions,
		byAddress:   newLimits(addressPerMinute/60.0, triesPerAddress),
		byAccount:   newLimits(accountsPerMinute/60.0, triesPerAccount),
		floods:      newLimits(1/floodPause.Seconds(), floodsAtOnce),
		pace:        newLimits(float64(cfg.MaxRequests), 4*cfg.MaxRequests),
		auditPace:   limiter(20),
		locator:     locator{position: cfg.Position},
		history:     newHistory(cfg.HistoryBytes),
		ending:      make(chan struct{}),
		setup:       setup{code: newSetupCode()},
		links:       links{byID: map[string]*link{}},
		events:      make(chan nsedge.Event, intake),
		subscribers: map[*subscriber]struct{}{},
	}
	if cfg.HistoryFile != "" {
		s.history.file = newHistoryFile(cfg.HistoryFile, cfg.HistoryBytes)
		if err := s.history.file.load(s.history); err != nil {
			return nil, err
		}
	}
	s.life, s.kill = context.WithCancel(context.Background())
	keys.changed, sessions.ended = s.dropKey, s.dropKey
	s.metrics = newMetrics(s)
	s.leads = newLeads(s.metrics.leads, &s.requests)
	s.handler = s.routes()
	if cfg.Edge != nil {
		s.SetEdge(cfg.Edge)
	}
	return s, nil
}

// SetEdge says who answers. It exists because the edge is made with
// [Server.Publish]; until it is called, answers get an error.
func (s *Server) SetEdge(e Edge) { s.edge.Store(&e) }

// Keys are the access tokens.
func (s *Server) Keys() *Keys { return s.keys }

// Network is meta.network.
func (s *Server) Network() string { return s.cfg.Network }

// Handler serves everything under "/".
func (s *Server) Handler() http.Handler { return s.handler }

var errStarting = &problem{http.StatusServiceUnavailable, codeNotReady, "", "the network server is still starting; try again in a moment"}

// theEdge is the edge, or an error while there is none.
func (s *Server) theEdge() (Edge, error) {
	if e := s.edge.Load(); e != nil {
		return *e, nil
	}
	return nil, errStarting
}

// dropKey ends the connections that a key or a session opened.
func (s *Server) dropKey(id string) {
	s.leads.forget(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for c := range s.subscribers {
		if c.keyID == id {
			c.end(closePolicy, "access key revoked or changed")
		}
	}
}
