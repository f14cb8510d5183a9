package concentrator

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
)

// unrolled makes a history of recorded 32-bit pulses.
func unrolled(list []uint32) (p pulses) {
	at := ticks(1 << 32)
	for _, low := range list {
		at = at.nearest(low)
		p.add(at)
	}
	return p
}

func TestFineTimeEqualsTheReferenceInEveryRow(t *testing.T) {
	scan := bufio.NewScanner(bytes.NewReader(golden(t, "fine_timestamp.jsonl")))
	rows := 0
	for scan.Scan() {
		var r struct {
			Pulses  []uint32 `json:"pps_history_ticks"`
			Metrics []int8
			Stamp   uint32 `json:"timestamp_ticks"`
			SF      uint8
			IF      int64   `json:"if_hz"`
			Error   float64 `json:"freq_error_ratio"`
			Ret     int
			Fine    int64 `json:"ftime_ns"`
		}
		if err := json.Unmarshal(scan.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		p := unrolled(r.Pulses)
		last, _ := p.newest()
		got, ok := p.fineTime(last.nearest(r.Stamp), r.Metrics, r.SF, r.Error, radio.Hertz(r.IF))
		if !ok || r.Ret != 0 || got != time.Duration(r.Fine) {
			t.Errorf("%+v: %d, %v", r, got, ok)
		}
		rows++
	}
	if rows != 240 {
		t.Errorf("%d rows, 240 recorded", rows)
	}
}

func TestNotchDelayEqualsTheReference(t *testing.T) {
	for _, r := range table(t, "dc_notch_delay.csv") {
		if got, want := notchDelay(radio.Hertz(r.float(t, "if_khz")*1000)), r.float(t, "delay_32mhz_cycles"); !near(got, want, 1e-8) {
			t.Errorf("%s kHz: %v, recorded %v", r["if_khz"], got, want)
		}
	}
}

// The recorded run: sixteen pulses, packets of all spreading factors, one
// from before the last pulse, twins, one with a bad CRC.
func TestRecordedFineTimeStampsComeOutEqual(t *testing.T) {
	rec := recorded(t, "rx_fine_timestamp")
	cfg := rec.config()
	cfg.Temperature = func() (float64, error) { return 25, nil }
	s := offline(t, cfg)
	fine := 0
	for _, step := range rec.Steps {
		counter, read := uint32(0), false
		for _, l := range rec.step(step.Step) {
			var pulse uint32
			if n, _ := fmt.Sscanf(l, "R sx1302 0x6101 -> %8x%8x", &pulse, &counter); n == 2 {
				s.clock.ticks = s.clock.unroll(counter, s.clock.ticks+1<<31-1)
				s.pulses.add(s.clock.ticks - ticks(counter-pulse))
				read = true
			}
		}
		var fifo []byte
		for _, b := range step.Before {
			data, err := hex.DecodeString(b.FIFO)
			if err != nil {
				t.Fatal(err)
			}
			fifo = append(fifo, data...)
		}
		if !read || len(fifo) == 0 {
			continue
		}
		got := s.feed(fifo, uint32(s.clock.ticks))
		if len(got) != len(step.Packets) {
			t.Errorf("step %d: %d packets, recorded %d", step.Step, len(got), len(step.Packets))
			continue
		}
		for i, w := range step.Packets {
			comparePacket(t, fmt.Sprintf("step %d", step.Step), got[i], w)
			switch {
			case !w.Fine && got[i].FineTime == nil:
			case !w.Fine || got[i].FineTime == nil || int64(*got[i].FineTime) != w.FineTime:
				t.Errorf("step %d: fine time %v, recorded %v %d", step.Step, got[i].FineTime, w.Fine, w.FineTime)
			default:
				fine++
			}
		}
	}
	if fine < 10 {
		t.Errorf("only %d fine time stamps compared", fine)
	}
}

func TestNoFineTimeWithoutPulses(t *testing.T) {
	var all []uint32
	for i := range uint32(pulseHistory) {
		all = append(all, 32_000_000*(i+1))
	}
	missing := append([]uint32{0}, append(append([]uint32{}, all[:14]...), all[15])...)
	metrics := []int8{0, 0}
	end := all[15] + uint32(headerTicks(7, 0)) - filterTicks // a packet at the last pulse
	for _, x := range []struct {
		name    string
		history []uint32
		stamp   uint32
		ok      bool
		ns      time.Duration
	}{
		{"all is there", all, end + 32, true, 1000},
		{"15 pulses", all[1:], end + 32, false, 0},
		{"the last pulse is 1.1 s old", all, end + 35_200_000, false, 0},
		{"older than all pulses", all, end - 16*32_000_000, false, 0},
		{"a pulse is missing before it", missing, end + 32, false, 0},
		{"between pulses", all, end - 32_000_000 + 64, true, 2000},
	} {
		p := unrolled(x.history)
		last, _ := p.newest()
		got, ok := p.fineTime(last.nearest(x.stamp), metrics, 7, 0, 200_000)
		if ok != x.ok || got != x.ns {
			t.Errorf("%s: %v, %v", x.name, got, ok)
		}
	}
	p := unrolled(all)
	last, _ := p.newest()
	if _, ok := p.fineTime(last.nearest(end+32), nil, 7, 0, 0); ok {
		t.Error("a fine time without metrics")
	}
}

// Frames of a device on the simulated SX1303: their fine times differ from the
// true times of the ends of their preambles by the same constant, the delay
// of the filters. The frames begin at whole microseconds.
func TestFineTimesOnTheSimulatedChipAreTrue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := eu868(t)
		cfg.FineTimestamp = FineTimestampAllSF
		b := newBench(t, cfg, fast, func(s *sx1302sim.Config) {
			s.PPS = &sx1302sim.PPS{Offset: 300 * time.Millisecond}
		})
		b.run()
		time.Sleep(19 * time.Second)
		d := b.device()
		constant := time.Duration(0)
		for _, sf := range []uint8{7, 9, 12, 5} {
			m := radio.LoRa{SF: sf, Bandwidth: 125_000}
			if sf < 7 {
				m.Sync = radio.PrivateSync
			}
			sent := d.say("seventeen bytes!!", 868_500_000, m)
			time.Sleep(3 * time.Second)
			if len(b.Uplinks()) != 1 {
				t.Fatalf("SF%d: %d packets of one frame", sf, len(b.Uplinks()))
			}
			u := <-b.Uplinks()
			if u.FineTime == nil {
				t.Fatalf("SF%d: no fine time", sf)
			}
			preamble := time.Duration(sent.Start)*time.Microsecond + 8*m.SymbolTime()
			truth := (preamble - 300*time.Millisecond) % time.Second
			off := *u.FineTime - truth
			if constant == 0 {
				constant = off
			}
			// the stamp is to a microsecond here, the correction to a tick
			if diff := (off - constant).Abs(); diff > 1100*time.Nanosecond || off < 80*time.Microsecond || off > 110*time.Microsecond {
				t.Errorf("SF%d: %v off, %v at first", sf, off, constant)
			}
		}
		if n := b.Stats().Duplicates; n != 4 {
			t.Errorf("%d duplicates merged, 4 packets came twice", n)
		}
		b.stop()
	})
}

func TestPulsesAreSeenEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := eu868(t)
		cfg.FineTimestamp = FineTimestampAllSF
		b := newBench(t, cfg, fast, nil)
		b.run()
		time.Sleep(40 * time.Second)
		s := b.session()
		b.stop()
		if len(s.pulses.at) != pulseHistory {
			t.Fatalf("%d pulses known", len(s.pulses.at))
		}
		for i, at := range s.pulses.at[1:] {
			if at-s.pulses.at[i] != ticksPerSec {
				t.Errorf("pulses %d and %d are %d ticks apart", i, i+1, at-s.pulses.at[i])
			}
		}
	})
}
