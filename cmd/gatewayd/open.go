package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"gatewayd/cmd/gatewayd/config"
	"gatewayd/dataapi"
	"gatewayd/dataapi/inproc"
	"gatewayd/nsedge"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
)

// openAPI reaches the running daemon, or serves the Management API for this
// command alone if no daemon runs.
func openAPI(ctx context.Context, cfg config.Config) (*api, error) {
	a, err := dialAdmin(ctx, cfg.State.Dir)
	if !errors.Is(err, errNoDaemon) {
		return a, err
	}
	return openOffline(cfg)
}

// lockPatience is how long a command waits for another one to finish with
// the state folder.
const lockPatience = 2 * time.Second

// openOffline serves the Management API out of the state folder. Nothing of
// it runs: the edge and the server work for those who call them.
func openOffline(cfg config.Config) (*api, error) {
	reg, err := cfg.Region.Lookup()
	if err != nil {
		return nil, err
	}
	if _, err := store.Install(cfg.State.Dir, store.Options{LockTimeout: lockPatience}); err != nil {
		return nil, err
	}
	st, err := store.Open(cfg.State.Dir, store.Options{LockTimeout: lockPatience})
	if err != nil {
		return nil, fmt.Errorf("%w; is state.dir the right folder, and may this user write to it?", err)
	}
	server, err := offlineServer(cfg, reg, st)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	l := inproc.Listen()
	srv := &http.Server{Handler: server.LocalHandler(), ReadHeaderTimeout: adminTimeout}
	go func() { _ = srv.Serve(l) }() // ends with close
	transport := &http.Transport{DialContext: l.Dial}
	return &api{
		http: &http.Client{Transport: transport, Timeout: adminTimeout},
		close: func() error {
			transport.CloseIdleConnections()
			return errors.Join(srv.Close(), st.Close())
		},
	}, nil
}

func offlineServer(cfg config.Config, reg *region.Region, st *store.Store) (*dataapi.Server, error) {
	edge, err := nsedge.New(nsedge.Config{Region: reg, NetID: cfg.NetID(), Store: st}, noAir{}, func(nsedge.Event) {})
	if err != nil {
		return nil, err
	}
	// The command says what it does; of the rest, only faults matter.
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return dataapi.New(dataapi.Config{Documents: st, Edge: edge, Log: log, Bands: bands(), BandNamed: bandNamed,
		Backups: backups{cfg, st, func() string { return "" }}})
}

// noAir is the radio of an edge that doesn't run.
type noAir struct{}

func (noAir) Uplinks() <-chan radio.Uplink                   { return nil }
func (noAir) Reports() <-chan radio.Report                   { return nil }
func (noAir) Lead(radio.Downlink) time.Duration              { return 0 }
func (noAir) Schedule(context.Context, radio.Downlink) error { return radio.ErrStopped }
