package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/doctor"
	"gatewayd/concentrator"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/nsedge/region"
)

func doctorConfig(t *testing.T, more string) string {
	return writeConfig(t, "[state]\ndir = \""+t.TempDir()+"\"\n[dataapi]\nlisten = \"127.0.0.1:1\"\n"+more)
}

// Nobody has answered, so nobody has allowed it: the lines stay as they are.
func TestDoctorAsksBeforeItDrivesLines(t *testing.T) {
	for _, c := range []struct {
		in, flag, want string
	}{
		{"", "", "nobody was there"},
		{"n\n", "", "was not allowed"},
		{"y\n", "--no-chip", "--no-chip"},
		{"y\n", "", ""},
		{"", "--yes", ""},
	} {
		cfg, err := config.Load(doctorConfig(t, ""))
		if err != nil {
			t.Fatal(err)
		}
		b, err := effectiveBoard(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var asked bytes.Buffer
		o := doctorOptions{yes: c.flag == "--yes", noChip: c.flag == "--no-chip"}
		got := o.refused(streams{strings.NewReader(c.in), nil, &asked}, cfg, b)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
		if c.flag == "" && !strings.Contains(asked.String(), "GPIO23 (reset), GPIO18 (power_enable)") {
			t.Errorf("%+v asked %q", c, &asked)
		}
	}
}

// On a machine without a board there is a verdict, an exit code, a report for
// machines and a bundle.
func TestDoctorOfAMachineWithoutABoard(t *testing.T) {
	if _, err := os.Stat("/dev/spidev0.0"); err == nil {
		t.Skip("this machine has an SPI port")
	}
	bundle := filepath.Join(t.TempDir(), "support.zip")
	code, out, text := cli(t, "doctor", "-c", doctorConfig(t, ""), "--json", "--bundle", bundle)
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if code != exitFailure || r.Verdict != doctor.Bad || r.Next == "" || !strings.Contains(text, "doesn't work") {
		t.Errorf("exit code %d, %s: %s", code, r.Verdict, text)
	}
	if info, err := os.Stat(bundle); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("bundle: %v, %v", info, err)
	}
	code, _, text = cli(t, "doctor", "-c", writeConfig(t, "[log]\nlevel = \"loud\"\n"))
	if code != exitUsage || !strings.Contains(text, "log.level") {
		t.Errorf("exit code %d: %s", code, text)
	}
}

// While a daemon runs, its chip is left alone.
func TestDoctorLeavesTheDaemonsChipAlone(t *testing.T) {
	path, _ := stateConfig(t)
	defer serveStateFolder(t, path)()
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := doctorSubject(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Daemon || !strings.Contains(s.NoChip, "systemctl stop gatewayd") {
		t.Errorf("daemon %v, %q", s.Daemon, s.NoChip)
	}
}

// Without the vendor's images the chip is examined up to where they would be
// loaded, and no further.
func TestExaminationWithoutFirmwareLoadsNone(t *testing.T) {
	for _, complete := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			hw, _, err := board.Emulate(board.Emulation{Timing: &sx1302sim.Timing{}})
			if err != nil {
				t.Fatal(err)
			}
			defer hw.Close()
			reg, err := region.Lookup("EU868")
			if err != nil {
				t.Fatal(err)
			}
			rc, err := radioConfig(hw, reg, nil)
			if err != nil {
				t.Fatal(err)
			}
			rc.Firmware = concentrator.EmulatedFirmware()
			var steps []string
			if err := examineChip(t.Context(), hw, rc, complete, func(f concentrator.Finding) {
				steps = append(steps, f.Step)
				if f.Err != nil && !f.Optional {
					t.Error(errors.Join(errors.New(f.Step), f.Err))
				}
			}); err != nil {
				t.Fatal(err)
			}
			last := steps[len(steps)-1]
			if complete && last != "pulse" || !complete && last != lastWithoutFirmware {
				t.Errorf("complete %v: it ended at %s", complete, last)
			}
		})
	}
}
