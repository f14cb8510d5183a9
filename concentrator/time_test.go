package concentrator

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/gnss"
	"gatewayd/concentrator/gnss/gnsssim"
	"gatewayd/concentrator/reg"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// moment reads seconds and nanoseconds.
func (r row) moment(t testing.TB, key string) time.Duration {
	t.Helper()
	return time.Duration(r.int(t, key+"_s"))*time.Second + time.Duration(r.int(t, key+"_ns"))
}

// The whole sequence of tables/gps_sync: what is taken, what is refused, when
// three refusals make a new beginning, and the crystal's error.
func TestPulsesAreJudgedAsInTheReference(t *testing.T) {
	var r relation
	for i, row := range table(t, "gps_sync.csv") {
		at := ticksOf(radio.Instant(row.int(t, "count_us")))
		taken := r.sync(at, row.moment(t, "utc"))
		if taken != (row.int(t, "ret") == 0) {
			t.Errorf("step %d: taken %v", i, taken)
		}
		if got := r.at.instant(); int64(got) != row.int(t, "ref_count_us") {
			t.Errorf("step %d: the reference is at %d, want %s", i, got, row["ref_count_us"])
		}
		if got := fmt.Sprintf("%.12f", r.rate()); got != row["xtal_err"] {
			t.Errorf("step %d: rate %s, want %s", i, got, row["xtal_err"])
		}
	}
}

// Every row of tables/gps_time, to the nanosecond and the microsecond.
func TestCountAndTimeConvertAsInTheReference(t *testing.T) {
	for i, row := range table(t, "gps_time.csv") {
		r := relation{
			at: ticksOf(radio.Instant(row.int(t, "ref_count_us"))), gps: row.moment(t, "ref_gps"), slope: row.float(t, "xtal_err"),
		}
		count := r.at + ticks(uint32(row.int(t, "count_us")-row.int(t, "ref_count_us")))*ticksPerMicrosecond // may have wrapped
		gps := row.moment(t, "gps")
		if got := r.time(count); got != gps {
			t.Errorf("row %d: GPS time %v, want %v", i, got, gps)
		}
		utc := time.Unix(row.int(t, "utc_s"), row.int(t, "utc_ns"))
		if got := gnss.ToUTC(r.time(count), gnss.LeapSeconds); !got.Equal(utc) {
			t.Errorf("row %d: UTC %v, want %v", i, got, utc)
		}
		if got := uint32(r.ticks(gps).instant()); int64(got) != row.int(t, "count_from_gps") {
			t.Errorf("row %d: count %d of the GPS time, want %s", i, got, row["count_from_gps"])
		}
		if got := uint32(r.ticks(gnss.FromUTC(utc, gnss.LeapSeconds)).instant()); int64(got) != row.int(t, "count_from_utc") {
			t.Errorf("row %d: count %d of the UTC, want %s", i, got, row["count_from_utc"])
		}
	}
}

func TestARelationWorksBothWaysInTime(t *testing.T) {
	r := relation{at: 1 << 50, gps: 1_400_000_000 * time.Second, slope: 1 + 7e-6}
	for _, d := range []time.Duration{-100 * time.Second, -time.Second, -1, 0, 1, time.Second, 100 * time.Second} {
		at := r.ticks(r.gps + d)
		if got := r.time(at) - r.gps - d; got.Abs() > 32 {
			t.Errorf("%v: off by %v", d, got)
		}
		if got, want := (at - r.at).duration().Seconds(), d.Seconds()*r.slope; math.Abs(got-want) > 40e-9 {
			t.Errorf("%v: %v, want %v", d, got, want)
		}
	}
}

// latch lets the model's chip have seen a pulse.
func (m *model) latch(pulse uint32) {
	binary.BigEndian.PutUint32(m.memory[reg.TimestampPPSMsb2.Addr():], pulse)
}

// tables/counter_expansion: the pulse's count is that of the reference in
// every row, though one count of turns serves for both.
func TestThePulseUnrollsAsInTheReference(t *testing.T) {
	var c clock
	rows := 0
	for i, r := range table(t, "counter_expansion.csv") {
		if r["kind"] != "read" {
			continue
		}
		inst, pps := uint32(r.int(t, "inst_ticks")), uint32(r.int(t, "pps_ticks"))
		if !c.set {
			c.adopt(inst, time.Unix(0, 0))
		}
		c.ticks += ticks(inst - uint32(c.ticks))
		pulse := c.ticks - ticks(inst-pps)
		if got := uint32(pulse.instant()); int64(got) != r.int(t, "pps_us") {
			t.Errorf("row %d: pulse at %d, want %s", i, got, r["pps_us"])
		}
		if age := (c.ticks - pulse).duration(); age >= time.Second {
			t.Errorf("row %d: the pulse is %v old", i, age)
		}
		rows++
	}
	if rows < 100 {
		t.Errorf("only %d rows", rows)
	}
}

// The reference keeps a count of turns for each of the two counters, so that
// a pulse that stands still falls behind by 134 s turns for ever
// (sx1302_hal#112). Here it is one that is missing, and the next is right.
func TestAPulseThatStoodStillForTurnsIsMissedNotMistaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := modelled(t)
		gps := 1_400_000_000 * time.Second
		for i := range 2000 {
			time.Sleep(time.Second)
			if i < 100 || i > 1900 { // in between the pulse stands still for 13 turns
				m.latch(m.count() - ticksPerSec/2)
			}
			if i%20 == 0 {
				if err := s.lookAtCounter(); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.fix(gnss.Fix{At: time.Now(), GPS: gps + time.Duration(i)*time.Second}); err != nil {
				t.Fatal(err)
			}
			if i == 1000 && s.timeState(time.Now()).Quality != HostClock {
				t.Errorf("900 s after the last pulse: %+v", s.timeState(time.Now()))
			}
		}
		now := s.clock.now(time.Now())
		if got, want := s.relation.time(now), gps+1999*time.Second+time.Second/2; (got - want).Abs() > time.Microsecond {
			t.Errorf("GPS time %v, want %v", got, want)
		}
		if n := s.c.stats.pulsesMissed.Load(); n != 1801 {
			t.Errorf("%d pulses missed", n)
		}
	})
}

// Which pulse a message speaks of is decided by when it came, not by when the
// loop had time for it.
func TestAMessageBelongsToThePulseBeforeIt(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		name         string
		delay, after time.Duration // from pulse to message, from message to the loop
		taken        bool
	}{
		{"at once", 10 * time.Millisecond, 0, true},
		{"slow receiver", 900 * time.Millisecond, 0, true},
		{"slow host", 900 * time.Millisecond, 200 * time.Millisecond, true},
		{"very slow host", 500 * time.Millisecond, 1700 * time.Millisecond, true},
		{"as fast as a pulse", 2 * time.Millisecond, 0, false},
		{"so slow that it may be the next one", 997 * time.Millisecond, 0, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, m := modelled(t)
			gps, origin, started := 1_400_000_000*second, m.count(), time.Now()
			for i := range 6 {
				at := started.Add(time.Duration(i)*second + c.delay)
				time.Sleep(time.Until(at.Add(c.after)))
				m.latch(origin + uint32(time.Since(started)/second)*ticksPerSec)
				if err := s.fix(gnss.Fix{At: at, GPS: gps + time.Duration(i)*second}); err != nil {
					t.Fatal(err)
				}
			}
			if s.relation.confirmed != c.taken {
				t.Fatalf("%s: taken %v, %d refused", c.name, s.relation.confirmed, s.c.stats.pulsesRefused.Load())
			}
			if got, want := s.relation.time(s.clock.now(time.Now())), gps+time.Since(started); c.taken && (got-want).Abs() > time.Microsecond {
				t.Errorf("%s: off by %v", c.name, got-want)
			}
		})
	}
}

// A new beginning, the first one too, counts from the next pulse that agrees
// with it.
func TestANewBeginningCountsFromTheNextGoodPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := modelled(t)
		gps, step := 1_400_000_000*time.Second, time.Duration(0)
		for i := range 20 {
			time.Sleep(time.Second)
			if i == 10 {
				step = 100 * time.Microsecond // the receiver's idea of the second jumps
			}
			m.latch(m.count() - ticksPerSec/2 + uint32(ticksIn(step)))
			if err := s.fix(gnss.Fix{At: time.Now(), GPS: gps + time.Duration(i)*time.Second}); err != nil {
				t.Fatal(err)
			}
			want := i >= 3 && i < 12 || i >= 13 // three bad pulses each time, the third is the beginning
			if got := s.timeState(time.Now()).Quality == GNSSPulse; got != want {
				t.Errorf("pulse %d: trusted %v", i, got)
			}
		}
		if n := &s.c.stats; n.pulses.Load() != 16 || n.pulsesRefused.Load() != 4 {
			t.Errorf("%d taken, %d refused", n.pulses.Load(), n.pulsesRefused.Load())
		}
	})
}

// sky is a bench under an open sky: pulses into the chip, messages on a line.
type sky struct {
	*testBench
	offset time.Duration // air time of the first pulse
	gps    time.Duration // then
}

func newSky(t *testing.T, cfg Config, ppm float64, pps sx1302sim.PPS, say func(n int) bool) *sky {
	t.Helper()
	k := &sky{offset: 1700 * time.Millisecond, gps: 1_384_035_218 * time.Second}
	pps.Offset = k.offset
	sim := gnsssim.New(gnsssim.Config{First: time.Now().Add(k.offset), GPS: k.gps, Fix: say})
	near, far := net.Pipe()
	receiver := gnss.New(gnss.Config{UBlox: true, Open: func(context.Context) (gnss.Line, error) { return near, nil }})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); far.Close() })
	go func() { _ = receiver.Run(ctx) }()
	go func() { _ = sim.Run(ctx, far) }()
	cfg.Fixes = receiver.Fixes()
	k.testBench = newBench(t, cfg, fast, func(c *sx1302sim.Config) { c.PPM, c.PPS = ppm, &pps })
	return k
}

// truth is GPS time at an air time.
func (k *sky) truth(at radio.Instant) time.Duration {
	return k.gps + time.Duration(at)*time.Microsecond - k.offset
}

// Uplinks are stamped with GPS time, and downlinks sent at it, to the
// microsecond, although the crystal is 8 ppm off and the pulses jitter.
func TestGPSTimeIsRightToTheMicrosecond(t *testing.T) {
	for _, ppm := range []float64{0, 8.1, -8.7} {
		synctest.Test(t, func(t *testing.T) {
			k := newSky(t, eu868(t), ppm, sx1302sim.PPS{Jitter: 40, Seed: 1}, nil)
			k.run()
			d := k.device()
			time.Sleep(10 * time.Second)
			state := k.Time()
			if state.Quality != GNSSPulse || !state.Trusted() || state.Error > time.Microsecond || math.Abs(state.Drift-ppm) > 0.2 || state.Leap != 18 {
				t.Errorf("%v ppm: %+v", ppm, state)
			}
			for i := range 20 {
				time.Sleep(1100 * time.Millisecond)
				sent := d.say("time?", 868_100_000, radio.LoRa{SF: uint8(7 + i%6), Bandwidth: 125_000})
				up := <-k.Uplinks()
				if off := up.GPSTime - k.truth(sent.End); off.Abs() > 2*time.Microsecond {
					t.Errorf("%v ppm: the uplink's GPS time is off by %v", ppm, off)
				}
				want := k.truth(sent.End).Truncate(time.Second) + 2*time.Second + 300*time.Microsecond
				at, state := k.InstantAt(want)
				if back, _ := k.GPSTime(at); state.Quality != GNSSPulse || (back-want).Abs() > 550 {
					t.Errorf("Instant %d is %v, want %v", at, back, want)
				}
				start := make(chan radio.Instant, 1)
				if err := k.Schedule(t.Context(), sf7(uint64(i), at)); err != nil {
					t.Fatal(err)
				}
				stop := k.medium.Observe(func(x air.Transmission) { start <- x.Start })
				if r := <-k.Reports(); r.Err != nil || r.Started != at {
					t.Errorf("%+v", r)
				}
				stop()
				if off := k.truth(<-start) - want; off.Abs() > 2*time.Microsecond {
					t.Errorf("%v ppm: the downlink starts %v off its GPS time", ppm, off)
				}
			}
			if n := k.Stats(); n.Pulses < 30 || n.PulsesMissed != 0 || n.PulsesRefused > 2 || n.Time.Quality != GNSSPulse {
				t.Errorf("%+v", n)
			}
			k.stop()
			if got := k.Time(); got.Quality != NoTime || got.Leap != 18 {
				t.Errorf("stopped: %+v", got)
			}
			if at, s := k.InstantAt(k.gps); at != 0 || s.Trusted() {
				t.Errorf("stopped: %d, %+v", at, s)
			}
			if gps, s := k.GPSTime(1); gps != 0 || s.Trusted() {
				t.Errorf("stopped: %d, %+v", gps, s)
			}
		})
	}
}

// What time is worth is said at every moment, and grows worse by degrees.
func TestTheQualityOfTimeFollowsItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := eu868(t)
		disciplined := false
		cfg.HostClock = func() (bool, time.Duration) { return disciplined, 3 * time.Millisecond }
		k := newSky(t, cfg, 2.5, sx1302sim.PPS{Missing: func(n int64) bool { return n >= 100 && n < 600 }}, nil)
		if got := k.Time().Quality; got != NoTime {
			t.Errorf("before the start: %v", got)
		}
		k.run()
		want := func(q TimeQuality, least, most time.Duration) {
			t.Helper()
			if s := k.Time(); s.Quality != q || s.Error < least || s.Error > most {
				t.Errorf("at %v: %v within %v, want %v", k.medium.Elapsed(), s.Quality, s.Error, q)
			}
			gps, s := k.GPSTime(k.medium.Now() + 1_000_000)
			if s.Trusted() == (gps == 0) {
				t.Errorf("GPS time %v with %v", gps, s.Quality)
			}
		}
		want(HostClock, 0, 0)
		if at, _ := k.InstantAt(k.gps); at != 0 {
			t.Errorf("an Instant of a clock that nobody trusts: %d", at)
		}
		time.Sleep(50 * time.Second)
		want(GNSSPulse, 0, time.Microsecond)
		time.Sleep(150 * time.Second)
		want(GNSSPulse, 40*time.Microsecond, 60*time.Microsecond) // holds over
		time.Sleep(200 * time.Second)
		want(HostClock, 0, 0)
		if n := k.Stats(); n.PulsesMissed < 290 || n.Time.PulseAge < 290*time.Second {
			t.Errorf("%+v", n)
		}
		disciplined = true
		want(HostDisciplined, 3*time.Millisecond, 3*time.Millisecond)
		now := k.medium.Now() + 1_000_000
		gps, _ := k.GPSTime(now)
		if truth := gnss.FromUTC(time.Now(), 18); (gps - truth).Abs() > 10*time.Millisecond {
			t.Errorf("by the host's clock it is %v, want %v", gps, truth)
		}
		if back, _ := k.InstantAt(gps); back.Sub(now).Abs() > 2*time.Microsecond {
			t.Errorf("Instant %d comes back as %d", now, back)
		}
		time.Sleep(250 * time.Second)
		want(GNSSPulse, 0, time.Microsecond)
		k.stop()
	})
	for q, want := range []string{"none", "host", "host-disciplined", "gnss"} {
		if got := TimeQuality(q).String(); got != want {
			t.Errorf("%d is %q", q, got)
		}
	}
}

// The counter tears now and then, also in the frame that has the pulse.
func TestATornCounterDoesNotMoveTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newSky(t, eu868(t), -3, sx1302sim.PPS{}, nil)
		k.run()
		time.Sleep(10 * time.Second)
		torn := 0
		for range 200 {
			time.Sleep(time.Second)
			// The pulse is read 120 ms after it.
			time.Sleep(k.offset + k.medium.Elapsed().Truncate(time.Second) + time.Second + 100*time.Millisecond - k.medium.Elapsed())
			k.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.TornCounter = 1 })
			time.Sleep(100 * time.Millisecond)
			k.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { torn += 1 - m.TornCounter; m.TornCounter = 0 })
			now := k.medium.Now()
			at, _ := k.Now()
			if got, s := k.GPSTime(at); s.Quality != GNSSPulse || (got-k.truth(now)).Abs() > 50*time.Microsecond {
				t.Fatalf("GPS time %v, want %v; %+v", got, k.truth(now), s)
			}
		}
		if n := k.Stats(); torn < 190 || n.Stalls != 0 || n.PulsesMissed > 5 {
			t.Errorf("%d torn, %+v", torn, n)
		}
		k.stop()
	})
}

// A reset may stop the counter: what was known before it does not count.
func TestARestartForgetsTheRelation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newSky(t, eu868(t), 0, sx1302sim.PPS{}, nil)
		k.run()
		time.Sleep(10 * time.Second)
		k.stop()
		k.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.CounterJump = 1_234_567_890 })
		time.Sleep(5 * time.Second)
		k.run()
		if s := k.Time(); s.Quality != HostClock {
			t.Errorf("just restarted: %+v", s)
		}
		time.Sleep(10 * time.Second)
		if s := k.Time(); s.Quality != GNSSPulse {
			t.Errorf("10 s later: %+v", s)
		}
		d := k.device()
		sent := d.say("again", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
		if up := <-k.Uplinks(); (up.GPSTime - k.truth(sent.End)).Abs() > 2*time.Microsecond {
			t.Errorf("%v, want %v", up.GPSTime, k.truth(sent.End))
		}
		k.stop()
	})
}

func TestConfiguredLeapSecondsWin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := eu868(t)
		cfg.LeapSeconds = 17
		k := newSky(t, cfg, 0, sx1302sim.PPS{}, nil)
		k.run()
		time.Sleep(10 * time.Second)
		if s := k.Time(); s.Leap != 17 {
			t.Errorf("%+v", s)
		}
		k.stop()
	})
}
