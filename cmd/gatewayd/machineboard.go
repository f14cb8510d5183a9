package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"gatewayd/board"
	"gatewayd/concentrator"
	"gatewayd/dataapi"
)

// Boards implements dataapi.BoardFinder.
func (m *machine) Boards() dataapi.Boards { return boardsOf(os.DirFS("/")) }

// boardsOf looks at a host's files for boards. It drives no line.
func boardsOf(host fs.FS) dataapi.Boards {
	text := func(name string) string {
		t, _ := fs.ReadFile(host, name) // "" says that there is none
		return strings.Trim(string(t), "\x00 \n")
	}
	const hat = "proc/device-tree/hat/" // of its EEPROM, if it has one
	b := dataapi.Boards{
		Model: text("proc/device-tree/model"), HAT: strings.TrimSpace(text(hat+"vendor") + " " + text(hat+"product")),
		Boards: []dataapi.BoardFound{},
	}
	for _, name := range board.Names() {
		known, err := board.Lookup(name)
		if err != nil {
			continue // no board of ours
		}
		found := dataapi.BoardFound{Name: name, Title: known.Title, Chip: known.Chip, Port: strings.TrimPrefix(known.SPI, "usb:"), Regions: []string{}}
		for _, band := range known.Bands {
			found.Regions = append(found.Regions, band.Names...)
		}
		_, err = fs.Stat(host, strings.TrimPrefix(found.Port, "/"))
		found.There = err == nil
		b.Boards = append(b.Boards, found)
	}
	return b
}

// Firmware implements dataapi.FirmwareKeeper.
func (m *machine) Firmware() dataapi.Firmware {
	dir := m.cfg.Firmware.Dir
	f := dataapi.Firmware{Dir: dir, Images: []dataapi.FirmwareImage{}}
	if m.cfg.Emulated() {
		f.Writable = "the simulated chip needs none of it"
	}
	place := dir
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		place = filepath.Dir(dir) // the import makes it
	}
	if err := unix.Access(place, unix.W_OK); err != nil && f.Writable == "" {
		f.Writable = fmt.Sprintf("the daemon may not write to %s: run gatewayd firmware import on the gateway, or set firmware.dir to a folder of its own", dir)
	}
	all, _ := concentrator.CheckFirmware(dir) // each image tells what is wrong with it
	for _, image := range all {
		shown := dataapi.FirmwareImage{File: image.File, Runs: image.Runs}
		if image.Err != nil {
			shown.Fault = image.Err.Error()
		}
		f.Images = append(f.Images, shown)
	}
	return f
}

// ImportFirmware implements dataapi.FirmwareKeeper.
func (m *machine) ImportFirmware(archive io.Reader) error {
	from, err := concentrator.SourceArchive(archive)
	if err == nil {
		m.writing.Lock()
		defer m.writing.Unlock()
		_, err = concentrator.ImportFirmware(from, m.cfg.Firmware.Dir)
	}
	if errors.Is(err, concentrator.ErrFirmware) {
		return &dataapi.FirmwareError{Err: err}
	}
	return err
}
