// Package sx1250 is the command set of the SX1250 radio as a gateway front
// end: image calibration, set-up as the receiver of an SX1302, and the words
// it takes. It does no bus I/O itself: a [Bus] carries its bytes, so the chip
// may sit behind the concentrator's SPI multiplexer or on a bus of its own.
//
// Sources: Semtech's SX1261/2 data sheet (the SX1250 shares its commands) and
// the recorded start-up of the vendor's library (concentrator/testdata).
package sx1250

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatewayd/radio"
)

// Op is a command byte.
type Op byte

// Commands, with the data sheet's names.
const (
	CalibrateImage  Op = 0x98
	Calibrate       Op = 0x89
	SetStandby      Op = 0x80
	SetRx           Op = 0x82
	SetRfFrequency  Op = 0x86
	WriteRegister   Op = 0x0D
	GetStatus       Op = 0xC0
	GetDeviceErrors Op = 0x17
)

// Mode is the chip mode in bits 6:4 of the status byte.
type Mode byte

// Chip modes.
const (
	StandbyRC   Mode = 2
	StandbyXOSC Mode = 3
	FS          Mode = 4
	Receive     Mode = 5
	Transmit    Mode = 6
)

// ModeOf extracts the chip mode from a status byte.
func ModeOf(status byte) Mode { return Mode(status >> 4 & 7) }

// Arguments of SetStandby.
const (
	standbyRC   = 0
	standbyXOSC = 1
)

// Waits. The chip's BUSY line is not wired to the host behind the SX1302, so
// the data sheet's maximum times stand in for it: 3.5 ms to calibrate every
// block and to come out of reset, 10 ms here for the image (two band edges).
const (
	busyTime      = 300 * time.Microsecond // before each command
	calibrateTime = 5 * time.Millisecond
	imageTime     = 10 * time.Millisecond
	modeDeadline  = 50 * time.Millisecond // a TCXO may take 10 ms to start
	modePoll      = time.Millisecond
)

// Errors that callers branch on.
var (
	ErrBand  = errors.New("no image calibration for this frequency")
	ErrMode  = errors.New("radio is in the wrong mode")
	ErrImage = errors.New("image calibration failed")
)

// Bus carries one command to the radio in one chip-select frame.
type Bus interface {
	// Command clocks out op and args, and returns what came back in place of
	// the args.
	Command(op byte, args []byte) ([]byte, error)
}

// Radio speaks to one SX1250.
type Radio struct {
	bus Bus
}

// New returns the radio behind bus.
func New(bus Bus) *Radio { return &Radio{bus: bus} }

// FrequencyWord is the argument of SetRfFrequency: floor(f * 2^25 / 32 MHz).
func FrequencyWord(f radio.Hertz) uint32 { return uint32(uint64(f) << 25 / 32_000_000) }

// band is a frequency range, bounds exclusive, with its CalibrateImage
// arguments.
type band struct {
	above, below radio.Hertz
	args         [2]byte
}

// bands are the ranges of the data sheet's CalibrateImage table.
var bands = []band{
	{430_000_000, 440_000_000, [2]byte{0x6B, 0x6F}},
	{470_000_000, 510_000_000, [2]byte{0x75, 0x81}},
	{779_000_000, 787_000_000, [2]byte{0xC1, 0xC5}},
	{863_000_000, 870_000_000, [2]byte{0xD7, 0xDB}},
	{902_000_000, 928_000_000, [2]byte{0xE1, 0xE9}},
}

// ImageArguments returns the CalibrateImage arguments for a centre
// frequency, or [ErrBand].
func ImageArguments(f radio.Hertz) ([2]byte, error) {
	for _, b := range bands {
		if f > b.above && f < b.below {
			return b.args, nil
		}
	}
	return [2]byte{}, fmt.Errorf("%w: %d Hz is in none of 430-440, 470-510, 779-787, 863-870, 902-928 MHz (bounds excluded)", ErrBand, f)
}

// CalibrateImage tunes the image rejection for the band around f.
func (r *Radio) CalibrateImage(ctx context.Context, f radio.Hertz) error {
	args, err := ImageArguments(f)
	if err != nil {
		return err
	}
	if _, err := r.Status(ctx); err != nil {
		return err
	}
	if err := r.do(ctx, CalibrateImage, args[:]...); err != nil {
		return err
	}
	if err := pause(ctx, imageTime); err != nil {
		return err
	}
	answer, err := r.command(ctx, GetDeviceErrors, 0, 0, 0)
	if err != nil {
		return err
	}
	if answer[2]&0x10 != 0 {
		return fmt.Errorf("%w at %d Hz: device errors 0x%02X%02X", ErrImage, f, answer[1], answer[2])
	}
	return nil
}

// Status reads the status byte.
func (r *Radio) Status(ctx context.Context) (byte, error) {
	answer, err := r.command(ctx, GetStatus, 0)
	if err != nil {
		return 0, err
	}
	return answer[0], nil
}

// register is a write of consecutive radio registers.
type register struct {
	addr uint16
	data []byte
}

// receiver is what the SX1302 expects of its radios: the bit rate word of
// the sample stream, all DIO pins driven without pulls, and the gain.
var receiver = []register{
	{0x06A1, []byte{1}}, {0x06A2, []byte{0}}, {0x06A3, []byte{0}}, // bit rate
	{0x0582, []byte{0}}, // DIO drive strength: lowest
	{0x0583, []byte{0}}, // inputs off
	{0x0584, []byte{0}}, // no pull-ups
	{0x0585, []byte{0}}, // no pull-downs
	{0x0580, []byte{0}}, // outputs on
	{0x08B6, []byte{0x2A}},
}

// SetUp makes the radio the receiver of an SX1302, tuned to f, and leaves it
// in continuous reception: from then on it clocks the concentrator.
// singleInput is set on boards that feed only one side of the differential
// receiver input.
func (r *Radio) SetUp(ctx context.Context, f radio.Hertz, singleInput bool) error {
	if err := r.standby(ctx, standbyRC, StandbyRC); err != nil {
		return err
	}
	if err := r.do(ctx, Calibrate, 0x7F); err != nil {
		return err
	}
	if err := pause(ctx, calibrateTime); err != nil {
		return err
	}
	if err := r.standby(ctx, standbyXOSC, StandbyXOSC); err != nil {
		return err
	}
	for _, w := range receiver {
		if err := r.write(ctx, w); err != nil {
			return err
		}
	}
	w := FrequencyWord(f)
	if err := r.do(ctx, SetRfFrequency, byte(w>>24), byte(w>>16), byte(w>>8), byte(w)); err != nil {
		return err
	}
	if err := r.write(ctx, register{0x088F, []byte{0, 0, 0}}); err != nil { // frequency offset
		return err
	}
	if err := r.do(ctx, SetRx, 0xFF, 0xFF, 0xFF); err != nil { // until further notice
		return err
	}
	if singleInput {
		if err := r.write(ctx, register{0x08E2, []byte{0x0D}}); err != nil {
			return err
		}
	}
	return r.write(ctx, register{0x0587, []byte{0x0B}}) // samples out, to the SX1302
}

// standby enters a standby mode and waits until the chip reports it.
func (r *Radio) standby(ctx context.Context, arg byte, want Mode) error {
	if err := r.do(ctx, SetStandby, arg); err != nil {
		return err
	}
	deadline := time.Now().Add(modeDeadline)
	for {
		status, err := r.Status(ctx)
		if err != nil {
			return err
		}
		if ModeOf(status) == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: status 0x%02X (mode %d) %v after standby was commanded, mode %d is wanted: check the radio's supply, crystal and reset",
				ErrMode, status, ModeOf(status), modeDeadline, want)
		}
		if err := pause(ctx, modePoll); err != nil {
			return err
		}
	}
}

func (r *Radio) write(ctx context.Context, w register) error {
	return r.do(ctx, WriteRegister, append([]byte{byte(w.addr >> 8), byte(w.addr)}, w.data...)...)
}

func (r *Radio) do(ctx context.Context, op Op, args ...byte) error {
	_, err := r.command(ctx, op, args...)
	return err
}

func (r *Radio) command(ctx context.Context, op Op, args ...byte) ([]byte, error) {
	if err := pause(ctx, busyTime); err != nil {
		return nil, err
	}
	answer, err := r.bus.Command(byte(op), args)
	if err != nil {
		return nil, fmt.Errorf("command 0x%02X: %w", byte(op), err)
	}
	return answer, nil
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
