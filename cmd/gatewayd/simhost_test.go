package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"periph.io/x/conn/v3/i2c"

	"gatewayd/board"
	"gatewayd/concentrator"
	"gatewayd/concentrator/sx1302sim"
)

// What sim serves on a pseudo terminal is opened like a card that is plugged in.
func TestSimServesAUSBCardBehindALink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyACM0")
	if err := os.Symlink("left over", link); err != nil {
		t.Fatal(err)
	}
	host, err := simOptions{usbLink: link}.host(nil)
	if err != nil {
		t.Fatal(err)
	}
	chip, err := sx1302sim.New(sx1302sim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- host.serve(ctx, chip) }()

	b, err := board.Lookup("semtech-corecell-usb")
	if err != nil {
		t.Fatal(err)
	}
	hw, err := b.Open(board.Options{SPI: host.spi})
	if err != nil {
		t.Fatal(err)
	}
	if celsius, err := hw.Temperature(); err != nil || celsius != 25 || !strings.Contains(hw.Via, "V01.00.00") {
		t.Errorf("%v °C, %v, via %q", celsius, err, hw.Via)
	}
	if err := hw.Reset(ctx); err != nil {
		t.Error(err)
	}
	if err := hw.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := host.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(link); !os.IsNotExist(err) {
		t.Errorf("the link is left: %v", err)
	}
}

func TestSimWantsOneBus(t *testing.T) {
	for _, args := range [][]string{{"sim"}, {"sim", "--usb-pty", "--spi-socket", "x"}} {
		if code, _, text := cli(t, args...); code != exitUsage || !strings.Contains(text, "--usb-pty") {
			t.Errorf("%v: exit code %d, %s", args, code, text)
		}
	}
}

func TestSimHasASecondBusAndAResetSignal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "i2c.sock")
	e := board.Emulation{Log: slog.New(slog.DiscardHandler)}
	bus, err := simOptions{i2c: path, celsius: -10.25}.secondBus(nil, &e)
	if err != nil {
		t.Fatal(err)
	}
	hw, chip, err := board.Emulate(e)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- bus.serve(ctx, chip) }()
	there, err := concentrator.DialI2C("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []i2c.Bus{there, hw.I2C} {
		high := make([]byte, 1)
		if err := b.Tx(0x39, []byte{0}, high); err != nil || int8(high[0]) != -11 {
			t.Errorf("%v: %d °C, %v", b, int8(high[0]), err)
		}
	}
	signals, stop := resetSignals()
	reset := make(chan struct{})
	hw.Reset = func(context.Context) error { close(reset); return nil }
	done := make(chan error, 1)
	go func() { done <- resetOnSignal(ctx, signals, hw) }()
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	<-reset
	cancel()
	if err := errors.Join(<-served, <-done, stop(), there.Close(), bus.close(), hw.Close()); err != nil {
		t.Error(err)
	}
	if _, err := (simOptions{celsius: 200}).secondBus(newSim(streams{}), &e); err == nil {
		t.Error("200 °C was accepted")
	}
}
