package adapter

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The adapters over real sockets: TLS, WebSockets, a server of the standard
// library and a real mosquitto.

// identity is a server's certificate that nobody but roots trusts.
type identity struct {
	cert, key string // files
	pair      tls.Certificate
	roots     *x509.CertPool
}

func newIdentity(t *testing.T) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	i := identity{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), roots: x509.NewCertPool()}
	certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for path, text := range map[string][]byte{i.cert: certPEM, i.key: keyPEM} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if i.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	i.roots.AppendCertsFromPEM(certPEM)
	return i
}

func TestMQTTOverTLSAndWebSockets(t *testing.T) {
	id := newIdentity(t)
	secure := []string{"certfile " + id.cert, "keyfile " + id.key}
	for scheme, lines := range map[string][]string{"mqtts": secure, "ws": {"protocol websockets"}, "wss": append([]string{"protocol websockets"}, secure...)} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, lines...)
			uri := scheme + "://user:secret@" + b.second
			m, f, received := startMQTT(t, uri, id.roots)
			until(t, m, "connected")
			app := b.application()
			got := b.subscribe(app, "up/#")
			f.add(0)
			if h := b.next(got); h.text != "1 history=false" {
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
			if scheme == "ws" {
				return
			}
			// Who isn't trusted gets nothing.
			stranger, _, _ := startMQTT(t, uri, x509.NewCertPool())
			until(t, stranger, "down")
			if s := stranger.Status(); !strings.Contains(s.LastError, "certificate") || strings.Contains(s.LastError, "secret") {
				t.Errorf("%+v", s)
			}
		})
	}
}

// receiver is a real HTTP server that fails as often as it is told to.
type receiver struct {
	mu       sync.Mutex
	requests []string
	fail     int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body) // what is missing is missed below
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", q.Method, q.URL, q.Header.Get("Authorization"), body, q.Header.Get("Retry-Number"))))
	switch {
	case q.Method == http.MethodOptions:
		w.WriteHeader(http.StatusMethodNotAllowed) // counts as alive
	case r.fail > 0:
		r.fail--
		w.WriteHeader(http.StatusBadGateway)
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"type":"downlink_response"}`)
	}
}

func (r *receiver) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

func TestHTTPOverRealSocketsAndTLS(t *testing.T) {
	id := newIdentity(t)
	r := &receiver{fail: 1}
	server := httptest.NewUnstartedServer(r)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{id.pair}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.StartTLS()
	defer server.Close()
	run := func(roots *x509.CertPool) (*HTTP, <-chan string, func()) {
		replies := make(chan string, 10)
		h := NewHTTP(HTTPConfig{
			URL: server.URL + "/{type}/{device}", Authorization: "Basic raw", Roots: roots, Log: slog.New(slog.DiscardHandler),
			Reply: func(_ context.Context, _ Message, text []byte) { replies <- string(text) },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		return h, replies, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	h, replies, stop := run(id.roots)
	h.Offer(Message{ID: "1", Vars: Vars{Type: "uplink", Device: "0102030405060708"}, Text: []byte("{}")})
	select {
	case text := <-replies: // after the retry, which takes a second
		if text != `{"type":"downlink_response"}` {
			t.Errorf("replied %s", text)
		}
	case <-time.After(patience):
		t.Fatalf("no reply: %+v, %q", h.Status(), r.seen())
	}
	stop()
	var posts []string
	for _, q := range r.seen() {
		if strings.HasPrefix(q, "POST") {
			posts = append(posts, q)
		}
	}
	if want := []string{"POST /uplink/0102030405060708 Basic raw {}", "POST /uplink/0102030405060708 Basic raw {} 1"}; !slices.Equal(posts, want) {
		t.Errorf("posts %q, want %q", posts, want)
	}
	if seen := r.seen(); !slices.Contains(seen, "OPTIONS / Basic raw") {
		t.Errorf("no health check: %q", seen)
	}
	stranger, _, stop := run(x509.NewCertPool())
	for until := time.Now().Add(patience); stranger.Status().State != "down"; {
		if time.Now().After(until) {
			t.Fatalf("%+v", stranger.Status())
		}
		<-time.After(5 * time.Millisecond)
	}
	stop()
	if s := stranger.Status(); !strings.Contains(s.LastError, "certificate") {
		t.Errorf("%+v", s)
	}
}
