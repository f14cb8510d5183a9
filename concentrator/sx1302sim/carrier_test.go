package sx1302sim

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// carrier sets chain 0 up as the vendor's library does for a carrier beside
// its frequency, and triggers it.
func (h host) carrier(f uint32, offset radio.Hertz) {
	h.settings(0, sf7, f, []byte{0})
	const word = 50_000 << 18 / 32_000_000
	h.set(reg.TXRffeIFFreqDevH, word>>8)
	h.set(reg.TXRffeIFFreqDevL, word&0xFF)
	h.set(reg.TXRffeIFTestModFreq, byte(offset*64/50_000))
	h.set(reg.TXRffeIFCtrlTXIFSrc, sourceCarrier)
	h.set(reg.TXTrigImmediate, 1)
}

// A carrier is on the air without a gap until it is stopped, where its offset
// puts it.
func TestACarrierIsOnTheAirUntilItIsStopped(t *testing.T) {
	for _, ppm := range []float64{0, 20, -20} {
		synctest.Test(t, func(t *testing.T) {
			c, m := started(t, Config{PPM: ppm})
			h, e := host{t, c}, new(ear)
			if _, err := m.Join(air.StationConfig{Name: "ear"}, e); err != nil {
				t.Fatal(err)
			}
			h.carrier(868_100_000, 25_000)
			began := m.Now()
			time.Sleep(25 * time.Second)
			if s := h.status(0); s != statusEmits {
				t.Errorf("status %02x", s)
			}
			h.set(reg.TXTrigImmediate, 0)
			stopped := m.Now()
			time.Sleep(25 * time.Second)
			if s := h.status(0); s != statusFree {
				t.Errorf("stopped: status %02x", s)
			}
			synctest.Wait()
			if len(e.got) != 3 {
				t.Fatalf("%d pieces, want 3", len(e.got))
			}
			at := began
			for i, r := range e.got {
				if d := r.Start - at; d < -1 || d > 1 {
					t.Errorf("piece %d starts %d µs after the one before", i, d)
				}
				if f := centre(r); math.Abs(f-868_125_000) > 100 || r.Outcome != air.Lost {
					t.Errorf("piece %d on %v Hz, %v", i, f, r.Outcome)
				}
				at = r.End
			}
			if d := at - stopped; d < -1 || d > 1 {
				t.Errorf("ended %d µs after the stop", d)
			}
		})
	}
}

// A carrier in the channel keeps listen before talk from sending, shows in
// the spectrum, and drowns frames; beside the channel it does neither.
func TestACarrierJams(t *testing.T) {
	for offset, jams := range map[radio.Hertz]bool{0: true, 50_000: true, 150_000: false} {
		synctest.Test(t, func(t *testing.T) {
			c, m := started(t, Config{})
			d, err := m.Join(air.StationConfig{Name: "jammer", PathLoss: 50}, nil)
			if err != nil {
				t.Fatal(err)
			}
			carrier := air.Frame{Freq: 868_100_000, Mod: radio.Carrier{Offset: offset, Duration: time.Second}}
			if _, err := d.Transmit(carrier, air.Immediately, 14); err != nil {
				t.Fatal(err)
			}
			h := host{t, c}
			h.patchSX1261()
			h.tuneSX1261(868_100_000)
			time.Sleep(10 * time.Millisecond)
			loudest := min(h.sx1261(opGetRSSIInst, 0, 0)[1], h.sx1261(opGetRSSIInst, 0, 0)[1])
			if loud := -float64(loudest)/2 > -60; loud != jams {
				t.Errorf("carrier at %d Hz: %v dBm in the channel", offset, -float64(loudest)/2)
			}
			h.watch()
			time.Sleep(10 * time.Millisecond)
			c.mu.Lock()
			c.tick()
			allowed := c.sx1261.allows(c, c.now)
			c.mu.Unlock()
			if allowed == jams {
				t.Errorf("carrier at %d Hz: allowed %v", offset, allowed)
			}
			f := air.Frame{Payload: []byte{1, 2, 3}, Freq: 868_100_000, Mod: radio.LoRa{SF: 7, Bandwidth: 125_000}}
			send(t, sender(t, m, "device"), f, air.Immediately)
			time.Sleep(300 * time.Millisecond)
			if got := len(h.fetch()) == 1; got == jams {
				t.Errorf("carrier at %d Hz: received %v", offset, got)
			}
		})
	}
}
