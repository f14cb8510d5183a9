package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatewayd/dataapi"
)

func newAppliance(std streams) *cobra.Command {
	return newGroup("appliance", "Update or reset a Raspberry Pi that runs from gatewayd's own card",
		newApplianceStatus(std), newApplianceUpdate(std), newApplianceReboot(std), newApplianceReset(std))
}

// withGateway is [withAPI] for the gateway that --to names, by default the one
// on this machine.
func withGateway(cmd *cobra.Command, f func(ctx context.Context, a *api, args []string) error) *cobra.Command {
	to := cmd.Flags().String("to", "", "`URL` of another gateway, such as https://192.168.1.5")
	token := cmd.Flags().String("token-file", "", "`FILE` with the token of an administrator there (with --to)")
	ca := cmd.Flags().String("ca", "", "`FILE` with the authority to trust, as \"gatewayd tls ca\" prints it (with --to)")
	here := withAPI(cmd, f).RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *to == "" {
			return here(cmd, args)
		}
		a, err := dialRemote(*to, *token, *ca)
		if err != nil {
			return &usageError{cmd.CommandPath(), err}
		}
		return errors.Join(f(cmd.Context(), a, args), a.close())
	}
	return cmd
}

// remote sends the requests of an [api] to a gateway elsewhere.
type remote struct {
	base  *url.URL
	token string
	next  *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (r remote) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host, req.Host = r.base.Scheme, r.base.Host, ""
	req.Header.Set("Authorization", "Bearer "+r.token)
	return r.next.RoundTrip(req)
}

// dialRemote makes the api of a gateway elsewhere; nothing is sent yet.
func dialRemote(to, tokenFile, caFile string) (*api, error) {
	base, err := url.Parse(to)
	if err != nil || base.Scheme != "https" || base.Host == "" || strings.Trim(base.Path, "/") != "" {
		return nil, fmt.Errorf("--to %s: a URL such as https://192.168.1.5 is wanted", to)
	}
	if tokenFile == "" {
		return nil, errors.New("--token-file is wanted: the token of an administrator's key or session")
	}
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	var roots *x509.CertPool // nil: the system's
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca %s: no certificate in PEM", caFile)
		}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	return &api{
		http:  &http.Client{Transport: remote{base, strings.TrimSpace(string(token)), transport}, Timeout: adminTimeout},
		close: func() error { transport.CloseIdleConnections(); return nil },
	}, nil
}

func applianceStatus(ctx context.Context, a *api) (dataapi.ApplianceStatus, error) {
	var out struct{ Appliance dataapi.ApplianceStatus }
	err := a.call(ctx, http.MethodGet, "/system/appliance", nil, nil, &out)
	return out.Appliance, err
}

func newApplianceStatus(std streams) *cobra.Command {
	return withGateway(&cobra.Command{Use: "status", Short: "Show the version that runs, and whether it is kept", Args: exactly(0, "")},
		func(ctx context.Context, a *api, _ []string) error {
			s, err := applianceStatus(ctx, a)
			if err != nil {
				return err
			}
			kept := "kept"
			if s.Trial {
				kept = "on trial: the old version comes back unless gatewayd is well in this one"
			}
			fmt.Fprintf(std.out, "version  %s, %s\nslot     %d\nkernel   %s\n", s.Version, kept, s.Slot, s.Kernel)
			return nil
		})
}

// updatePatience is how long an update may take until it is kept or the old
// version is back: two starts and the trial.
const updatePatience = 15 * time.Minute

func newApplianceUpdate(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update FILE",
		Short: "Install a signed update, and wait until it is kept",
		Long: `Sends gatewayd-VERSION.update to the appliance, which checks its signature, writes
it beside the version that runs, and restarts. The new version is kept if gatewayd is
well in it; else the old one comes back by itself. With --to, the command waits
for that and tells which; "-" is standard input.

  gatewayd appliance update gatewayd-1.1.update --to https://192.168.1.5 --ca ca.pem --token-file token`,
		Args: exactly(1, "FILE"),
	}
	noWait := cmd.Flags().Bool("no-wait", false, "end when the update is installed")
	return withGateway(cmd, func(ctx context.Context, a *api, args []string) error {
		before, err := applianceStatus(ctx, a)
		if err != nil {
			return err
		}
		in, err := openInput(std.in, args[0])
		if err != nil {
			return usagef(cmd, "%w", err)
		}
		defer in.Close()
		version, err := sendUpdate(ctx, a, in)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "version %s is installed in the place of %s, and the machine restarts\n", version, before.Version)
		if *noWait || !cmd.Flags().Changed("to") { // the restart ends who waits on the machine itself
			return nil
		}
		return awaitUpdate(ctx, std.out, a, version, before)
	})
}

func sendUpdate(ctx context.Context, a *api, in io.Reader) (version string, err error) {
	resp, err := a.send(ctx, http.MethodPost, "/system/update", nil, in)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return "", refusal(resp)
	}
	var done struct{ Version string }
	err = json.NewDecoder(io.LimitReader(resp.Body, answerMax)).Decode(&done)
	return done.Version, err
}

// awaitUpdate waits until the new version is kept; that the old one runs once
// the machine has been away is an error.
func awaitUpdate(ctx context.Context, out io.Writer, a *api, version string, before dataapi.ApplianceStatus) error {
	ctx, cancel := context.WithTimeout(ctx, updatePatience)
	defer cancel()
	away, tried := false, false
	for poll := time.NewTicker(2 * time.Second); ; {
		s, err := applianceStatus(ctx, a)
		switch {
		case err != nil:
			away = true
		case s.Slot != before.Slot && !s.Trial:
			fmt.Fprintf(out, "version %s is well, and kept\n", s.Version)
			return nil
		case s.Slot != before.Slot && !tried:
			tried = true
			fmt.Fprintf(out, "version %s runs, on trial\n", s.Version)
		case s.Slot == before.Slot && (away || tried):
			return fmt.Errorf("version %s was not well: %s is back", version, s.Version)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the gateway has not come back within %v; look at its screen or try again later", updatePatience)
		case <-poll.C:
		}
	}
}

func newApplianceReboot(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "reboot", Short: "Restart the machine", Args: exactly(0, "")}
	return withGateway(cmd, func(ctx context.Context, a *api, _ []string) error {
		var done struct{ Message string }
		if err := a.call(ctx, http.MethodPost, "/system/reboot", nil, nil, &done); err != nil {
			return err
		}
		fmt.Fprintln(std.out, done.Message)
		return nil
	})
}

func newApplianceReset(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset --yes",
		Short: "Remove devices, keys, users and configuration, and restart the machine",
		Args:  exactly(0, ""),
	}
	yes := cmd.Flags().Bool("yes", false, "yes, remove everything (required)")
	return withGateway(cmd, func(ctx context.Context, a *api, _ []string) error {
		if !*yes {
			return usagef(cmd, "--yes is wanted: everything is removed")
		}
		var done struct{ Message string }
		if err := a.call(ctx, http.MethodPost, "/system/reset", nil, nil, &done); err != nil {
			return err
		}
		fmt.Fprintln(std.out, done.Message)
		return nil
	})
}
