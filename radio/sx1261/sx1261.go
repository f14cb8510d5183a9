// Package sx1261 is the command set of the SX1261 as the companion of an
// SX1302: a second radio that listens to a channel before a transmission, or
// measures how often it is how loud. It does no bus I/O itself: a [Bus]
// carries its bytes.
//
// [Radio] brings the chip up: patch, calibration, set-up. What is done while
// the concentrator works is a value, [Request] or a list of them, so that the
// owner of the bus can send one command at a time and wait for nothing:
//
//	Listen(f, w) -> LBT(scan, level) ... Stop()
//	Listen(f, w) -> Spectrum(n) -> ScanState() ... -> Results() -> Stop()
//
// Listening and scanning are done by a firmware patch of the vendor, which is
// loaded after each reset and is no part of this project.
//
// Sources: Semtech's SX1261/2 data sheet for the commands; the patch's own
// commands and registers as recorded from the vendor's library
// (concentrator/testdata).
package sx1261

import (
	"errors"
	"fmt"
	"time"

	"gatewayd/radio"
)

// Op is a command byte.
type Op byte

// Commands, with the data sheet's names; the last three are the patch's.
const (
	CalibrateImage       Op = 0x98
	GetDeviceErrors      Op = 0x17
	GetStatus            Op = 0xC0
	ReadRegister         Op = 0x1D
	WriteRegister        Op = 0x0D
	SetBufferBaseAddress Op = 0x8F
	SetFs                Op = 0xC1
	SetModulationParams  Op = 0x8B
	SetPacketParams      Op = 0x8C
	SetPacketType        Op = 0x8A
	SetRfFrequency       Op = 0x86
	SetRx                Op = 0x82
	SetStandby           Op = 0x80
	UpdatePatch          Op = 0xD9 // start what was written to the patch memory
	ScanLBT              Op = 0x9A
	ScanSpectrum         Op = 0x9B
)

// Registers.
const (
	regVersion     = 0x0320 // 15 characters
	regResults     = 0x0401 // 33 counts of 16 bits
	regPatchEnable = 0x0610
	regScanState   = 0x07CD
	regRSSIWindow  = 0x089B // averaging of the RSSI; 0 ends a scan
	regSensitivity = 0x08AC
	regPatch       = 0x8000 // the patch memory
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

// Busy is how long to wait before a command. The BUSY line is not wired to the
// host; the longest mode switch used here takes 83 µs (data sheet, table of
// switching times), the vendor's library waits 1 ms.
const Busy = 300 * time.Microsecond

// Errors that callers branch on.
var (
	ErrMode    = errors.New("SX1261 is in the wrong mode")
	ErrVersion = errors.New("SX1261 runs the wrong patch")
	ErrImage   = errors.New("SX1261 image calibration failed")
	ErrAnswer  = errors.New("SX1261 answer makes no sense")
)

// Request is one command and the time that the radio needs for it beyond
// [Busy].
type Request struct {
	Op   Op
	Args []byte
	Wait time.Duration
}

// Bandwidth is the width of the receiver's filter.
type Bandwidth byte

// Filters: the data sheet's RX_BW_234300 and RX_BW_467000. A channel of 125
// or 250 kHz lies well inside.
const (
	Width125 Bandwidth = 0x0A
	Width250 Bandwidth = 0x09
)

// FrequencyWord is the argument of SetRfFrequency: floor(f * 2^25 / 32 MHz).
func FrequencyWord(f radio.Hertz) uint32 { return uint32(uint64(f) << 25 / 32_000_000) }

// Measure makes the receiver one that only measures: plain FSK with a filter
// of the width. It lasts until the next call or a reset.
func Measure(w Bandwidth) []Request {
	return []Request{
		{Op: SetPacketType, Args: []byte{0}},
		{Op: SetModulationParams, Args: []byte{0, 0x14, 0, 0, byte(w), 0x02, 0xE9, 0x0F}},
		{Op: SetPacketParams, Args: []byte{0, 0x20, 5, 0x20, 0, 1, 0xFF, 0, 0}},
	}
}

// Tune receives at a frequency until further notice. The radio must be in
// [FS] mode or a standby mode, see [Stop].
func Tune(f radio.Hertz) []Request {
	w := FrequencyWord(f)
	return []Request{
		{Op: SetRfFrequency, Args: []byte{byte(w >> 24), byte(w >> 16), byte(w >> 8), byte(w)}},
		write(regRSSIWindow, 5<<2),
		{Op: SetRx, Args: []byte{0xFF, 0xFF, 0xFF}},
	}
}

// Stop ends listening, scanning and reception.
func Stop() []Request { return []Request{write(regRSSIWindow, 0), {Op: SetFs}} }

// Status asks for the status byte; see [CheckReceiving].
func Status() Request { return Request{Op: GetStatus, Args: []byte{0}} }

// CheckReceiving judges the answer to [Status] after [Tune].
func CheckReceiving(answer []byte) error {
	if len(answer) != 1 || ModeOf(answer[0]) != Receive {
		return fmt.Errorf("%w: status % X, not receiving: check its supply and wiring", ErrMode, answer)
	}
	return nil
}

// ScanTime is how long a channel must have been quiet.
type ScanTime struct {
	Nominal time.Duration // as regulations have it
	samples uint16        // how many the patch looks at, as recorded
}

// The two scan times that the vendor's library knows.
var (
	Scan128  = ScanTime{128 * time.Microsecond, 24}
	Scan5000 = ScanTime{5 * time.Millisecond, 715}
)

// samplePeriod is between two RSSI readings; its code is 11. The library's
// comments have 7.68, 8.2, 8.68 µs for 10, 11, 12.
const (
	samplePeriod     = 8192 * time.Nanosecond
	samplePeriodCode = 11
)

// Window is how long the samples take at the known rate; that is longer than
// the nominal time, so it is what has to pass before a verdict can be had.
func (s ScanTime) Window() time.Duration { return time.Duration(s.samples) * samplePeriod }

// Range of thresholds.
const (
	MinThreshold radio.DBm = -127.5
	MaxThreshold radio.DBm = 0
)

// LBT watches the tuned channel until [Stop]: a pin tells the concentrator's
// AGC whether it was below the threshold, a reading of this radio in steps of
// half a decibel, for the whole scan time.
func LBT(s ScanTime, threshold radio.DBm) Request {
	t := min(max(threshold, MinThreshold), MaxThreshold)
	return Request{Op: ScanLBT, Args: []byte{samplePeriodCode, byte(s.samples >> 8), byte(s.samples), byte(-2 * t), 1}}
}

// write is a request that writes one register.
func write(a uint16, data ...byte) Request {
	return Request{Op: WriteRegister, Args: append([]byte{byte(a >> 8), byte(a)}, data...)}
}

// read is a request that reads n register bytes: address, a byte of status,
// then data.
func read(a uint16, n int) Request {
	args := make([]byte, readHeader+n)
	args[0], args[1] = byte(a>>8), byte(a)
	return Request{Op: ReadRegister, Args: args}
}

// readHeader comes before the data of a read, in arguments and answer.
const readHeader = 3

// registers returns the data of the answer to a read of n bytes.
func registers(answer []byte, n int) ([]byte, error) {
	if len(answer) != readHeader+n {
		return nil, fmt.Errorf("%w: %d bytes of registers, %d are wanted", ErrAnswer, len(answer)-readHeader, n)
	}
	return answer[readHeader:], nil
}
