package nsedge

import (
	"context"
	"fmt"
	"time"

	"gatewayd/radio"
)

// Air is a gateway's radio as the edge sees it. A local concentrator has this
// shape, and so have remote gateways.
type Air interface {
	// Uplinks are frames as they are heard, duplicates and noise included.
	Uplinks() <-chan radio.Uplink
	// Reports are the fates of scheduled downlinks, one for each that
	// Schedule accepted.
	Reports() <-chan radio.Report
	// Schedule plans a transmission. The error is nil or wraps one of
	// radio.ErrTooLate, ErrTooEarly, ErrCollision, ErrPower, ErrFrequency,
	// ErrDutyCycle, ErrFrame, ErrStopped; then no Report follows. An Air that
	// can't withdraw what it has taken refuses a Downlink that Replaces another
	// with ErrTooLate.
	Schedule(context.Context, radio.Downlink) error
	// Lead is how long before its start a downlink must be scheduled.
	Lead(radio.Downlink) time.Duration
}

// Answer is what an AS asks of the edge: a [DownlinkResponse], a
// [JoinResponse], a [StatusRequest] or a [Claim].
type Answer interface{ answer() }

// DownlinkResponse answers a [DownlinkRequest]. It is matched by PacketHash;
// where that is zero, by Device, if exactly one request of it is open.
type DownlinkResponse struct {
	PacketHash  PacketHash
	Device      radio.EUI64
	Payload     []byte // plaintext, or
	Encrypted   []byte // FRMPayload that the AS encrypted with Counter
	HasPayload  bool   // Payload was given, be it empty
	Port        uint8  // 0 means 1
	Confirmed   bool
	Pending     bool
	Counter     *uint32 // upwards only; nil or an echo is no override
	QueueIfLate bool

	// MAC are MAC commands for the device, as bytes: at most 15. They go with
	// the next frames and are repeated until the device answers; then nothing
	// else of the response is used.
	MAC []byte
}

// JoinResponse answers a [JoinRequest].
type JoinResponse struct {
	PacketHash PacketHash
	Device     radio.EUI64
	NwkSKey    [16]byte // FNwkSIntKey in LoRaWAN 1.1
	Accept     []byte   // encrypted join-accept without MHDR, 16 or 32 bytes

	OptNeg      bool // the session is one of LoRaWAN 1.1, and so is the join-accept
	SNwkSIntKey [16]byte
	NwkSEncKey  [16]byte
	JoinEUI     radio.EUI64 // if given, it must be the device's
}

// StatusRequest asks a device for its status.
type StatusRequest struct {
	Device  radio.EUI64
	Gateway *radio.EUI64
}

// Claim asks for a transmit opportunity.
type Claim struct {
	Device  radio.EUI64
	Gateway *radio.EUI64
	Network string
}

func (DownlinkResponse) answer() {}
func (JoinResponse) answer()     {}
func (StatusRequest) answer()    {}
func (Claim) answer()            {}

// Refusal is why the edge did not take an [Answer] or a device: it goes back
// to the one who asked.
type Refusal struct {
	Code    string  // stable identifier
	Field   string  // which field is wrong, "" if none
	Message string  // what is wrong, what is allowed, what to do
	Timing  *Timing // where an answer came too late
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.Field == "" {
		return fmt.Sprintf("%s: %s", r.Code, r.Message)
	}
	return fmt.Sprintf("%s: %s: %s", r.Code, r.Field, r.Message)
}
