package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

// fakeACME is a certificate authority by RFC 8555 as far as one order goes. It
// proves the name by TLS-ALPN-01 (RFC 8737) against one listener.
type fakeACME struct {
	*httptest.Server
	t      *testing.T
	target string // where the name "leads"
	ca     *x509.Certificate
	key    crypto.Signer

	mu    sync.Mutex
	name  string
	valid bool
	chain []byte
	count int // certificates
}

func newFakeACME(t *testing.T) *fakeACME {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fake"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 9000), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeACME{t: t, key: key}
	if f.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	f.Server = httptest.NewTLSServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeACME) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Replay-Nonce", fmt.Sprint(time.Now().UnixNano()))
	w.Header().Set("Content-Type", "application/json")
	status, answer := http.StatusOK, any(nil)
	switch r.URL.Path {
	case "/dir":
		answer = map[string]string{"newNonce": f.URL + "/nonce", "newAccount": f.URL + "/account", "newOrder": f.URL + "/order"}
	case "/nonce":
	case "/account":
		w.Header().Set("Location", f.URL+"/account/1")
		status, answer = http.StatusCreated, map[string]string{"status": "valid"}
	case "/order":
		var order struct{ Identifiers []struct{ Value string } }
		f.payload(r, &order)
		f.name = order.Identifiers[0].Value
		w.Header().Set("Location", f.URL+"/order/1")
		status, answer = http.StatusCreated, f.order()
	case "/order/1":
		answer = f.order()
	case "/authz/1":
		answer = map[string]any{"status": f.state("pending"), "identifier": f.identifier(), "challenges": []any{f.challenge()}}
	case "/challenge/1":
		f.valid = f.prove() == nil
		answer = f.challenge()
	case "/finalize/1":
		var csr struct{ CSR string }
		f.payload(r, &csr)
		f.chain = f.sign(csr.CSR)
		answer = f.order()
	case "/certificate/1":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(f.chain) // a client that is gone can't be told
		return
	default:
		status = http.StatusNotFound
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the same
}

// payload reads a signed request; the signature is the library's business.
func (f *fakeACME) payload(r *http.Request, into any) {
	var jws struct{ Payload string }
	err := json.NewDecoder(r.Body).Decode(&jws)
	text, derr := base64.RawURLEncoding.DecodeString(jws.Payload)
	if err = errors.Join(err, derr, json.Unmarshal(text, into)); err != nil {
		f.t.Errorf("%s: %v", path.Base(r.URL.Path), err)
	}
}

func (f *fakeACME) state(otherwise string) string {
	if f.valid {
		return "valid"
	}
	return otherwise
}

func (f *fakeACME) identifier() any { return map[string]string{"type": "dns", "value": f.name} }

func (f *fakeACME) challenge() any {
	return map[string]string{"type": "tls-alpn-01", "url": f.URL + "/challenge/1", "token": "token", "status": f.state("pending")}
}

func (f *fakeACME) order() any {
	o := map[string]any{"status": "pending", "identifiers": []any{f.identifier()}, "authorizations": []string{f.URL + "/authz/1"}, "finalize": f.URL + "/finalize/1"}
	if f.valid {
		o["status"] = "ready"
	}
	if f.chain != nil {
		o["status"], o["certificate"] = "valid", f.URL+"/certificate/1"
	}
	return o
}

// prove asks the listener for the certificate of the challenge.
func (f *fakeACME) prove() error {
	d := tls.Dialer{Config: &tls.Config{ServerName: f.name, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} //nolint:gosec // RFC 8737: it is self-signed
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", f.target)
	if err != nil {
		return err
	}
	defer c.Close()
	state := c.(*tls.Conn).ConnectionState()
	extension := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31} // RFC 8737, section 6.1
	for _, e := range state.PeerCertificates[0].Extensions {
		if e.Id.Equal(extension) && state.NegotiatedProtocol == acme.ALPNProto && slices.Equal(state.PeerCertificates[0].DNSNames, []string{f.name}) {
			return nil
		}
	}
	return errors.New("no proof")
}

func (f *fakeACME) sign(csr string) []byte {
	der, err := base64.RawURLEncoding.DecodeString(csr)
	if err != nil {
		f.t.Error(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		f.t.Error(err)
		return nil
	}
	f.count++
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(1 + f.count)), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), DNSNames: request.DNSNames, KeyUsage: x509.KeyUsageDigitalSignature}
	leaf, err := x509.CreateCertificate(rand.Reader, template, f.ca, request.PublicKey, f.key)
	if err != nil {
		f.t.Error(err)
	}
	var text []byte
	for _, der := range [][]byte{leaf, f.ca.Raw} {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}

func TestACMEProvesTheNameAndKeepsTheCertificate(t *testing.T) {
	f := newFakeACME(t)
	cfg := ACMEConfig{Dir: t.TempDir(), Names: []string{"gw.example.org"}, Email: "me@example.org", URL: f.URL + "/dir", Log: quiet(), Client: func(c *acme.Client) { c.HTTPClient = f.Client() }}
	s := ACME(cfg)
	if i := s.Info(); i.Mode != "acme" || i.Fingerprint != "" {
		t.Errorf("before the first handshake: %+v", i)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f.target = l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = tls.Server(c, s.TLS()).HandshakeContext(t.Context()) // the client tells
			}()
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(f.ca)
	connect := func(name string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}}
		c, err := d.DialContext(ctx, "tcp", f.target)
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := connect("gw.example.org"); err != nil {
		t.Fatal(err)
	}
	if err := connect("other.example.org"); err == nil {
		t.Error("it asks for any name")
	}
	if i := s.Info(); i.Fingerprint == "" || time.Until(i.NotAfter) < 80*24*time.Hour {
		t.Errorf("%+v", i)
	}
	// The next start needs the authority no more.
	f.Close()
	if _, err := handshake(t, ACME(cfg), roots, "gw.example.org", time.Now()); err != nil || f.count != 1 {
		t.Errorf("%v, %d certificates", err, f.count)
	}
}
