package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"gatewayd/cmd/gatewayd/config"
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

// listenAPI opens the Data API's listener, with TLS where a certificate is
// configured.
func listenAPI(c config.DataAPI) (net.Listener, error) {
	var cert tls.Certificate
	if c.TLSCert != "" {
		var err error
		if cert, err = tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			return nil, fmt.Errorf("dataapi.tls_cert = %q, dataapi.tls_key = %q: %w", c.TLSCert, c.TLSKey, err)
		}
	}
	l, err := listen("dataapi.listen", c.Listen)
	if err != nil || c.TLSCert == "" {
		return l, err
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}), nil
}
