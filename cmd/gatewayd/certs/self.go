package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Life of certificates. Some clients refuse a leaf that lasts longer than 825
// days, or 398. A host may have no idea of the time when it makes them: the
// authority is good whatever the clock says, and a leaf never begins before
// this program existed.
const (
	leafLife   = 397 * 24 * time.Hour
	leafMargin = time.Hour // before now: clients' clocks differ
)

var (
	caFrom  = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	caUntil = time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC)
	floor   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Files of the own authority.
const (
	caFile, caKeyFile     = "ca.pem", "ca-key.pem"
	leafFile, leafKeyFile = "cert.pem", "key.pem"
)

// self is an authority with the certificate that it made last.
type self struct {
	dir   string
	names []string
	log   *slog.Logger
	ca    *tls.Certificate

	mu   sync.Mutex
	leaf *tls.Certificate
}

// Self serves a certificate by the gateway's own authority, which is kept in
// dir and made there if there is none. It is for the host's names and
// addresses and for the names given, is renewed when two thirds of its time
// are over, and made anew when the host has got another address.
func Self(dir string, names []string, log *slog.Logger) (Source, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("own certificate authority: %w", err)
	}
	s := &self{dir: dir, log: log}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			name = ip.String()
		}
		s.names = append(s.names, strings.ToLower(name))
	}
	ca, err := readPair(dir, caFile, caKeyFile)
	switch {
	case err == nil:
		s.ca = ca
	case errors.Is(err, os.ErrNotExist):
		if s.ca, err = makeCA(dir); err != nil {
			return nil, fmt.Errorf("make a certificate authority in %s: %w", dir, err)
		}
		log.Info("made a certificate authority of our own: clients should trust it, after comparing its fingerprint", "file", filepath.Join(dir, caFile), "fingerprint", Fingerprint(s.ca.Certificate[0]))
	default:
		return nil, fmt.Errorf("own certificate authority: %w; remove %s and %s to have a new one made", err, filepath.Join(dir, caFile), filepath.Join(dir, caKeyFile))
	}
	if leaf, err := readPair(dir, leafFile, leafKeyFile); err == nil && leaf.Leaf.CheckSignatureFrom(s.ca.Leaf) == nil {
		s.leaf = leaf
	}
	if _, err := s.serve(nil); err != nil {
		return nil, err
	}
	return s, nil
}

func makeCA(dir string) (*tls.Certificate, error) {
	host, _ := os.Hostname() // "" does no harm
	serial := newSerial()
	return makePair(dir, caFile, caKeyFile, nil, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("gatewayd %s %x", host, serial.Bytes()[:4])},
		NotBefore: caFrom, NotAfter: caUntil,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
}

func newSerial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// makePair makes a key and a certificate by the authority, or by itself if
// there is none, and keeps both.
func makePair(dir, certFile, keyFile string, ca *tls.Certificate, template *x509.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent, signer, chain := template, crypto.PrivateKey(key), [][]byte(nil)
	if ca != nil {
		parent, signer, chain = ca.Leaf, ca.PrivateKey, ca.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: append([][]byte{der}, chain...), PrivateKey: key}
	if c.Leaf, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}), 0o600); err != nil {
		return nil, err
	}
	var certs []byte
	for _, der := range c.Certificate {
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return c, writeFile(filepath.Join(dir, certFile), certs, 0o644)
}

// writeFile leaves the old file or the new one, whatever happens.
func writeFile(path string, text []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone if all went well
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func readPair(dir, certFile, keyFile string) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	c.Leaf, err = x509.ParseCertificate(c.Certificate[0])
	return &c, err
}

// serve returns a certificate that is good for a handshake at that address.
func (s *self) serve(at net.IP) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.leaf != nil && s.fits(at, now) {
		return s.leaf, nil
	}
	leaf, err := makePair(s.dir, leafFile, leafKeyFile, s.ca, s.template(at, now))
	if err != nil {
		if s.leaf != nil {
			s.log.Error("renew the certificate", "err", err)
			return s.leaf, nil
		}
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	s.leaf = leaf
	s.log.Info("made a certificate", "names", namesOf(leaf.Leaf), "not_after", leaf.Leaf.NotAfter)
	return leaf, nil
}

// fits tells whether the certificate is fresh enough and has the names that
// were given and the address.
func (s *self) fits(at net.IP, now time.Time) bool {
	c := s.leaf.Leaf
	if now.After(c.NotAfter.Add(-leafLife/3)) || now.After(floor) && now.Before(c.NotBefore) {
		return false
	}
	names := namesOf(c)
	for _, name := range s.names {
		if !slices.Contains(names, name) {
			return false
		}
	}
	return at == nil || slices.ContainsFunc(c.IPAddresses, at.Equal)
}

// hostName is what may stand in a certificate.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// template is a certificate for everything that the host is called now.
func (s *self) template(at net.IP, now time.Time) *x509.Certificate {
	from := now.Add(-leafMargin)
	if from.Before(floor) {
		from = floor
	}
	t := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: "gatewayd"}, NotBefore: from, NotAfter: from.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	host, err := os.Hostname()
	names := slices.Clone(s.names)
	if host = strings.ToLower(host); err == nil && hostName.MatchString(host) && host != "localhost" {
		names = append(names, host, host+".local")
	}
	for _, ip := range addresses(at) {
		names = append(names, ip.String())
	}
	for _, name := range names {
		ip := net.ParseIP(name)
		switch {
		case ip == nil && !slices.Contains(t.DNSNames, name):
			t.DNSNames = append(t.DNSNames, name)
		case ip != nil && !slices.ContainsFunc(t.IPAddresses, ip.Equal):
			t.IPAddresses = append(t.IPAddresses, ip)
		}
	}
	return t
}

// addresses are those of the host's interfaces, and one more.
func addresses(at net.IP) []net.IP {
	var all []net.IP
	if at != nil {
		all = append(all, at)
	}
	found, err := net.InterfaceAddrs()
	if err != nil {
		return all
	}
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok {
			all = append(all, n.IP)
		}
	}
	return all
}

// TLS implements Source.
func (s *self) TLS() *tls.Config {
	return config(func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		var at net.IP
		if hello.Conn != nil {
			if a, ok := hello.Conn.LocalAddr().(*net.TCPAddr); ok {
				at = a.IP
			}
		}
		return s.serve(at)
	})
}

// Info implements Source.
func (s *self) Info() Info {
	i := Info{Mode: "self", Fingerprint: Fingerprint(s.ca.Certificate[0]), CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.Certificate[0]})}
	if c, err := s.serve(nil); err == nil {
		i.Names, i.NotAfter = namesOf(c.Leaf), c.Leaf.NotAfter
	}
	return i
}
