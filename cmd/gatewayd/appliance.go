package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"gatewayd/dataapi"
)

// applianceVariable names the socket where the init of the appliance
// (scripts/image) does what the daemon has no rights for.
const applianceVariable = "GATEWAYD_APPLIANCE"

// appliance asks the init; it is the [dataapi.Appliance] of a server.
type appliance struct{ http *http.Client }

// theAppliance is the machine, if it is one.
func theAppliance() dataapi.Appliance {
	path := os.Getenv(applianceVariable)
	if path == "" {
		return nil
	}
	return appliance{&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}}
}

// ask sends a request and decodes the answer.
func (a appliance) ask(ctx context.Context, method, path string, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://init"+path, body)
	if err != nil {
		return err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the appliance's init: %w", errors.Unwrap(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the answer of the appliance's init: %w", err)
	}
	if resp.StatusCode == http.StatusUnprocessableEntity {
		var refused struct{ Error string }
		if err := json.Unmarshal(text, &refused); err == nil {
			return &dataapi.ApplianceError{Message: refused.Error}
		}
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the appliance's init answers %s", resp.Status)
	}
	return json.Unmarshal(text, out)
}

// Status implements [dataapi.Appliance].
func (a appliance) Status(ctx context.Context) (s dataapi.ApplianceStatus, err error) {
	return s, a.ask(ctx, http.MethodGet, "/status", nil, &s)
}

// Update implements [dataapi.Appliance].
func (a appliance) Update(ctx context.Context, r io.Reader) (string, error) {
	var m struct{ Version string }
	err := a.ask(ctx, http.MethodPut, "/update", r, &m)
	return m.Version, err
}

// Reboot implements [dataapi.Appliance].
func (a appliance) Reboot(ctx context.Context) error {
	return a.ask(ctx, http.MethodPost, "/restart", nil, new(struct{}))
}

// Reset implements [dataapi.Appliance].
func (a appliance) Reset(ctx context.Context) error {
	return a.ask(ctx, http.MethodPost, "/reset", nil, new(struct{}))
}
