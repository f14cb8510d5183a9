package sx1302sim

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

func newChip(t *testing.T, cfg Config) *Chip {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func connect(t *testing.T, c *Chip) spi.Conn {
	t.Helper()
	conn, err := c.Port().Connect(2*physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Version 0x10 at 0x5606; data follows a dummy byte.
func TestPortSpeaksTheChipsFraming(t *testing.T) {
	conn := connect(t, newChip(t, Config{}))
	r := make([]byte, 5)
	if err := conn.Tx([]byte{0, 0x56, 0x06, 0, 0}, r); err != nil || r[4] != 0x10 {
		t.Errorf("version %x, %v", r, err)
	}
	if err := conn.Tx([]byte{0, 0x80 | 0x56, 0x43, 0xA5}, nil); err != nil {
		t.Error(err)
	}
	head, data := []byte{0, 0x56, 0x43, 0}, make([]byte, 1)
	if err := conn.TxPackets([]spi.Packet{{W: head, KeepCS: true}, {R: data}}); err != nil || data[0] != 0xA5 {
		t.Errorf("two packets in a frame: %x, %v", data, err)
	}
	ver, led := make([]byte, 5), make([]byte, 5)
	err := conn.TxPackets([]spi.Packet{{W: []byte{0, 0x56, 0x06, 0, 0}, R: ver}, {W: []byte{0, 0x56, 0x43, 0, 0}, R: led}})
	if err != nil || ver[4] != 0x10 || led[4] != 0xA5 {
		t.Errorf("two frames: %x %x, %v", ver, led, err)
	}
}

func TestPortRefusesWhatTheChipDoesNotSpeak(t *testing.T) {
	p := newChip(t, Config{}).Port()
	for _, c := range []struct {
		f    physic.Frequency
		mode spi.Mode
		bits int
	}{{physic.MegaHertz, spi.Mode1, 8}, {physic.MegaHertz, spi.Mode0, 16}, {11 * physic.MegaHertz, spi.Mode0, 8}} {
		if _, err := p.Connect(c.f, c.mode, c.bits); err == nil {
			t.Errorf("%v %v %d bits accepted", c.f, c.mode, c.bits)
		}
	}
	if err := p.LimitSpeed(0); err == nil {
		t.Error("limit 0 accepted")
	}
	conn := connect(t, newChip(t, Config{}))
	for _, c := range [][2]int{{0, 0}, {4, 5}} {
		if err := conn.Tx(make([]byte, c[0]), make([]byte, c[1])); err == nil {
			t.Errorf("transfer of %d and %d bytes accepted", c[0], c[1])
		}
	}
	if err := conn.TxPackets([]spi.Packet{{W: []byte{0, 0, 0}, KeepCS: true}}); err == nil {
		t.Error("KeepCS at the end accepted")
	}
	if err := conn.TxPackets([]spi.Packet{{W: []byte{0, 0, 0}, BitsPerWord: 9}}); err == nil {
		t.Error("9 bits accepted")
	}
	if err := conn.TxPackets([]spi.Packet{{W: []byte{0}, R: []byte{0, 0}}}); err == nil {
		t.Error("packet of unequal lengths accepted")
	}
}

func TestRegistersHaveTheirResetValues(t *testing.T) {
	h := host{t, newChip(t, Config{})}
	n := 0
	reg.Each(func(a reg.Addr, b reg.Byte) {
		if a == reg.TXFsmStatusTX.Addr() || a == reg.TXFsmStatusTX.Chain(1).Addr() {
			return // shows that the chain is free
		}
		if got := h.get(a, 1)[0]; got != b.Reset {
			t.Errorf("0x%04X reads %02x after reset, want %02x", uint(a), got, b.Reset)
		}
		n++
	})
	if n < 500 {
		t.Errorf("only %d registers", n)
	}
}

func TestResetPinRestoresTheRegisters(t *testing.T) {
	c := newChip(t, Config{})
	h := host{t, c}
	h.put(reg.GPIOOutLOutValue.Addr(), 0x55)
	if c.LEDs() != 0x55 {
		t.Errorf("GPIO outputs %02x, want 55", c.LEDs())
	}
	c.SetReset(true)
	if got := h.get(reg.CommonVersion.Addr(), 1)[0]; got != 0 {
		t.Errorf("version reads %02x during reset, want 00", got)
	}
	c.SetReset(false)
	if got := h.get(reg.GPIOOutLOutValue.Addr(), 1)[0]; got != 0 {
		t.Errorf("GPIO outputs %02x after reset, want 00", got)
	}
}

func TestViolationsAreErrorsCountedAndTold(t *testing.T) {
	for name, w := range map[string][]byte{
		"read of 0x5F00, where":         {0, 0x5F, 0x00, 0, 0},
		"write of 0x01 to 0x5F00":       {0, 0xDF, 0x00, 1},
		"changes read-only bits":        {0, 0xD6, 0x06, 0x11},
		"which don't exist":             {0, 0xD2, 0x07, 0x02},
		"at most 4096":                  make([]byte, 5000),
		"holds 0":                       {0, 0x40, 0x00, 0, 0},
		"read of AGC memory":            {0, 0x00, 0x00, 0, 0},
		"write to ARB memory":           {0, 0xA0, 0x00, 1},
		"payload buffer of chain 1":     {0, 0xD5, 0x00, 1},
		"multiplexer byte 0x07":         {7, 0, 0, 0, 0},
		"frame of 2 bytes":              {0, 0x56},
		"dummy byte":                    {0, 0x56, 0x06, 0},
		"without clock or AGC firmware": {0, 0xD2, 0x00, 1},
	} {
		var told error
		c := newChip(t, Config{Violation: func(err error) { told = err }})
		err := connect(t, c).Tx(w, nil)
		if err == nil || !strings.Contains(err.Error(), name) || !errors.Is(err, told) || c.Violations() != 1 {
			t.Errorf("%x: error %v, told %v, count %d; want one about %q", w[:min(len(w), 5)], err, told, c.Violations(), name)
		}
		lax := newChip(t, Config{Lax: true})
		if err := connect(t, lax).Tx(w, nil); err != nil || lax.Violations() != 1 {
			t.Errorf("%x on a lax chip: %v, count %d", w[:min(len(w), 5)], err, lax.Violations())
		}
	}
}

func TestReadOnlyBitsKeepTheirValue(t *testing.T) {
	c := newChip(t, Config{Lax: true})
	h := host{t, c}
	h.put(reg.CommonVersion.Addr(), 0xFF)
	h.put(reg.TXCtrlWriteBuffer.Addr(), 0xFF)
	if v, b := h.get(reg.CommonVersion.Addr(), 1)[0], h.get(reg.TXCtrlWriteBuffer.Addr(), 1)[0]; v != 0x10 || b != 0x01 {
		t.Errorf("version %02x, write buffer %02x; want 10 and 01", v, b)
	}
}

func TestOTPHoldsEUIAndModel(t *testing.T) {
	h := host{t, newChip(t, Config{EUI: radio.EUI64{1, 2, 3, 4, 5, 6, 7, 8}, Model: SX1303})}
	for addr, want := range map[byte]byte{0: 1, 7: 8, 0xD0: 3, 0x20: 0} {
		h.put(reg.OTPByteAddr.Addr(), addr)
		if got := h.get(reg.OTPRdData.Addr(), 1)[0]; got != want {
			t.Errorf("OTP byte %02x is %02x, want %02x", addr, got, want)
		}
	}
}

// 5 bytes at 2 MHz are 20 µs, and 30 µs for the transfer itself.
func TestTransfersLastAsLongAsTheirBits(t *testing.T) {
	for _, exact := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := newChip(t, Config{Timing: Timing{Hz: 2_000_000, PerTransfer: 30 * time.Microsecond, Exact: exact}})
			h, began := host{t, c}, time.Now()
			for range 1000 {
				h.get(reg.CommonVersion.Addr(), 1)
			}
			if got, want := time.Since(began), 50*time.Millisecond; got > want || got < want-time.Millisecond {
				t.Errorf("exact %v: 1000 transfers lasted %v, want %v", exact, got, want)
			}
		})
	}
}

func TestSeveralUsersShareTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip(t, Config{Timing: Timing{Hz: 1_000_000, Exact: true}})
		began := time.Now()
		for range 4 {
			go func() {
				for range 25 {
					if err := c.transfer([]byte{0, 0x56, 0x06, 0, 0}, nil); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		c.bus <- struct{}{}
		if d := time.Since(began); d != time.Second {
			t.Errorf("the bus was free after %v", d)
		}
		<-c.bus
	})
}

// The reference reads PPS and free running counter together, 8 bytes.
func TestCountersRunAtThirtyTwoTicksAMicrosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h := host{t, c}
		word := func(b []byte) uint32 { return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]) }
		for _, d := range []time.Duration{0, time.Microsecond, 3 * time.Second, 200 * time.Second} {
			time.Sleep(d)
			b := h.get(reg.TimestampPPSMsb2.Addr(), 8)
			now := uint64(m.Elapsed()/time.Microsecond)*32 + 32*counterStart
			if word(b[4:]) != uint32(now) || word(b) != uint32(now-now%ticksPerSecond) {
				t.Errorf("counters %x, want %08x and %08x", b, uint32(now-now%ticksPerSecond), uint32(now))
			}
		}
	})
}

func TestWithoutAClockCountersAndMCUsStandStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := host{t, newChip(t, Config{CounterStart: 12345})}
		time.Sleep(time.Second)
		if got := h.get(reg.TimestampPPSMsb2.Addr(), 8); !bytes.Equal(got, make([]byte, 8)) {
			t.Errorf("counters %x before a radio runs", got)
		}
		h.load(reg.ARBCtrlHostProg, reg.ARBCtrlMCUClear, reg.ARBMemory, reg.MCUMemorySize, 0x55)
		if s := h.get(reg.ARBMCUARBStatus.Addr(), 1)[0]; s != 0 {
			t.Errorf("ARB status %02x without a clock, want 00", s)
		}
	})
}

// load writes n bytes of firmware and starts the MCU.
func (h host) load(prog, clearing reg.Field, memory reg.Addr, n int, v byte) {
	h.t.Helper()
	h.set(clearing, 1)
	h.set(prog, 1)
	for at := 0; at < n; at += 1024 {
		h.put(memory+reg.Addr(at), bytes.Repeat([]byte{v}, min(1024, n-at))...)
	}
	h.set(prog, 0)
	h.set(clearing, 0)
}

func TestMCUWithoutAProgramIsMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := started(t, Config{})
		h := host{t, c}
		arb := func(n int, v byte) (status, parity byte) {
			h.load(reg.ARBCtrlHostProg, reg.ARBCtrlMCUClear, reg.ARBMemory, n, v)
			return h.get(reg.ARBMCUARBStatus.Addr(), 1)[0], h.get(reg.ARBCtrlParityError.Addr(), 1)[0] & 1
		}
		if s, p := arb(reg.MCUMemorySize, 0x12); s != 1 || p != 0 {
			t.Errorf("program loaded: status %d, parity %d; want 1, 0", s, p)
		}
		if s, p := arb(reg.MCUMemorySize, 0); s != 0 || p != 0 {
			t.Errorf("blank: status %d, parity %d; want 0, 0", s, p)
		}
		c.SetReset(true)
		c.losePower()
		c.SetReset(false)
		h.set(reg.ARBCtrlHostProg, 1)
		h.put(reg.ARBMemory, 1, 2, 3)
		h.set(reg.ARBCtrlHostProg, 0)
		h.set(reg.ARBCtrlMCUClear, 0)
		if s, p := h.get(reg.ARBMCUARBStatus.Addr(), 1)[0], h.get(reg.ARBCtrlParityError.Addr(), 1)[0]&1; s != 0 || p != 1 {
			t.Errorf("3 bytes after power-up: status %d, parity %d; want 0, 1", s, p)
		}
	})
}

func TestMemoryNeedsPageZero(t *testing.T) {
	c := newChip(t, Config{Lax: true})
	h := host{t, c}
	h.set(reg.ARBCtrlHostProg, 1)
	h.set(reg.CommonPage, 1)
	h.put(reg.ARBMemory, 1)
	if c.Violations() != 1 {
		t.Errorf("%d violations for a write to page 1, want 1", c.Violations())
	}
}

func TestAGCInsistsOnItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := started(t, Config{Violation: func(error) {}})
		h := host{t, c}
		h.load(reg.AGCCtrlHostProg, reg.AGCCtrlMCUClear, reg.AGCMemory, reg.MCUMemorySize, 0x12)
		if s, v := h.get(reg.AGCMCUAGCStatus.Addr(), 1)[0], h.get(reg.AGCMCUMailBoxRdDataByte0.Addr(), 1)[0]; s != 1 || v != 10 {
			t.Errorf("status %d, version %d; want 1, 10", s, v)
		}
		h.put(reg.AGCMCUMailBoxWrDataByte3.Addr(), 0x80)
		err := c.transfer([]byte{0, 0xD7, 0x89, 0x03}, nil)
		if err == nil || !strings.Contains(err.Error(), "waits for 0x20") {
			t.Errorf("step 0x03 after 0x80: %v", err)
		}
		if s := h.get(reg.AGCMCUAGCStatus.Addr(), 1)[0]; s != 2 {
			t.Errorf("status %d after a wrong step, want 2", s)
		}
	})
}

func TestRadiosBelongToTheAGCAfterStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := started(t, Config{Violation: func(error) {}})
		if err := c.transfer([]byte{1, opGetStatus, 0}, nil); err == nil || !strings.Contains(err.Error(), "AGC owns") {
			t.Errorf("radio addressed while the AGC has it: %v", err)
		}
	})
}

// radioA gives the host the radios and enables radio A.
func (h host) radioA() {
	h.set(reg.AGCRFEnARadio, 1)
	h.set(reg.AGCRFEnARadioRst, 1)
}

func TestSX1250AnswersItsCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip(t, Config{Violation: func(error) {}})
		h := host{t, c}
		ask := func(w ...byte) ([]byte, error) {
			r := make([]byte, len(w)+1)
			err := c.transfer(append([]byte{targetRadioA}, w...), r)
			return r[1:], err
		}
		if r, err := ask(opGetStatus, 0); err != nil || r[1] != 0 {
			t.Errorf("radio without power answers %x, %v", r, err)
		}
		h.radioA()
		for _, s := range []struct {
			command []byte
			mode    byte // status bits 6:4, SX1261/2 data sheet
		}{
			{[]byte{opSetStandby, 0}, 2}, {[]byte{opSetStandby, 1}, 3}, {[]byte{opSetFS}, 4}, {[]byte{opSetTX, 0, 0, 0}, 6},
			{[]byte{opSetRX, 0xFF, 0xFF, 0xFF}, 5}, {[]byte{opSetSleep, 0}, 2},
		} {
			if _, err := ask(s.command...); err != nil {
				t.Errorf("%x: %v", s.command, err)
			}
			if r, _ := ask(opGetStatus, 0); r[1]>>4 != s.mode {
				t.Errorf("%x: status %02x, want mode %d", s.command, r[1], s.mode)
			}
		}
		_, _ = ask(opSetRFFrequency, 0x36, 0x38, 0, 1)
		if r, _ := ask(opReadRegister, 0x08, 0x8B, 0, 0, 0, 0, 0); !bytes.Equal(r[4:], []byte{0x36, 0x38, 0, 1}) {
			t.Errorf("frequency word reads %x", r[4:])
		}
		_, _ = ask(opWriteRegister, 0x06, 0xA1, 7, 8)
		if r, _ := ask(opReadRegister, 0x06, 0xA1, 0, 0, 0); !bytes.Equal(r[4:], []byte{7, 8}) {
			t.Errorf("registers read %x", r[4:])
		}
		_, _ = ask(opCalibrateImage, 0xDB, 0xD7) // edges the wrong way round
		if _, err := ask(opGetStatus, 0); err == nil || !strings.Contains(err.Error(), "BUSY") {
			t.Errorf("command during calibration: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
		if r, _ := ask(opGetDeviceErrors, 0, 0, 0); r[3] != errorImage {
			t.Errorf("device errors %x, want image calibration", r)
		}
		_, _ = ask(opClearErrors, 0, 0)
		c.Faults().Set(func(m *Misbehaviour) { m.RadioErrors[0] = 0x0140 })
		if r, _ := ask(opGetDeviceErrors, 0, 0, 0); r[2] != 1 || r[3] != 0x40 {
			t.Errorf("device errors %x, want the fault's 0140", r)
		}
		if r, err := ask(opGetIRQStatus, 0, 0, 0); err != nil || r[2] != 0 || r[3] != 0 {
			t.Errorf("interrupts %x, %v", r, err)
		}
		for _, w := range [][]byte{{0x55, 0}, {opSetStandby}} {
			if _, err := ask(w...); err == nil {
				t.Errorf("command %x accepted", w)
			}
		}
	})
}

func TestSX1257AnswersItsRegisters(t *testing.T) {
	c := newChip(t, Config{Radios: [2]RadioKind{SX1257, NoRadio}, Violation: func(error) {}})
	h := host{t, c}
	r := make([]byte, 3)
	if err := c.transfer([]byte{targetRadioA, 7, 0}, r); err == nil {
		t.Error("SX1257 addressed as an SX1250: no violation")
	}
	h.set(reg.CommonCtrl0SX1261ModeRadioA, 0)
	h.set(reg.AGCRFEnARadio, 1) // its reset is active high
	for _, x := range []struct{ w, want byte }{{7, 0x21}, {0x11, 0}} {
		if err := c.transfer([]byte{targetRadioA, x.w, 0}, r); err != nil || r[2] != x.want {
			t.Errorf("register %02x is %02x, want %02x (%v)", x.w, r[2], x.want, err)
		}
	}
	// recorded: mode 3 locks the receiver's PLL, mode 0x0D the transmitter's; frequency 867.5 MHz is D8E000
	for mode, want := range map[byte]byte{0x03: 0x02, 0x0D: 0x01, 0x0F: 0x03} {
		_ = c.transfer([]byte{targetRadioA, sx125xWrite | sx125xMode, mode}, nil)
		_ = c.transfer([]byte{targetRadioA, 0x11, 0}, r)
		if r[2] != want {
			t.Errorf("mode %02x: status %02x, want %02x", mode, r[2], want)
		}
	}
	_ = c.transfer([]byte{targetRadioA, sx125xWrite | 1, 0xD8, 0xE0, 0x00}, nil)
	_ = c.transfer([]byte{targetRadioA, sx125xWrite | sx125xMode, 3}, nil)
	if f := c.radios[0].frequency(); f != 867.5e6 {
		t.Errorf("receives at %v Hz, want 867.5 MHz", f)
	}
	if err := c.transfer([]byte{targetRadioA, 7}, nil); err == nil {
		t.Error("access without data accepted")
	}
	if err := c.transfer([]byte{targetRadioB, 7, 0}, r); err != nil || r[2] != 0 {
		t.Errorf("no radio answers %x, %v", r, err)
	}
}

func TestTransfersAfterCloseFail(t *testing.T) {
	c := newChip(t, Config{})
	c.Close()
	if err := connect(t, c).Tx([]byte{0, 0x56, 0x06, 0, 0}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	if _, err := New(Config{Radios: [2]RadioKind{0, 9}}); err == nil || !strings.Contains(err.Error(), "radio 1") {
		t.Errorf("kind 9: %v", err)
	}
	m := air.New(air.Config{})
	defer m.Close()
	newChip(t, Config{Medium: m})
	if _, err := New(Config{Medium: m}); err == nil || !strings.Contains(err.Error(), "join the air") {
		t.Errorf("same EUI twice: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestTraceShowsEachTransfer(t *testing.T) {
	c := newChip(t, Config{Radios: [2]RadioKind{SX1250, SX1257}, Lax: true})
	h, out := host{t, c}, new(bytes.Buffer)
	h.set(reg.CommonCtrl0SX1261ModeRadioB, 0)
	h.radioA()
	h.set(reg.AGCRFEnBRadio, 1)
	c.Trace(out)
	for _, w := range [][]byte{{0, 0xD6, 0x43, 1}, {0, 0x56, 0x06, 0, 0}, {1, 0x80, 0}, {1, 0xC1}, {1, 0xC0, 0}, {2, 7, 0}, {2, 0x81, 0xD8}, {9, 9}} {
		_ = c.transfer(w, nil)
	}
	_ = c.transfer(append([]byte{0, 0x52, 0x40, 0}, make([]byte, 65)...), nil)
	want := "W sx1302 0x5643 01\nR sx1302 0x5606 -> 10\nW radioA op=0x80 00\nW radioA op=0xc1\nR radioA op=0xc0 00 -> 42\n" +
		"R radioB reg=0x07 -> 21\nW radioB reg=0x01 d8\n# malformed 0909\nR sx1302 0x5240 -> len=65 sha256="
	if got := out.String(); !strings.HasPrefix(got, want) {
		t.Errorf("trace\n%s\nwant\n%s", got, want)
	}
	c.Trace(brokenWriter{})
	_ = c.transfer([]byte{0, 0x56, 0x06, 0, 0}, nil)
	if c.trace != nil {
		t.Error("trace goes on after a write error")
	}
}

func BenchmarkIdlePoll(b *testing.B) {
	c, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	conn, _ := c.Port().Connect(0, spi.Mode0, 8)
	w, r := []byte{0, 0x58, 0xC8, 0, 0, 0}, make([]byte, 6)
	b.ReportAllocs()
	for b.Loop() {
		if err := conn.Tx(w, r); err != nil {
			b.Fatal(err)
		}
	}
}
