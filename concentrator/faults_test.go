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
			select {
			case u := <-b.Uplinks():
				if u.At != tx.End+1_000_000 || u.CRC != radio.GoodCRC {
					t.Errorf("%d: stamped %d µs off", i, u.At-tx.End-1_000_000)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("%d: the uplink is lost", i)
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
		"Radios[0].Type = radio":     func(c *Config) { c.Radios[0].Type = 3 },
		"Radios[1].Type = SX1257":    func(c *Config) { c.Radios[1].Type = SX1257 },
		"FullDuplex":                 func(c *Config) { c.FullDuplex = true },
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
