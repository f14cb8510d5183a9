package main

import (
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/nsedge"
	"gatewayd/nsedge/classb"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// From the receiver's messages and the pulses on the chip's pin to the air:
// each beacon starts 1.5 ms after the pulse of its second, on a chip whose
// crystal is 7 ppm off. When the satellites are gone, so are the beacons.
func TestBeaconsLieOnThePulsesOfTheSatelliteReceiver(t *testing.T) {
	const lost = 700 // the pulse from which on none comes
	pulses := &sx1302sim.PPS{Missing: func(n int64) bool { return n >= lost && n < lost+600 }}
	inBubble(t, setup{sky: pulses, ppm: 7}, func(w *world) {
		began := time.Now().Add(-w.medium.Elapsed())
		var mu sync.Mutex
		var beacons []air.Transmission
		stop := w.watchGateway(func(tx air.Transmission) {
			mu.Lock()
			defer mu.Unlock()
			beacons = append(beacons, tx)
		})
		defer stop()
		time.Sleep(25 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		var seconds []int
		for _, tx := range beacons {
			m, _ := tx.Mod.(radio.LoRa)
			start := began.Add(time.Duration(tx.Start) * time.Microsecond)
			gps := gnss.FromUTC(start, gnss.LeapSeconds)
			b, err := classb.Decode(9, tx.Payload, gps)
			if err != nil || !m.Implicit || m.InvertIQ || tx.Freq != 869_525_000 {
				t.Fatalf("%+v: %v", tx, err)
			}
			second := int(time.Duration(tx.Start)*time.Microsecond/time.Second) - 1
			seconds = append(seconds, second)
			off := gps - b.Time - classb.BeaconDelay
			exact := time.Microsecond // the counter's grain
			for range b.Precision {
				exact *= 10
			}
			if off.Abs() > exact || second < lost && off != 0 {
				t.Errorf("the beacon in second %d started %v off, and says that it is exact to %v", second, off, exact)
			}
		}
		gap := 0
		for i := range seconds[1:] {
			gap = max(gap, seconds[i+1]-seconds[i])
		}
		// Time is held over for 200 s, and then there are no beacons until
		// pulses come again.
		if n := len(seconds); n < 7 || n > 9 || gap < 3*128 || gap > 5*128 {
			t.Errorf("beacons in the seconds %v", seconds)
		}
		figures := map[string]float64{}
		families, err := w.d.server.Metrics().(prometheus.Gatherer).Gather()
		w.must(err)
		for _, f := range families {
			m := f.GetMetric()[0]
			figures[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
		for name, want := range map[string]float64{"active": 1, "time_source": 2, "beacons_total": float64(len(seconds)), "beacons_missed_total": 0} {
			if got, ok := figures["gatewayd_class_b_"+name]; !ok || got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if e := figures["gatewayd_class_b_time_error_seconds"]; e <= 0 || e > 1e-6 {
			t.Errorf("the time's error is %v s", e)
		}
		if s := w.d.classB(); !s.Active || s.Time.Source != nsedge.SatelliteTime || int(s.Sent) != len(seconds) || s.Missed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTheDriversTimeIsTheNetworkServers(t *testing.T) {
	for q, want := range map[concentrator.TimeQuality]nsedge.TimeSource{
		concentrator.NoTime: nsedge.NoTime, concentrator.HostClock: nsedge.NoTime,
		concentrator.HostDisciplined: nsedge.HostTime, concentrator.GNSSPulse: nsedge.SatelliteTime,
	} {
		if got := qualityOf(concentrator.TimeState{Quality: q, Error: time.Millisecond}); got.Source != want || want != nsedge.NoTime && got.Error != time.Millisecond {
			t.Errorf("%v is %+v, want %v", q, got, want)
		}
	}
}
