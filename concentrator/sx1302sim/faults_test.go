package sx1302sim

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio/air"
)

func TestNthTransferFails(t *testing.T) {
	c := newChip(t, Config{})
	c.Faults().Set(func(m *Misbehaviour) { m.FailTransfer = 3 })
	w := []byte{0, 0xD6, 0x43, 0}
	for i := 1; i <= 5; i++ {
		w[3] = byte(i)
		if err := c.transfer(w, nil); errors.Is(err, ErrTransfer) != (i == 3) {
			t.Errorf("transfer %d: %v", i, err)
		}
	}
}

func TestDataLineCanBeStuck(t *testing.T) {
	for answer, want := range map[Answer]byte{AnswerNormal: 0x10, AnswerZeroes: 0x00, AnswerOnes: 0xFF, AnswerUnreset: 0x05} {
		f := new(Faults)
		f.Set(func(m *Misbehaviour) { m.Answer = answer })
		h := host{t, newChip(t, Config{Faults: f})}
		if got := h.get(reg.CommonVersion.Addr(), 1)[0]; got != want {
			t.Errorf("answer %d: version %02x, want %02x", answer, got, want)
		}
	}
}

func TestUnresetChipForgetsWrites(t *testing.T) {
	c := newChip(t, Config{})
	h := host{t, c}
	c.Faults().Set(func(m *Misbehaviour) { m.LosePower = 1; m.ResetBroken = true })
	h.put(reg.GPIOOutLOutValue.Addr(), 1)
	c.SetReset(true)
	c.SetReset(false)
	h.put(reg.GPIOOutLOutValue.Addr(), 1)
	if v, o := h.get(reg.CommonVersion.Addr(), 1)[0], h.get(reg.GPIOOutLOutValue.Addr(), 1)[0]; v != 0x05 || o != 0 {
		t.Errorf("version %02x, output %02x; want an unreset chip", v, o)
	}
	c.Faults().Set(func(m *Misbehaviour) { m.ResetBroken = false })
	c.SetReset(true)
	c.SetReset(false)
	h.put(reg.GPIOOutLOutValue.Addr(), 1)
	if v, o := h.get(reg.CommonVersion.Addr(), 1)[0], h.get(reg.GPIOOutLOutValue.Addr(), 1)[0]; v != 0x10 || o != 1 {
		t.Errorf("version %02x, output %02x after a reset; want 10 and 01", v, o)
	}
}

func TestLostPowerEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, got := host{t, c}, observe(m)
		delay := h.settings(0, sf7, 868_100_000, []byte{1})
		h.at(0, uint32(m.Now()+counterStart)+50_000, delay)
		c.Faults().Set(func(m *Misbehaviour) { m.LosePower = 2 })
		if v := h.get(reg.CommonVersion.Addr(), 1)[0]; v != 0x10 {
			t.Errorf("version %02x before the power goes", v)
		}
		if v := h.get(reg.CommonVersion.Addr(), 1)[0]; v != 0x05 {
			t.Errorf("version %02x after the power went, want 05", v)
		}
		time.Sleep(time.Second)
		send(t, sender(t, m, "device"), air.Frame{Payload: []byte{1}, Freq: 868_100_000, Mod: up(7, 125_000)}, air.Immediately)
		time.Sleep(time.Second)
		if len(got()) != 1 || c.fifo.count != 0 || !c.agc.memory.blank() {
			t.Errorf("on the air %+v, %d bytes received, memory blank: %v", got(), c.fifo.count, c.agc.memory.blank())
		}
	})
}

// The carry out of the low 24 bits is missing from the top byte.
func TestCounterReadsCanTear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := started(t, Config{})
		h := host{t, c}
		c.Faults().Set(func(m *Misbehaviour) { m.TornCounter = 1 })
		torn, whole := h.get(reg.TimestampMsb2.Addr(), 4), h.get(reg.TimestampMsb2.Addr(), 4)
		if torn[0] != whole[0]-1 || !bytes.Equal(torn[1:], whole[1:]) {
			t.Errorf("torn %x, whole %x; want the top byte one less", torn, whole)
		}
	})
}

func TestByteCountReadsCanTear(t *testing.T) {
	c := newChip(t, Config{})
	c.fifo.push(make([]byte, 0x234))
	h := host{t, c}
	c.Faults().Set(func(m *Misbehaviour) { m.TornCount = 1 })
	for i, want := range []byte{1, 2} {
		if got := h.get(reg.RXBufferNbBytesMSB.Addr(), 2); got[0] != want || got[1] != 0x34 {
			t.Errorf("count read %d is %x, want %02x34", i, got, want)
		}
	}
}

func TestCounterCanJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := started(t, Config{})
		h := host{t, c}
		before := h.get(reg.TimestampMsb2.Addr(), 4)
		c.Faults().Set(func(m *Misbehaviour) { m.CounterJump = 0x01000000 })
		after, again := h.get(reg.TimestampMsb2.Addr(), 4), h.get(reg.TimestampMsb2.Addr(), 4)
		if after[0] != before[0]+1 || !bytes.Equal(after, again) {
			t.Errorf("counter %x, then %x, then %x", before, after, again)
		}
	})
}

func TestBytesOfTheReceiveBufferCanBeCorrupt(t *testing.T) {
	c := newChip(t, Config{})
	c.fifo.push([]byte{1, 2, 3, 4})
	c.Faults().Set(func(m *Misbehaviour) { m.CorruptFIFO = []int{1, 3} })
	if got, want := (host{t, c}).get(reg.RXFIFO, 4), []byte{1, 0xFD, 3, 0xFB}; !bytes.Equal(got, want) {
		t.Errorf("read %x, want %x", got, want)
	}
}

func TestMCUsCanBeMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := started(t, Config{})
		h := host{t, c}
		c.Faults().Set(func(m *Misbehaviour) { m.MuteAGC, m.MuteARB = true, true })
		h.load(reg.AGCCtrlHostProg, reg.AGCCtrlMCUClear, reg.AGCMemory, reg.MCUMemorySize, 1)
		h.load(reg.ARBCtrlHostProg, reg.ARBCtrlMCUClear, reg.ARBMemory, reg.MCUMemorySize, 1)
		if a, b := h.get(reg.AGCMCUAGCStatus.Addr(), 1)[0], h.get(reg.ARBMCUARBStatus.Addr(), 1)[0]; a != 0 || b != 0 {
			t.Errorf("status %d and %d, want 0 from mute MCUs", a, b)
		}
		c.Faults().Set(func(m *Misbehaviour) { *m = Misbehaviour{} })
		h.load(reg.AGCCtrlHostProg, reg.AGCCtrlMCUClear, reg.AGCMemory, reg.MCUMemorySize, 1)
		c.Faults().Set(func(m *Misbehaviour) { m.MuteAGC = true })
		h.put(reg.AGCMCUMailBoxWrDataByte3.Addr(), 0x80)
		if a := h.get(reg.AGCMCUAGCStatus.Addr(), 1)[0]; a != 1 {
			t.Errorf("status %d, want an AGC that stops answering at 1", a)
		}
	})
}

func TestParityErrorsShowInTheControlRegisters(t *testing.T) {
	c := newChip(t, Config{})
	h := host{t, c}
	for _, want := range []byte{1, 0} {
		c.Faults().Set(func(m *Misbehaviour) { m.ParityAGC, m.ParityARB = want == 1, want == 1 })
		if a, b := h.get(reg.AGCCtrlParityError.Addr(), 1)[0]&1, h.get(reg.ARBCtrlParityError.Addr(), 1)[0]&1; a != want || b != want {
			t.Errorf("parity bits %d and %d, want %d", a, b, want)
		}
	}
}

func TestStuckAGCEndsReception(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, s := host{t, c}, sender(t, m, "device")
		c.Faults().Set(func(m *Misbehaviour) { m.StuckAGC = 0x14 })
		send(t, s, air.Frame{Payload: []byte{1}, Freq: 868_100_000, Mod: up(7, 125_000)}, air.Immediately)
		time.Sleep(time.Second)
		if a, got := h.get(reg.AGCMCUAGCStatus.Addr(), 1)[0], h.fetch(); a != 0x14 || len(got) != 0 {
			t.Errorf("status %02x, received %+v; want 14 and nothing", a, got)
		}
	})
}

func TestLossOfTheClockStopsTheCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, s := host{t, c}, sender(t, m, "device")
		before := h.get(reg.TimestampPPSMsb2.Addr(), 8)
		c.Faults().Set(func(m *Misbehaviour) { m.NoClock = true })
		send(t, s, air.Frame{Payload: []byte{1}, Freq: 868_100_000, Mod: up(7, 125_000)}, air.Immediately)
		time.Sleep(time.Second)
		if after, got := h.get(reg.TimestampPPSMsb2.Addr(), 8), h.fetch(); !bytes.Equal(before, after) || len(got) != 0 {
			t.Errorf("counters %x, then %x; received %+v", before, after, got)
		}
		c.Faults().Set(func(m *Misbehaviour) { m.NoClock = false })
		if after := h.get(reg.TimestampPPSMsb2.Addr(), 8); bytes.Equal(before, after) {
			t.Errorf("counters %x still stand", after)
		}
	})
}
