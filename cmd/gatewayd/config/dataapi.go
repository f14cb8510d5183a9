package config

import (
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
)

// Values of dataapi.tls.
const (
	TLSAuto  = "auto"
	TLSOff   = "off"
	TLSFiles = "files"
	TLSSelf  = "self"
	TLSACME  = "acme"
)

// OriginList is dataapi.origins.
func (d DataAPI) OriginList() []string { return words(d.Origins) }

// NameList is dataapi.tls_names.
func (d DataAPI) NameList() []string { return words(d.Names) }

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// TLSMode is dataapi.tls, decided where it is auto.
func (d DataAPI) TLSMode() string {
	switch {
	case d.TLS != TLSAuto:
		return d.TLS
	case d.TLSCert != "":
		return TLSFiles
	case d.Loopback():
		return TLSOff
	}
	return TLSSelf
}

// Loopback tells whether only this machine reaches the listener.
func (d DataAPI) Loopback() bool {
	host, _, err := net.SplitHostPort(d.Listen)
	if err != nil || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// hostName is a DNS name.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func (d DataAPI) check(k *checker) {
	d.checkTLS(k)
	for _, o := range d.OriginList() {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != o) {
			k.fault("dataapi.origins", o, "an origin is SCHEME://HOST[:PORT] and nothing more, e.g. https://example.org, or *")
		}
	}
	if d.HistoryFile != "" {
		k.folder("dataapi.history_file", d.HistoryFile)
	}
	k.within("dataapi.history_mib", float64(d.HistorySize), 1, 65_536)
	k.within("dataapi.max_requests", float64(d.MaxRequests), 1, 1_000_000)
	k.within("dataapi.max_connections", float64(d.MaxConnections), 1, 100_000)
	k.within("dataapi.max_message", float64(d.MaxMessage), 1024, 1<<22)
	k.within("dataapi.max_rate", float64(d.MaxRate), 1, 1_000_000)
}

func (d DataAPI) checkTLS(k *checker) {
	k.oneOf("dataapi.tls", d.TLS, TLSAuto, TLSOff, TLSFiles, TLSSelf, TLSACME)
	if d.TLS == TLSFiles && d.TLSCert == "" {
		k.fault("dataapi.tls", d.TLS, "which files? set dataapi.tls_cert and dataapi.tls_key")
	}
	if d.TLS == TLSACME && len(d.NameList()) == 0 {
		k.fault("dataapi.tls", d.TLS, "for which names? set dataapi.tls_names")
	}
	for _, name := range d.NameList() {
		ip := net.ParseIP(name)
		switch {
		case ip == nil && !hostName.MatchString(name):
			k.fault("dataapi.tls_names", name, "a name such as gateway.example.org or an address is wanted")
		case ip != nil && d.TLS == TLSACME:
			k.fault("dataapi.tls_names", name, "ACME gives certificates for names, not for addresses")
		}
	}
	if _, err := mail.ParseAddress(d.Email); d.Email != "" && err != nil {
		k.fault("dataapi.acme_email", d.Email, "an address such as someone@example.org is wanted, or \"\"")
	}
	if u, err := url.Parse(d.ACMEURL); d.ACMEURL != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		k.fault("dataapi.acme_url", d.ACMEURL, "an https:// URL is wanted, or \"\" for Let's Encrypt")
	}
	if d.TLSCert != "" && d.TLSKey == "" {
		k.fault("dataapi.tls_cert", d.TLSCert, "a certificate without its private key; set dataapi.tls_key too")
	}
	if d.TLSKey != "" && d.TLSCert == "" {
		k.fault("dataapi.tls_key", d.TLSKey, "a private key without a certificate; set dataapi.tls_cert too")
	}
}
