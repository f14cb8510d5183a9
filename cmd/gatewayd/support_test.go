package main

import (
	"testing"

	"gatewayd/cmd/gatewayd/config"
	"gatewayd/dataapi"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
)

func loadForTest(path string) (config.Config, error) { return config.Load(path) }

// openForTest opens the state folder of cfg with a server on it.
func openForTest(t *testing.T, cfg config.Config) (*store.Store, *dataapi.Server) {
	t.Helper()
	st, err := store.Open(cfg.State.Dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := region.Lookup(cfg.Region.Name)
	if err != nil {
		t.Fatal(err)
	}
	server, err := offlineServer(cfg, reg, st)
	if err != nil {
		t.Fatal(err)
	}
	return st, server
}
