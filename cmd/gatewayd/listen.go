package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gatewayd/cmd/gatewayd/certs"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/dataapi"
)

// listen opens HOST:PORT or unix:PATH. The error names the key of the
// configuration that is to be changed.
func listen(key, addr string) (net.Listener, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
		if err := removeStale(path); err != nil {
			return nil, fmt.Errorf("%s = %q: %w", key, "unix:"+path, err)
		}
	}
	l, err := net.Listen(network, addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s = %q: another program listens there (%w); stop it or choose another address", key, addr, syscall.EADDRINUSE)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s = %q: %w; ports below 1024 need the capability CAP_NET_BIND_SERVICE", key, addr, err)
	case err != nil:
		return nil, fmt.Errorf("%s = %q: %w", key, addr, err)
	}
	return l, nil
}

// removeStale removes a socket that nobody serves any more. Anything else is
// left alone.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return errors.New("there is a file of that name that is no socket; remove it or choose another path")
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.Dial("unix", path)
	if err == nil {
		conn.Close()
		return errors.New("another program listens there; stop it or choose another path")
	}
	return os.Remove(path)
}

// tlsDir is the folder, in that of the state, of certificates that are made
// here.
const tlsDir = "tls"

// certificate is where the Data API's certificate comes from; nil for plain
// HTTP.
func certificate(cfg config.Config, log *slog.Logger) (certs.Source, error) {
	c, dir := cfg.DataAPI, filepath.Join(cfg.State.Dir, tlsDir)
	switch c.TLSMode() {
	case config.TLSFiles:
		s, err := certs.Files(c.TLSCert, c.TLSKey, log)
		if err != nil {
			return nil, fmt.Errorf("dataapi.tls_cert = %q, dataapi.tls_key = %q: %w", c.TLSCert, c.TLSKey, err)
		}
		return s, nil
	case config.TLSSelf:
		s, err := certs.Self(dir, c.NameList(), log)
		if err != nil {
			return nil, fmt.Errorf("dataapi.tls = \"self\": %w", err)
		}
		return s, nil
	case config.TLSACME:
		return certs.ACME(certs.ACMEConfig{Dir: filepath.Join(dir, "acme"), Names: c.NameList(), Email: c.Email, URL: c.ACMEURL, Log: log}), nil
	}
	return nil, nil //nolint:nilnil // plain HTTP is no fault
}

// listenAPI opens the Data API's listener, with TLS where there is a
// certificate.
func listenAPI(c config.DataAPI, cert certs.Source) (net.Listener, error) {
	l, err := listen("dataapi.listen", c.Listen)
	if err != nil || cert == nil {
		return l, err
	}
	return tls.NewListener(l, cert.TLS()), nil
}

// tlsInfo is the certificate as the Management API shows it; nil for plain
// HTTP.
func (d *daemon) tlsInfo() *dataapi.TLSInfo {
	if d.parts.cert == nil {
		return nil
	}
	i := d.parts.cert.Info()
	info := &dataapi.TLSInfo{Mode: i.Mode, Fingerprint: i.Fingerprint, Names: i.Names, CA: i.CA}
	if !i.NotAfter.IsZero() {
		info.NotAfter = i.NotAfter.Unix()
	}
	return info
}
