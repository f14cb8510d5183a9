package dataapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// hardware is a machine with boards and firmware.
type hardware struct {
	fakeMachine
	firmware Firmware
	taken    string
}

func (m *hardware) Firmware() Firmware { return m.firmware }

func (m *hardware) ImportFirmware(r io.Reader) error {
	text, err := io.ReadAll(r)
	switch {
	case err != nil:
		return err
	case string(text) == "damaged":
		return &FirmwareError{errors.New("this is no archive")}
	case string(text) == "unlucky":
		return fmt.Errorf("write the firmware: %w", io.ErrShortWrite)
	}
	m.taken = string(text)
	return nil
}

func (m *hardware) Boards() Boards {
	return Boards{Model: "Raspberry Pi 5", Boards: []BoardFound{{Name: "b", Title: "Board", Chip: "SX1302", Port: "/dev/spidev0.0", There: true, Regions: []string{"EU868"}}}}
}

func TestFirmwareIsImportedOverTheAPI(t *testing.T) {
	m := &hardware{firmware: Firmware{Dir: "/fw", Images: []FirmwareImage{{"arb_fw.bin", "arbiter", "is missing"}}}}
	r := start(t, Config{Machine: m})
	const path = root + "/system/firmware"
	for _, c := range []struct {
		method, body, says string
		status             int
	}{
		{"GET", "", `"fault":"is missing"`, http.StatusOK},
		{"POST", "the archive", `"dir":"/fw"`, http.StatusOK},
		{"POST", "damaged", "this is no archive", http.StatusUnprocessableEntity},
		{"POST", "unlucky", "", http.StatusInternalServerError},
		{"POST", strings.Repeat("x", maxFirmware+1), "", http.StatusRequestEntityTooLarge},
	} {
		if status, body := r.rest(c.method, path, c.body); status != c.status || !strings.Contains(textOf(t, body), c.says) {
			t.Errorf("%s %.20s: %d %v", c.method, c.body, status, body)
		}
	}
	if m.taken != "the archive" {
		t.Errorf("taken: %.20q", m.taken)
	}
	m.firmware.Writable = "the daemon may not write to /fw"
	if status, body := r.rest("POST", path, "another"); status != http.StatusConflict || !strings.Contains(textOf(t, body), "may not write") || m.taken != "the archive" {
		t.Errorf("a folder that can't be written: %d %v", status, body)
	}
	weak := r.key(Key{Rights: []Right{RightData, RightDevices}})
	if status, _ := r.rest("POST", path, "x", "Authorization", "Bearer "+weak); status != http.StatusForbidden {
		t.Errorf("without the right: %d", status)
	}
}

func TestBoardsAreOffered(t *testing.T) {
	r := start(t, Config{Machine: &hardware{}})
	const path = root + "/system/boards"
	if status, body := r.rest("GET", path, ""); status != http.StatusOK || !strings.Contains(textOf(t, body), `"there":true`) {
		t.Errorf("%d %v", status, body)
	}
	r = start(t, Config{Machine: &fakeMachine{}})
	if status, _ := r.rest("GET", path, ""); status != http.StatusNotImplemented {
		t.Errorf("of a machine that knows no boards: %d", status)
	}
}

func textOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
