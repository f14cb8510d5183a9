package nsedge

import (
	"time"

	"gatewayd/radio"
)

// Activation of a device.
type Activation string

// Encryption says who holds a device's application keys.
type Encryption string

// Activations and encryptions.
const (
	OTAA Activation = "OTAA"
	ABP  Activation = "ABP"

	KeysAtNS  Encryption = "NS"  // the edge holds AppKey or AppSKey
	KeysAtApp Encryption = "APP" // the AS holds them
)

// Key is an AES-128 key. It never prints itself.
type Key [16]byte

// String hides the key.
func (Key) String() string { return "(secret)" }

// GoString hides the key.
func (Key) GoString() string { return "(secret)" }

// Device is what was registered, and what is known of its session. Pointers
// are nil where nothing is known.
type Device struct {
	DevEUI     radio.EUI64
	AppEUI     radio.EUI64 // or JoinEUI
	Activation Activation
	Encryption Encryption
	Class      string // "A", "B" or "C"
	Band       string // "" is the gateway's
	Tags       []string
	Org        string

	AppKey *Key // 1.0 root key; AppKey of 1.1
	NwkKey *Key // 1.1

	// The session: given for ABP, made by the join for OTAA. Those of LoRaWAN
	// 1.1 have SNwkSIntKey and NwkSEncKey.
	DevAddr        *DevAddr
	NwkSKey        *Key // FNwkSIntKey in 1.1
	SNwkSIntKey    *Key
	NwkSEncKey     *Key
	AppSKey        *Key
	CounterUp      uint32 // next expected FCntUp
	CounterDown    uint32 // next FCntDown; NFCntDown in 1.1
	CounterDownApp uint32 // next AFCntDown; 0 in 1.0

	Version       string // of LoRaWAN: "1.0.0" to "1.0.4" or "1.1", "1.0.3" by default
	Policy        Policy // towards counters and DevNonces; by StrictCounter if it is ""
	CountersSize  int    // 2 or 4 bytes, 4 by default
	StrictCounter bool   // refuse counters that go back: the same as PolicyStrict

	ADR        ADR
	RX1Delay   int // seconds, 0 is the region's
	RX1Current int // what the device uses now; read only, 0 is unknown
	RX2Force   bool

	// What the device is asked for by MAC commands. nil, 0 or empty leaves it
	// as it is.
	MAC              string // MACHandsOff asks nothing; "" is the default
	RX1Offset        *int
	RX2DataRate      *int
	RX2Freq          radio.Hertz
	MaxDutyCycle     *int              // 1/2^n of the time, 0 to 15
	DownlinkChannels []DownlinkChannel // where RX1 of a channel is
	ADRParam         *ADRParam         // LoRaWAN 1.1
	RejoinParam      *RejoinParam      // LoRaWAN 1.1
	PingSlots        PingSlots         // where a class B device should listen

	// Multicast makes it a group: it never sends, and many devices hear what
	// is sent to it. Its session is given; of class C, it listens where RX2
	// is, of class B in its PingSlots.
	Multicast bool
	Repeat    int // how often each frame to a group is sent again, 0 to 3

	BlockUplink   bool
	BlockDownlink bool
	Geolocation   *Position

	LastActivity time.Time
	LastJoin     time.Time
}

// ADR settings of a device.
type ADR struct {
	Mode     string // "on", "off" or "static"
	DataRate *int
	TXPower  *int
}

// Position of a device or gateway.
type Position struct {
	Lat, Lng  float64 // degrees
	Precision int     // metres
}
