package client

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Types of messages.
const (
	TypeUplink          = "uplink"
	TypeDownlinkRequest = "downlink_request"
	TypeDownlink        = "downlink"
	TypeJoinRequest     = "join_request"
	TypeStatusResponse  = "status_response"
	TypeLocation        = "location"
	TypeError           = "error"
	TypeWarning         = "warning"
	TypeInfo            = "info"
)

// Message is one of the server's.
type Message struct {
	Type   string
	Meta   Meta
	Params json.RawMessage // see [Message.Decode]

	meta json.RawMessage // as it came: it goes back with an answer
}

// Meta says what a message is about. Texts are "" where the message has none.
type Meta struct {
	Network     string   `json:"network"`
	Application string   `json:"application"` // AppEUI or JoinEUI
	Device      string   `json:"device"`      // DevEUI, 16 lower-case hex digits
	DeviceAddr  string   `json:"device_addr"`
	Gateway     string   `json:"gateway"`
	PacketHash  string   `json:"packet_hash"` // the same for all copies of a frame, its requests and their answers
	PacketID    string   `json:"packet_id"`   // unique
	Time        Unix     `json:"time"`        // when the network server made the message
	Tags        []string `json:"tags"`
	History     bool     `json:"history"` // replayed
}

// Unix is a time in seconds since 1970 with microseconds.
type Unix float64

// Time is the same as a [time.Time], the zero one for 0.
func (u Unix) Time() time.Time {
	if u == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(math.Round(float64(u) * 1e6)))
}

// Uplink is what a device sent.
type Uplink struct {
	RXTime           Unix   `json:"rx_time"` // end of the frame
	Counter          uint32 `json:"counter_up"`
	Port             uint8  `json:"port"`
	Payload          []byte `json:"payload"` // nil where the server lacks the AppSKey
	EncryptedPayload []byte `json:"encrypted_payload"`
	Duplicate        bool   `json:"duplicate"`
}

// DownlinkRequest says that a transmit window is open.
type DownlinkRequest struct {
	TXTime  Unix   `json:"tx_time"`      // planned start of the transmission
	Cutoff  Unix   `json:"cutoff_time"`  // an answer that arrives later misses it
	Counter uint32 `json:"counter_down"` // that the frame will carry
	MaxSize int    `json:"max_size"`     // bytes
}

// Downlink was on the air.
type Downlink struct {
	Counter          uint32  `json:"counter_down"`
	Port             uint8   `json:"port"`
	Payload          []byte  `json:"payload"`
	EncryptedPayload []byte  `json:"encrypted_payload"`
	Timing           *Timing `json:"timing"`
}

// Timing is the proof of one downlink: µs on the gateway's counter.
type Timing struct {
	Window  string  `json:"window"`
	Planned int64   `json:"planned"`
	Armed   int64   `json:"armed"`
	Started int64   `json:"started"`
	Ended   int64   `json:"ended"`
	Margin  float64 `json:"margin"` // s
	Late    string  `json:"late"`   // who: "", "as", "ns" or "chip"
}

// Notice is an error, a warning or an info.
type Notice struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Timing  *Timing `json:"timing"`
}

// Decode reads Params into one of the types above, or any other.
func (m *Message) Decode(into any) error {
	if err := json.Unmarshal(m.Params, into); err != nil {
		return fmt.Errorf("params of %s: %w", m.Type, err)
	}
	return nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (m *Message) UnmarshalJSON(text []byte) error {
	var env struct {
		Type   string          `json:"type"`
		Meta   json.RawMessage `json:"meta"`
		Params json.RawMessage `json:"params"`
	}
	if err := json.Unmarshal(text, &env); err != nil {
		return err
	}
	m.Type, m.meta, m.Params = env.Type, env.Meta, env.Params
	if err := json.Unmarshal(env.Meta, &m.Meta); err != nil {
		return fmt.Errorf("meta of %s: %w", m.Type, err)
	}
	return nil
}

// outgoing is a message to the server.
type outgoing struct {
	Type   string `json:"type"`
	Meta   any    `json:"meta"`
	Params any    `json:"params,omitempty"`
}

// DownlinkResponse answers a downlink_request with a payload that the server
// encrypts, or with one that the application encrypted with the request's
// counter.
type DownlinkResponse struct {
	Payload          []byte `json:"payload,omitempty"`
	EncryptedPayload []byte `json:"encrypted_payload,omitempty"`
	Port             uint8  `json:"port,omitempty"` // 1 to 224; 0 means 1
	Confirmed        bool   `json:"confirmed,omitempty"`
	Pending          bool   `json:"pending,omitempty"`
	QueueIfLate      bool   `json:"queue_if_late,omitempty"` // else a late answer gets an error
}

// params is the message's, in which an empty payload is there.
func (r DownlinkResponse) params() any {
	type plain DownlinkResponse
	if len(r.Payload) > 0 || len(r.EncryptedPayload) > 0 {
		return plain(r)
	}
	return struct {
		plain
		Payload string `json:"payload"`
	}{plain: plain(r)}
}
