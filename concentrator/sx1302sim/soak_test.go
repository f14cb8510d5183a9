package sx1302sim

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// crowd is devices that send without pause, each frame with its number.
type crowd struct {
	stations []*air.Station
	dice     *rand.Rand
	sent     map[uint32]int // payload size, by number
	busy     []radio.Instant
}

func newCrowd(t *testing.T, m *air.Medium, n int) *crowd {
	c := &crowd{dice: rand.New(rand.NewPCG(7, 1302)), sent: map[uint32]int{}, busy: make([]radio.Instant, n)}
	for range n {
		s, err := m.Join(air.StationConfig{PathLoss: radio.DB(95 + c.dice.IntN(30))}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.stations = append(c.stations, s)
	}
	return c
}

// speak makes each device that is idle send another frame.
func (c *crowd) speak(t *testing.T, now radio.Instant) {
	channels := []radio.Hertz{868_100_000, 868_300_000, 868_500_000, 867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000}
	for i, s := range c.stations {
		if c.busy[i] > now {
			continue
		}
		number := uint32(len(c.sent))
		payload := binary.BigEndian.AppendUint32(nil, number)
		payload = append(payload, make([]byte, c.dice.IntN(40))...)
		f := air.Frame{Payload: payload, Freq: channels[c.dice.IntN(len(channels))], Mod: radio.LoRa{SF: uint8(7 + c.dice.IntN(6)), Bandwidth: 125_000}}
		switch c.dice.IntN(20) {
		case 0:
			f.Freq, f.Mod = 868_300_000, radio.LoRa{SF: 7, Bandwidth: 250_000}
		case 1:
			f.Freq, f.Mod = 868_800_000, radio.FSK{BitRate: 50_000, Deviation: 25_000}
		}
		tr, err := s.Transmit(f, now.Add(time.Duration(c.dice.IntN(20))*time.Millisecond), 14)
		if err != nil {
			t.Fatal(err)
		}
		c.sent[number], c.busy[i] = len(payload), tr.End
	}
}

// A receiver that is always full: more frames than it has demodulators,
// collisions, a host that is late now and then, transmissions in between.
// Short form: two minutes of virtual time. GATEWAYD_CAMPAIGN=full: two hours.
func TestASaturatedReceiverStaysSound(t *testing.T) {
	length := 2 * time.Minute
	if os.Getenv("GATEWAYD_CAMPAIGN") == "full" {
		length = 2 * time.Hour
	}
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, people := host{t, c}, newCrowd(t, m, 40)
		end := time.Now().Add(length)
		good, bad, full, overruns, emissions := 0, 0, 0, 0, 0
		last := uint32(0)
		for round := 0; time.Now().Before(end); round++ {
			people.speak(t, m.Now())
			time.Sleep(100 * time.Millisecond)
			c.mu.Lock()
			if busy := bits.OnesCount32(c.rx.busy & 0xFFFF); busy == multiSFModems {
				full++
			}
			if c.fifo.count > len(c.fifo.ring)-100 {
				overruns++
			}
			if len(c.ears) > 5000 || len(c.rx.slots) > 60 {
				t.Fatalf("%d signals and %d slots are remembered", len(c.ears), len(c.rx.slots))
			}
			c.mu.Unlock()
			if round%400 > 280 { // the host sleeps for 12 s: the buffer overruns
				continue
			}
			for _, p := range h.fetch() {
				if p.bad {
					bad++
					continue
				}
				good++
				if n := binary.BigEndian.Uint32(p.payload); people.sent[n] != len(p.payload) {
					t.Fatalf("packet %d with %d bytes was never sent", n, len(p.payload))
				}
				last = max(last, binary.BigEndian.Uint32(p.payload))
			}
			if round%50 == 25 && h.status(0) == statusFree {
				delay := h.settings(0, sf7, 868_100_000, []byte{1, 2, 3})
				h.at(0, uint32(m.Now()+counterStart)+5000, delay)
				emissions++
			}
		}
		time.Sleep(10 * time.Second)
		h.fetch()
		if c.rx.busy != 0 || len(c.rx.slots) != 0 || h.status(0) != statusFree {
			t.Errorf("in the end modems %x are busy, %d slots held, status %02x", c.rx.busy, len(c.rx.slots), h.status(0))
		}
		t.Logf("%v: %d frames sent, %d received, %d damaged, %d transmissions; all 16 demodulators busy at %d of the looks, buffer overrun %d times",
			length, len(people.sent), good, bad, emissions, full, overruns)
		if good < len(people.sent)/20 || bad == 0 || full == 0 || overruns == 0 || emissions == 0 || int(last) < len(people.sent)*9/10 {
			t.Error("that was no saturated receiver")
		}
	})
}

// Whatever a host does to a chip that runs, it doesn't panic, its status is
// one that is known, and its buffer holds no more than it can.
func FuzzRunningChip(f *testing.F) {
	f.Add([]byte{1, 2, 3})
	f.Add(noise(3, 500))
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) { disturb(t, b[:min(len(b), 1000)]) })
	})
}

// Short form: 20 streams. GATEWAYD_CAMPAIGN=full: 2000.
func TestARunningChipSurvivesAnything(t *testing.T) {
	n := 20
	if os.Getenv("GATEWAYD_CAMPAIGN") == "full" {
		n = 2000
	}
	for seed := range n {
		synctest.Test(t, func(t *testing.T) { disturb(t, noise(uint64(seed), 1000)) })
	}
}

// disturb makes any transfers, on both chip selects, between frames, waits,
// resets and faults.
func disturb(t *testing.T, b []byte) {
	c, m := started(t, Config{Violation: func(error) {}})
	people, s := newCrowd(t, m, 5), &stream{b}
	var known []reg.Addr
	reg.Each(func(a reg.Addr, _ reg.Byte) { known = append(known, a) })
	for len(s.b) > 0 {
		kind, n := s.next(), int(s.next())%40
		w := make([]byte, n+1)
		for i := range w {
			w[i] = s.next()
		}
		switch kind % 8 {
		case 0, 1, 2: // a register of the chip
			a := s.address(known)
			w = append([]byte{targetChip, byte(a>>8) | kind&writeFlag, byte(a)}, w...)
			_ = c.transfer(w, nil)
		case 3:
			_ = c.transfer(append([]byte{kind >> 3 & 3}, w...), make([]byte, len(w)+1))
		case 4:
			w[0] = []byte{opSetRX, opSetModulation, opScanLBT, opScanSpectrum, opWriteRegister, opReadRegister, opUpdatePatch, w[0]}[kind>>3&7]
			_ = c.transferSX1261(w, nil)
		case 5:
			people.speak(t, m.Now())
			time.Sleep(time.Duration(n) * 10 * time.Millisecond)
		case 6:
			c.SetReset(kind>>3&1 == 1)
		case 7:
			c.Faults().Set(func(x *Misbehaviour) { x.TornCount, x.StuckAGC, x.NoClock = n%3, kind>>6<<4, kind>>5&1 == 1 })
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.tx {
		switch status := c.tx[i].status(c); status {
		case statusFree, statusDelayed, statusGPS, statusEmits:
		default:
			t.Errorf("status %02x", status)
		}
	}
	if c.fifo.count < 0 || c.fifo.count > len(c.fifo.ring) {
		t.Errorf("%d bytes in the buffer", c.fifo.count)
	}
}
