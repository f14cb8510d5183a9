package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/mdlayher/wifi"
	"golang.org/x/sys/unix"
)

// wifiModules are the drivers of the Raspberry Pi's Wi-Fi, in the order of a
// start; all else is in the kernel.
var wifiModules = []string{"brcmutil/brcmutil.ko", "brcmfmac/brcmfmac.ko", "brcmfmac/wcc/brcmfmac-wcc.ko", "brcmfmac/cyw/brcmfmac-cyw.ko"}

const wifiPause = 15 * time.Second // between two looks at the connection

// runWiFi keeps the machine in the card's network. The chip's own firmware
// does what a wpa_supplicant does elsewhere.
func runWiFi(ctx context.Context, w WiFi, log *slog.Logger) {
	if w.SSID == "" {
		return
	}
	for _, name := range wifiModules {
		if err := loadModule(filepath.Join("/lib/modules", release(), "kernel/drivers/net/wireless/broadcom/brcm80211", name)); err != nil {
			log.Error("Wi-Fi", "module", name, "err", err)
		}
	}
	last := ""
	for ; ctx.Err() == nil; wait(ctx, wifiPause) {
		state := "connected"
		if err := associate(w); err != nil {
			state = err.Error()
		}
		if state != last {
			log.Info("Wi-Fi", "ssid", w.SSID, "state", state)
		}
		last = state
	}
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// associate returns nil if the first station is in a network, else it asks the
// driver to join the one that is wanted.
func associate(w WiFi) error {
	c, err := wifi.New()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(wifiPause))
	all, err := c.Interfaces()
	if err != nil {
		return err
	}
	for _, station := range all {
		if station.Type != wifi.InterfaceTypeStation || station.Name == "" {
			continue
		}
		if bss, err := c.BSS(station); err == nil && bss.Status == wifi.BSSStatusAssociated {
			return nil
		}
		if w.Country != "" {
			// The kernel has looked for its database before there was a root.
			err := errors.Join(c.ReloadRegulatoryDatabase(), c.SetRegulatoryRegion(w.Country, wifi.RegulatoryHintUser))
			if err != nil {
				return fmt.Errorf("wifi.country: %w", err)
			}
		}
		if w.Passphrase == "" {
			err = c.Connect(station, w.SSID)
		} else {
			err = c.ConnectWPAPSK(station, w.SSID, w.Passphrase)
		}
		if err != nil {
			return fmt.Errorf("join: %w", err)
		}
		return errors.New("joining")
	}
	return errors.New("no Wi-Fi device, or no firmware for it")
}
