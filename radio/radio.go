// Package radio is the vocabulary of the air: frequencies, powers, instants,
// modulations, and the two kinds of frame that flow through gatewayd. It has
// no behaviour beyond arithmetic and knows neither chips nor LoRaWAN.
//
// Frames flow up as [Uplink] values, go down as [Downlink] values, and each
// Downlink comes back as exactly one [Report].
package radio

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Hertz is a frequency, a bandwidth or a frequency offset.
type Hertz int64

// MHz returns the frequency in megahertz.
func (h Hertz) MHz() float64 { return float64(h) / 1e6 }

// DBm is a power level relative to one milliwatt.
type DBm float64

// DB is a ratio, such as a signal-to-noise ratio.
type DB float64

// Instant is a moment on a concentrator's microsecond counter, unrolled to 64
// bits: it never wraps and never repeats, even across a restart of the chip.
type Instant int64

// Add returns the instant d later; d is truncated to whole microseconds.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d/time.Microsecond) }

// Sub returns the time from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i-j) * time.Microsecond }

// EUI64 identifies a gateway or a device, most significant byte first.
type EUI64 [8]byte

// String returns 16 lower-case hex digits.
func (e EUI64) String() string { return hex.EncodeToString(e[:]) }

// MarshalText implements encoding.TextMarshaler: 16 lower-case hex digits.
func (e EUI64) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText accepts 16 hex digits in any case, also grouped by '-' or ':'.
func (e *EUI64) UnmarshalText(text []byte) error {
	s := strings.NewReplacer("-", "", ":", "").Replace(string(text))
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(e) {
		return fmt.Errorf("%q is no EUI-64: 16 hex digits are wanted", text)
	}
	copy(e[:], b)
	return nil
}

// ParseEUI64 is UnmarshalText as a function.
func ParseEUI64(s string) (e EUI64, err error) {
	err = e.UnmarshalText([]byte(s))
	return e, err
}

// CRC says what the demodulator found at the end of a payload.
type CRC uint8

// CRC states of a received payload.
const (
	NoCRC CRC = iota // the frame carried none
	GoodCRC
	BadCRC
)

// Uplink is one frame received by one gateway.
type Uplink struct {
	Gateway EUI64
	Payload []byte
	CRC     CRC

	At   Instant   // end of the packet on the gateway's counter
	Time time.Time // the same moment on the host clock, as well as that is known
	Tmst uint32    // the chip's own 32-bit microsecond counter at At
	// GPSTime is the same moment since the GPS epoch, by satellite or by a host
	// clock under discipline; 0 while nothing of the kind can be trusted.
	GPSTime time.Duration

	// FineTime is the time from the last pulse per second to the packet, where
	// the gateway has fine time stamps (SX1303); nil where it hasn't.
	FineTime *time.Duration

	Freq       Hertz
	FreqOffset Hertz      // channel minus transmitter, as the demodulator measured it: negative for one that is too high
	Mod        Modulation // LoRa or FSK
	IFChain    int        // 0-7 multi-SF, 8 LoRa service, 9 FSK
	RFChain    int        // radio 0 or 1

	RSSI       DBm // of the channel
	SignalRSSI DBm // of the signal alone
	SNR        DB  // LoRa only
}

// Downlink is one frame to be transmitted. Its owner chooses an ID that is
// unique for the life of the process.
type Downlink struct {
	ID      uint64
	Payload []byte
	At      Instant    // first preamble symbol on the air
	Freq    Hertz      // centre
	Mod     Modulation // LoRa, FSK or Carrier
	Power   DBm        // at the antenna connector; the transmitter never exceeds it

	// Immediate asks for a start as soon as the transmitter can have it, in
	// place of At; the Report says when that was.
	Immediate bool
	// OnPulse asks for a start by a pulse of the satellite receiver: the first
	// one that makes it At or later, or, with At 0, the first one that can be
	// had. A LoRa frame is on the air 1.5 ms after the pulse, as a beacon.
	OnPulse bool

	// Replaces is the ID of a Downlink whose place this one takes; 0 is none.
	// The other is withdrawn, before any of it was on the air, if this one is
	// accepted, and stays if it is refused. One that can't be withdrawn any more
	// makes this one refused with ErrTooLate.
	Replaces uint64
}

// Report is the fate of one Downlink, with its timing proof. Err is nil if
// and only if the frame was really on the air. Fields that were never
// reached are zero.
type Report struct {
	ID      uint64
	Planned Instant // what the Downlink asked for
	Armed   Instant // counter read back after the trigger was set
	Started Instant // the trigger instant, confirmed by the transmitter's state
	Ended   Instant // end of the emission
	// Doubt is by how much Started may be off, either way; 0 where the chip
	// was told the time. An immediate start is known by the host's clock only.
	Doubt time.Duration
	Power DBm // what was really used: the table entry at or below the request
	Err   error
}

// Margin returns how long before its start the transmission was armed.
func (r Report) Margin() time.Duration { return r.Planned.Sub(r.Armed) }

// Why a Downlink is not transmitted. They are wrapped with figures.
var (
	ErrTooLate   = errors.New("too late to arm the transmitter")
	ErrTooEarly  = errors.New("too far in the future")
	ErrCollision = errors.New("collides with a scheduled transmission")
	ErrPower     = errors.New("no transmit power setting at or below the request")
	ErrFrequency = errors.New("frequency outside the radio's range")
	// ErrChannelBusy comes in a Report: the channel was listened to and in use.
	ErrChannelBusy = errors.New("channel busy")
	ErrDutyCycle   = errors.New("duty cycle exhausted")
	ErrFrame       = errors.New("frame that the transmitter can't send")
	ErrCancelled   = errors.New("transmission withdrawn")
	ErrStopped     = errors.New("transmitter stopped")
)
