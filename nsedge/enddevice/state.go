package enddevice

import (
	"crypto/aes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// Key is an AES-128 key. It never prints itself; only as text, that is in a
// saved State, it is 32 hex digits.
type Key [16]byte

// String hides the key.
func (Key) String() string { return "(secret)" }

// GoString hides the key.
func (Key) GoString() string { return "(secret)" }

// LogValue hides the key.
func (Key) LogValue() slog.Value { return slog.StringValue("(secret)") }

// MarshalText implements encoding.TextMarshaler: 32 hex digits.
func (k Key) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText accepts 32 hex digits.
func (k *Key) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(k) {
		return fmt.Errorf("key of %d characters: 32 hex digits are wanted", len(text))
	}
	copy(k[:], b)
	return nil
}

// DevAddr is a device address, most significant byte first.
type DevAddr [4]byte

// String returns 8 lower-case hex digits.
func (a DevAddr) String() string { return hex.EncodeToString(a[:]) }

// MarshalText implements encoding.TextMarshaler.
func (a DevAddr) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, a[:]), nil }

// UnmarshalText accepts 8 hex digits.
func (a *DevAddr) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(a) {
		return fmt.Errorf("%q is no DevAddr: 8 hex digits are wanted", text)
	}
	copy(a[:], b)
	return nil
}

// Session is what an activation makes.
type Session struct {
	DevAddr  DevAddr
	NwkSKey  Key // FNwkSIntKey in LoRaWAN 1.1
	AppSKey  Key
	FCntUp   uint32 // of the next uplink
	FCntDown uint32 // the lowest that the next downlink may have; of NFCntDown in 1.1

	// LoRaWAN 1.1.
	V11         bool   `json:",omitempty"` // the session is one of 1.1
	SNwkSIntKey Key    `json:",omitzero"`
	NwkSEncKey  Key    `json:",omitzero"`
	AFCntDown   uint32 `json:",omitempty"`
	ConfDown    uint32 `json:",omitempty"` // counter of the last confirmed downlink, which its ACK is signed with
	Indicate    bool   `json:",omitempty"` // RekeyInd or ResetInd are not confirmed yet
	ModeKnown   bool   `json:",omitempty"` // DeviceModeInd is
	RJCount0    uint32 `json:",omitempty"` // of the next rejoin-request of type 0 or 2
}

// State is what a device must not forget. It can be stored as JSON.
type State struct {
	Joins     uint32 // join-requests sent so far, by which DevNonces are made
	JoinNonce uint32 `json:",omitempty"` // the lowest that the next join-accept may have; 1.1
	RJCount1  uint32 `json:",omitempty"` // of the next rejoin-request of type 1
	// Joined says whether there is a session.
	Joined bool
	Session

	DataRate  int
	TXPower   int // index of LinkADRReq
	NbTrans   int
	MaxDuty   uint8 // of DutyCycleReq: 1/2^n of the time
	RX1Delay  int   // seconds
	RX1Offset int
	RX2Freq   radio.Hertz
	RX2DR     int
	Channels  []Channel
	Dwell     *region.Dwell // of TXParamSetupReq
	MaxEIRP   *radio.DBm    // of TXParamSetupReq

	BeaconFreq radio.Hertz // of BeaconFreqReq; 0 is the region's
	PingFreq   radio.Hertz // of PingSlotChannelReq; 0 is the region's
	PingDR     *int        // of the same; nil is the region's
	GroupDown  []uint32    // FCntDown of Config.Groups

	// LoRaWAN 1.1.
	NetID       lorawan.NetID `json:",omitzero"`
	AckLimit    int           `json:",omitempty"` // of ADRParamSetupReq; 0 is the region's
	AckDelay    int           `json:",omitempty"`
	RejoinTime  time.Duration `json:",omitempty"` // of RejoinParamSetupReq
	RejoinCount int           `json:",omitempty"` // 0: it never came
	Since       int           `json:",omitempty"` // uplinks since the last join or rejoin-request
	SinceTime   radio.Instant `json:",omitempty"` // and when that was
}

// Channel is an uplink channel.
type Channel struct {
	Index        int
	Freq         radio.Hertz
	MinDR, MaxDR int
	Down         radio.Hertz // of RX1, set by DlChannelReq; 0 is the region's rule
	Enabled      bool
}

func (s State) clone() State {
	s.Channels, s.GroupDown = slices.Clone(s.Channels), slices.Clone(s.GroupDown)
	return s
}

// reset sets what an activation resets: everything but the count of joins.
func (d *Device) reset() {
	r := d.cfg.Region
	d.region = r
	s := State{Joins: d.st.Joins, JoinNonce: d.st.JoinNonce, RJCount1: d.st.RJCount1, SinceTime: d.m.Now(), GroupDown: d.st.GroupDown, NbTrans: 1, RX1Delay: int(r.Delays().RX1.Seconds())}
	s.RX2Freq, s.RX2DR = r.RX2()
	channels := r.JoinChannels()
	if d.cfg.ABP != nil {
		s.RX2Freq, s.RX2DR = r.PersonalisedRX2()
		if d.all != nil {
			channels = r.Channels()
		}
	}
	for _, c := range channels {
		s.Channels = append(s.Channels, Channel{Index: c.Index, Freq: c.Freq, MinDR: c.MinDR, MaxDR: c.MaxDR, Enabled: true})
	}
	d.st = s
	d.st.DataRate = d.st.nearestDR(d.cfg.DataRate)
	d.answers, d.ack, d.unheard, d.unanswer, d.quiet, d.forced, d.b = nil, false, 0, 0, 0, nil, tracker{}
}

// readRegion takes the dwell times of the state into account.
func (d *Device) readRegion() error {
	if d.st.Dwell == nil {
		return nil
	}
	r, err := region.Lookup(d.cfg.Region.Short(), region.WithDwell(*d.st.Dwell))
	if err != nil {
		return fmt.Errorf("dwell times of device %v: %w", d.cfg.DevEUI, err)
	}
	d.region = r
	return nil
}

// nearestDR returns the data rate closest to dr that an enabled channel has.
func (s *State) nearestDR(dr int) int {
	best, distance := dr, 100
	for _, c := range s.Channels {
		near := min(max(dr, c.MinDR), c.MaxDR)
		if off := max(near-dr, dr-near); c.Enabled && off < distance {
			best, distance = near, off
		}
	}
	return best
}

// usable tells whether an enabled channel has the data rate.
func usable(channels []Channel, dr int) bool {
	return slices.ContainsFunc(channels, func(c Channel) bool { return c.Enabled && c.MinDR <= dr && dr <= c.MaxDR })
}

// fixedChannels lists all channels of a region in which they are fixed.
func fixedChannels(r *region.Region) []Channel {
	if r.Group() == 0 {
		return nil
	}
	var out []Channel
	for n := 1; ; n++ {
		g, err := region.Lookup(fmt.Sprintf("%s-%d", r.Name(), n))
		if err != nil {
			break
		}
		for _, c := range g.Channels() {
			out = append(out, Channel{Index: c.Index, Freq: c.Freq, MinDR: c.MinDR, MaxDR: c.MaxDR})
		}
	}
	slices.SortFunc(out, func(a, b Channel) int { return a.Index - b.Index })
	return out
}

// sessionKeys derives the keys of a join (§6.2.6): AES of the root key over
// the type, JoinNonce, NetID and DevNonce, least significant bytes first.
func sessionKeys(appKey Key, joinNonce uint32, netID uint32, devNonce uint16) (nwk, app Key) {
	block, err := aes.NewCipher(appKey[:])
	if err != nil {
		panic(err) // only for keys that are not 16 bytes
	}
	in := [16]byte{
		1: byte(joinNonce), 2: byte(joinNonce >> 8), 3: byte(joinNonce >> 16),
		4: byte(netID), 5: byte(netID >> 8), 6: byte(netID >> 16),
		7: byte(devNonce), 8: byte(devNonce >> 8),
	}
	in[0] = 1
	block.Encrypt(nwk[:], in[:])
	in[0] = 2
	block.Encrypt(app[:], in[:])
	return nwk, app
}
