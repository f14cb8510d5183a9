package adapter

import (
	"context"
	"crypto/x509"
	"errors"
	"hash/fnv"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Numbers of the HTTP adapter.
const (
	lanes          = 10  // requests at the same time, each on a kept connection
	laneQueue      = 100 // messages that wait in a lane
	mostTries      = 3
	firstRetry     = time.Second // pause before the second try; doubled before the third
	mostRetries    = 1000        // messages that wait for another try
	connectTimeout = 4 * time.Second
	answerTimeout  = time.Second
	redirects      = 2
	healthSilence  = 10 * time.Second
	mostReply      = 64 << 10 // bytes
)

// HTTPConfig of an [HTTP].
type HTTPConfig struct {
	URL           string // template, see [CheckURL]
	Authorization string // header, sent as it is; "" for none
	// Reply takes a JSON body that the receiver answered with.
	Reply func(ctx context.Context, to Message, text []byte)
	// Roots are whom to trust; nil is the host's choice.
	Roots *x509.CertPool
	// Dial makes connections; nil is the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger
}

// HTTP posts messages. Those of one device go out in order, one at a time,
// but for retries; a slow device delays a tenth of the others at most.
type HTTP struct {
	cfg     HTTPConfig
	client  *http.Client
	lane    [lanes]chan job
	pause   pause
	last    atomic.Int64 // begin of the last request, unix ns
	waiting atomic.Int64 // retries
	sent    atomic.Uint64
	failed  atomic.Uint64
	dropped atomic.Uint64

	mu    sync.Mutex
	state string
	fault string
}

// job is a message with the number of tries that failed.
type job struct {
	Message
	tries int
}

// NewHTTP makes an adapter; the URL must be good by [CheckURL].
func NewHTTP(cfg HTTPConfig) *HTTP {
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	h := &HTTP{cfg: cfg, state: "starting"}
	for i := range h.lane {
		h.lane[i] = make(chan job, laneQueue)
	}
	h.client = &http.Client{
		Transport: &http.Transport{
			DialContext: cfg.Dial, MaxConnsPerHost: lanes, MaxIdleConnsPerHost: lanes, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: connectTimeout, ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig: tlsConfig(cfg.Roots),
		},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > redirects {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	return h
}

// Offer queues a message and never blocks: it drops what doesn't fit, and
// everything during a pause.
func (h *HTTP) Offer(m Message) { h.queue(job{Message: m}) }

func (h *HTTP) queue(j job) {
	if h.pause.active(time.Now()) {
		h.dropped.Add(1)
		return
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(j.Vars.Device)) // never fails
	select {
	case h.lane[hash.Sum32()%lanes] <- j:
	default:
		h.dropped.Add(1)
	}
}

// Run posts until the context ends.
func (h *HTTP) Run(ctx context.Context) error {
	defer h.client.CloseIdleConnections()
	var running sync.WaitGroup
	for _, lane := range h.lane {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case j := <-lane:
					h.try(ctx, j)
				}
			}
		})
	}
	h.watch(ctx)
	running.Wait()
	return nil
}

// watch asks the receiver whether it lives, at the start and after silence.
func (h *HTTP) watch(ctx context.Context) {
	for {
		h.checkHealth(ctx)
		for {
			silence := time.Since(time.Unix(0, h.last.Load()))
			if silence >= healthSilence {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(healthSilence - silence):
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// checkHealth: any answer but 5xx is one of a receiver that lives.
func (h *HTTP) checkHealth(ctx context.Context) {
	h.last.Store(time.Now().UnixNano())
	a, err := h.request(ctx, http.MethodOptions, Message{}, 0)
	if err == nil && a.status >= http.StatusInternalServerError {
		err = statusError(a.status)
	}
	h.note(ctx, err)
}

// note remembers how the last request ended.
func (h *HTTP) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	state, fault := "connected", ""
	if err != nil {
		state, fault = "down", err.Error()
	}
	if h.state != state {
		h.cfg.Log.Info("http connection", slog.String("state", state), slog.String("error", fault))
	}
	h.state = state
	if fault != "" {
		h.fault = fault
	}
}

// try posts a message once, and once more later if that failed.
func (h *HTTP) try(ctx context.Context, j job) {
	if h.pause.active(time.Now()) {
		h.dropped.Add(1)
		return
	}
	h.last.Store(time.Now().UnixNano())
	a, err := h.request(ctx, http.MethodPost, j.Message, j.tries)
	switch {
	case err != nil:
	case a.status >= 200 && a.status < 300, a.status >= 400 && a.status < 500:
		h.note(ctx, nil)
		h.pause.count(time.Now(), true)
		h.sent.Add(1)
		if a.json != nil && a.status < 300 {
			h.cfg.Reply(ctx, j.Message, a.json)
		}
		return
	default:
		err = statusError(a.status)
	}
	if ctx.Err() != nil {
		return
	}
	h.failed.Add(1)
	h.note(ctx, err)
	if h.pause.count(time.Now(), false) {
		h.cfg.Log.Warn("http connection paused", slog.Duration("for", pauseDuration), slog.String("error", err.Error()))
	}
	h.retry(ctx, j)
}

// retry queues a message again after its pause.
func (h *HTTP) retry(ctx context.Context, j job) {
	j.tries++
	if j.tries == mostTries || h.waiting.Load() >= mostRetries {
		h.dropped.Add(1)
		return
	}
	h.waiting.Add(1)
	time.AfterFunc(firstRetry<<(j.tries-1), func() {
		h.waiting.Add(-1)
		if ctx.Err() == nil {
			h.queue(j)
		}
	})
}

// Status is how it does.
func (h *HTTP) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Status{State: h.state, Sent: h.sent.Load(), Failed: h.failed.Load(), Dropped: h.dropped.Load(), LastError: h.fault}
	if h.pause.active(time.Now()) {
		s.State = "paused"
	}
	return s
}

var (
	errConnect = errors.New("no connection within 4 s")
	errAnswer  = errors.New("no answer within 1 s")
)
