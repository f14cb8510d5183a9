package main

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"gatewayd/cmd/gatewayd/config"
)

func TestWhereThereIsTLS(t *testing.T) {
	for _, c := range []struct {
		api  config.DataAPI
		mode string
	}{
		{config.DataAPI{Listen: "127.0.0.1:8080"}, config.TLSOff},
		{config.DataAPI{Listen: "[::1]:8080"}, config.TLSOff},
		{config.DataAPI{Listen: "localhost:8080"}, config.TLSOff},
		{config.DataAPI{Listen: "0.0.0.0:8080"}, config.TLSSelf},
		{config.DataAPI{Listen: ":8080"}, config.TLSSelf},
		{config.DataAPI{Listen: "gateway.lan:8080"}, config.TLSSelf},
		{config.DataAPI{Listen: "127.0.0.1:8443", TLSCert: "c", TLSKey: "k"}, config.TLSFiles},
		{config.DataAPI{Listen: ":8443", TLSCert: "c", TLSKey: "k"}, config.TLSFiles},
	} {
		c.api.TLS = config.TLSAuto
		if got := c.api.TLSMode(); got != c.mode {
			t.Errorf("%+v: %s, want %s", c.api, got, c.mode)
		}
		c.api.TLS = config.TLSOff
		if got := c.api.TLSMode(); got != config.TLSOff {
			t.Errorf("%+v: %s though it is off", c.api, got)
		}
	}
}

// A client that trusts what "gatewayd tls ca" prints reaches the listener that
// the configuration asks for.
func TestTheOwnAuthorityOverTheCommandLine(t *testing.T) {
	state := t.TempDir()
	cfg := config.Default()
	cfg.State.Dir, cfg.DataAPI.TLS, cfg.DataAPI.Listen = state, config.TLSSelf, "127.0.0.1:0"
	file := writeConfig(t, "[state]\ndir = \""+state+"\"\n[dataapi]\ntls = \"self\"\n")
	_, pem, _ := cli(t, "tls", "ca", "-c", file)
	_, out, _ := cli(t, "tls", "fingerprint", "-c", file)
	fingerprint, _, _ := strings.Cut(out, "\n")
	cert, err := certificate(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if cert.Info().Fingerprint != fingerprint || len(fingerprint) != 95 {
		t.Errorf("%s, not %s", fingerprint, cert.Info().Fingerprint)
	}
	l, err := listenAPI(cfg.DataAPI, cert)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: adminTimeout}
	go func() { _ = server.Serve(l) }() // ends with the test
	defer server.Close()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(pem)) {
		t.Fatalf("no PEM: %s", pem)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+l.Addr().String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if key, err := filepath.Glob(filepath.Join(state, tlsDir, "*")); err != nil || len(key) != 4 {
		t.Errorf("%v: %v", key, err)
	}
	if code, _, err := cli(t, "tls", "ca", "-c", writeConfig(t, "[state]\ndir = \""+state+"\"\n")); code != exitFailure || !strings.Contains(err, "plain HTTP") {
		t.Errorf("plain HTTP has an authority: exit code %d, %s", code, err)
	}
}
