package concentrator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
)

// fields splits "send mod=lora bw=125000 ...".
// downlink is a recorded send call in our terms; false for continuous waves,
// which we don't send.
// wire records what is written, and answers nothing.
// transmitBlock returns the 113 register bytes after the trigger was set.
// below is true where the recording asks for less power than the table has:
// the library exceeds the request then, we refuse.
// compareBlock compares what belongs to the modulation. The recorded bytes of
// the other modulation, and the trigger's of other modes, are leftovers of
// earlier calls of the same run.
// send schedules and returns the report.
func (b *testBench) send(d radio.Downlink) radio.Report {
	b.t.Helper()
	if err := b.Schedule(context.Background(), d); err != nil {
		b.t.Fatal(err)
	}
	return <-b.Reports()
}

func sf7(id uint64, at radio.Instant) radio.Downlink {
	return radio.Downlink{
		ID: id, Payload: []byte("seventeen bytes!!"), At: at, Freq: 868_100_000, Power: 14,
		Mod: radio.LoRa{SF: 7, Bandwidth: 125_000, InvertIQ: true, NoCRC: true},
	}
}

func TestATransmissionStartsAtItsInstantAndIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		device := b.device()
		b.run()
		for i, mod := range []radio.Modulation{
			radio.LoRa{SF: 7, Bandwidth: 125_000, InvertIQ: true, NoCRC: true},
			radio.LoRa{SF: 12, Bandwidth: 125_000, InvertIQ: true, NoCRC: true},
			radio.LoRa{SF: 9, Bandwidth: 250_000, InvertIQ: true, NoCRC: true},
			radio.LoRa{SF: 5, Bandwidth: 500_000, InvertIQ: true, NoCRC: true, Sync: radio.PrivateSync}, // as SF5 always has
			radio.FSK{BitRate: 50_000},
		} {
			d := sf7(uint64(i), b.instant()+1_000_003)
			d.Mod = mod
			got := device.hear(d)
			r := b.send(d)
			if r.Err != nil || r.ID != d.ID || r.Planned != d.At || r.Started != d.At || r.Power != 14 {
				t.Errorf("%v: %+v", mod, r)
			}
			if want := d.At.Add(mod.Airtime(len(d.Payload))); r.Ended != want {
				t.Errorf("%v: ended at %d, want %d", mod, r.Ended, want)
			}
			if r.Margin() < 5*time.Millisecond {
				t.Errorf("%v: armed only %v before", mod, r.Margin())
			}
			h := <-got
			if h.err != nil {
				t.Errorf("%v: %v", mod, h.err)
				continue
			}
			if h.Start+1_000_000 != d.At || string(h.Payload) != string(d.Payload) || h.Power != 14 {
				t.Errorf("%v: on the air at %d with %v dBm: %q", mod, h.Start+1_000_000, h.Power, h.Payload)
			}
		}
		b.stop()
		if n := b.Stats().Sent; n != 5 {
			t.Errorf("%d counted as sent", n)
		}
	})
}

// The bar: 6 ms at 8 MHz and 30 µs a transfer, 15 ms at 2 MHz.
func TestAnAnswerIsTakenUntilShortlyBeforeItsStart(t *testing.T) {
	for hz, limit := range map[int]time.Duration{8_000_000: 6 * time.Millisecond, 2_000_000: 15 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			timing := fast
			timing.Hz = hz
			b := newBench(t, eu868(t), timing, nil)
			b.run()
			d := sf7(1, 0)
			d.Payload = make([]byte, 222)
			if got := b.Lead(d); got > limit {
				t.Errorf("%d Hz: lead %v, want at most %v", hz, got, limit)
			}
			for i := range 20 { // at all phases of the poll
				d.ID, d.At = uint64(i), b.instant().Add(limit)
				if r := b.send(d); r.Err != nil || r.Started != d.At {
					t.Errorf("%d Hz: %+v", hz, r)
				}
				time.Sleep(time.Duration(i) * 137 * time.Microsecond)
			}
			d.At = b.instant().Add(time.Millisecond)
			if err := b.Schedule(t.Context(), d); !errors.Is(err, radio.ErrTooLate) {
				t.Errorf("1 ms before: %v", err)
			}
			b.stop()
		})
	}
}

func TestWhatCannotBeSentIsRefusedWithItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		if err := b.Schedule(t.Context(), sf7(1, 1)); !errors.Is(err, radio.ErrStopped) {
			t.Errorf("before Run: %v", err)
		}
		b.run()
		now := b.instant()
		for _, x := range []struct {
			name   string
			change func(*radio.Downlink)
			want   error
			says   string
		}{
			{"late", func(d *radio.Downlink) { d.At = now }, radio.ErrTooLate, "needed"},
			{"past", func(d *radio.Downlink) { d.At = now - 50_000_000 }, radio.ErrTooLate, "needed"},
			{"early", func(d *radio.Downlink) { d.At = now + 600_000_000 }, radio.ErrTooEarly, "8m32s"},
			{"power", func(d *radio.Downlink) { d.Power = 11 }, radio.ErrPower, "12 dBm is the lowest"},
			{"frequency", func(d *radio.Downlink) { d.Freq = 870_000_001 }, radio.ErrFrequency, "863000000 to 870000000"},
			{"payload", func(d *radio.Downlink) { d.Payload = make([]byte, 256) }, radio.ErrFrame, "255"},
			{"SF", func(d *radio.Downlink) { d.Mod = radio.LoRa{SF: 4, Bandwidth: 125_000} }, radio.ErrFrame, "SF4"},
			{"bandwidth", func(d *radio.Downlink) { d.Mod = radio.LoRa{SF: 7, Bandwidth: 62_500} }, radio.ErrFrame, "62500"},
			{"rate", func(d *radio.Downlink) { d.Mod = radio.LoRa{SF: 7, Bandwidth: 125_000, CodeRate: 5} }, radio.ErrFrame, "4/9"},
			{"bit rate", func(d *radio.Downlink) { d.Mod = radio.FSK{BitRate: 300_000} }, radio.ErrFrame, "300000"},
			{"deviation", func(d *radio.Downlink) { d.Mod = radio.FSK{BitRate: 50_000, Deviation: 1e6} }, radio.ErrFrame, "1000000"},
			{"none", func(d *radio.Downlink) { d.Mod = nil }, radio.ErrFrame, "neither"},
		} {
			d := sf7(7, now+2_000_000)
			x.change(&d)
			err := b.Schedule(t.Context(), d)
			if !errors.Is(err, x.want) || !strings.Contains(fmt.Sprint(err), x.says) {
				t.Errorf("%s: %v, want %v with %q", x.name, err, x.want, x.says)
			}
		}
		if n := b.Stats().Refused; n != 13 {
			t.Errorf("%d counted as refused", n)
		}
		b.stop()
		if err := b.Schedule(t.Context(), sf7(1, now+5_000_000)); !errors.Is(err, radio.ErrStopped) {
			t.Errorf("after Run: %v", err)
		}
	})
}

func TestNothingIsEverOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		at := b.instant() + 1_000_000
		air := sf7(0, 0).Mod.Airtime(17)
		if err := b.Schedule(t.Context(), sf7(1, at)); err != nil {
			t.Fatal(err)
		}
		for _, off := range []time.Duration{0, -air, air, -air - time.Millisecond, air + time.Millisecond} {
			if err := b.Schedule(t.Context(), sf7(2, at.Add(off))); !errors.Is(err, radio.ErrCollision) {
				t.Errorf("%v apart: %v", off, err)
			}
		}
		// Before, and after, with the lead between.
		gap := air + 7*time.Millisecond
		for i, off := range []time.Duration{gap, -gap} {
			if err := b.Schedule(t.Context(), sf7(uint64(3+i), at.Add(off))); err != nil {
				t.Errorf("%v apart: %v", off, err)
			}
		}
		for _, id := range []uint64{4, 1, 3} {
			if r := <-b.Reports(); r.ID != id || r.Err != nil || r.Started != r.Planned {
				t.Errorf("want downlink %d: %+v", id, r)
			}
		}
		b.stop()
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		at := b.instant() + 10_000_000
		for i := range txQueue {
			if err := b.Schedule(t.Context(), sf7(uint64(i), at.Add(time.Duration(i)*100*time.Millisecond))); err != nil {
				t.Fatal(err)
			}
		}
		err := b.Schedule(t.Context(), sf7(99, at.Add(20*time.Second)))
		if !errors.Is(err, ErrQueueFull) || !errors.Is(err, radio.ErrCollision) {
			t.Errorf("%v", err)
		}
		b.stop()
		seen := map[uint64]bool{}
		for range txQueue {
			r := <-b.Reports()
			if !errors.Is(r.Err, radio.ErrStopped) || seen[r.ID] {
				t.Errorf("%+v", r)
			}
			seen[r.ID] = true
		}
	})
}

func TestStoppingInTheMiddleReportsEverythingOnceAndHoldsTheChipInReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, wait := range []time.Duration{0, 985 * time.Millisecond, 1020 * time.Millisecond} { // waiting, armed, emitting
			b := newBench(t, eu868(t), fast, nil)
			b.run()
			if err := b.Schedule(t.Context(), sf7(1, b.instant()+1_000_000)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(wait)
			b.stop()
			if r := <-b.Reports(); r.ID != 1 || !errors.Is(r.Err, radio.ErrStopped) {
				t.Errorf("%v: %+v", wait, r)
			}
			if len(b.Reports()) != 0 {
				t.Error("reported twice")
			}
			if v := b.version(); v != 0 {
				t.Errorf("the chip answers 0x%02x: it is not in reset", v)
			}
		}
	})
}

// version reads the version register past the driver.
func (b *testBench) version() byte {
	v := make([]byte, 1)
	if err := b.bus.read(0x5606, v); err != nil {
		b.t.Fatal(err)
	}
	return v[0]
}

// A receiver full of packets must not delay a transmission, not even one that
// was asked for 6 ms before its start.
func TestALoadedReceiverDoesNotDelayTransmissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		stop := make(chan struct{})
		go b.chatter(stop)
		const n = 500
		for i := range n {
			d := sf7(uint64(i), b.instant()+6_000+radio.Instant(i%3))
			if r := b.send(d); r.Err != nil || r.Started != d.At {
				t.Errorf("%+v", r)
			}
			time.Sleep(time.Duration(i%400) * time.Millisecond)
			for len(b.Uplinks()) > 0 {
				<-b.Uplinks()
			}
		}
		close(stop)
		b.stop()
		if s := b.Stats(); s.Packets < 2*n || s.Sent != n || s.TooLate != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Instants on both sides of 2^27 µs, where the chip's counter wraps.
func TestTransmissionsAroundTheWrapOfTheCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := uint32(1<<32 - 32_000_000*3) // three seconds before the wrap
		b := newBench(t, eu868(t), fast, func(c *sx1302sim.Config) { c.CounterStart = start })
		b.run()
		zero := radio.Instant(start / 32)
		for i := range 40 {
			d := sf7(uint64(i), b.medium.Now()+zero+200_000)
			if r := b.send(d); r.Err != nil || r.Started != d.At {
				t.Errorf("%d: %+v", i, r)
			}
		}
		b.stop()
	})
}
