package concentrator

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"gatewayd/concentrator/sx1302sim"
)

// The whole way through a real socket, as another program would use it.
func TestTheDriverStartsAChipBehindASocket(t *testing.T) {
	chip, err := sx1302sim.New(sx1302sim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	path := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- chip.Serve(ctx, l) }()

	port, err := DialSPI("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(port, eu868(t))
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(run) }()
	select {
	case <-c.Started():
	case err := <-done:
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := port.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
