package nsedge

import (
	"encoding/hex"
	"time"

	"gatewayd/radio"
)

// DevAddr is a device address, most significant byte first.
type DevAddr [4]byte

// String returns 8 lower-case hex digits.
func (a DevAddr) String() string { return hex.EncodeToString(a[:]) }

// PacketHash correlates a request with its response; all copies of one frame
// share it.
type PacketHash [16]byte

// String returns 32 lower-case hex digits.
func (h PacketHash) String() string { return hex.EncodeToString(h[:]) }

// Event is what the edge tells the world. The set is closed: [UplinkEvent],
// [DownlinkRequest], [DownlinkEvent], [JoinRequest], [StatusResponse],
// [Location] and [Notice]. Events are values that nobody changes afterwards.
type Event interface{ About() *Meta }

// Meta says what an event is about. Zero fields are unknown.
type Meta struct {
	Application radio.EUI64 // AppEUI or JoinEUI
	Device      radio.EUI64
	DevAddr     DevAddr
	Gateway     radio.EUI64
	PacketHash  PacketHash
	Time        time.Time // when the edge made the event
	Tags        []string
}

// About implements [Event].
func (m *Meta) About() *Meta { return m }

// UplinkEvent is a data frame whose MIC was right.
type UplinkEvent struct {
	Meta
	RXTime    time.Time // end of the frame, host clock
	Counter   uint32    // full 32-bit FCntUp
	Port      uint8     // 0 where the frame has none
	Payload   []byte    // plaintext; nil where the edge lacks the AppSKey
	Encrypted []byte    // FRMPayload as received
	Duplicate bool      // a later copy, from this or another gateway
	Radio     RadioInfo
	Frame     FrameInfo
}

// DownlinkRequest says that a transmit window is open for a device.
type DownlinkRequest struct {
	Meta
	TXTime   time.Time // planned start of RX1 (or of the immediate transmission)
	Deadline time.Time // an answer that arrives later misses that window
	Counter  uint32    // FCntDown that the frame will carry
	MaxSize  int       // largest FRMPayload that fits, bytes
}

// DownlinkEvent is a frame that was really transmitted, also a bare ACK or
// MAC commands that no AS asked for.
type DownlinkEvent struct {
	Meta
	Counter   uint32
	Port      uint8
	Payload   []byte // plaintext; nil where the edge doesn't know it
	Encrypted []byte
	Radio     RadioInfo
	Frame     FrameInfo
	Timing    Timing
}

// JoinRequest asks the AS, which holds the root key, for a join-accept.
type JoinRequest struct {
	Meta
	DevAddr  DevAddr // the address that the edge assigned
	DevNonce uint16
	NetID    [3]byte
	CFList   []byte // 16 bytes or nil
}

// StatusResponse is a DevStatusAns.
type StatusResponse struct {
	Meta
	Battery uint8 // 0 external, 1-254 level, 255 unknown
	SNR     int8  // demodulation margin of the last DevStatusReq, dB
	RXTime  time.Time
}

// Location is a device's estimated position.
type Location struct {
	Meta
	Solutions []Solution
}

// Solution is one position estimate.
type Solution struct {
	Lat, Lng  float64 // degrees
	Precision int     // metres
	Quality   int
	Method    string // "simple:moving"
}

// Level of a [Notice].
type Level uint8

// Levels of notices.
const (
	Info Level = iota
	Warning
	Error
)

// String is "info", "warning" or "error".
func (l Level) String() string { return [...]string{"info", "warning", "error"}[l] }

// Notice is an error, a warning or an information about a device's traffic.
type Notice struct {
	Meta
	Level   Level
	Code    string // stable identifier, see codes.go
	Message string // for people: what happened and what to do about it
	Timing  *Timing
}

// RadioInfo describes how a frame went over the air.
type RadioInfo struct {
	Freq     radio.Hertz
	DataRate int // LoRaWAN DR index of the region, -1 if unknown
	Mod      radio.Modulation
	Inverted bool
	Size     int           // PHYPayload bytes
	Time     time.Time     // end of an uplink, start of a downlink
	GPSTime  time.Duration // since the GPS epoch; 0 if unknown
	Delay    time.Duration // from the antenna to the edge
	Tmst     uint32
	IFChain  int
	RFChain  int
	CRC      radio.CRC
	RSSI     radio.DBm
	SNR      radio.DB
	Power    radio.DBm // downlinks
}

// FrameInfo is the LoRaWAN header, decoded.
type FrameInfo struct {
	MType       uint8
	Major       uint8
	Confirmed   bool
	ADR         bool
	ADRACKReq   bool // uplinks
	ACK         bool
	ClassB      bool // uplinks
	Pending     bool // downlinks
	MACCommands []MACCommand
}

// MACCommand is one command by its LoRaWAN name; Value marshals to the JSON
// object of its fields, named as in the specification.
type MACCommand struct {
	Name  string
	Value any
}

// Timing is the proof of one downlink: all instants on the counter of the
// gateway that sent it.
type Timing struct {
	Window  string        // "RX1", "RX2", "ClassB", "ClassC"
	Planned radio.Instant // what the window asks for
	Armed   radio.Instant
	Started radio.Instant
	Ended   radio.Instant
	Margin  time.Duration // armed before planned; of an answer that was not sent, its arrival before the deadline
	Late    string        // who was late: "", "as", "ns" or "chip"
}
