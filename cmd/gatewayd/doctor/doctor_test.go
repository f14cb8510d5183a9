package doctor_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/doctor"
	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
	"gatewayd/concentrator/sx1302sim"
)

// pi is a Raspberry Pi 4 on which everything is as it should be.
type pi struct {
	files   fstest.MapFS
	subject doctor.Subject
}

const spiGroup = 989

func text(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s + "\n")} }

func device(gid uint32) *fstest.MapFile {
	return &fstest.MapFile{Mode: fs.ModeDevice | fs.ModeCharDevice | 0o660, Sys: &syscall.Stat_t{Uid: 0, Gid: gid}}
}

func newPi(t *testing.T, name string) *pi {
	t.Helper()
	p := &pi{files: fstest.MapFS{
		"proc/device-tree/model":                 &fstest.MapFile{Data: []byte("Raspberry Pi 4 Model B Rev 1.4\x00")},
		"proc/sys/kernel/osrelease":              text("6.6.31+rpt-rpi-v8"),
		"proc/meminfo":                           text("MemTotal: 1888160 kB\nMemFree: 1200000 kB\nMemAvailable: 1500000 kB"),
		"proc/mounts":                            text("/dev/root / ext4 rw,noatime 0 0\n/dev/mmcblk0p3 /var/lib ext4 rw 0 0"),
		"proc/cmdline":                           text("console=tty1 root=PARTUUID=1-02"),
		"sys/class/hwmon/hwmon0/name":            text("cpu_thermal"),
		"sys/class/hwmon/hwmon1/name":            text("rpi_volt"),
		"sys/class/hwmon/hwmon1/in0_lcrit_alarm": text("0"),
		"sys/class/thermal/thermal_zone0/temp":   text("51234"),
		"sys/fs/ext4/mmcblk0p3/errors_count":     text("0"),
		"boot/firmware/config.txt":               text("# a comment\ndtparam=i2c_arm=on,spi=on\n[all]\nenable_uart=1\ndtoverlay=disable-bt # the GNSS has the line"),
		"etc/group":                              text("root:x:0:\nspi:x:989:gatewayd"),
		"dev/spidev0.0":                          device(spiGroup),
		"dev/i2c-1":                              device(spiGroup),
		"dev/ttyAMA0":                            device(spiGroup),
		"proc/4242/comm":                         text("lora_pkt_fwd"),
		"proc/4242/fd/3":                         &fstest.MapFile{Data: []byte("/dev/null"), Mode: fs.ModeSymlink},
	}}
	b, err := board.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Concentrator.Board = name
	p.subject = doctor.Subject{
		Version: "test", Config: cfg, Board: b, NoChip: "it is not asked for",
		Radios: []concentrator.RadioType{concentrator.SX1250},
		Host: doctor.Host{
			FS:       p.files,
			Space:    func(string) (uint64, uint64, error) { return 8 << 30, 16 << 30, nil },
			Writable: func(string) error { return nil },
			Clock:    func() (bool, time.Duration) { return true, 3 * time.Millisecond },
			Listen:   func(string) error { return nil },
			Lines: func(b board.Board) (string, []board.LineUse, error) {
				return "pinctrl-bcm2711", []board.LineUse{{Key: "reset", Pin: b.Reset}}, nil
			},
			UID: 900, Groups: []int{spiGroup}, PID: 1,
		},
		Satellites: func(context.Context) (gnss.Status, error) {
			return gnss.Status{Messages: 20, Fix: gnss.FixGood, Satellites: 7}, nil
		},
	}
	return p
}

// find returns the check of a step.
func find(t *testing.T, r doctor.Report, step string) doctor.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Step == step {
			return c
		}
	}
	t.Fatalf("no step %q in %+v", step, r.Checks)
	return doctor.Check{}
}

func TestAPiThatIsWellPutTogetherHasNothingBad(t *testing.T) {
	p := newPi(t, "semtech-corecell")
	told := 0
	r := doctor.Examine(t.Context(), p.subject, func(doctor.Check) { told++ })
	if told != len(r.Checks) {
		t.Errorf("%d told of %d", told, len(r.Checks))
	}
	for _, c := range r.Checks {
		if c.Verdict != doctor.OK && c.Step != "firmware" && c.Step != "concentrator" { // the images are not here
			t.Errorf("%+v", c)
		}
	}
}

// One fault each: the step that finds it, what it is worth, and words of the
// next thing to do.
func TestEachFaultOfTheHostHasItsVerdictAndNextStep(t *testing.T) {
	for name, c := range map[string]struct {
		break_  func(p *pi)
		step    string
		verdict doctor.Verdict
		seen    string
		next    string
	}{
		"not a Pi": {func(p *pi) { delete(p.files, "proc/device-tree/model") }, "model", doctor.Note, "another computer", "USB concentrator"},
		"old kernel": {func(p *pi) { p.files["proc/sys/kernel/osrelease"] = text("5.4.83-v7l+") },
			"kernel", doctor.Bad, "5.4.83", "full-upgrade"},
		"no memory": {func(p *pi) { p.files["proc/meminfo"] = text("MemAvailable: 20000 kB") }, "memory", doctor.Note, "19 MB", "Stop programs"},
		"under-voltage": {func(p *pi) { p.files["sys/class/hwmon/hwmon1/in0_lcrit_alarm"] = text("1") },
			"power", doctor.Bad, "too low", "power supply"},
		"hot": {func(p *pi) { p.files["sys/class/thermal/thermal_zone0/temp"] = text("82500") }, "processor temperature", doctor.Note, "82 °C", "heat sink"},
		"no overlay": {func(p *pi) { p.files["boot/firmware/config.txt"] = text("#dtparam=spi=on\ndtparam=i2c_arm=on") },
			"overlays", doctor.Note, "missing: dtparam=spi=on, enable_uart=1, dtoverlay=disable-bt", "[all]"},
		"no port": {func(p *pi) { delete(p.files, "dev/spidev0.0") }, "concentrator's port", doctor.Bad, "not there", "dtparam=spi=on"},
		"Pi 5 without SPI": {func(p *pi) { delete(p.files, "dev/spidev0.0"); p.files["dev/spidev10.0"] = device(spiGroup) },
			"concentrator's port", doctor.Bad, "not there", "spidev10 is not the header's"},
		"not in the group": {func(p *pi) { p.subject.Host.Groups = []int{1000} }, "concentrator's port", doctor.Bad, "may not open", "group spi"},
		"another program": {func(p *pi) {
			p.files["proc/4242/fd/5"] = &fstest.MapFile{Data: []byte("/dev/spidev0.0"), Mode: fs.ModeSymlink}
		}, "concentrator's port", doctor.Bad, "opened by lora_pkt_fwd (pid 4242)", "Stop lora_pkt_fwd"},
		"no I2C":         {func(p *pi) { delete(p.files, "dev/i2c-1") }, "I2C bus", doctor.Note, "not there", "i2c_arm=on"},
		"no serial line": {func(p *pi) { delete(p.files, "dev/ttyAMA0") }, "satellite receiver's line", doctor.Note, "not there", "enable_uart=1"},
		"serial console": {func(p *pi) { p.files["proc/cmdline"] = text("console=serial0,115200 console=tty1") },
			"serial console", doctor.Note, "console=serial0,115200", "raspi-config"},
		"no controller": {func(p *pi) {
			p.subject.Host.Lines = func(board.Board) (string, []board.LineUse, error) {
				return "", nil, errors.New("no GPIO controller of a Raspberry Pi")
			}
		}, "GPIO", doctor.Bad, "no GPIO controller", "group gpio"},
		"line taken": {func(p *pi) {
			p.subject.Host.Lines = func(board.Board) (string, []board.LineUse, error) {
				return "pinctrl-rp1", []board.LineUse{{Key: "reset", Pin: 7, Consumer: "spi0 CS1", Hint: "; the line is held by spi0 CS1; add dtoverlay=spi0-1cs to config.txt"}}, nil
			}
		}, "GPIO", doctor.Bad, "held by spi0 CS1", "dtoverlay=spi0-1cs"},
		"no firmware": {func(*pi) {}, "firmware", doctor.Bad, "missing", "firmware import"},
		"clock":       {func(p *pi) { p.subject.Host.Clock = func() (bool, time.Duration) { return false, 0 } }, "clock", doctor.Note, "nobody vouches", "set-ntp"},
		"read-only": {func(p *pi) {
			p.files["proc/mounts"] = text("/dev/mmcblk0p2 / ext4 ro 0 0")
			p.subject.Host.Writable = func(string) error { return syscall.EROFS }
		}, "state folder", doctor.Bad, "read-only", "new card"},
		"not writable": {func(p *pi) { p.subject.Host.Writable = func(string) error { return syscall.EACCES } },
			"state folder", doctor.Bad, "permission denied", "install -d -o gatewayd"},
		"nearly full": {func(p *pi) {
			p.subject.Host.Space = func(string) (uint64, uint64, error) { return 100 << 20, 16 << 30, nil }
		}, "space", doctor.Note, "100 of 16384 MB", "Make room"},
		"full": {func(p *pi) {
			p.subject.Host.Space = func(string) (uint64, uint64, error) { return 1 << 20, 16 << 30, nil }
		}, "space", doctor.Bad, "1 of 16384 MB", "Make room"},
		"dying card": {func(p *pi) { p.files["sys/fs/ext4/mmcblk0p3/errors_count"] = text("3") }, "storage health", doctor.Bad, "3 errors", "new card"},
		"port taken": {func(p *pi) { p.subject.Host.Listen = func(string) error { return syscall.EADDRINUSE } },
			"port", doctor.Bad, "in use", "dataapi.listen"},
		"receiver silent": {func(p *pi) {
			p.subject.Satellites = func(context.Context) (gnss.Status, error) { return gnss.Status{}, nil }
		}, "satellites", doctor.Note, "nothing was heard", "concentrator.gps"},
		"no fix": {func(p *pi) {
			p.subject.Satellites = func(context.Context) (gnss.Status, error) {
				return gnss.Status{Messages: 9, Fix: gnss.FixNone}, nil
			}
		}, "satellites", doctor.Note, "fix: none", "sees the sky"},
		"no receiver": {func(p *pi) { p.subject.Satellites = nil }, "satellites", doctor.Skipped, "no satellite receiver", ""},
		"line fails": {func(p *pi) {
			p.subject.Satellites = func(context.Context) (gnss.Status, error) { return gnss.Status{}, syscall.EIO }
		}, "satellites", doctor.Note, "input/output error", "NTP"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPi(t, "semtech-corecell")
			c.break_(p)
			r := doctor.Examine(t.Context(), p.subject, nil)
			got := find(t, r, c.step)
			if got.Verdict != c.verdict || !strings.Contains(got.Seen, c.seen) || !strings.Contains(got.Next, c.next) {
				t.Errorf("%+v, want %s, seen %q, next %q", got, c.verdict, c.seen, c.next)
			}
			if (got.Verdict == doctor.Bad || got.Verdict == doctor.Note) && got.Next == "" {
				t.Error("and now?")
			}
			if c.verdict == doctor.Bad && r.Verdict != doctor.Bad {
				t.Errorf("the whole is %s", r.Verdict)
			}
		})
	}
}

// A clock that was never set is a note: nothing on the air waits for it.
func TestAnUnsetClockIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock is in the year 2000
		p := newPi(t, "semtech-corecell")
		p.subject.Host.Clock = func() (bool, time.Duration) { return false, 0 }
		c := find(t, doctor.Examine(t.Context(), p.subject, nil), "clock")
		if c.Verdict != doctor.Note || !strings.Contains(c.Seen, "never set") || !strings.Contains(c.Next, "browser") {
			t.Errorf("%+v", c)
		}
	})
}

// USB cards and emulators have no lines or overlays to look at.
func TestOnlyWhatTheBoardHasIsLookedAt(t *testing.T) {
	p := newPi(t, "semtech-corecell-usb")
	r := doctor.Examine(t.Context(), p.subject, nil)
	if c := find(t, r, "concentrator's port"); c.Verdict != doctor.Bad || !strings.Contains(c.Expected, "/dev/ttyACM0") || !strings.Contains(c.Next, "cable") {
		t.Errorf("%+v", c)
	}
	for _, c := range r.Checks {
		if c.Step == "GPIO" || c.Step == "overlays" || c.Step == "I2C bus" {
			t.Errorf("%+v", c)
		}
	}
	p = newPi(t, "semtech-corecell")
	p.subject.Board.SPI = "unix:/run/spi.sock"
	if c := find(t, doctor.Examine(t.Context(), p.subject, nil), "concentrator's port"); c.Verdict != doctor.Bad || !strings.Contains(c.Next, "gatewayd sim --spi-socket /run/spi.sock") {
		t.Errorf("%+v", c)
	}
}

// What a running daemon holds is no fault.
func TestWhatTheDaemonHoldsIsNoFault(t *testing.T) {
	p := newPi(t, "semtech-corecell")
	p.subject.Daemon, p.subject.NoChip = true, "the daemon drives it"
	p.files["proc/4242/fd/5"] = &fstest.MapFile{Data: []byte("/dev/spidev0.0"), Mode: fs.ModeSymlink}
	p.subject.Host.Listen = func(string) error { return syscall.EADDRINUSE }
	p.subject.Host.Lines = func(board.Board) (string, []board.LineUse, error) {
		return "pinctrl-bcm2711", []board.LineUse{{Key: "reset", Pin: 23, Consumer: "gatewayd@4242", Hint: "; stop it"}}, nil
	}
	r := doctor.Examine(t.Context(), p.subject, nil)
	for _, c := range r.Checks {
		if c.Verdict == doctor.Bad && c.Step != "firmware" {
			t.Errorf("%+v", c)
		}
	}
	if c := find(t, r, "concentrator"); c.Verdict != doctor.Skipped || c.Seen != "the daemon drives it" {
		t.Errorf("%+v", c)
	}
}

// chip examines a simulated chip that misbehaves.
func chip(fault sx1302sim.Misbehaviour, pps *sx1302sim.PPS) func(context.Context, func(concentrator.Finding)) error {
	return func(ctx context.Context, found func(concentrator.Finding)) error {
		hw, sim, err := board.Emulate(board.Emulation{Timing: &sx1302sim.Timing{}, Lax: true, PPS: pps})
		if err != nil {
			return err
		}
		defer hw.Close()
		sim.Faults().Set(func(m *sx1302sim.Misbehaviour) { *m = fault })
		radios, _ := hw.Board.Radios("EU868")
		radios[0].Freq, radios[1].Freq = 867_500_000, 868_500_000
		radios[0].TXMin, radios[0].TXMax = 863_000_000, 870_000_000
		c, err := concentrator.New(hw.Port, concentrator.Config{
			Radios: radios, Firmware: concentrator.EmulatedFirmware(), Reset: hw.Reset, HoldReset: hw.Hold, Temperature: func() (float64, error) { return 31, nil },
		})
		if err != nil {
			return err
		}
		return c.Examine(ctx, found)
	}
}

// Each fault of the chip, with the next step of the person in front of it.
func TestEachFaultOfTheChipHasItsVerdictAndNextStep(t *testing.T) {
	never := &sx1302sim.PPS{Missing: func(int64) bool { return true }}
	for name, c := range map[string]struct {
		fault   sx1302sim.Misbehaviour
		pps     *sx1302sim.PPS
		step    string
		verdict doctor.Verdict
		next    string
	}{
		"healthy":      {sx1302sim.Misbehaviour{}, nil, "identity", doctor.OK, ""},
		"no power":     {sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerZeroes}, nil, "version", doctor.Bad, "power enable is GPIO18"},
		"no chip":      {sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerOnes}, nil, "version", doctor.Bad, "HAT sits on the header"},
		"latch-up":     {sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerUnreset}, nil, "version", doctor.Bad, "Remove the power for 10 s"},
		"noise":        {sx1302sim.Misbehaviour{Noise: 90}, nil, "SPI bus", doctor.Bad, "spi_hz = 2000000"},
		"wrong line":   {sx1302sim.Misbehaviour{ResetBroken: true}, nil, "reset proof", doctor.Bad, "GPIO17 (elecrow-lr1302, rak2287"},
		"dead radio":   {sx1302sim.Misbehaviour{DeadRadios: [2]bool{true, true}}, nil, "radio ids", doctor.Bad, "Remove the power for 10 s"},
		"calibration":  {sx1302sim.Misbehaviour{RadioErrors: [2]uint16{0x10, 0}}, nil, "calibration", doctor.Bad, "band of the region EU868"},
		"memory":       {sx1302sim.Misbehaviour{StuckBit: true}, nil, "RAM test", doctor.Bad, "replace the module"},
		"mute AGC":     {sx1302sim.Misbehaviour{MuteAGC: true}, nil, "AGC firmware", doctor.Bad, "gatewayd firmware check"},
		"mute arbiter": {sx1302sim.Misbehaviour{MuteARB: true}, nil, "arbiter firmware", doctor.Bad, "gatewayd firmware check"},
		"no pulse":     {sx1302sim.Misbehaviour{}, never, "pulse", doctor.Note, "sees the sky"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPi(t, "semtech-corecell")
				p.subject.Chip = chip(c.fault, c.pps)
				got := find(t, doctor.Examine(t.Context(), p.subject, nil), c.step)
				if got.Verdict != c.verdict || !strings.Contains(got.Next, c.next) {
					t.Errorf("%+v, want %s, %q", got, c.verdict, c.next)
				}
			})
		})
	}
}

// A chip that can't be reached at all is a verdict too.
func TestAChipThatCantBeOpenedIsToldOnce(t *testing.T) {
	p := newPi(t, "rak2287")
	p.subject.Chip = func(context.Context, func(concentrator.Finding)) error {
		return errors.New("GPIO17: busy; the line is held by pktfwd")
	}
	c := find(t, doctor.Examine(t.Context(), p.subject, nil), "concentrator")
	if c.Verdict != doctor.Bad || !strings.Contains(c.Seen, "pktfwd") || !strings.Contains(c.Next, "stop that program") {
		t.Errorf("%+v", c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.subject.Chip = func(ctx context.Context, _ func(concentrator.Finding)) error { return context.Cause(ctx) }
	if c := find(t, doctor.Examine(ctx, p.subject, nil), "concentrator"); !strings.Contains(c.Next, "interrupted") {
		t.Errorf("%+v", c)
	}
}

// Without a receiver on the board nobody misses its pulse.
func TestNoPulseIsMissedWithoutAReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPi(t, "semtech-corecell")
		p.subject.Satellites = nil
		p.subject.Chip = chip(sx1302sim.Misbehaviour{}, &sx1302sim.PPS{Missing: func(int64) bool { return true }})
		for _, c := range doctor.Examine(t.Context(), p.subject, nil).Checks {
			if c.Step == "pulse" {
				t.Errorf("%+v", c)
			}
		}
	})
}
