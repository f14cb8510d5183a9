package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatewayd/concentrator"
)

// chipFigure is one figure of the concentrator in /metrics.
type chipFigure struct {
	name, help string
	kind       prometheus.ValueType
	of         func(*concentrator.Stats) float64
}

// count is a figure that only grows.
func count(name, help string, of func(*concentrator.Stats) uint64) chipFigure {
	return chipFigure{name, help, prometheus.CounterValue, func(s *concentrator.Stats) float64 { return float64(of(s)) }}
}

func gauge(name, help string, of func(*concentrator.Stats) float64) chipFigure {
	return chipFigure{name, help, prometheus.GaugeValue, of}
}

// chipFigures is what is published; their names begin with
// gatewayd_concentrator_.
var chipFigures = []chipFigure{
	count("starts_total", "Completed starts of the chip; all but the first are re-initialisations.", func(s *concentrator.Stats) uint64 { return s.Starts }),
	count("stalls_total", "Runs that ended because the chip had stalled or its counter was not plausible.", func(s *concentrator.Stats) uint64 { return s.Stalls }),
	count("failures_total", "Runs that ended with another error.", func(s *concentrator.Stats) uint64 { return s.Broken }),
	gauge("start_seconds", "Duration of the last start.", func(s *concentrator.Stats) float64 { return s.StartTime.Seconds() }),

	count("spi_frames_total", "Frames on the SPI bus.", func(s *concentrator.Stats) uint64 { return s.Frames }),
	count("spi_bytes_total", "Bytes on the SPI bus, headers included.", func(s *concentrator.Stats) uint64 { return s.Bytes }),
	count("spi_retries_total", "SPI transfers that failed and were repeated.", func(s *concentrator.Stats) uint64 { return s.Retries }),
	count("spi_failures_total", "SPI transfers that failed.", func(s *concentrator.Stats) uint64 { return s.Failures }),
	gauge("spi_overhead_seconds", "Cost of an SPI frame beyond its bits, smoothed.", func(s *concentrator.Stats) float64 { return s.BusOverhead.Seconds() }),
	gauge("lateness_worst_seconds", "By how much the driver was ever woken too late.", func(s *concentrator.Stats) float64 { return s.WorstLateness.Seconds() }),

	count("packets_total", "Packets received, with a bad CRC too.", func(s *concentrator.Stats) uint64 { return s.Packets }),
	count("packets_crc_bad_total", "Packets received with a bad payload CRC.", func(s *concentrator.Stats) uint64 { return s.CRCBad }),
	count("packets_dropped_total", "Good packets that nobody took in time.", func(s *concentrator.Stats) uint64 { return s.Dropped }),
	count("packets_duplicate_total", "Second demodulations of the same packet.", func(s *concentrator.Stats) uint64 { return s.Duplicates }),
	count("packets_damaged_total", "Packets damaged in the receive buffer.", func(s *concentrator.Stats) uint64 {
		return s.BadChecksum + s.Mismatch + s.Invalid + s.Truncated
	}),
	count("buffer_overflows_total", "Times that the receive buffer was found full.", func(s *concentrator.Stats) uint64 { return s.Overflows }),

	count("transmissions_total", "Transmissions that were on the air.", func(s *concentrator.Stats) uint64 { return s.Sent }),
	count("transmissions_too_late_total", "Accepted transmissions that could not be armed in time.", func(s *concentrator.Stats) uint64 { return s.TooLate }),
	count("transmissions_channel_busy_total", "Accepted transmissions that listen before talk held back.", func(s *concentrator.Stats) uint64 { return s.ChannelBusy }),
	count("transmissions_failed_total", "Accepted transmissions that failed for another reason.", func(s *concentrator.Stats) uint64 { return s.TXFailed }),
	count("transmissions_refused_total", "Transmissions that were not accepted.", func(s *concentrator.Stats) uint64 { return s.Refused }),

	gauge("temperature_celsius", "Board temperature that RSSI is corrected for.", func(s *concentrator.Stats) float64 { return s.Celsius }),
	gauge("temperature_assumed", "1 if no thermometer answers.", func(s *concentrator.Stats) float64 { return oneIf(s.CelsiusAssumed) }),
	count("pulses_total", "Pulses of the satellite receiver that tie the counter to GPS time.", func(s *concentrator.Stats) uint64 { return s.Pulses }),
	count("pulses_refused_total", "Pulses more than 10 ppm off, or of an uncertain second.", func(s *concentrator.Stats) uint64 { return s.PulsesRefused }),
	count("pulses_missed_total", "Seconds that the receiver named without a pulse.", func(s *concentrator.Stats) uint64 { return s.PulsesMissed }),
	gauge("time_quality", "Source of absolute time: 0 none, 1 host, 2 host under NTP, 3 satellites.", func(s *concentrator.Stats) float64 { return float64(s.Time.Quality) }),
	gauge("time_error_seconds", "Estimated bound of the error of absolute time.", func(s *concentrator.Stats) float64 { return s.Time.Error.Seconds() }),
	gauge("counter_drift_ppm", "By how much the chip's counter runs fast, by the pulses.", func(s *concentrator.Stats) float64 { return s.Time.Drift }),
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// chipCollector reads the concentrator's figures when /metrics is asked for,
// all at the same moment.
type chipCollector struct {
	stats func() concentrator.Stats
	descs []*prometheus.Desc
}

func newChipCollector(stats func() concentrator.Stats) *chipCollector {
	c := &chipCollector{stats: stats}
	for _, f := range chipFigures {
		c.descs = append(c.descs, prometheus.NewDesc("gatewayd_concentrator_"+f.name, f.help, nil, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *chipCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *chipCollector) Collect(out chan<- prometheus.Metric) {
	s := c.stats()
	for i, f := range chipFigures {
		out <- prometheus.MustNewConstMetric(c.descs[i], f.kind, f.of(&s))
	}
}
