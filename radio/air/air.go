// Package air is a simulated radio medium: stations transmit frames into it
// and hear those of others, with time on air, path loss, noise, collisions
// and half duplex. Nothing in it knows LoRaWAN or a chip.
//
// A [Medium] has one clock, air time, in microseconds since [New]. A
// [Station] is one antenna: it transmits with [Station.Transmit], and hears
// either everything as it happens (a [Listener]; gateways do that) or the
// first frame that fits a receive window ([Station.Receive]; devices do).
// [Serve] gives the same to other programs (docs/air.md).
//
// Start and End of a transmission are exact: they are computed from what was
// asked for, never from when a goroutine woke up. Verdicts are computed from
// these intervals at the end of a frame. The medium only uses time.Now and
// time.AfterFunc, so that a whole network runs in a testing/synctest bubble.
//
// The physics is in physics.go (levels) and verdict.go (collisions). Not
// modelled: Doppler and drift, multipath, capture by a receiver that is
// already locked to another frame, and the limits of a particular chip.
package air

import (
	"errors"

	"gatewayd/radio"
)

// Errors that callers branch on; they are wrapped with figures.
var (
	ErrPast    = errors.New("start of the transmission is in the past")
	ErrTimeout = errors.New("no frame in the receive window")
	ErrLeft    = errors.New("station has left the medium")
	ErrFrame   = errors.New("frame that no transmitter can send")
	ErrGateway = errors.New("a gateway with this EUI is in the medium already")
)

// Immediately as the start of a transmission means the next whole microsecond.
const Immediately radio.Instant = -1

// Frame is what is modulated. Mod is a [radio.LoRa] or a [radio.FSK] value, or
// a [radio.Carrier], which nobody receives and which disturbs.
type Frame struct {
	Payload []byte
	Freq    radio.Hertz
	Mod     radio.Modulation
}

// Transmission is one frame on the air.
type Transmission struct {
	ID   uint64 // unique in the medium, counts from 1
	From string // the station's name; a gateway's EUI
	Frame
	Start, End radio.Instant // first preamble symbol, end of the last symbol
	Power      radio.DBm     // radiated
}

// Outcome is what a receiver makes of a transmission.
type Outcome uint8

// Outcomes.
const (
	Clear     Outcome = iota // every bit is right
	Corrupted                // locked and header read, but the payload was hit: Payload has wrong bytes
	Lost                     // too weak, preamble or header hit, or the receiver was transmitting
)

// String is "clear", "corrupted" or "lost".
func (o Outcome) String() string {
	if o > Lost {
		return "unknown"
	}
	return [...]string{"clear", "corrupted", "lost"}[o]
}

// Reception is a transmission as one station hears it. SNR is physical: a
// demodulator that saturates has to clamp it.
type Reception struct {
	Transmission
	RSSI    radio.DBm // power of this signal at the antenna
	SNR     radio.DB  // RSSI over the noise floor in the frame's bandwidth
	Outcome Outcome
}

// Listener is told of every frame from other stations that is not hopelessly
// weak (SNR of at least -20 dB), on any frequency. Calls come one at a time
// from the medium's timer, in the order of air time, and must not block;
// they may call methods of the medium and its stations.
type Listener interface {
	Began(Reception) // the preamble starts; Outcome is not known yet
	Ended(Reception) // same ID; Outcome is final
}

// Window is what a receiver waits for. A frame fits when its frequency is
// within a quarter of the bandwidth, spreading factor, bandwidth, I/Q, sync
// word and whether there is a header (FSK: the bit rate) are equal, and its
// preamble starts between From and Until, both included, or before From but with six symbols
// (FSK: two bytes) of preamble left at From.
type Window struct {
	Freq        radio.Hertz
	Mod         radio.Modulation
	From, Until radio.Instant
}

// StationConfig says where a station is and what it can do.
type StationConfig struct {
	Name       string       // "" makes one up
	Gateway    *radio.EUI64 // set for gateways
	PathLoss   radio.DB     // to other stations; 0 is Config.PathLoss. The larger of the two stations' counts
	Position   *[3]float64  // metres; where both stations have one it decides instead of PathLoss. A gateway that states neither stands at 0, 0, 0
	FullDuplex bool         // hears others while it transmits
}
