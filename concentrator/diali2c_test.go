package concentrator_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"gatewayd/concentrator"
	"gatewayd/concentrator/sx1302sim"
)

func TestAnI2CSocketIsABus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "i2c.sock")
	if _, err := concentrator.DialI2C("unix:" + path); err == nil {
		t.Error("connected to nothing")
	}
	if _, err := concentrator.DialI2C(path); err == nil || !strings.Contains(err.Error(), "unix:PATH is wanted") {
		t.Errorf("%v", err)
	}
	bus, err := sx1302sim.NewI2C(sx1302sim.I2CConfig{Celsius: func() float64 { return -10.25 }})
	if err != nil {
		t.Fatal(err)
	}
	serve := func() (stop func()) {
		l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- bus.Serve(ctx, l, slog.New(slog.DiscardHandler)) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	stop := serve()
	b, err := concentrator.DialI2C("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	high := make([]byte, 1)
	if err := b.Tx(0x39, []byte{0x00}, high); err != nil || high[0] != 0xF5 {
		t.Errorf("%x, %v", high, err)
	}
	if err := b.Tx(0x3B, []byte{0x00}, high); err == nil || !strings.Contains(err.Error(), "0x3B: no device acknowledges") {
		t.Errorf("no device: %v", err)
	}
	for _, wrong := range []func() error{
		func() error { return b.Tx(0x80, nil, high) },
		func() error { return b.Tx(0x39, nil, make([]byte, 256)) },
	} {
		if err := wrong(); err == nil || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%v", err)
		}
	}
	stop()
	if err := b.Tx(0x39, []byte{0x00}, high); err == nil {
		t.Error("a bus that is gone answers")
	}
	stop = serve()
	defer stop()
	if err := b.Tx(0x39, []byte{0x00}, high); err != nil || high[0] != 0xF5 {
		t.Errorf("after it is back: %x, %v", high, err)
	}
}
