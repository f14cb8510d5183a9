package concentrator

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRecordedTemperaturesCorrectRSSI(t *testing.T) {
	for name, celsius := range map[string]float64{
		"rx_temperature_0": 0, "rx_temperature_m10p25": -10.25, "rx_temperature_sx1257_25": 25,
		"rx_temperature_sx1257_62p5": 62.5, "rx_temperature_sx1257_m10p25": -10.25,
	} {
		rec := recorded(t, name)
		bus := newThermometer(0x39, celsius)
		s := offline(t, rec.config())
		a, err := findThermometer(bus)
		if err != nil || a != 0x39 {
			t.Fatalf("%s: 0x%02x, %v", name, a, err)
		}
		if err := s.c.thermometer.read(bus, a); err != nil {
			t.Fatal(err)
		}
		if got, known := s.c.temperature(); got != celsius || !known {
			t.Errorf("%s: %v, %v", name, got, known)
		}
		var fifo []byte
		for _, step := range rec.Steps {
			for _, b := range step.Before {
				data, _ := hex.DecodeString(b.FIFO)
				fifo = append(fifo, data...)
			}
			if len(step.Packets) == 0 {
				continue
			}
			got := s.feed(fifo, 160_000_000)
			if len(got) != len(step.Packets) {
				t.Fatalf("%s: %d packets, recorded %d", name, len(got), len(step.Packets))
			}
			for i, w := range step.Packets {
				comparePacket(t, fmt.Sprint(name, " packet ", i), got[i], w)
			}
		}
	}
}

func TestTheThermometerIsReadApartAndItsAbsenceIsFlagged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		cfg := eu868(t)
		bus := newThermometer(0x3B, 40)
		cfg.I2C, cfg.Log = bus, slog.New(slog.NewTextHandler(&text, nil))
		b := newBench(t, cfg, fast, nil)
		if s := b.Stats(); s.Celsius != 25 || !s.CelsiusAssumed {
			t.Errorf("before the start: %v, %v", s.Celsius, s.CelsiusAssumed)
		}
		b.run()
		time.Sleep(time.Second)
		if s := b.Stats(); s.Celsius != 40 || s.CelsiusAssumed {
			t.Errorf("%v, %v", s.Celsius, s.CelsiusAssumed)
		}
		bus.show(-3.5)
		time.Sleep(11 * time.Second)
		if s := b.Stats(); s.Celsius != -3.5 || s.CelsiusAssumed {
			t.Errorf("%v, %v", s.Celsius, s.CelsiusAssumed)
		}
		bus.mu.Lock()
		bus.fails = true
		bus.mu.Unlock()
		time.Sleep(30 * time.Second)
		if s := b.Stats(); s.Celsius != 25 || !s.CelsiusAssumed {
			t.Errorf("gone: %v, %v", s.Celsius, s.CelsiusAssumed)
		}
		if n := strings.Count(text.String(), "no board temperature"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		b.stop()
		synctest.Wait()
	})
}
