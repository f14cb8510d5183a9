package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatewayd/board"
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
