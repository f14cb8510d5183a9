package main

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
	"gatewayd/nsedge/region"
)

// The whole way of time, on a real pseudo terminal and a real socket: the
// simulated receiver's messages and pulses, the driver's relation of the two,
// and GPS time that agrees with the host's clock, from which it was made.
func TestSimsSatellitesTellTheDriverTheTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes six seconds: pulses come once a second")
	}
	dir := t.TempDir()
	socket, tty := filepath.Join(dir, "spi.sock"), filepath.Join(dir, "gnss")
	out, stop := background(t, "Ctrl-C", "sim", "--spi-socket", socket, "--gnss-link", tty, "--ppm", "4", "--air", "off", "--quick")
	if !strings.Contains(out.String(), `gps = "`+tty) {
		t.Errorf("it doesn't say where to find the receiver:\n%s", out)
	}
	cfg := config.Default()
	cfg.Concentrator.GPS = tty
	b, err := board.Lookup(cfg.Concentrator.Board)
	if err != nil {
		t.Fatal(err)
	}
	hw, err := b.Open(board.Options{SPI: "unix:" + socket})
	if err != nil {
		t.Fatal(err)
	}
	eu868, err := region.Lookup("EU868")
	if err != nil {
		t.Fatal(err)
	}
	rc, err := radioConfig(hw, eu868, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	d.timeSources(&rc, hw.Board)
	rc.Firmware = concentrator.EmulatedFirmware()
	if d.conc, err = concentrator.New(hw.Port, rc); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- d.conc.Run(ctx) }()
	go func() { done <- d.gnss.Run(ctx) }()
	deadline := time.After(time.Minute)
	for d.conc.Time().Quality != concentrator.GNSSPulse {
		select {
		case <-deadline:
			t.Fatalf("no time after a minute: %+v, %+v", d.conc.Time(), d.gnss.Status())
		case <-time.After(50 * time.Millisecond):
		}
	}
	now, _ := d.conc.Now()
	gps, state := d.conc.GPSTime(now)
	// The driver knows only as well as a busy host wakes it where it is.
	if off := gps - gnss.FromUTC(time.Now(), gnss.LeapSeconds); off.Abs() > 50*time.Millisecond {
		t.Errorf("GPS time is off by %v; %+v", off, state)
	}
	if state.Drift < 3 || state.Drift > 5 {
		t.Errorf("the crystal is %v ppm fast, want 4", state.Drift)
	}
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := hw.Close(); err != nil {
		t.Error(err)
	}
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestTheSatelliteReceiverIsTheBoardsUnlessConfigured(t *testing.T) {
	for _, c := range []struct {
		driver, spi, device, gps string
		want                     bool
	}{
		{config.DriverSX1302, "/dev/spidev0.0", "/dev/ttyAMA0", "", true},
		{config.DriverSX1302, "/dev/spidev0.0", "/dev/ttyAMA0", config.Off, false},
		{config.DriverSX1302, "/dev/spidev0.0", "", "", false},
		{config.DriverSX1302, "/dev/spidev0.0", "", "/dev/ttyUSB0", true},
		{config.DriverSX1302, "unix:/tmp/spi", "/dev/ttyAMA0", "", false},
		{config.DriverSX1302, "unix:/tmp/spi", "/dev/ttyAMA0", "/dev/pts/1", true},
		{config.DriverEmulated, "", "", "", false},
	} {
		cfg := config.Default()
		cfg.Concentrator.Driver, cfg.Concentrator.GPS, cfg.Concentrator.LeapSeconds = c.driver, c.gps, 19
		d := &daemon{cfg: cfg, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
		var rc concentrator.Config
		d.timeSources(&rc, board.Board{SPI: c.spi, GNSS: board.GNSS{Kind: board.UBlox, Device: c.device}})
		if got := rc.Fixes != nil; got != c.want || (d.gnss != nil) != c.want || rc.LeapSeconds != 19 || (rc.HostClock != nil) == cfg.Emulated() {
			t.Errorf("%+v: receiver %v, %+v", c, got, rc)
		}
	}
}

// A simulated chip has no other clock than the host's; a real one is believed
// only where somebody steers that.
func TestTheHostsClockIsBelievedWhereItIsSteered(t *testing.T) {
	cfg := config.Default()
	cfg.Concentrator.Driver = config.DriverEmulated
	at := time.Unix(1700000000, 0)
	if got, ok := (&daemon{cfg: cfg}).gps(at); !ok || got != 1384035218*time.Second {
		t.Errorf("emulated: %v, %v", got, ok)
	}
	cfg.Concentrator.Driver = config.DriverSX1302
	d := &daemon{cfg: cfg}
	rc := concentrator.Config{Firmware: concentrator.EmulatedFirmware()}
	rc.Radios[0] = concentrator.Radio{Enable: true, Freq: 867_500_000}
	hw, _, err := board.Emulate(board.Emulation{})
	if err != nil {
		t.Fatal(err)
	}
	defer hw.Close()
	if d.conc, err = concentrator.New(hw.Port, rc); err != nil {
		t.Fatal(err)
	}
	steered, _ := gnss.HostClock()
	if got, ok := d.gps(at); ok != steered || ok && got != 1384035218*time.Second {
		t.Errorf("this host, steered %v: %v, %v", steered, got, ok)
	}
}
