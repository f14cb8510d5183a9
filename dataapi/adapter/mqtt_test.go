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
	until := time.Now().Add(10 * time.Second)
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
	if t := c.Connect(); !t.WaitTimeout(10*time.Second) || t.Error() != nil {
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
	if !t.WaitTimeout(10*time.Second) || t.Error() != nil {
		b.Fatal(t.Error())
	}
	return got
}

func (b *broker) next(got <-chan heard) heard {
	b.Helper()
	select {
	case m := <-got:
		return m
	case <-time.After(10 * time.Second):
		b.Fatal("nothing came within 10 s")
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

func startMQTT(t *testing.T, address string) (*MQTT, *feed, <-chan string) {
	t.Helper()
	return startMQTTAt(t, "mqtt://user:secret@"+address, nil)
}

func startMQTTAt(t *testing.T, uri string, roots *x509.CertPool) (*MQTT, *feed, <-chan string) {
	t.Helper()
	f := &feed{wake: make(chan struct{}, 1)}
	received := make(chan string, 100)
	m := NewMQTT(MQTTConfig{
		URI: uri, Roots: roots, ClientID: "gatewayd-test", TopicUp: "up/{device}/{type}", TopicDown: "down/{device}",
		Newest: f.newest, Next: f.next, Wake: f.wake, Receive: func(_ context.Context, text []byte) { received <- string(text) }, Log: slog.New(slog.DiscardHandler),
	})
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
	end := time.Now().Add(15 * time.Second)
	for m.Status().State != state {
		if time.Now().After(end) {
			t.Fatalf("state %+v, want %s", m.Status(), state)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestMQTTPublishesAndReceives(t *testing.T) {
	b := newBroker(t)
	app := b.application()
	got := b.subscribe(app, "up/#")
	m, f, received := startMQTT(t, b.address)
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
	case <-time.After(10 * time.Second):
		t.Error("the application's message didn't come")
	}
	end := time.Now().Add(10 * time.Second)
	for m.Status().Sent != n+1 && time.Now().Before(end) {
		<-time.After(5 * time.Millisecond)
	}
	if s := m.Status(); s.Sent != n+1 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMQTTFetchesWhatItMissed(t *testing.T) {
	b := newBroker(t)
	m, f, _ := startMQTT(t, b.address)
	until(t, m, "connected")
	f.add(0)
	for m.Status().Sent == 0 {
		<-time.After(5 * time.Millisecond)
	}
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
	for m.Status().Sent < 251 {
		<-time.After(5 * time.Millisecond)
	}
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
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	came := make(chan time.Time, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came <- time.Now()
			c.Close()
		}
	}()
	startMQTT(t, l.Addr().String())
	var before time.Time
	for i, want := range []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
		select {
		case at := <-came:
			if i > 0 && (at.Sub(before) < want || at.Sub(before) > want+2*time.Second) {
				t.Errorf("attempt %d came after %v, want %v", i, at.Sub(before), want)
			}
			before = at
		case <-time.After(20 * time.Second):
			t.Fatal("no attempt")
		}
	}
	if nextWait(40*time.Second) != time.Minute || nextWait(time.Minute) != time.Minute || nextWait(firstReconnect) != 2*firstReconnect {
		t.Error("pauses double up to a minute")
	}
}

// deaf is a broker that takes everything and acknowledges nothing that is
// published; it counts.
func deaf(t *testing.T) (address string, published <-chan string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out := make(chan string, 1000)
	serve := func(c net.Conn) {
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
				out <- string(p.Payload)
			}
			if err != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String(), out
}

func TestMQTTGivesUpAConnectionThatAcknowledgesNothing(t *testing.T) {
	address, published := deaf(t)
	m, f, _ := startMQTT(t, address)
	until(t, m, "connected")
	for i := range 150 {
		f.add(i)
	}
	// At most 100 in flight, then a second without an acknowledgement, then
	// the same from the first on, marked.
	for i := range mostInFlight + 1 {
		var number int
		var history bool
		select {
		case got := <-published:
			if _, err := fmt.Sscanf(got, "%d history=%t", &number, &history); err != nil {
				t.Fatal(got)
			}
		case <-time.After(15 * time.Second):
			t.Fatalf("message %d didn't come: %+v", i, m.Status())
		}
		if history {
			if number != 1 || i == 0 {
				t.Errorf("after %d messages and a second it begins with message %d", i, number)
			}
			break
		}
		if number > mostInFlight {
			t.Fatalf("message %d was published before any was acknowledged", number)
		}
	}
	if s := m.Status(); s.Sent != 0 || s.LastError != errNoAck.Error() {
		t.Errorf("%+v", s)
	}
}
