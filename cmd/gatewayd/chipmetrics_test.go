package main

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"gatewayd/concentrator"
)

func TestTheChipsFiguresAreInMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newChipCollector(func() concentrator.Stats {
		return concentrator.Stats{
			Starts: 3, Stalls: 2, StartTime: 120 * time.Millisecond, Frames: 1000, Packets: 40, CRCBad: 4, BadChecksum: 1, Truncated: 2, Sent: 7,
			Celsius: 31.5, CelsiusAssumed: true, Time: concentrator.TimeState{Quality: concentrator.GNSSPulse, Error: 250 * time.Nanosecond, Drift: -1.5},
		}
	}))
	families, err := registry.Gather()
	if err != nil || len(families) != len(chipFigures) {
		t.Errorf("%d families of %d, %v", len(families), len(chipFigures), err)
	}
	var text strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"starts_total": "counter 3", "stalls_total": "counter 2", "start_seconds": "gauge 0.12", "spi_frames_total": "counter 1000",
		"packets_total": "counter 40", "packets_crc_bad_total": "counter 4", "packets_damaged_total": "counter 3", "transmissions_total": "counter 7",
		"temperature_celsius": "gauge 31.5", "temperature_assumed": "gauge 1", "time_quality": "gauge 3", "time_error_seconds": "gauge 2.5e-07", "counter_drift_ppm": "gauge -1.5",
	} {
		name = "gatewayd_concentrator_" + name
		kind, value, _ := strings.Cut(want, " ")
		if line := "# TYPE " + name + " " + kind + "\n" + name + " " + value + "\n"; !strings.Contains(text.String(), line) {
			t.Errorf("no %q in\n%s", line, text.String())
		}
	}
}
