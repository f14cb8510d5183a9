package concentrator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
)

func sx1257(t testing.TB) Config { return recorded(t, "start_eu868_sx1257").config() }

func TestCalibrationTakesTheBestOfThreeRunsThatAgree(t *testing.T) {
	good := correction{first: 3, second: -5, reject: 60, noise: 55}
	for _, x := range []struct {
		name string
		runs []correction
		want int8 // first of the chosen run
		err  string
	}{
		{"equal runs", []correction{good, good, good}, 3, ""},
		{"the best rejection", []correction{good, {5, -5, 61, 55}, {7, -5, 60, 55}}, 5, ""},
		{"the earlier of equals", []correction{{4, 0, 60, 55}, {5, 0, 60, 55}, good}, 0, "second"}, // spread of the second is 5
		{"amplitudes 5 apart", []correction{good, {8, -5, 60, 55}, good}, 0, "between 3/-5 and 8/-5"},
		{"phases 5 apart", []correction{good, {3, -10, 60, 55}, good}, 0, "between 3/-10 and 3/-5"},
		{"one run below the rejection", []correction{good, {3, -5, 49, 55}, good}, 0, "rejection of 49 dB, 50 are needed"},
		{"one noisy run", []correction{good, good, {3, -5, 60, 49}}, 0, "noise 49 dB"},
		{"the limits themselves", []correction{good, {7, -9, 50, 50}, good}, 3, ""},
		{"extremes don't overflow", []correction{{127, 0, 60, 55}, {-128, 0, 60, 55}, good}, 0, "between -128"},
	} {
		got, err := choose(calImage, x.runs)
		switch {
		case x.err == "" && (err != nil || got.first != x.want):
			t.Errorf("%s: %+v, %v", x.name, got, err)
		case x.err == "second":
			if !errors.Is(err, ErrCalibration) {
				t.Errorf("%s: %v", x.name, err)
			}
		case x.err != "" && (!errors.Is(err, ErrCalibration) || !strings.Contains(err.Error(), x.err)):
			t.Errorf("%s: %v, want %q", x.name, err, x.err)
		}
	}
}

func TestRejectionIsInWholeDecibels(t *testing.T) {
	for _, x := range []struct {
		signal, other uint16
		want          int
	}{{0x8000, 0x40, 54}, {1000, 100, 20}, {1000, 101, 19}, {1000, 0, 60}, {0, 0, 0}, {0, 100, 0}} {
		if got := ratio(x.signal, x.other); got != x.want {
			t.Errorf("%d over %d: %d dB, want %d", x.signal, x.other, got, x.want)
		}
	}
}

// A single SX125x has no other radio's tone: its own goes through its loopback.
func TestASingleRadioIsCalibratedThroughItsLoopback(t *testing.T) {
	cfg := sx1257(t)
	cfg.Radios[1] = Radio{}
	for i := range cfg.Channels {
		cfg.Channels[i] = Channel{Enable: i < 3, IF: radio.Hertz(i-1) * 200_000}
	}
	cfg.Service.Enable, cfg.FSK.Enable = false, false
	trace := startTrace(t, cfg)
	if !slices.Contains(trace, "W radioA reg=0x10 06") || !slices.Contains(trace, "W radioA reg=0x08 3a") {
		t.Error("no loopback, or with other gains than DAC 3, mixer 10")
	}
	for _, l := range trace {
		if strings.Contains(l, "radioB") {
			t.Fatalf("the disabled radio is addressed: %s", l)
		}
	}
}

func TestSX125xConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"two types": {func(c *Config) { c.Radios[1].Type = SX1250 }, "two of one type only"},
		"SX1255 and SX1257": {func(c *Config) {
			c.Radios[1].Type, c.Radios[1].Freq = SX1255, 470_000_000
		}, "two of one type only"},
		"out of band":       {func(c *Config) { c.Radios[0].Freq = 470_000_000 }, "862 to 1020 MHz"},
		"single input":      {func(c *Config) { c.Radios[0].SingleInput = true }, "differential"},
		"mixer gain":        {func(c *Config) { c.Radios[0].Gains[1].Mixer = 16 }, "Gains[1].Mixer = 16: 0 to 15"},
		"DAC gain":          {func(c *Config) { c.Radios[0].Gains[1].DAC = 4 }, "Gains[1].DAC = 4: 0 to 3"},
		"amplifier gain":    {func(c *Config) { c.Radios[0].Gains[0].PAGain = 4 }, "Gains[0].PAGain = 4: 0 to 3"},
		"no such type":      {func(c *Config) { c.Radios[0].Type = 7 }, "SX1250, SX1255 or SX1257"},
		"no calibration":    {func(c *Config) { c.Firmware.Calibration = nil }, "Firmware.Calibration"},
		"full duplex alone": {func(c *Config) { c.FullDuplex = true }, "FullDuplex = true"},
	} {
		cfg := sx1257(t)
		x.change(&cfg)
		if _, err := New(nil, cfg); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v, want %q", name, err, x.says)
		}
	}
}

// failedStart runs a start that must fail, and returns the error.
func failedStart(t *testing.T, cfg Config, change func(*sx1302sim.Config)) (took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cfg, fast, change)
		begin := time.Now()
		err = b.Run(context.Background())
		took = time.Since(begin)
	})
	return took, err
}

func TestASilentCalibrationEndsTheStartInTime(t *testing.T) {
	took, err := failedStart(t, sx1257(t), func(s *sx1302sim.Config) {
		s.Faults = new(sx1302sim.Faults)
		s.Faults.Set(func(m *sx1302sim.Misbehaviour) { m.MuteAGC = true })
	})
	if !errors.Is(err, ErrMCU) || !strings.Contains(err.Error(), "start: calibrate the radios: calibration firmware version 1") || took > 3*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

func TestAnotherRadioThanConfiguredIsNamed(t *testing.T) {
	_, err := failedStart(t, sx1257(t), func(s *sx1302sim.Config) {
		s.Radios = [2]sx1302sim.RadioKind{sx1302sim.SX1255, sx1302sim.SX1255}
	})
	if err == nil || !strings.Contains(err.Error(), "SX1257 has 0x2") {
		t.Errorf("%v", err)
	}
}

// The voltages are the recorded ones: those of the start, and the one that
// the vendor's library sets before each transmission.
func TestAFullDuplexBoardsAmplifierIsSetAtTheStart(t *testing.T) {
	recordedWrites := func(trace []string) (out []string) {
		for _, l := range trace {
			if strings.HasPrefix(l, "I W 0x0c") {
				out = append(out, l)
			}
		}
		return out
	}
	want := recordedWrites(recorded(t, "start_cn490_sx1255_fdx").Trace)
	want = append(want, recordedWrites(recorded(t, "tx_cn490_sx1255_fdx").Trace)[0])
	cfg := recorded(t, "start_cn490_sx1255_fdx").config()
	bus := newThermometer(0x38, 25)
	cfg.I2C = bus
	startTrace(t, cfg)
	if got := recordedWrites(bus.log); !slices.Equal(got, want) {
		t.Errorf("%q, recorded %q", got, want)
	}

	bus.fails = true
	if _, err := failedStart(t, cfg, nil); !errors.Is(err, errNoAnswer) || !strings.Contains(err.Error(), "DAC at 0x0C, reset") {
		t.Errorf("%v", err)
	}
}

func TestTheCarrierIsCancelledWithTheOffsetsOfTheGainsInUse(t *testing.T) {
	cfg := sx1257(t)
	s := offline(t, cfg)
	s.c.bus.limit = maxFrame
	s.drv.dcOffsets = map[dcKey]correction{{0, 3, 8}: {first: 11, second: -12}, {0, 3, 10}: {first: 21, second: -22}}
	for power, want := range map[radio.DBm][2]int8{-6: {11, -12}, -3: {21, -22}} {
		x, err := s.c.cfg.plan(radio.Downlink{Freq: 868_100_000, Power: power, Mod: radio.LoRa{SF: 7, Bandwidth: 125_000}, Payload: []byte{1}})
		if err != nil {
			t.Fatal(err)
		}
		s.c.bus.conn = spiConn{new(wire)}
		if err := s.prepare(x); err != nil {
			t.Fatal(err)
		}
		r := s.drv.regs
		if i, q := int8(r.get(reg.TXRffeIFIOffset)), int8(r.get(reg.TXRffeIFQOffset)); i != want[0] || q != want[1] {
			t.Errorf("%v dBm: offsets %d, %d, want %v", power, i, q, want)
		}
	}
}
