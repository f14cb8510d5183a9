package lab

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gatewayd/radio"
)

// Kind names what a fault does.
type Kind string

// The faults. Amount is what their number means.
const (
	Drop      Kind = "drop"      // the frame is lost
	Delay     Kind = "delay"     // an uplink reaches the network server later; Amount µs
	Shift     Kind = "shift"     // a downlink starts later, or earlier; Amount µs
	MIC       Kind = "mic"       // a bit of the MIC is wrong
	Counter   Kind = "counter"   // the counter differs by Amount, with a right MIC; wants the session's key
	DevNonce  Kind = "devnonce"  // a join-request's DevNonce differs by Amount, with a right MIC; wants the AppKey
	Ack       Kind = "ack"       // a downlink doesn't acknowledge though it should (NACK); wants the session's key
	Frequency Kind = "frequency" // a downlink is sent Amount Hz beside
	DataRate  Kind = "datarate"  // a downlink is sent with the spreading factor Amount
	IQ        Kind = "iq"        // a downlink is sent with I/Q as an uplink
	Sync      Kind = "sync"      // a downlink is sent with the sync word Amount
	Truncate  Kind = "truncate"  // the last Amount bytes are missing
	CRC       Kind = "crc"       // an uplink arrives with a bad CRC
	Twice     Kind = "twice"     // the frame comes again after Amount µs
	Commands  Kind = "commands"  // a downlink carries Fault.Commands: Amount 0 in FOpts, 1 on port 0; wants the session's key
	RX2       Kind = "rx2"       // a downlink of RX1 goes out in RX2 instead: Amount µs later, on Fault.Freq and with Fault.Mod
	Silent    Kind = "silent"    // nothing goes either way
)

// trait is what a kind can do and needs.
type trait struct {
	up, down  bool
	amount    bool // is one needed
	low, high int64
	key       bool // wants Keys
}

const second = int64(time.Second / time.Microsecond)

func traits() map[Kind]trait {
	return map[Kind]trait{
		Drop:      {up: true, down: true},
		Delay:     {up: true, amount: true, low: 1, high: 60 * second},
		Shift:     {down: true, amount: true, low: -second, high: 60 * second},
		MIC:       {up: true, down: true},
		Counter:   {up: true, down: true, amount: true, low: -65535, high: 65535, key: true},
		DevNonce:  {up: true, amount: true, low: -65535, high: 65535, key: true},
		Ack:       {down: true, key: true},
		Frequency: {down: true, amount: true, low: -10e6, high: 10e6},
		DataRate:  {down: true, amount: true, low: 5, high: 12},
		IQ:        {down: true},
		Sync:      {down: true, amount: true, low: 0, high: 255},
		Truncate:  {up: true, down: true, amount: true, low: 1, high: 255},
		CRC:       {up: true},
		Twice:     {up: true, down: true, amount: true, low: 1000, high: 60 * second},
		Commands:  {down: true, amount: true, low: 0, high: 1, key: true},
		RX2:       {down: true, amount: true, low: second, high: second},
		Silent:    {up: true, down: true},
	}
}

// Kinds are all there are, in order.
func Kinds() []Kind { return slices.Sorted(maps.Keys(traits())) }

// Direction of frames that a fault hits.
type Direction string

// Directions. The zero value is the one that the kind has, or both.
const (
	Up   Direction = "up"
	Down Direction = "down"
)

// Fault is one planned mishap. It ends by itself after Count frames or at
// Until, whichever is first.
type Fault struct {
	ID        uint64           `json:"id"`
	Kind      Kind             `json:"kind"`
	Direction Direction        `json:"direction,omitempty"`
	Device    radio.EUI64      `json:"device,omitzero"` // zero: all
	Frame     Frame            `json:"frame,omitempty"` // "": all
	Amount    int64            `json:"amount,omitempty"`
	After     int              `json:"after,omitempty"`    // so many fitting frames pass first
	Count     int              `json:"count,omitempty"`    // 0 is one; -1 is until Until or [Layer.Disarm]
	Commands  []byte           `json:"commands,omitempty"` // MAC commands of the kind Commands
	Freq      radio.Hertz      `json:"freq,omitempty"`     // of RX2, with the next
	Mod       radio.Modulation `json:"-"`
	Until     time.Time        `json:"until,omitzero"` // zero: no end but Count's
	Hits      int              `json:"hits"`           // so far
}

// ErrFault says that a fault makes no sense; it is wrapped with the field, its
// value and what is allowed.
var ErrFault = errors.New("bad fault")

// check completes a fault, or says what is wrong with it; known tells whether
// the device's keys are.
func (f *Fault) check(known bool) error {
	bad := func(field string, value any, allowed string) error {
		return fmt.Errorf("%w: %s is %v; %s", ErrFault, field, value, allowed)
	}
	tr, ok := traits()[f.Kind]
	switch {
	case !ok:
		return bad("kind", fmt.Sprintf("%q", f.Kind), "allowed are "+joined(Kinds()))
	case f.Direction != "" && f.Direction != Up && f.Direction != Down:
		return bad("direction", fmt.Sprintf("%q", f.Direction), `allowed are "up", "down" and "" for both`)
	case f.Direction == Up && !tr.up, f.Direction == Down && !tr.down:
		return bad("direction", fmt.Sprintf("%q", f.Direction), fmt.Sprintf("%q is for the other one", f.Kind))
	case tr.amount && (f.Amount < tr.low || f.Amount > tr.high || f.Amount == 0 && tr.low != 0):
		return bad("amount", f.Amount, fmt.Sprintf("%q takes %d to %d", f.Kind, tr.low, tr.high))
	case !slices.Contains(frames(), f.Frame):
		return bad("frame", fmt.Sprintf("%q", f.Frame), "allowed are "+joined(frames()))
	case f.After < 0:
		return bad("after", f.After, "0 or more is allowed")
	case f.Count < -1:
		return bad("count", f.Count, "-1 (no end), or 1 and more are allowed")
	case (f.Kind == Commands) != (len(f.Commands) > 0), f.Amount == 0 && len(f.Commands) > maxFOpts:
		return bad("commands", fmt.Sprintf("%d bytes", len(f.Commands)), fmt.Sprintf("the kind %q alone takes some, %d at most unless they are on port 0", Commands, maxFOpts))
	case (f.Kind == RX2) != (f.Mod != nil && f.Freq > 0):
		return bad("mod", f.Mod, fmt.Sprintf("the kind %q alone takes frequency and modulation", RX2))
	case tr.key && !known:
		return bad("device", f.Device, fmt.Sprintf("%q signs the frame anew: name a device whose keys this gateway holds", f.Kind))
	}
	if f.Count == 0 {
		f.Count = 1
	}
	if f.Kind == Silent {
		f.Count = -1
	}
	return nil
}

// check11 says what can't be done in a session of LoRaWAN 1.1.
func (f *Fault) check11(k Keys) error {
	switch {
	case k.V11 && f.Kind == Counter && f.Direction != Down:
		return fmt.Errorf("%w: direction is %q; in LoRaWAN 1.1 uplinks sign their data rate and channel, too, so that only %q can be signed anew", ErrFault, f.Direction, Down)
	case k.V11 && f.Kind == Commands && f.Amount == 1:
		return fmt.Errorf("%w: amount is 1; in LoRaWAN 1.1 port 0 has a counter of its own, so that MAC commands can go in FOpts (0) only", ErrFault)
	}
	return nil
}

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = fmt.Sprintf("%q", string(w))
	}
	return strings.Join(words, ", ")
}
