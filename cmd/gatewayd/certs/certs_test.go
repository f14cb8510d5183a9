package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// handshake connects as a client that trusts roots, and returns the server's
// certificate.
func handshake(t *testing.T, s Source, roots *x509.CertPool, name string, at time.Time) (*x509.Certificate, error) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = tls.Server(c, s.TLS()).HandshakeContext(t.Context()) // the client tells
	}()
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: name, Time: func() time.Time { return at }, MinVersion: tls.VersionTLS12}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func pool(t *testing.T, text []byte) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		t.Fatalf("no PEM: %s", text)
	}
	return p
}

func TestTheOwnAuthorityIsMadeOnceAndTrusted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	var log bytes.Buffer
	s, err := Self(dir, []string{"Gateway.Example.org", "192.0.2.9"}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	info := s.Info()
	if !strings.Contains(log.String(), info.Fingerprint) {
		t.Errorf("the log lacks the fingerprint: %s", log.String())
	}
	roots := pool(t, info.CA)
	for _, name := range []string{"localhost", "127.0.0.1", "gateway.example.org", "192.0.2.9"} {
		if _, err := handshake(t, s, roots, name, time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := handshake(t, s, roots, "other.example.org", time.Now()); err == nil {
		t.Error("it is good for any name")
	}
	if _, err := handshake(t, s, x509.NewCertPool(), "localhost", time.Now()); err == nil {
		t.Error("who doesn't trust the authority is content")
	}
	for name, mode := range map[string]os.FileMode{caKeyFile: 0o600, leafKeyFile: 0o600, caFile: 0o644} {
		if i, err := os.Stat(filepath.Join(dir, name)); err != nil || i.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, i, err)
		}
	}
	// The next start has the same authority and the same certificate.
	first, err := handshake(t, s, roots, "localhost", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	again, err := Self(dir, []string{"gateway.example.org", "192.0.2.9"}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	second, err := handshake(t, again, roots, "localhost", time.Now())
	if err != nil || again.Info().Fingerprint != info.Fingerprint || !second.Equal(first) {
		t.Errorf("another one: %v", err)
	}
	// Another name: another certificate by the same authority.
	more, err := Self(dir, []string{"new.example.org"}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handshake(t, more, roots, "new.example.org", time.Now()); err != nil {
		t.Error(err)
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

// In a bubble the clock starts in 2000, as on a board without a battery.
func TestTheOwnCertificateIsRenewedAndMindsAnUnsetClock(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Self(dir, nil, quiet())
		if err != nil {
			t.Fatal(err)
		}
		authority := s.Info().Fingerprint
		one := s.(*self)
		serve := func() *x509.Certificate {
			c, err := one.serve(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c.Leaf
		}
		verify := func(c *x509.Certificate, at time.Time) error {
			_, err := c.Verify(x509.VerifyOptions{Roots: pool(t, s.Info().CA), CurrentTime: at, DNSName: "localhost"})
			return err
		}
		unset := serve()
		if err := verify(unset, floor.Add(24*time.Hour)); err != nil {
			t.Errorf("a client that knows the time: %v", err)
		}
		if pass(time.Hour); !serve().Equal(unset) {
			t.Error("while the clock isn't set, each handshake has another certificate")
		}
		// The clock jumps.
		pass(time.Until(time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC)))
		set := serve()
		if set.Equal(unset) || verify(set, time.Now()) != nil {
			t.Error("no new certificate after the clock was set")
		}
		pass(leafLife/3*2 - 2*time.Hour)
		if !serve().Equal(set) {
			t.Error("renewed too early")
		}
		pass(3 * time.Hour)
		if renewed := serve(); renewed.Equal(set) || verify(renewed, time.Now()) != nil || s.Info().Fingerprint != authority {
			t.Error("not renewed")
		}
	})
}

func TestAnotherAddressGetsAnotherCertificate(t *testing.T) {
	s, err := Self(t.TempDir(), nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	one := s.(*self)
	at := net.IPv4(198, 51, 100, 7)
	c, err := one.serve(at)
	if err != nil || c.Leaf.VerifyHostname("198.51.100.7") != nil {
		t.Errorf("%v: %v", err, namesOf(c.Leaf))
	}
	if again, _ := one.serve(at); !again.Leaf.Equal(c.Leaf) {
		t.Error("made twice")
	}
}

func TestADamagedAuthorityIsNamed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{caFile, caKeyFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Self(dir, nil, quiet()); err == nil || !strings.Contains(err.Error(), caKeyFile) {
		t.Errorf("%v", err)
	}
	if _, err := Self("/dev/null/x", nil, quiet()); err == nil {
		t.Error("no folder, and no error")
	}
}

// pair writes a certificate of its own for a name.
func pair(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	from := t.TempDir()
	if _, err := Self(from, []string{name}, quiet()); err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	for to, name := range map[string]string{cert: leafFile, key: leafKeyFile} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestFilesAreReadAnewWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	cert, key := pair(t, dir, "first.example")
	var log bytes.Buffer
	s, err := Files(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f := s.(*files)
	serve := func() string {
		f.mu.Lock()
		f.looked = time.Time{} // a second later
		f.mu.Unlock()
		c, err := s.TLS().GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(c.Leaf.DNSNames)
	}
	if names := serve(); !strings.Contains(names, "first.example") {
		t.Error(names)
	}
	if err := os.WriteFile(cert, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if names := serve(); !strings.Contains(names, "first.example") || !strings.Contains(log.String(), "the old one stays") {
		t.Errorf("%s: %s", names, log.String())
	}
	serve()
	if n := strings.Count(log.String(), "the old one stays"); n != 1 {
		t.Errorf("told %d times", n)
	}
	pair(t, dir, "second.example")
	if names := serve(); !strings.Contains(names, "second.example") || !strings.Contains(s.Info().Fingerprint, ":") {
		t.Error(names)
	}
	if _, err := Files(cert, "/none", quiet()); err == nil || !strings.Contains(err.Error(), "/none") {
		t.Errorf("%v", err)
	}
}
