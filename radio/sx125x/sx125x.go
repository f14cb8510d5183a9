// Package sx125x is the command set of the SX1255 and SX1257 radios as the
// front end of an SX1302: registers with read-back, set-up as a receiver, and
// the states that the calibration of image and carrier leakage needs. It does
// no bus I/O itself: a [Bus] carries its bytes.
//
// Sources: Semtech's SX1255 and SX1257 data sheets and the recorded start-up
// of the vendor's library (concentrator/testdata).
package sx125x

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatewayd/radio"
)

// Kind is one of the two chips. They differ in band, frequency step and the
// place of one register.
type Kind uint8

// The chips.
const (
	SX1255 Kind = iota // 400 to 510 MHz
	SX1257             // 862 to 1020 MHz
)

// String is the chip's name.
func (k Kind) String() string {
	if k == SX1255 {
		return "SX1255"
	}
	return "SX1257"
}

// Registers, with the data sheet's names.
const (
	RegMode       = 0x00 // bit 0 reference, 1 receive, 2 transmit, 3 amplifier driver
	RegFrfRX      = 0x01 // three bytes, most significant first
	RegFrfTX      = 0x04
	RegVersion    = 0x07
	RegTXGain     = 0x08 // DAC gain 6:4, mixer gain 3:0
	RegTXBW       = 0x0A // PLL bandwidth 6:5, analog filter 4:0
	RegTXDACBW    = 0x0B
	RegRXAnaGain  = 0x0C // LNA gain 7:5, baseband gain 4:1, LNA input 0
	RegRXBW       = 0x0D // ADC bandwidth 7:5, trim 4:2, filter 1:0
	RegRXPLLBW    = 0x0E // PLL bandwidth 2:1, thermometer 0
	RegClkSelect  = 0x10 // see the bits below
	RegModeStatus = 0x11
	regXtal1257   = 0x26 // crystal oscillator: disable 6:4, start-up current 3:0
	regXtal1255   = 0x28
)

// Bits of RegClkSelect and RegModeStatus.
const (
	clkDAC      = 1 << 0 // the transmitter's samples come with the concentrator's clock
	clkOut      = 1 << 1 // gives its clock to the concentrator
	clkLoopback = 1 << 2 // the transmitter's output into the receiver

	lockTX = 1 << 0
	lockRX = 1 << 1
)

// Modes: which parts run.
const (
	modeStandby  = 0x01
	modeReceive  = 0x03
	modeTransmit = 0x0D
	modeBoth     = 0x0F
)

const (
	writeFlag = 0x80

	lockTime     = time.Millisecond // data sheet: 150 µs at most
	lockAttempts = 5
)

// Errors that callers branch on.
var (
	ErrVersion  = errors.New("not the radio that is configured")
	ErrRegister = errors.New("radio register doesn't keep what is written")
	ErrLock     = errors.New("radio PLL doesn't lock")
	ErrBand     = errors.New("frequency outside the radio's range")
)

// Bus carries one access to the radio in one chip-select frame.
type Bus interface {
	// Command clocks out the address byte (bit 7 set to write) and data, and
	// returns what came back in place of the data.
	Command(address byte, data []byte) ([]byte, error)
}

// Radio speaks to one SX1255 or SX1257, from one reset of it to the next: a
// register that was written and read back keeps its value until then, and is
// not written again. (All but the mode: that starts the PLLs.)
type Radio struct {
	bus  Bus
	kind Kind
	kept map[byte]byte
}

// New returns the radio behind bus, of which nothing is known, as after its
// reset.
func New(bus Bus, kind Kind) *Radio { return &Radio{bus: bus, kind: kind, kept: map[byte]byte{}} }

// FrequencyWord is a PLL's word: floor(f * 2^20 / 32 MHz) for the SX1255 and
// floor(f * 2^19 / 32 MHz) for the SX1257.
func (k Kind) FrequencyWord(f radio.Hertz) uint32 {
	shift := 19
	if k == SX1255 {
		shift = 20
	}
	return uint32(uint64(f) << shift / 32_000_000)
}

// CheckFrequency tells whether the radio can be tuned to f, or [ErrBand].
func (k Kind) CheckFrequency(f radio.Hertz) error {
	low, high := radio.Hertz(400_000_000), radio.Hertz(510_000_000)
	if k == SX1257 {
		low, high = 862_000_000, 1_020_000_000
	}
	if f < low || f > high {
		return fmt.Errorf("%w: %d Hz, the %v takes %d to %d MHz", ErrBand, f, k, low/1_000_000, high/1_000_000)
	}
	return nil
}

// setting is a register and its value.
type setting struct{ register, value byte }

// receiver is the set-up of transmitter and receiver as the SX1302's AGC
// expects it; all bits of each register are determined.
var receiver = []setting{
	{RegTXGain, 2<<4 | 14},       // the AGC sets it anew for each transmission
	{RegTXBW, 1 << 5},            // PLL 150 kHz, filter 214 kHz
	{RegTXDACBW, 5},              // 64 taps
	{RegRXAnaGain, 1<<5 | 15<<1}, // LNA at its highest gain, 50 Ω
	{RegRXBW, 7<<5 | 6<<2},       // ADC above 400 kHz, filter 750 kHz
	{RegRXPLLBW, 0},              // PLL 75 kHz, thermometer off
}

// SetUp makes the radio a receiver at f. The one with clockOut gives the
// concentrator its 32 MHz.
func (r *Radio) SetUp(ctx context.Context, f radio.Hertz, clockOut bool) error {
	if err := r.CheckVersion(); err != nil {
		return err
	}
	clock, crystal := byte(0), byte(regXtal1257)
	if clockOut {
		clock = clkOut
	}
	if r.kind == SX1255 {
		crystal = regXtal1255
	}
	if err := r.write(setting{RegClkSelect, clock}, setting{crystal, 2<<4 | 13}); err != nil {
		return err
	}
	if err := r.write(receiver...); err != nil {
		return err
	}
	if err := r.tune(RegFrfRX, f); err != nil {
		return err
	}
	for range lockAttempts {
		if err := r.write(setting{RegMode, modeStandby}, setting{RegMode, modeReceive}); err != nil {
			return err
		}
		if err := pause(ctx, lockTime); err != nil {
			return err
		}
		if status, err := r.Read(RegModeStatus); err != nil || status&lockRX != 0 {
			return err
		}
	}
	return fmt.Errorf("%w: receiver at %d Hz, %d attempts: check its crystal and supply", ErrLock, f, lockAttempts)
}

// CheckVersion finds out whether a radio answers and whether it is the kind
// that is configured: the high nibble is 1 for the SX1255, 2 for the SX1257.
func (r *Radio) CheckVersion() error {
	v, err := r.Read(RegVersion)
	if err != nil {
		return err
	}
	if want := map[Kind]byte{SX1255: 1, SX1257: 2}[r.kind]; v>>4 != want {
		return fmt.Errorf("%w: the version register reads 0x%02X, %v has 0x%X in its upper half: check the board setting and the radio's supply", ErrVersion, v, r.kind, want)
	}
	return nil
}

// Read reads one register.
func (r *Radio) Read(register byte) (byte, error) {
	answer, err := r.bus.Command(register, []byte{0})
	if err != nil {
		return 0, fmt.Errorf("read radio register 0x%02X: %w", register, err)
	}
	return answer[0], nil
}

// write writes registers and reads each back: this bus has no other proof.
func (r *Radio) write(list ...setting) error {
	for _, s := range list {
		if v, ok := r.kept[s.register]; ok && v == s.value && s.register != RegMode {
			continue
		}
		delete(r.kept, s.register) // until it is proven
		if _, err := r.bus.Command(writeFlag|s.register, []byte{s.value}); err != nil {
			return fmt.Errorf("write radio register 0x%02X: %w", s.register, err)
		}
		back, err := r.Read(s.register)
		if err != nil {
			return err
		}
		if back != s.value {
			return fmt.Errorf("%w: 0x%02X reads back 0x%02X, 0x%02X was written", ErrRegister, s.register, back, s.value)
		}
		r.kept[s.register] = s.value
	}
	return nil
}

// tune sets the PLL whose word begins at register.
func (r *Radio) tune(register byte, f radio.Hertz) error {
	w := r.kind.FrequencyWord(f)
	return r.write(setting{register, byte(w >> 16)}, setting{register + 1, byte(w >> 8)}, setting{register + 2, byte(w)})
}

// pause waits d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
