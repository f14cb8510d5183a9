package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/dataapi"
	"gatewayd/nsedge/region"
)

func TestBoardsOfAHostAreFound(t *testing.T) {
	there := func(host fstest.MapFS) (b dataapi.Boards, names []string) {
		b = boardsOf(host)
		for _, f := range b.Boards {
			if f.There {
				names = append(names, f.Name)
			}
			if f.Title == "" || f.Chip == "" || len(f.Regions) == 0 {
				t.Errorf("%+v", f)
			}
		}
		return b, names
	}
	b, names := there(fstest.MapFS{})
	if len(b.Boards) != len(board.Names()) || len(names) != 0 || b.Model != "" || b.HAT != "" {
		t.Errorf("a host without anything: %+v", b)
	}
	b, names = there(fstest.MapFS{
		"dev/spidev0.0":                   {},
		"proc/device-tree/model":          {Data: []byte("Raspberry Pi 4 Model B Rev 1.4\x00")},
		"proc/device-tree/hat/vendor":     {Data: []byte("Somebody\x00")},
		"proc/device-tree/hat/product":    {Data: []byte("LoRa HAT\x00")},
		"proc/device-tree/hat/product_id": {Data: []byte("0x1")},
	})
	if b.Model != "Raspberry Pi 4 Model B Rev 1.4" || b.HAT != "Somebody LoRa HAT" || !slices.Contains(names, "rak2287") || slices.Contains(names, "rak7271") {
		t.Errorf("a Pi with SPI: %q %q %v", b.Model, b.HAT, names)
	}
	if _, names = there(fstest.MapFS{"dev/ttyACM0": {}}); !slices.Contains(names, "rak7271") || slices.Contains(names, "rak2287") {
		t.Errorf("a computer with a USB card: %v", names)
	}
}

func TestFirmwareOfTheMachine(t *testing.T) {
	m := &machine{daemon: &daemon{cfg: config.Config{Firmware: config.Firmware{Dir: t.TempDir() + "/made"}}}}
	f := m.Firmware()
	if f.Writable != "" || len(f.Images) < 3 || !strings.Contains(f.Images[0].Fault, "is missing") {
		t.Errorf("%+v", f)
	}
	if _, ok := errors.AsType[*dataapi.FirmwareError](m.ImportFirmware(strings.NewReader("no archive"))); !ok {
		t.Error("what is no archive is not the file's matter")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.cfg.Firmware.Dir = file + "/firmware"
	if f := m.Firmware(); !strings.Contains(f.Writable, m.cfg.Firmware.Dir) {
		t.Errorf("a folder that nobody may write to: %q", f.Writable)
	}
}

func TestRegionsAreOfferedByTheirShortNames(t *testing.T) {
	names := regionChoices()
	for _, want := range []string{"EU868", "US915-2", "AU915-8", "IN865", "AS923-2", "CN470-12"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing in %v", want, names)
		}
	}
	seen := map[string]bool{}
	for _, name := range names {
		if _, err := region.Lookup(name); err != nil || seen[name] {
			t.Errorf("%s: twice %t, %v", name, seen[name], err)
		}
		seen[name] = true
	}
}
