package certs

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/time/rate"
)

// ACMEConfig of a public authority's client.
type ACMEConfig struct {
	Dir   string   // where account and certificates are kept
	Names []string // that the certificate is for; all must lead here
	Email string   // for the authority's warnings; may be empty
	URL   string   // of the authority's directory; "" is Let's Encrypt
	Log   *slog.Logger

	// Client changes the ACME client, for tests; may be nil.
	Client func(*acme.Client)
}

type public struct {
	cfg     ACMEConfig
	manager *autocert.Manager
	told    rate.Sometimes // anybody can fail
}

// ACME serves certificates of a public authority, which it asks for at the
// first handshake and renews 30 days before their end. The authority proves
// the names by TLS-ALPN-01: it must reach this listener at port 443 of each.
// Its terms of service are accepted.
func ACME(cfg ACMEConfig) Source {
	client := &acme.Client{DirectoryURL: cfg.URL}
	if cfg.URL == "" {
		client.DirectoryURL = autocert.DefaultACMEDirectory
	}
	if cfg.Client != nil {
		cfg.Client(client)
	}
	manager := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(cfg.Dir), HostPolicy: autocert.HostWhitelist(cfg.Names...), Email: cfg.Email, Client: client,
	}
	return &public{cfg: cfg, manager: manager, told: rate.Sometimes{First: 3, Interval: time.Minute}}
}

// TLS implements Source.
func (p *public) TLS() *tls.Config {
	c := config(func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == "" { // addresses have no certificate: show the first name's
			hello.ServerName = p.cfg.Names[0]
		}
		cert, err := p.manager.GetCertificate(hello)
		if err != nil {
			p.told.Do(func() { p.cfg.Log.Warn("no certificate by ACME", "name", hello.ServerName, "err", err) })
		}
		return cert, err
	})
	c.NextProtos = append(c.NextProtos, acme.ALPNProto)
	return c
}

// Info implements Source. It asks nobody: what isn't there yet isn't told.
func (p *public) Info() Info {
	i := Info{Mode: "acme", Names: p.cfg.Names}
	text, err := autocert.DirCache(p.cfg.Dir).Get(context.Background(), p.cfg.Names[0])
	if err != nil {
		return i
	}
	if c, err := tls.X509KeyPair(text, text); err == nil && c.Leaf != nil {
		i.Fingerprint, i.NotAfter = Fingerprint(c.Certificate[0]), c.Leaf.NotAfter
	}
	return i
}
