package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"gatewayd/cmd/gatewayd/certs"
)

func newTLS(std streams) *cobra.Command {
	return newGroup("tls", "Show the certificate that the Data API is served with", newTLSFingerprint(std), newTLSCA(std))
}

// withCertificate adds -c to a command and runs f with the certificate of that
// configuration.
func withCertificate(cmd *cobra.Command, f func(certs.Info) error) *cobra.Command {
	load := configFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		cert, err := certificate(cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		if cert == nil {
			return fmt.Errorf("there is no certificate: dataapi.tls is %q and dataapi.listen %q, which means plain HTTP", cfg.DataAPI.TLS, cfg.DataAPI.Listen)
		}
		return f(cert.Info())
	}
	return cmd
}

func newTLSFingerprint(std streams) *cobra.Command {
	return withCertificate(&cobra.Command{
		Use:   "fingerprint",
		Short: "Print the fingerprint to compare, and what the certificate is for",
		Long: `Prints the SHA-256 fingerprint of what clients are to trust: the gateway's own
authority with dataapi.tls = "self" (it is made if there is none yet), else the
certificate. Compare it with what your browser or client shows.`,
		Args: exactly(0, ""),
	}, func(i certs.Info) error {
		if i.Fingerprint == "" {
			return errors.New("there is no certificate yet: the ACME authority is asked at the first connection")
		}
		fmt.Fprintf(std.out, "%s\n\nmode      %s\nnames     %v\nnot after %s\n", i.Fingerprint, i.Mode, i.Names, i.NotAfter.UTC().Format("2006-01-02 15:04 UTC"))
		return nil
	})
}

func newTLSCA(std streams) *cobra.Command {
	return withCertificate(&cobra.Command{
		Use:   "ca",
		Short: "Print the own certificate authority (PEM), for clients to trust",
		Long: `Prints the certificate of the gateway's own authority. Give it to clients, such as
  curl --cacert ca.pem https://GATEWAY:8080/healthz
  NODE_EXTRA_CA_CERTS=ca.pem npx wscat -c "wss://GATEWAY:8080/api/v1.0/data?access_token=TOKEN"`,
		Args: exactly(0, ""),
	}, func(i certs.Info) error {
		if i.CA == nil {
			return fmt.Errorf("there is no authority of our own: dataapi.tls is not \"self\" but %s", i.Mode)
		}
		fmt.Fprint(std.out, string(i.CA))
		return nil
	})
}
