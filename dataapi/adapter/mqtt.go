package adapter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// Numbers of the MQTT adapter.
const (
	qos            = 1
	ackTimeout     = time.Second
	mostInFlight   = 100
	firstReconnect = 100 * time.Millisecond
	lastReconnect  = 60 * time.Second
	brokerTimeout  = 10 * time.Second // to connect and subscribe
	downQueue      = 64               // messages from the application that wait
	tellQueue      = 16
)

// MQTTConfig of an [MQTT].
type MQTTConfig struct {
	URI       string // see [CheckURI]
	ClientID  string
	TopicUp   string // template, see [CheckTopicUp]
	TopicDown string // see [CheckTopicDown]; "" for none
	// Roots are whom to trust; nil is the host's choice.
	Roots *x509.CertPool
	// Newest is the number of the newest message.
	Newest func() uint64
	// Next returns the first message after that number, if there is one. Those
	// up to number missed are marked as replayed.
	Next func(after, missed uint64) (Message, bool)
	// Wake gets something when there may be a next message.
	Wake <-chan struct{}
	// Receive takes a message from the application.
	Receive func(ctx context.Context, text []byte)
	Log     *slog.Logger
}

// MQTT publishes messages.
type MQTT struct {
	cfg     MQTTConfig
	down    chan []byte
	tell    chan Message
	sent    atomic.Uint64
	failed  atomic.Uint64
	dropped atomic.Uint64

	// For tests.
	ack  time.Duration            // ackTimeout
	dial func() (net.Conn, error) // nil: the network

	mu    sync.Mutex
	state string
	fault string
}

// NewMQTT makes an adapter; URI and topics must be good by their checks.
func NewMQTT(cfg MQTTConfig) *MQTT {
	return &MQTT{cfg: cfg, down: make(chan []byte, downQueue), tell: make(chan Message, tellQueue), ack: ackTimeout, state: "starting"}
}

// Offer publishes a message that is in no history; it drops what doesn't fit.
func (m *MQTT) Offer(msg Message) {
	select {
	case m.tell <- msg:
	default:
		m.dropped.Add(1)
	}
}

// Run publishes until the context ends. What was not acknowledged before a
// connection was lost is published again after it.
func (m *MQTT) Run(ctx context.Context) error {
	var receiving sync.WaitGroup
	receiving.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case text := <-m.down:
				m.cfg.Receive(ctx, text)
			}
		}
	})
	defer receiving.Wait()
	acked, wait := m.cfg.Newest(), firstReconnect
	for ctx.Err() == nil {
		before := acked
		var err error
		acked, err = m.session(ctx, acked)
		if ctx.Err() != nil {
			break
		}
		if acked != before {
			wait = firstReconnect
		}
		m.failed.Add(1)
		m.note("down", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = nextWait(wait)
	}
	return nil
}

func nextWait(wait time.Duration) time.Duration { return min(2*wait, lastReconnect) }

func (m *MQTT) note(state string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.fault = err.Error()
	}
	if m.state != state {
		m.cfg.Log.Info("mqtt connection", slog.String("state", state), slog.Any("error", err))
	}
	m.state = state
}

// session connects and publishes until the connection is lost. It returns the
// number up to which everything was acknowledged.
func (m *MQTT) session(ctx context.Context, acked uint64) (uint64, error) {
	lost := make(chan error, 1)
	client := mqtt.NewClient(m.options(lost))
	defer client.Disconnect(0)
	if err := wait(ctx, client.Connect(), "connect"); err != nil {
		return acked, err
	}
	if m.cfg.TopicDown != "" {
		take := func(_ mqtt.Client, msg mqtt.Message) {
			select {
			case m.down <- msg.Payload():
			default:
				m.dropped.Add(1)
			}
		}
		if err := wait(ctx, client.Subscribe(subscription(m.cfg.TopicDown), qos, take), "subscribe"); err != nil {
			return acked, err
		}
	}
	m.note("connected", nil)
	f := flight{acked: acked, last: acked, missed: m.cfg.Newest()}
	err := m.publish(ctx, client, &f, lost)
	return f.acked, err
}

func (m *MQTT) options(lost chan<- error) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	o.AddBroker(m.cfg.URI)
	o.SetClientID(m.cfg.ClientID)
	o.SetTLSConfig(tlsConfig(m.cfg.Roots))
	o.SetProtocolVersion(4) // 3.1.1; else each attempt is made twice
	o.SetCleanSession(true)
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetConnectTimeout(brokerTimeout)
	o.SetWriteTimeout(m.ack)
	o.SetKeepAlive(30 * time.Second)
	if m.dial != nil {
		o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return m.dial() })
	}
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		select {
		case lost <- err:
		default:
		}
	})
	return o
}

// tlsConfig of connections that we make.
func tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// wait for the broker to do something.
func wait(ctx context.Context, t mqtt.Token, what string) error {
	late := time.NewTimer(brokerTimeout)
	defer late.Stop()
	select {
	case <-t.Done():
		if err := t.Error(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	case <-late.C:
		return fmt.Errorf("%s: no answer within %v", what, brokerTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flight is what was published on one connection and not acknowledged yet, in
// order.
type flight struct {
	waiting []published
	acked   uint64 // everything up to this number was acknowledged
	last    uint64 // number of the last message that was published
	missed  uint64 // newest message when the connection was made
}

type published struct {
	number uint64
	token  mqtt.Token
	until  time.Time
}

var (
	errNoAck = errors.New("no acknowledgement within 1 s")
	errLost  = errors.New("connection lost")
)

// publish until something is wrong with the connection.
func (m *MQTT) publish(ctx context.Context, client mqtt.Client, f *flight, lost <-chan error) error {
	late := time.NewTimer(m.ack)
	defer late.Stop()
	for {
		more := m.fill(client, f)
		var oldest <-chan struct{}
		if late.Stop(); len(f.waiting) > 0 {
			oldest = f.waiting[0].token.Done()
			late.Reset(time.Until(f.waiting[0].until))
		}
		wake, tell := m.cfg.Wake, m.tell
		if !more {
			wake, tell = nil, nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-lost:
			return fmt.Errorf("%w: %w", errLost, err)
		case <-wake:
		case msg := <-tell:
			m.send(client, f, msg)
		case <-oldest:
			if err := m.acknowledged(f); err != nil {
				return err
			}
		case <-late.C:
			select {
			case <-oldest: // it was there, and nobody had looked
				if err := m.acknowledged(f); err != nil {
					return err
				}
			default:
				return errNoAck
			}
		}
	}
}

// acknowledged takes the oldest message off the flight.
func (m *MQTT) acknowledged(f *flight) error {
	one := f.waiting[0]
	if err := one.token.Error(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	f.waiting = f.waiting[1:]
	f.acked = max(f.acked, one.number) // 0 for what is in no history
	m.sent.Add(1)
	return nil
}

// fill publishes what there is; more says that there is room for more.
func (m *MQTT) fill(client mqtt.Client, f *flight) (more bool) {
	for len(f.waiting) < mostInFlight {
		msg, ok := m.cfg.Next(f.last, f.missed)
		if !ok {
			return true
		}
		f.last = msg.Number
		m.send(client, f, msg)
	}
	return false
}

func (m *MQTT) send(client mqtt.Client, f *flight, msg Message) {
	same := func(s string) string { return s }
	token := client.Publish(msg.Vars.fill(m.cfg.TopicUp, same), qos, false, msg.Text)
	f.waiting = append(f.waiting, published{msg.Number, token, time.Now().Add(m.ack)})
}

// Status is how it does.
func (m *MQTT) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Status{State: m.state, Sent: m.sent.Load(), Failed: m.failed.Load(), Dropped: m.dropped.Load(), LastError: m.fault}
}
