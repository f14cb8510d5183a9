package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Config of a [Client].
type Config struct {
	// URL is ws:// or wss://HOST[:PORT]/api/v1.0/data with any parameters of
	// the Data API, such as radio=1.
	URL string
	// Token, if it is not in the URL.
	Token string
	// Since asks for the history from (five seconds before) that time on; zero:
	// for none. After a break it is asked for what was missed in any case.
	Since time.Time
	// Handle gets each message once, one at a time: while it runs nothing is
	// read. It may call the client.
	Handle func(ctx context.Context, c *Client, m *Message)

	TLS  *tls.Config                                                          // nil: the system's
	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: TCP
	Log  *slog.Logger                                                         // nil: none
}

// Times of a connection.
const (
	firstPause  = 100 * time.Millisecond
	lastPause   = 30 * time.Second
	handshake   = 10 * time.Second
	silence     = time.Minute // the server sends a PONG every 25 s
	writeTime   = 10 * time.Second
	largestText = 8 << 20
)

// Client is a connection that is made again and again.
type Client struct {
	cfg Config
	url *url.URL

	mu       sync.Mutex
	conn     *websocket.Conn // nil while there is none
	progress *progress
}

// Refused is why the server does not want the client; trying again would not
// help.
type Refused struct {
	Status        int
	Code, Message string
}

// Error implements error.
func (r *Refused) Error() string {
	return fmt.Sprintf("the server refuses the connection: %d %s: %s", r.Status, r.Code, r.Message)
}

// ErrNotConnected says that a message was not sent. Windows don't wait: it is
// no use to keep an answer until the connection is back.
var ErrNotConnected = errors.New("not connected to the Data API")

// New makes a client; nothing is sent before [Client.Run].
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("data api: %w", err)
	}
	if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("data api: URL %s: ws://HOST/api/v1.0/data or wss://… is wanted", u.Redacted())
	}
	if cfg.Handle == nil {
		return nil, errors.New("data api: Config.Handle is missing")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg, url: u, progress: newProgress(cfg.Since)}, nil
}

// Position is the time up to which every message was handed over; zero where
// none was yet. It is that of a client that was closed, too.
func (c *Client) Position() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.progress.position
}

// Run serves until the context ends, which is no error, or until the server
// refuses the connection for good: then the error is a [*Refused].
func (c *Client) Run(ctx context.Context) error {
	for pause := firstPause; ; {
		connected, err := c.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if refused, ok := errors.AsType[*Refused](err); ok {
			return refused
		}
		if connected {
			pause = firstPause
		}
		wait := pause/2 + rand.N(pause/2) //nolint:gosec // only so that not all come at once after a restart
		c.cfg.Log.Warn("data api: no connection", slog.Any("error", err), slog.Duration("retry_in", wait))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		pause = min(2*pause, lastPause)
	}
}

// serve is the life of one connection; connected tells whether a message came.
func (c *Client) serve(ctx context.Context) (connected bool, err error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer c.use(nil)
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(silence)) }
	conn.SetPongHandler(alive)
	conn.SetReadLimit(largestText)
	for {
		if err := alive(""); err != nil {
			return connected, err
		}
		_, text, err := conn.ReadMessage()
		if err != nil {
			return connected, err
		}
		connected = true
		var m Message
		if err := json.Unmarshal(text, &m); err != nil {
			c.cfg.Log.Warn("data api: a message that can't be understood", slog.Any("error", err))
			continue
		}
		if c.isNew(&m) {
			c.cfg.Handle(ctx, c, &m)
		}
	}
}

// connect asks for what was missed.
func (c *Client) connect(ctx context.Context) (*websocket.Conn, error) {
	u := *c.url
	q := u.Query()
	c.mu.Lock()
	if from := c.progress.from(); !from.IsZero() {
		q.Set("from_unixtime", strconv.FormatFloat(float64(from.UnixMicro())/1e6, 'f', 6, 64))
		q.Del("last_messages")
	}
	c.mu.Unlock()
	q.Set("history_end", "1")
	u.RawQuery = q.Encode()
	header := http.Header{}
	if c.cfg.Token != "" {
		header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	dialer := websocket.Dialer{NetDialContext: c.cfg.Dial, TLSClientConfig: c.cfg.TLS, HandshakeTimeout: handshake, Proxy: http.ProxyFromEnvironment}
	conn, resp, err := dialer.DialContext(ctx, u.String(), header)
	if err != nil {
		return nil, refusal(resp, err)
	}
	_ = resp.Body.Close() // of 101: there is none
	c.use(conn)
	return conn, nil
}

// refusal turns what the server said to a handshake into an error.
func refusal(resp *http.Response, err error) error {
	if resp == nil {
		return err
	}
	defer resp.Body.Close()
	r := &Refused{Status: resp.StatusCode, Code: "http", Message: resp.Status}
	_ = json.NewDecoder(resp.Body).Decode(r) // where it is none of the server's own, the status has to do
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return r
	}
	return errors.New(r.Error())
}

func (c *Client) use(conn *websocket.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	if conn != nil {
		c.progress.connected()
	}
}

// historyEnd is the code of the info after the last past message. Its time is
// that from which on everything is new.
const historyEnd = "history_end"

// isNew keeps the books about a message and tells whether the application has
// not had it yet.
func (c *Client) isNew(m *Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Type == TypeInfo && m.Meta.Device == "" {
		var n Notice
		if m.Decode(&n) == nil && n.Code == historyEnd {
			c.progress.caughtUp(m.Meta.Time.Time())
			return false
		}
	}
	return c.progress.take(&m.Meta)
}
