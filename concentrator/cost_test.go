package concentrator

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// cost is what an operation needs on the bus.
type cost struct {
	frames, bytes int
	sleeps        time.Duration
}

// lasts is how long that takes on the bus of the bars.
func (c cost) lasts() time.Duration {
	return time.Duration(c.frames)*fast.PerTransfer + time.Duration(c.bytes)*8*time.Second/time.Duration(fast.Hz) + c.sleeps
}

// reference is what the vendor's library needs (recorded). Its sixteen
// packets are its five frames with sixteen times the 40 bytes of one.
var reference = map[string]cost{
	"start EU868, SX1250":   {671, 35_734, 2202 * time.Millisecond},
	"start AS923, SX1250":   {633, 35_570, 2202 * time.Millisecond},
	"start CN490, SX1250":   {673, 35_744, 2204 * time.Millisecond},
	"start EU868, SX1257":   {6526, 77_519, 2126 * time.Millisecond},
	"idle poll":             {4, 36, 0},
	"one packet, 17 bytes":  {5, 80, 0},
	"sixteen such packets":  {5, 680, 0},
	"first transmission":    {65 + 3, 301 + 15, 0}, // its looks at the state, as here
	"next transmission":     {65 + 3, 301 + 15, 0},
	"arming 255 bytes, SF7": {65, 301 - 17 + 255, 0},
}

// TestWhatItCosts prints the table of docs/concentrator.md and holds the
// bars: a start and a transmission in a third of the reference's frames and
// 60 % of its time, a poll in one frame, a packet in three, 255 bytes armed in
// 1.5 ms.
func TestWhatItCosts(t *testing.T) {
	t.Logf("%-24s %6s %7s %10s   %6s %7s %10s", "8 MHz, 30 µs a frame", "frames", "bytes", "time", "ref.", "bytes", "time")
	show := func(name string, c cost, frames int, limit time.Duration) {
		t.Helper()
		r := reference[name]
		t.Logf("%-24s %6d %7d %10v   %6d %7d %10v", name, c.frames, c.bytes, c.lasts().Round(time.Microsecond), r.frames, r.bytes, r.lasts().Round(time.Microsecond))
		if c.frames > frames || c.lasts() > limit {
			t.Errorf("%s: %d frames and %v; at most %d and %v are promised", name, c.frames, c.lasts(), frames, limit)
		}
	}
	for name, recording := range map[string]string{
		"start EU868, SX1250": "start_eu868_sx1250", "start AS923, SX1250": "start_as923_sx1250",
		"start CN490, SX1250": "start_cn490_sx1250", "start EU868, SX1257": "start_eu868_sx1257",
	} {
		r := reference[name]
		show(name, startCost(t, recorded(t, recording).config()), r.frames/3, r.lasts()*6/10)
	}
	show("idle poll", receiveCost(t, 0), 1, 60*time.Microsecond)
	show("one packet, 17 bytes", receiveCost(t, 1), 3, 300*time.Microsecond)
	sixteen := reference["sixteen such packets"]
	show("sixteen such packets", receiveCost(t, 16), sixteen.frames, sixteen.lasts())
	first, next := transmitCosts(t)
	r := reference["first transmission"]
	show("first transmission", first, r.frames/3, r.lasts()*6/10)
	show("next transmission", next, r.frames/3, r.lasts()*6/10)
	show("arming 255 bytes, SF7", armCost(t), 7, 1500*time.Microsecond)
}

// startCost is that of a start; its sleeps are what is left of its time.
func startCost(t *testing.T, cfg Config) (c cost) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cfg, fast, nil)
		b.run()
		s := b.Stats()
		b.stop()
		c = cost{frames: int(s.StartFrames), bytes: int(s.StartBytes)}
		c.sleeps = s.StartTime - c.lasts()
	})
	return c
}

func (m *model) cost() cost { return cost{frames: m.frames, bytes: m.bytes} }

func receiveCost(t *testing.T, packets int) cost {
	s, m := modelled(t)
	one := onePacket(t)
	binary.LittleEndian.PutUint32(one[15+17:], m.count()-1_000_000)
	one[len(one)-1] = checksum(one[:len(one)-1])
	m.fifo = bytes.Repeat(one, packets)
	if _, err := s.poll(); err != nil {
		t.Fatal(err)
	}
	if n := len(s.c.uplinks); n != packets {
		t.Fatalf("%d packets of %d", n, packets)
	}
	return m.cost()
}

// transmitCosts are those of a transmission whose settings are all new, and
// of another one like it, from Schedule to its Report.
func transmitCosts(t *testing.T) (first, next cost) {
	s, m := modelled(t)
	for i := range 2 {
		m.frames, m.bytes = 0, 0
		x := s.admitted(t, sf7(uint64(i), s.clock.now(time.Now()).instant()+5_000_000))
		if err := s.arm(); err != nil {
			t.Fatal(err)
		}
		s.passTo(m, x.at+ticksIn(startCheck), 0x30)
		s.passTo(m, x.end+ticksIn(endCheck), 0x80)
		if r := <-s.c.reports; r.Err != nil {
			t.Fatal(r.Err)
		}
		first, next = next, m.cost()
	}
	return first, next
}

// admitted is a transmission whose settings are in the chip.
func (s *session) admitted(t *testing.T, d radio.Downlink) *transmission {
	x, err := s.c.cfg.plan(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.admit(x); err != nil {
		t.Fatal(err)
	}
	if err := s.transmit(); err != nil {
		t.Fatal(err)
	}
	return x
}

// armCost is that of payload, trigger and the proof that it was in time.
func armCost(t *testing.T) cost {
	s, m := modelled(t)
	d := sf7(1, s.clock.now(time.Now()).instant()+5_000_000)
	d.Payload = make([]byte, 255)
	s.admitted(t, d)
	m.frames, m.bytes = 0, 0
	if err := s.arm(); err != nil {
		t.Fatal(err)
	}
	if m.memory[reg.TXTrigImmediate.Addr()] == 0 {
		t.Fatal("not armed")
	}
	return m.cost()
}
