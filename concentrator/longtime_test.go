package concentrator

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/gnss"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// exchange is one uplink and its answer a second later, checked to the
// microsecond: the uplink's Instant is the end of the packet in the air, the
// downlink starts in the air at its Instant. origin is the Instant of air
// time 0.
func (b *testBench) exchange(d device, id uint64, origin radio.Instant) (radio.Uplink, error) {
	sent := d.say(fmt.Sprint("uplink ", id), 868_100_000, radio.LoRa{SF: uint8(7 + id%6), Bandwidth: 125_000})
	up := <-b.Uplinks()
	if want := sent.End + origin; up.At != want || up.Tmst != uint32(want) || string(up.Payload) != fmt.Sprint("uplink ", id) {
		return up, fmt.Errorf("uplink %d at %d (tmst %d), it ended at %d", id, up.At, up.Tmst, want)
	}
	if off := up.Time.Sub(time.Now().Round(0)) - time.Duration(sent.End-b.medium.Now())*time.Microsecond; off.Abs() > 5*time.Millisecond {
		return up, fmt.Errorf("uplink %d: its time is off by %v", id, off)
	}
	started := make(chan radio.Instant, 1)
	stop := b.medium.Observe(func(x air.Transmission) { started <- x.Start })
	defer stop()
	at := b.medium.Now() + origin + 1_000_000
	if err := b.Schedule(b.t.Context(), sf7(id, at)); err != nil {
		return up, err
	}
	r := <-b.Reports()
	if r.ID != id || r.Err != nil || r.Started != at || r.Armed >= at {
		return up, fmt.Errorf("downlink at %d: %+v", at, r)
	}
	if got := <-started; got != at-origin {
		return up, fmt.Errorf("downlink at %d starts in the air at %d, %d off", at, got, got-(at-origin))
	}
	return up, nil
}

// Packets and transmissions on either side of a wrap, and over it: the chip's
// 27 bits of microseconds (2^32 ticks of 32 bits) and their multiples, and
// the 32 bits of microseconds that packet forwarders report.
func TestNothingHappensWhenACounterWraps(t *testing.T) {
	const turn = radio.Instant(1) << 27
	for _, c := range []struct {
		name  string
		start radio.Instant // of the chip's counter
		wrap  radio.Instant // that is crossed
		poll  time.Duration
	}{
		{"2^27 µs, just after the start", turn - 5_000_000, turn, 0},
		{"2^27 µs, after a turn", 0, turn, 10 * time.Second},
		{"2^32 ticks times 5", 3_456_789, 5 * turn, 20 * time.Second},
		{"2^32 µs", 1_000_000, 1 << 32, 20 * time.Second},
		{"2^32 ticks times 100", turn / 2, 100 * turn, 60 * time.Second},
		{"2^33 µs", 77, 1 << 33, 60 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := eu868(t)
			cfg.Poll = c.poll
			b := newBench(t, cfg, sx1302sim.Timing{}, func(s *sx1302sim.Config) { s.CounterStart = uint32(c.start * ticksPerMicrosecond) })
			origin := c.start
			b.run()
			d := b.device()
			// 1.6 s before the wrap until 2.6 s after it, a little later in each round.
			for i := range 6 {
				at := c.wrap - origin + radio.Instant(i-3)*900_000
				time.Sleep(time.Duration(at-b.medium.Now()) * time.Microsecond)
				if i > 0 && c.poll > time.Second {
					break // the answer to the first one took longer than that
				}
				if _, err := b.exchange(d, uint64(i), origin); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			}
			if now, ok := b.Now(); !ok || now < c.wrap && c.poll == 0 {
				t.Errorf("%s: it is only %d", c.name, now)
			}
			b.stop()
		})
	}
}

// A year of a quiet gateway: nine exchanges a day, a satellite fix every ten
// minutes, a crystal that is right (so that Instants can be compared with air
// time to the microsecond), a look at the receive buffer once a minute. What
// it costs is said in docs/concentrator.md.
func TestAYearWithoutATimingFault(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		const (
			days   = yearDays
			offset = 1_500_000 // air time of the first pulse, µs
			gps    = 1_400_000_000 * time.Second
		)
		fixes := make(chan gnss.Fix, 1)
		cfg := eu868(t)
		cfg.Poll, cfg.Fixes = time.Minute, fixes
		b := newBench(t, cfg, sx1302sim.Timing{}, func(s *sx1302sim.Config) {
			s.PPS = &sx1302sim.PPS{Offset: offset * time.Microsecond, Jitter: 50, Seed: 3}
		})
		b.run()
		d := b.device()
		var id, stamped uint64
		for tenth := range days * 24 * 6 {
			second := time.Duration(tenth*600+5) * time.Second
			time.Sleep(time.Duration(offset)*time.Microsecond + second + 200*time.Millisecond - b.medium.Elapsed())
			fixes <- gnss.Fix{At: time.Now(), GPS: gps + second}
			if tenth%16 != 15 {
				continue
			}
			time.Sleep(time.Duration(id%500) * time.Second)
			up, err := b.exchange(d, id, 1_000_000)
			if err != nil {
				t.Fatalf("day %d: %v", tenth/144, err)
			}
			if up.GPSTime != 0 {
				stamped++
				if truth := gps + time.Duration(up.At-1_000_000-offset)*time.Microsecond; (up.GPSTime - truth).Abs() > time.Microsecond {
					t.Fatalf("day %d: GPS time is off by %v", tenth/144, up.GPSTime-truth)
				}
			}
			id++
		}
		n := b.Stats()
		if n.Sent != id || n.Packets != id || id < 9*days-1 || n.TooLate+n.TXFailed+n.Refused+n.Dropped+n.Stalls != 0 || n.Starts != 1 ||
			n.PulsesMissed+n.PulsesRefused != 2 || n.Pulses != days*24*6-2 || stamped < id/4 {
			t.Errorf("%+v", n)
		}
		t.Logf("%d exchanges (%d with GPS time), %d pulses, %d polls, %d frames", id, stamped, n.Pulses, n.Polls, n.Frames)
		b.stop()
	})
	t.Logf("a year in %v", time.Since(began).Round(time.Millisecond))
}
