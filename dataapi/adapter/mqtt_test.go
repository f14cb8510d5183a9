package adapter

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// broker is a real mosquitto.
type broker struct {
	*testing.T
	program, config, address, second string
	process                          *exec.Cmd
}

// newBroker starts one on a free port; with lines, it has a second listener
// with these.
func newBroker(t *testing.T, lines ...string) *broker {
	t.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			t.Skip("SKIPPED: MQTT IS NOT TESTED. Install mosquitto (Debian: apt-get install mosquitto) and run again.")
		}
	}
	b := &broker{T: t, program: program, config: filepath.Join(t.TempDir(), "mosquitto.conf"), address: freeAddress(t)}
	text := "allow_anonymous true\npersistence false\nuser root\n" + listener(b.address)
	if len(lines) > 0 {
		b.second = freeAddress(t)
		text += listener(b.second) + strings.Join(lines, "\n") + "\n"
	}
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	t.Cleanup(b.stop)
	return b
}

// listener is a line of mosquitto's configuration.
func listener(address string) string {
	host, port, _ := net.SplitHostPort(address)
	return "listener " + port + " " + host + "\n"
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (b *broker) start() {
	b.Helper()
	b.process = exec.Command(b.program, "-c", b.config)
	if err := b.process.Start(); err != nil {
		b.Fatal(err)
	}
	until := time.Now().Add(patience)
	for {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(b.Context(), "tcp", b.address)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(until) {
			b.Fatalf("mosquitto doesn't listen: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (b *broker) stop() {
	if b.process == nil {
		return
	}
	_ = b.process.Process.Kill()
	_ = b.process.Wait() // killed
	b.process = nil
}

// application is a client at the other end.
func (b *broker) application() mqtt.Client {
	b.Helper()
	o := mqtt.NewClientOptions().AddBroker("mqtt://" + b.address).SetClientID("application").SetAutoReconnect(false)
	c := mqtt.NewClient(o)
	if t := c.Connect(); !t.WaitTimeout(patience) || t.Error() != nil {
		b.Fatal(t.Error())
	}
	b.Cleanup(func() { c.Disconnect(0) })
	return c
}

// heard is a message as the application got it.
type heard struct{ topic, text string }

func (b *broker) subscribe(c mqtt.Client, topic string) <-chan heard {
	b.Helper()
	got := make(chan heard, 1000)
	t := c.Subscribe(topic, 1, func(_ mqtt.Client, m mqtt.Message) { got <- heard{m.Topic(), string(m.Payload())} })
	if !t.WaitTimeout(patience) || t.Error() != nil {
		b.Fatal(t.Error())
	}
	return got
}

func (b *broker) next(got <-chan heard) heard {
	b.Helper()
	select {
	case m := <-got:
		return m
	case <-time.After(patience):
		b.Fatal("nothing came")
	}
	return heard{}
}

// feed is a history of messages.
type feed struct {
	mu   sync.Mutex
	all  []Message
	wake chan struct{}
}

func (f *feed) add(n int) {
	f.mu.Lock()
	f.all = append(f.all, message(n))
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feed) newest() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return uint64(len(f.all))
}

func (f *feed) next(after, missed uint64) (Message, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after >= uint64(len(f.all)) {
		return Message{}, false
	}
	m := f.all[after]
	m.Number = after + 1
	m.Text = fmt.Appendf(nil, "%d history=%v", m.Number, m.Number <= missed)
	return m, true
}

// startMQTT is for a real broker, which may take its time on a busy machine.
func startMQTT(t *testing.T, uri string, roots *x509.CertPool) (*MQTT, *feed, <-chan string) {
	t.Helper()
	return startMQTTWith(t, uri, roots, func(m *MQTT) { m.ack = patience })
}

// patience is how long a test waits for what comes for sure.
const patience = time.Minute

func startMQTTWith(t *testing.T, uri string, roots *x509.CertPool, set func(*MQTT)) (*MQTT, *feed, <-chan string) {
	t.Helper()
	f := &feed{wake: make(chan struct{}, 1)}
	received := make(chan string, 100)
	m := NewMQTT(MQTTConfig{
		URI: uri, Roots: roots, ClientID: "gatewayd-test", TopicUp: "up/{device}/{type}", TopicDown: "down/{device}",
		Newest: f.newest, Next: f.next, Wake: f.wake, Receive: func(_ context.Context, text []byte) { received <- string(text) }, Log: slog.New(slog.DiscardHandler),
	})
	set(m)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m, f, received
}

// until waits for a state.
func until(t *testing.T, m *MQTT, state string) {
	t.Helper()
	await(t, m, "state "+state, func(s Status) bool { return s.State == state })
}

// sent waits until so many messages are acknowledged.
func sent(t *testing.T, m *MQTT, n uint64) {
	t.Helper()
	await(t, m, fmt.Sprint(n, " sent"), func(s Status) bool { return s.Sent == n })
}

func await(t *testing.T, m *MQTT, what string, ok func(Status) bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(m.Status()); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v, want %s", m.Status(), what)
		}
	}
}

func TestMQTTPublishesAndReceives(t *testing.T) {
	b := newBroker(t)
	app := b.application()
	got := b.subscribe(app, "up/#")
	m, f, received := startMQTT(t, "mqtt://user:secret@"+b.address, nil)
	until(t, m, "connected")
	const n = 300 // more than may be in flight
	for i := range n {
		f.add(i)
	}
	for i := range n {
		want := heard{fmt.Sprintf("up/%016x/uplink", i), fmt.Sprintf("%d history=false", i+1)}
		if h := b.next(got); h != want {
			t.Fatalf("got %v, want %v", h, want)
		}
	}
	m.Offer(Message{Vars: Vars{Type: "error"}, Text: []byte("complaint")})
	if h := b.next(got); h != (heard{"up//error", "complaint"}) {
		t.Errorf("got %v", h)
	}
	app.Publish("down/0000000000000001", 1, false, "answer")
	select {
	case text := <-received:
		if text != "answer" {
			t.Errorf("received %s", text)
		}
	case <-time.After(patience):
		t.Error("the application's message didn't come")
	}
	sent(t, m, n+1)
	if s := m.Status(); s.Dropped != 0 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMQTTFetchesWhatItMissed(t *testing.T) {
	b := newBroker(t)
	m, f, _ := startMQTT(t, "mqtt://user:secret@"+b.address, nil)
	until(t, m, "connected")
	f.add(0)
	sent(t, m, 1)
	b.stop()
	until(t, m, "down")
	for i := range 250 {
		f.add(1 + i)
	}
	b.start()
	app := b.application()
	got := b.subscribe(app, "up/#")
	// The broker forgot its clients' sessions; what went before the application
	// subscribed is lost to it, not to the broker: so wait, then add a live one.
	until(t, m, "connected")
	sent(t, m, 251)
	f.add(251)
	var last heard
	for last.text != "252 history=false" {
		last = b.next(got)
		var number int
		var history bool
		if _, err := fmt.Sscanf(last.text, "%d history=%t", &number, &history); err != nil || history != (number <= 251) {
			t.Fatalf("got %v", last)
		}
	}
	if s := m.Status(); s.Failed == 0 || s.LastError == "" {
		t.Errorf("%+v", s)
	}
}

// A server that accepts connections and never answers is no broker.
func TestMQTTReconnectsWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var came []time.Duration
		startMQTTWith(t, "mqtt://broker", nil, func(m *MQTT) {
			m.dial = func() (net.Conn, error) {
				came = append(came, time.Since(began))
				here, there := net.Pipe()
				return here, there.Close()
			}
		})
		time.Sleep(200 * time.Second) // virtual
		synctest.Wait()
		pause, at := firstReconnect, time.Duration(0)
		for i, got := range came {
			if got != at {
				t.Fatalf("attempt %d came after %v, want %v", i, got, at)
			}
			at += pause
			pause = min(2*pause, time.Minute)
		}
		if len(came) < 12 {
			t.Errorf("%d attempts", len(came))
		}
	})
}

// deaf is a broker that takes everything and acknowledges nothing that is
// published; it tells what came.
func deaf(c net.Conn, published chan<- string) {
	defer c.Close()
	for {
		p, err := packets.ReadPacket(c)
		if err != nil {
			return
		}
		switch p := p.(type) {
		case *packets.ConnectPacket:
			err = packets.NewControlPacket(packets.Connack).Write(c)
		case *packets.SubscribePacket:
			ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			ack.MessageID, ack.ReturnCodes = p.MessageID, []byte{1}
			err = ack.Write(c)
		case *packets.PublishPacket:
			published <- string(p.Payload)
		}
		if err != nil {
			return
		}
	}
}

func TestMQTTGivesUpAConnectionThatAcknowledgesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		published := make(chan string, 1000)
		m, f, _ := startMQTTWith(t, "mqtt://broker", nil, func(m *MQTT) {
			m.dial = func() (net.Conn, error) {
				here, there := net.Pipe()
				go deaf(there, published)
				return here, nil
			}
		})
		synctest.Wait()
		for i := range 150 {
			f.add(i)
		}
		time.Sleep(ackTimeout - time.Millisecond) // virtual
		if n := len(published); n != mostInFlight {
			t.Fatalf("%d messages in flight", n)
		}
		for range mostInFlight {
			if got := <-published; !strings.HasSuffix(got, "history=false") {
				t.Fatal(got)
			}
		}
		time.Sleep(firstReconnect + 2*time.Millisecond) // virtual
		if got := <-published; got != "1 history=true" {
			t.Errorf("after a second without an acknowledgement it begins with %s", got)
		}
		if s := m.Status(); s.Sent != 0 || s.LastError != errNoAck.Error() {
			t.Errorf("%+v", s)
		}
	})
}
