package concentrator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

func TestASpectralScanShowsTheAirWhileTheChipReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := as923(t)
		cfg.SX1261.RSSIOffset = 3
		b := newBench(t, cfg, fast, func(c *sx1302sim.Config) { c.SX1261Offset = 3 })
		b.run()
		b.occupy(922_200_000, 40) // -60 dBm at the antenna
		up := b.device()
		go up.say("up", 922_600_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
		for _, x := range []struct {
			freq     radio.Hertz
			from, to radio.DBm
		}{{922_200_000, -66, -54}, {921_400_000, -123, -105}} {
			h, err := b.SpectralScan(t.Context(), SpectrumRequest{Freq: x.freq, Samples: 5000})
			if err != nil {
				t.Fatal(err)
			}
			in := 0
			for i, c := range h.Classes {
				if c.Level >= x.from-4 && c.Level <= x.to {
					in += c.Count
				}
				if i > 0 && i < 32 && h.Classes[i-1].Level-c.Level != 4 {
					t.Errorf("class %d: %v", i, c)
				}
			}
			if h.Samples != 5000 || len(h.Classes) != 33 || in < 4950 || h.Freq != x.freq || h.At == 0 {
				t.Errorf("%d Hz: %d of %d samples between %v and %v dBm: %+v", x.freq, in, h.Samples, x.from, x.to, h.Classes)
			}
		}
		if u := <-b.Uplinks(); string(u.Payload) != "up" {
			t.Errorf("%+v", u)
		}
		b.stop()
	})
}

// A transmission that must listen takes the radio: it is on time, and the
// scan ends with an error that says so.
func TestAScanGivesWayToATransmissionThatMustListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, as923(t), fast, nil)
		b.run()
		at := b.instant() + 200_000
		if err := b.Schedule(t.Context(), as923Downlink(1, at, 923_200_000)); err != nil {
			t.Fatal(err)
		}
		_, err := b.SpectralScan(t.Context(), SpectrumRequest{Freq: 922_000_000, Samples: 65535}) // 537 ms
		if !errors.Is(err, ErrScanAborted) {
			t.Errorf("the scan: %v", err)
		}
		if r := <-b.Reports(); r.Err != nil || r.Started != at {
			t.Errorf("%+v", r)
		}
		// One that is asked for while the channel is watched waits and is done.
		if err := b.Schedule(t.Context(), as923Downlink(2, b.instant()+18_000, 923_200_000)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
		if h, err := b.SpectralScan(t.Context(), SpectrumRequest{Freq: 922_000_000}); err != nil || h.Samples != 2000 {
			t.Errorf("%d samples, %v", h.Samples, err)
		}
		if r := <-b.Reports(); r.Err != nil {
			t.Errorf("%+v", r)
		}
		b.stop()
	})
}

func TestAScanEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, as923(t), fast, nil)
		ask := SpectrumRequest{Freq: 922_000_000}
		if _, err := b.SpectralScan(t.Context(), ask); !errors.Is(err, radio.ErrStopped) {
			t.Errorf("before Run: %v", err)
		}
		b.run()
		b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.SX1261.EndlessScan = true })
		begin := time.Now()
		if _, err := b.SpectralScan(t.Context(), ask); !errors.Is(err, ErrSX1261) || time.Since(begin) > time.Second {
			t.Errorf("endless: %v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := b.SpectralScan(ctx, ask); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with 50 ms of patience: %v", err)
		}
		b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.SX1261.EndlessScan = false })
		if h, err := b.SpectralScan(t.Context(), ask); err != nil || h.Samples != 2000 {
			t.Errorf("after it: %+v, %v", h, err)
		}
		go b.stop()
		if _, err := b.SpectralScan(t.Context(), SpectrumRequest{Freq: 922_000_000, Samples: 65535}); !errors.Is(err, radio.ErrStopped) {
			t.Errorf("over a stop: %v", err)
		}
		synctest.Wait()
	})
}

func TestAScanIsAskedForWithSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, as923(t), fast, nil)
		for says, ask := range map[string]SpectrumRequest{
			"Freq":      {Freq: 922},
			"Bandwidth": {Freq: 922_000_000, Bandwidth: 500_000},
			"Samples":   {Freq: 922_000_000, Samples: 65536},
		} {
			if _, err := b.SpectralScan(t.Context(), ask); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), says) {
				t.Errorf("%+v: %v", ask, err)
			}
		}
		none := newBench(t, eu868(t), fast, func(c *sx1302sim.Config) { c.Station = air.StationConfig{}; c.EUI[7]++ })
		if _, err := none.SpectralScan(t.Context(), SpectrumRequest{Freq: 868_100_000}); !errors.Is(err, ErrConfig) {
			t.Errorf("without an SX1261: %v", err)
		}
	})
}
