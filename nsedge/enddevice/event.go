package enddevice

import (
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/classb"
	"gatewayd/radio/air"
)

// Event is what a device tells: [Joining], [Joined], [Sent], [Received],
// [Rejected]; in class B also [Beacon], [BeaconMissed], [ClassChanged].
type Event interface{ event() }

// Joining is a join-request on the air; it is told when it has ended.
type Joining struct {
	air.Transmission
	DevNonce uint16 // RJcount of a rejoin-request
	DataRate int
	Type     lorawan.JoinType // 0xff, or that of a rejoin-request
}

// Joined is a join-accept that was taken.
type Joined struct {
	Arrival
	DevAddr   DevAddr
	NetID     uint32
	JoinNonce uint32
	DevNonce  uint16
	Type      lorawan.JoinType // of the request
}

// Sent is an uplink on the air; it is told when it has ended.
type Sent struct {
	air.Transmission
	FCnt      uint32
	Port      uint8
	DataRate  int
	Attempt   int // from 1
	Confirmed bool
	ACK       bool
}

// Received is a downlink for this device whose MIC was right.
type Received struct{ Downlink }

// Rejected is a frame for this device that it did not take.
type Rejected struct {
	Arrival
	Reason error
}

func (Joining) event()  {}
func (Joined) event()   {}
func (Sent) event()     {}
func (Received) event() {}
func (Rejected) event() {}

// Beacon is a beacon that a class B device heard.
type Beacon struct {
	Arrival
	classb.Beacon
}

// BeaconMissed is a beacon that didn't come, or wasn't heard.
type BeaconMissed struct{ InARow int }

// ClassChanged tells that a class B device is in class "B" now, or back in "A".
type ClassChanged struct{ Class string }

func (Beacon) event()       {}
func (BeaconMissed) event() {}
func (ClassChanged) event() {}

// Arrival is when and where a frame was received.
type Arrival struct {
	air.Reception
	Window string           // "RX1", "RX2", "RXC", "ping" or "beacon"
	Uplink air.Transmission // the latest before; zero outside of the windows after one
	Delay  time.Duration    // from the end of the uplink to the first preamble symbol
	Offset time.Duration    // Delay less the delay of the window; 0 is to the microsecond, negative is early; in class B from where the device expected it; 0 for RXC
}

// between tells whether it was received in RXC or in a ping slot.
func (a *Arrival) between() bool { return a.Window == "RXC" || a.Window == "ping" }

// Downlink is a data frame.
type Downlink struct {
	Arrival
	FCnt      uint32 // all 32 bits
	Port      uint8  // 0 where the frame has none, or MAC commands
	Payload   []byte // plaintext of the application
	Confirmed bool
	ACK       bool
	Pending   bool
	Commands  []lorawan.MACCommand // of FOpts or of port 0
	Group     *Group               // that it was for; nil: this device alone
}

// Result of an uplink.
type Result struct {
	FCnt     uint32
	Uplinks  []air.Transmission // repetitions included
	Acked    bool
	Downlink *Downlink // what ended the repetitions, nil if nothing came
}
