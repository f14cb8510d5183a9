// Package certs is where the daemon's certificate comes from.
//
//   - [Files]: two PEM files, read anew when they change.
//   - [Self]: an authority of the gateway's own, made at the first start, and
//     certificates by it that are renewed by themselves. Whoever compares the
//     authority's fingerprint once trusts them all.
//   - [ACME]: a public authority such as Let's Encrypt.
package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// Source of a certificate. Its methods may be called from any goroutine.
type Source interface {
	// TLS is the configuration of a listener.
	TLS() *tls.Config
	// Info tells what is served now.
	Info() Info
}

// Info is a certificate as people compare it.
type Info struct {
	Mode        string // files, self, acme
	Fingerprint string // SHA-256 of what is to be trusted, "" if there is nothing yet
	Names       []string
	NotAfter    time.Time
	CA          []byte // PEM of the own authority, nil if there is none
}

// Fingerprint is how people compare a certificate: SHA-256 in pairs.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// config of a listener that asks for its certificate at each handshake.
// HTTP/1.1 alone: WebSockets need it.
func config(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{GetCertificate: get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// namesOf are the names that a certificate is for.
func namesOf(c *x509.Certificate) []string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
