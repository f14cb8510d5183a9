package sx1302sim

import (
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// loopback makes radio A of an SX1257 board receive its own transmitter, 250 kHz
// below it, as the vendor's test of the calibration does.
func loopback(t *testing.T) host {
	c := newChip(t, Config{Radios: [2]RadioKind{SX1257, SX1257}})
	h := host{t, c}
	h.set(reg.CommonCtrl0SX1261ModeRadioA, 0)
	h.set(reg.AGCRFEnARadio, 1)
	h.set(reg.ClkSelClkRadioA, 1)
	h.set(reg.ClkSelClkdivEn, 1)
	h.set(reg.CommonCtrl0Clk32RifCtrl, 1)
	for _, w := range [][]byte{
		h.word(sx125xFrfRX, 865_250_000), h.word(sx125xFrfTX, 865_500_000),
		{sx125xTXGain, 3<<4 | 15}, {sx125xClock, 2 | sx125xLoopback}, {sx125xMode, 15},
	} {
		w[0] |= sx125xWrite
		if err := c.transfer(append([]byte{targetRadioA}, w...), nil); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// word is a frequency of an SX1257 in three registers.
func (h host) word(a byte, f radio.Hertz) []byte {
	w := uint32(uint64(f) << 19 / 32_000_000)
	return []byte{a, byte(w >> 16), byte(w >> 8), byte(w)}
}

// analyse measures radio A at a frequency in steps of 15625 Hz.
func (h host) analyse(step byte) int {
	h.t.Helper()
	h.set(reg.RadioFESigAnaFreq, step)
	for _, f := range []reg.Field{reg.RadioFESigAnaCfgForceHalCtrl, reg.RadioFESigAnaCfgRadioSel, reg.RadioFESigAnaCfgEn} {
		h.set(f, 1)
	}
	h.set(reg.RadioFESigAnaCfgStart, 0)
	h.set(reg.RadioFESigAnaCfgStart, 1)
	if v := h.get(reg.RadioFESigAnaCfgStart.Addr(), 1)[0]; v>>6 != 1 {
		h.t.Errorf("not busy but %02x at the start", v)
	}
	time.Sleep(time.Millisecond)
	r := h.get(reg.RadioFESigAnaCfgStart.Addr(), 4)
	if r[0]>>6 != 2 {
		h.t.Errorf("not done but %02x after a millisecond", r[0])
	}
	return int(r[2])<<8 | int(r[3])
}

// A frequency scan finds the leaking carrier 250 kHz (16 steps) above the
// centre, its image as far below, and little elsewhere.
func TestTheSignalAnalyserFindsCarrierAndImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := loopback(t)
		for step := range 256 {
			got := h.analyse(byte(step))
			switch {
			case step == 16 && (got < 0x8000 || got == 0xFFFF):
				t.Errorf("carrier: %d", got)
			case step == 240 && (got < calImageBefore || got > 2*calImageBefore):
				t.Errorf("image: %d", got)
			case step != 16 && step != 240 && got > 0x8000/50: // side lobes of the correlation
				t.Errorf("step %d: %d", step, got)
			}
		}
		image := h.analyse(240)
		h.set(reg.RadioFEIQCompAmpCoeffRadioA, byte(calImbalance[0][0]))
		h.set(reg.RadioFEIQCompPhiCoeffRadioA, byte(calImbalance[0][1])&0x3F)
		if got := h.analyse(240); got > image/5 {
			t.Errorf("image %d before, %d after its correction", image, got)
		}
		gain, q := 15-calMixer, calQOffset-(15-calMixer)>>1
		h.set(reg.TXRffeIFIOffset, byte(gain))
		h.set(reg.TXRffeIFQOffset, byte(q))
		if got := h.analyse(16); got > calLeakage+2*calNoise {
			t.Errorf("carrier %d with the offsets that cancel it", got)
		}
		h.c.Faults().Set(func(m *Misbehaviour) { m.Analog.NoTone[0] = true })
		if got := h.analyse(16); got != calNoise {
			t.Errorf("carrier %d of a dead transmitter", got)
		}
	})
}

func TestRadiosLoseTheirLockOnDemand(t *testing.T) {
	h := loopback(t)
	lock := func() byte {
		r := make([]byte, 3)
		_ = h.c.transfer([]byte{targetRadioA, sx125xWrite | sx125xMode, 15}, nil)
		if err := h.c.transfer([]byte{targetRadioA, sx125xStatus, 0}, r); err != nil {
			t.Fatal(err)
		}
		return r[2]
	}
	h.c.Faults().Set(func(m *Misbehaviour) { m.Analog.NoLock[1] = true })
	if s := lock(); s != 3 {
		t.Errorf("status %02x", s)
	}
	h.c.Faults().Set(func(m *Misbehaviour) { m.Analog.NoLock[0] = true })
	if s := lock(); s != 0 {
		t.Errorf("status %02x of a radio without a lock", s)
	}
}

// 4096 samples at 4 MHz take 1.024 ms.
func TestTheCaptureRAMFillsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := host{t, newChip(t, Config{})}
		h.put(reg.CapturePeriod0Captureperiod.Addr(), 7)
		h.set(reg.CaptureCfgEnable, 1)
		done := func() bool { return h.get(reg.CaptureStatusCapcomplete.Addr(), 1)[0] == 1 }
		if done() {
			t.Error("done before it was started")
		}
		h.set(reg.CaptureCfgCapturestart, 1)
		time.Sleep(1023 * time.Microsecond)
		if done() {
			t.Error("done too early")
		}
		time.Sleep(2 * time.Microsecond)
		if !done() || h.get(reg.CaptureLastRamAddr0Lastramaddr.Addr(), 1)[0] != 0xFF || h.get(reg.CaptureLastRamAddr1Lastramaddr.Addr(), 1)[0] != 0x0F {
			t.Error("not done, or not at the last address")
		}
		h.set(reg.CommonPage, 1)
		values := map[byte]int{}
		for a := reg.Addr(0); a < 4*captureSamples; a += 1024 {
			for _, v := range h.get(a, 1024) {
				values[v]++
			}
		}
		if len(values) < 30 {
			t.Errorf("only %d different bytes of noise", len(values))
		}
		h.set(reg.CommonPage, 0)
		h.set(reg.AGCCtrlHostProg, 1)
		if v := h.get(0, 1)[0]; v != 0 {
			t.Errorf("page 0 shows %02x where the MCU's memory is empty", v)
		}
	})
}
