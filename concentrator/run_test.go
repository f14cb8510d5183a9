package concentrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
)

func TestAnUplinkIsStampedWithItsEndAndArrivesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		d := b.device()
		b.run()
		host := time.Now()
		atHost := b.medium.Now()
		for _, x := range []struct {
			freq radio.Hertz
			mod  radio.Modulation
		}{
			{868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000}},
			{867_900_000, radio.LoRa{SF: 12, Bandwidth: 125_000, CodeRate: 4}},
			{867_100_000, radio.LoRa{SF: 9, Bandwidth: 125_000, NoCRC: true}},
			{868_300_000, radio.LoRa{SF: 7, Bandwidth: 250_000}},
			{868_800_000, radio.FSK{BitRate: 50_000}},
		} {
			tx := d.say("hello", x.freq, x.mod)
			u := <-b.Uplinks()
			latency := b.medium.Elapsed() - time.Duration(tx.End)*time.Microsecond
			if u.At != tx.End+1_000_000 {
				t.Errorf("%v: stamped %d µs off its end", x.mod, u.At-tx.End-1_000_000)
			}
			if latency > 5*time.Millisecond+decodeTime(x.mod) {
				t.Errorf("%v: arrived %v after its end", x.mod, latency)
			}
			if string(u.Payload) != "hello" || u.Freq != x.freq || u.Gateway != b.EUI() || u.Tmst != uint32(u.At) {
				t.Errorf("%v: %+v", x.mod, u)
			}
			if want := host.Add(time.Duration(tx.End-atHost) * time.Microsecond); u.Time.Sub(want).Abs() > time.Millisecond {
				t.Errorf("%v: host time %v, want %v", x.mod, u.Time, want)
			}
		}
		b.stop()
	})
}

// decodeTime bounds what the chip itself takes after the end of a packet.
func decodeTime(m radio.Modulation) time.Duration {
	l, ok := m.(radio.LoRa)
	if !ok {
		return time.Millisecond
	}
	return time.Duration(-loraStampCorrection(l.Bandwidth, l.SF, l.Rate(), !l.NoCRC, 5)) * time.Microsecond
}

func TestInstantsGoOnOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		d := b.device()
		last := radio.Instant(0)
		for i := range 4 {
			b.run()
			tx := d.say("hello", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
			u := <-b.Uplinks()
			if u.At <= last {
				t.Errorf("run %d: %d comes after %d", i, u.At, last)
			}
			if i == 0 && u.At != tx.End+1_000_000 {
				t.Errorf("the first Instant is not the chip's count: %d", u.At)
			}
			last = u.At
			b.stop()
			time.Sleep(time.Duration(i) * 90 * time.Second) // beyond a turn of the counter
		}
	})
}

// A real chip's counter begins anew after its reset; the emulated one's runs
// on. The clock must do with both.
func TestInstantsGoOnWhenTheCounterBeginsAnew(t *testing.T) {
	t0 := time.Unix(1000, 0)
	var c clock
	c.adopt(320_000_000, t0)
	if got := c.now(t0).instant(); got != 10_000_000 {
		t.Errorf("first instant %d", got)
	}
	c.now(t0.Add(time.Second))
	c.adopt(96_000_017, t0.Add(4*time.Second)) // 3 s instead of 14 s
	got := c.now(t0.Add(4 * time.Second))
	if off := got - ticksOf(14_000_000); off < 0 || off > 2*ticksPerMicrosecond {
		t.Errorf("after the restart %d, %d ticks off", got, off)
	}
	// A microsecond is still a microsecond of the chip.
	if c.trigger(got) != 96_000_017 {
		t.Errorf("the chip's count for now is %d", c.trigger(got))
	}
	if err := c.sample(96_000_017+32_000_000, t0.Add(5*time.Second)); err != nil {
		t.Error(err)
	}
	if err := c.sample(96_000_017, t0.Add(5*time.Second)); !errors.Is(err, ErrCounter) {
		t.Errorf("a counter that jumped back: %v", err)
	}
}

func TestCounterUnrollsAsInTheReference(t *testing.T) {
	var c clock
	for i, r := range table(t, "counter_expansion.csv") {
		if r["kind"] == "read" {
			inst := uint32(r.int(t, "inst_ticks"))
			if !c.set {
				c.adopt(inst, time.Unix(0, 0))
			}
			c.ticks += ticks(inst - uint32(c.ticks))
			if got := uint32(c.ticks.instant()); int64(got) != r.int(t, "inst_us") {
				t.Errorf("row %d: counter %d, want %s", i, got, r["inst_us"])
			}
			continue
		}
		stamp := uint32(r.int(t, "pkt_ticks"))
		got, want := c.stamp(stamp), uint32(r.int(t, "pkt_us"))
		if uint32(got.instant())&(1<<27-1) != want&(1<<27-1) {
			t.Errorf("row %d: stamp %d, want %d", i, got.instant(), want)
		}
		// The whole value too: the stamp is never newer than the reading.
		if uint32(got.instant()) != want && got <= c.ticks-(1<<32)+ticksIn(counterTrust) {
			t.Errorf("row %d: stamp %d is a turn before the counter %d, want %d", i, got, c.ticks, want)
		}
	}
}

func TestAnIdleChipCostsOneFrameAPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		time.Sleep(time.Second)
		before := b.Stats()
		time.Sleep(time.Minute)
		after := b.Stats()
		polls, frames := after.Polls-before.Polls, after.Frames-before.Frames
		// Once in ten seconds the counter (1 frame), in four the health (3).
		if polls < 20_000 || frames < polls || frames > polls+7+16*3 {
			t.Errorf("%d polls, %d frames", polls, frames)
		}
		b.stop()
	})
}

func TestTheCounterIsWatchedForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := eu868(t)
		cfg.Poll = 100 * time.Millisecond // to save test time
		b := newBench(t, cfg, sx1302sim.Timing{}, nil)
		d := b.device()
		b.run()
		time.Sleep(10*time.Minute + 17*time.Second)
		tx := d.say("hello", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
		if u := <-b.Uplinks(); u.At != tx.End+1_000_000 {
			t.Errorf("stamped %d µs off after %v", u.At-tx.End-1_000_000, b.medium.Elapsed())
		}
		b.stop()
	})
}

func TestASlowReaderLosesTheNewestAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), sx1302sim.Timing{}, nil)
		d := b.device()
		b.run()
		const n = uplinkQueue + 5
		for range n {
			d.say("hello", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
			time.Sleep(100 * time.Millisecond)
		}
		b.stop()
		if s := b.Stats(); s.Packets != n || s.Dropped != 5 || len(b.Uplinks()) != uplinkQueue {
			t.Errorf("%d packets, %d dropped, %d waiting", s.Packets, s.Dropped, len(b.Uplinks()))
		}
	})
}

func TestOnlyOneRunAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		if err := b.Run(t.Context()); !errors.Is(err, ErrRunning) {
			t.Errorf("%v", err)
		}
		b.stop()
	})
}

func TestAnInterruptedStartIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
		if v := b.version(); v != 0 {
			t.Errorf("the chip answers 0x%02x: it is not in reset", v)
		}
	})
}

func TestAPanicLeavesTheChipInReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := eu868(t)
		cfg.Temperature = func() (float64, error) { panic("thermometer") }
		b := newBench(t, cfg, fast, nil)
		d := b.device()
		died := make(chan any, 1)
		go func() {
			defer func() { died <- recover() }()
			_ = b.Run(t.Context())
		}()
		<-b.Started()
		d.say("hello", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
		if p := <-died; p == nil {
			t.Error("no panic")
		}
		if v := b.version(); v != 0 {
			t.Errorf("the chip answers 0x%02x: it is not in reset", v)
		}
	})
}

func TestAWrongChipIsDiagnosed(t *testing.T) {
	for _, x := range []struct {
		name   string
		faults sx1302sim.Misbehaviour
		want   error
		says   string
	}{
		{"bus low", sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerZeroes}, ErrNoChip, "0x00"},
		{"bus high", sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerOnes}, ErrNoChip, "0xFF"},
		{"unreset", sx1302sim.Misbehaviour{Answer: sx1302sim.AnswerUnreset}, ErrNotReset, "0x05"},
		{"mute AGC", sx1302sim.Misbehaviour{MuteAGC: true}, ErrMCU, "start: configure AGC"},
		{"mute ARB", sx1302sim.Misbehaviour{MuteARB: true}, ErrMCU, "start: configure ARB"},
		{"AGC parity", sx1302sim.Misbehaviour{ParityAGC: true}, ErrMCU, "start: load AGC firmware: the chip's microcontroller doesn't answer as it should: AGC: parity flag set"},
		{"ARB parity", sx1302sim.Misbehaviour{ParityARB: true}, ErrMCU, "start: load ARB firmware: "},
		{"radio B", sx1302sim.Misbehaviour{RadioErrors: [2]uint16{0, 0x10}}, nil, "start: calibrate the radios: radio B: image calibration failed"},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, eu868(t), fast, func(c *sx1302sim.Config) {
					c.Faults = &sx1302sim.Faults{}
					c.Faults.Set(func(m *sx1302sim.Misbehaviour) { *m = x.faults })
					c.Violation = nil
				})
				err := b.Run(t.Context())
				if err == nil || !strings.Contains(err.Error(), x.says) || x.want != nil && !errors.Is(err, x.want) {
					t.Errorf("%v, want %v saying %q", err, x.want, x.says)
				}
			})
		})
	}
}

func TestAChipThatWasNotResetIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := eu868(t)
		cfg.Reset = func(context.Context) error { return nil } // a line that leads nowhere
		b := newBench(t, cfg, fast, nil)
		b.run()
		b.stop()
		// That run switched reception off at its end, but the radios are on.
		if err := b.Run(t.Context()); !errors.Is(err, ErrNotReset) {
			t.Errorf("%v", err)
		}
	})
}

// Behind a socket there is no reset line, and the program may be started
// again at any time, also after it was killed.
func TestAChipWithoutResetLineIsPutBackByItsRegisters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := recorded(t, "cfg_ftime_all_sf").config()
		first.FineTimestamp = FineTimestampOff
		first.Poll = time.Second // so that something stays in the receive buffer
		b := newBench(t, first, fast, nil)
		d := b.device()
		b.run()
		killed := b.Concentrator
		killed.cfg.HoldReset = func() error { return nil }
		d.say("left in the buffer", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
		time.Sleep(200 * time.Millisecond)
		b.stop()

		cfg := recorded(t, "cfg_no_service_no_fsk").config()
		second, err := New(b.chip.Port(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		b.Concentrator = second
		b.chip.Trace(&b.trace)
		b.run()
		tx := d.say("hello", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
		if u := <-b.Uplinks(); string(u.Payload) != "hello" || u.At != tx.End+1_000_000 {
			t.Errorf("%+v", u)
		}
		b.chip.Trace(nil)
		b.stop()
		// Nothing of the first configuration is left.
		got := registerImage(t, slices.DeleteFunc(lines(b.trace.String()), func(l string) bool { return strings.HasPrefix(l, "W sx1302 0x6180") }))
		diffMaps(t, got, registerImage(t, recorded(t, "cfg_no_service_no_fsk").step(0)))
	})
}

func TestADeadChipEndsTheRun(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*sx1302sim.Misbehaviour)
		want   error
	}{
		{"parity", func(m *sx1302sim.Misbehaviour) { m.ParityAGC = true }, ErrStalled},
		{"power", func(m *sx1302sim.Misbehaviour) { m.LosePower = 1 }, nil},
		{"counter", func(m *sx1302sim.Misbehaviour) { m.CounterJump = 32_000_000 }, ErrCounter},
		{"unplugged", func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerOnes }, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, eu868(t), fast, func(c *sx1302sim.Config) { c.Faults = &sx1302sim.Faults{}; c.Violation = nil })
				b.run()
				if err := b.Schedule(t.Context(), sf7(1, b.instant()+300_000_000)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				b.chip.Faults().Set(x.change)
				begin := time.Now()
				var err error
				select {
				case err = <-b.done:
				case <-time.After(time.Minute):
					t.Fatal("nobody noticed for a minute")
				}
				if err == nil || x.want != nil && !errors.Is(err, x.want) {
					t.Errorf("%v, want %v", err, x.want)
				}
				t.Logf("after %v: %v", time.Since(begin), err)
				if r := <-b.Reports(); !errors.Is(r.Err, radio.ErrStopped) {
					t.Errorf("%+v", r)
				}
				// And it can be started again.
				b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { *m = sx1302sim.Misbehaviour{} })
				b.run()
				b.stop()
			})
		})
	}
}

func TestTornReadingsDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, func(c *sx1302sim.Config) { c.Faults = &sx1302sim.Faults{} })
		d := b.device()
		b.run()
		for i := range 30 {
			b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.TornCounter, m.TornCount = 1+i%2, 1+i%3 })
			tx := d.say(strings.Repeat("long ", 20+i), 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
			down := sf7(uint64(i), tx.End+1_000_000+1_000_000)
			if err := b.Schedule(t.Context(), down); err != nil {
				t.Error(err)
			}
			if u := <-b.Uplinks(); u.At != tx.End+1_000_000 || u.CRC != radio.GoodCRC {
				t.Errorf("%d: stamped %d µs off", i, u.At-tx.End-1_000_000)
			}
			if r := <-b.Reports(); r.Err != nil || r.Started != down.At {
				t.Errorf("%d: %+v", i, r)
			}
		}
		b.stop()
	})
}

func TestGarbageInTheReceiveBufferIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, func(c *sx1302sim.Config) { c.Faults = &sx1302sim.Faults{} })
		d := b.device()
		b.run()
		lost := 0
		for i := range packetFixed + len("damaged") {
			b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.CorruptFIFO = []int{i} })
			d.say("damaged", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
			time.Sleep(200 * time.Millisecond)
			d.say("good", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
			time.Sleep(200 * time.Millisecond)
			good := 0
			for len(b.Uplinks()) > 0 {
				if u := <-b.Uplinks(); string(u.Payload) == "good" {
					good++
				}
			}
			if good != 1 {
				t.Errorf("byte %d damaged: the good packet came %d times", i, good)
				lost++
			}
		}
		b.stop()
	})
}

// Each transfer of a start, a reception and a transmission fails once.
func TestEveryTransferMayFailOnce(t *testing.T) {
	frames := 0
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), sx1302sim.Timing{}, nil)
		b.run()
		frames = int(b.Stats().StartFrames)
		b.stop()
	})
	for n := 1; n <= frames; n++ {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, eu868(t), sx1302sim.Timing{}, func(c *sx1302sim.Config) {
				c.Faults = &sx1302sim.Faults{}
				c.Faults.Set(func(m *sx1302sim.Misbehaviour) { m.FailTransfer = n })
			})
			b.run()
			b.stop()
			if s := b.Stats(); s.Retries != 1 {
				t.Errorf("transfer %d: %d repeated", n, s.Retries)
			}
		})
	}
	for n := 1; n <= 60; n++ {
		synctest.Test(t, func(t *testing.T) { survive(t, n) })
	}
}

// survive receives and transmits while the nth transfer from now fails.
func survive(t *testing.T, n int) {
	b := newBench(t, eu868(t), fast, func(c *sx1302sim.Config) { c.Faults = &sx1302sim.Faults{} })
	dev := b.device()
	b.run()
	tx := dev.say("hello", 868_100_000, radio.LoRa{SF: 7, Bandwidth: 125_000})
	down := sf7(1, tx.End+1_000_000+20_000)
	heard := dev.hear(down)
	time.Sleep(time.Duration(tx.End-b.medium.Now()) * time.Microsecond)
	b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.FailTransfer = n })
	if err := b.Schedule(t.Context(), down); err != nil {
		t.Errorf("transfer %d: %v", n, err)
		b.stop()
		return
	}
	r := <-b.Reports()
	h := <-heard
	if (r.Err == nil) != (h.err == nil) {
		t.Errorf("transfer %d: reported %v, heard %v", n, r.Err, h.err)
	}
	if r.Err == nil && r.Started != down.At {
		t.Errorf("transfer %d: %+v", n, r)
	}
	b.stop()
	if got := len(b.Uplinks()); got != 1 && b.Stats().FIFOErrors == 0 {
		t.Errorf("transfer %d: %d uplinks", n, got)
	}
}

func TestABrokenBusEndsTheRunWithoutAWrongTransmission(t *testing.T) {
	for n := 1; n <= 25; n++ {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, eu868(t), fast, func(c *sx1302sim.Config) { c.Faults = &sx1302sim.Faults{} })
			dev := b.device()
			b.run()
			down := sf7(1, b.instant()+25_000)
			heard := dev.hear(down)
			if err := b.Schedule(t.Context(), down); err != nil {
				t.Fatal(err)
			}
			cut := make(chan struct{})
			go func() { // after n transfers all fail
				defer close(cut)
				for limit := b.bus.frames.Load() + uint64(n); b.bus.frames.Load() < limit; {
					time.Sleep(10 * time.Microsecond)
				}
				for range 300 {
					b.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.FailTransfer = 1 })
					time.Sleep(10 * time.Microsecond)
				}
			}()
			r := <-b.Reports()
			<-cut
			select {
			case err := <-b.done:
				if !errors.Is(err, ErrTransfer) {
					t.Errorf("%d: %v", n, err)
				}
			default:
				b.stop()
			}
			if h := <-heard; h.err != nil && r.Err == nil {
				t.Errorf("%d: reported as sent, but nothing was heard", n)
			}
			other := make(chan int, 1)
			go func() {
				time.Sleep(140 * time.Second) // a turn of the counter
				other <- b.chip.Violations()
			}()
			<-other
			if len(b.Reports()) != 0 {
				t.Errorf("%d: reported twice", n)
			}
		})
	}
}

func TestConfigurationErrorsNameTheField(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"ClockSource":                func(c *Config) { c.ClockSource = 2 },
		"ClockSource = 1":            func(c *Config) { c.ClockSource, c.Radios[1].Enable = 1, false },
		"Radios[0].Type = SX1257":    func(c *Config) { c.Radios[0].Type = SX1257 },
		"Radios[1].Freq = 450000000": func(c *Config) { c.Radios[1].Freq = 450_000_000 },
		"Radios[1].Transmit":         func(c *Config) { c.Radios[1] = Radio{Transmit: true} },
		"Radios[0].TXMin/TXMax":      func(c *Config) { c.Radios[0].TXMin = 0 },
		"Radios[0].Gains = empty":    func(c *Config) { c.Radios[0].Gains = nil },
		"Radios[0].Gains[0].Index":   func(c *Config) { c.Radios[0].Gains = []Gain{{Index: 23}} },
		"Radios[0].Gains[0].Digital": func(c *Config) { c.Radios[0].Gains = []Gain{{Digital: 4}} },
		"Channels[3].IF":             func(c *Config) { c.Channels[3].IF = 737_501 },
		"Channels[2].Radio":          func(c *Config) { c.Channels[2].Radio = 2 },
		"Service.Bandwidth":          func(c *Config) { c.Service.Bandwidth = 62_500 },
		"Service.SF":                 func(c *Config) { c.Service.SF = 4 },
		"Service.IF":                 func(c *Config) { c.Service.IF = -675_001 },
		"Service.ImplicitCodeRate":   func(c *Config) { c.Service.ImplicitCodeRate = 5 },
		"FSK.BitRate":                func(c *Config) { c.FSK.BitRate = 499 },
		"FSK.SyncWord":               func(c *Config) { c.FSK.SyncWord = []byte{} },
		"SPIHz":                      func(c *Config) { c.SPIHz = 1 },
		"Poll":                       func(c *Config) { c.Poll = 1 },
		"Firmware.AGC":               func(c *Config) { c.Firmware.AGC = nil },
		"Firmware.ARB":               func(c *Config) { c.Firmware.ARB = make([]byte, 8191) },
	} {
		cfg := eu868(t)
		change(&cfg)
		_, err := New(nil, cfg)
		if !errors.Is(err, ErrConfig) || !strings.Contains(fmt.Sprint(err), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestNowFollowsTheChip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		if _, ok := b.Now(); ok {
			t.Error("a time before the start")
		}
		b.run()
		time.Sleep(3 * time.Second)
		if now, ok := b.Now(); !ok || now.Sub(b.instant()).Abs() > time.Millisecond {
			t.Errorf("%d, the air's clock says %d", now, b.instant())
		}
		b.stop()
	})
}
