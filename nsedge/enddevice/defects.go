package enddevice

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/classb"
)

// Defect is one planted mistake of a device, for tests of tests: a suite that
// does not find it is of no use. The code asks [Device.has] where it goes
// wrong, and nothing else knows of defects.
type Defect string

// Defects of activation.
const (
	SameDevNonce     Defect = "same-devnonce"        // every join-request has the same DevNonce
	DevNonceBack     Defect = "devnonce-back"        // DevNonces count down
	ForgetsNonces    Defect = "forgets-nonces"       // after a power cycle it joins with DevNonces that it used before
	JoinHammering    Defect = "join-hammering"       // join-requests without back-off
	BadAccept        Defect = "bad-accept"           // takes a join-accept whose MIC is wrong
	NoJoinRX2        Defect = "no-join-rx2"          // hears join-accepts in RX1 only
	WrongDevAddr     Defect = "wrong-devaddr"        // uses another DevAddr than it was given
	IgnoresCFList    Defect = "ignores-cflist"       // does not add the channels of the join-accept
	IgnoresRXDelay   Defect = "ignores-rxdelay"      // RxDelay of the join-accept is 1 s to it
	IgnoresRX1Offset Defect = "ignores-rx1-offset"   // RX1DROffset of the join-accept is 0 to it
	IgnoresRX2Rate   Defect = "ignores-rx2-datarate" // RX2DataRate of the join-accept is the region's to it
)

// Defects of receive windows.
const (
	RX1Late      Defect = "rx1-late"      // RX1 opens 200 ms late
	NoRX1        Defect = "no-rx1"        // only RX2 is opened
	NoRX2        Defect = "no-rx2"        // only RX1 is opened
	NarrowWindow Defect = "narrow-window" // hears frames that start within 10 µs of the window's begin only
	DeafRXC      Defect = "deaf-rxc"      // class C: does not listen between its windows
	DeafPings    Defect = "deaf-pings"    // class B: does not listen in ping slots
	WrongPings   Defect = "wrong-pings"   // class B: reckons its ping slots with a wrong address
	LeavesB      Defect = "leaves-b"      // class B: is back in class A after one beacon that it missed
	StaysInB     Defect = "stays-in-b"    // class B: goes on for ever without beacons
	DeafGroup    Defect = "deaf-group"    // does not hear its multicast group
)

// Defects of what is done with downlinks.
const (
	AcceptsReplays  Defect = "accepts-replays"       // does not check FCntDown
	AcceptsWrongMIC Defect = "accepts-wrong-mic"     // does not check the MIC of data frames
	WrongPort0Key   Defect = "wrong-port0-key"       // decrypts MAC commands of port 0 with the AppSKey
	NeverAcks       Defect = "never-acks"            // does not acknowledge confirmed downlinks
	AcksForever     Defect = "acks-forever"          // goes on acknowledging
	SixteenBits     Defect = "sixteen-bits"          // counters have 16 bits though they should have 32
	OneCounter11    Defect = "one-counter-11"        // 1.1: counts an application's downlinks with NFCntDown
	GroupMIC        Defect = "accepts-group-mic"     // does not check the MIC of frames to its multicast group
	GroupReplays    Defect = "accepts-group-replays" // does not check the counter of its multicast group
	AcksGroup       Defect = "acks-group"            // acknowledges frames to its multicast group
)

// Defects of rejoining, LoRaWAN 1.1.
const (
	NoRejoin       Defect = "no-rejoin"       // ForceRejoinReq is nothing to it
	SameRJCount    Defect = "same-rjcount"    // every rejoin-request has the same counter
	ForgetsSession Defect = "forgets-session" // a rejoin-request that nobody answers ends the session
	KeepsSession   Defect = "keeps-session"   // goes on with the old session after a rejoin
	ResetsRadio    Defect = "resets-radio"    // resets its radio after a rejoin of type 2, too
)

// Defects of uplinks.
const (
	OneChannel      Defect = "one-channel"       // never hops
	OffPlan         Defect = "off-plan"          // sends on channels outside of its plan, too
	NoDuty          Defect = "no-duty-cycle"     // ignores the regulator's duty cycle, and sends again and again
	LongPayload     Defect = "long-payload"      // sends more than the data rate allows
	FrozenCounter   Defect = "frozen-counter"    // FCntUp does not rise
	RestartsCounter Defect = "restarts-counter"  // FCntUp begins again after a power cycle
	NoRetransmit    Defect = "no-retransmit"     // sends a confirmed uplink once
	NewCounterAgain Defect = "new-counter-again" // repeats a confirmed uplink with another FCntUp
	NoADRAckReq     Defect = "no-adr-ack-req"    // never asks whether it is still heard
	NoBackOff       Defect = "no-back-off"       // keeps its data rate where nobody answers
	NoRekey         Defect = "no-rekey"          // 1.1: does not send RekeyInd
	PlainFOpts      Defect = "plain-fopts"       // 1.1: does not encrypt FOpts
)

// Defects of MAC commands. "Ignores" is no answer, "feigns" an answer that
// promises what is then not done.
const (
	RefusesMAC        Defect = "refuses-mac"        // refuses whatever it can refuse
	IgnoresDevStatus  Defect = "ignores-devstatus"  // DevStatusReq
	IgnoresLinkADR    Defect = "ignores-linkadr"    // LinkADRReq
	IgnoresDutyCycle  Defect = "ignores-dutycycle"  // DutyCycleReq
	IgnoresRXParam    Defect = "ignores-rxparam"    // RXParamSetupReq
	IgnoresRXTiming   Defect = "ignores-rxtiming"   // RXTimingSetupReq
	IgnoresNewChannel Defect = "ignores-newchannel" // NewChannelReq
	IgnoresDLChannel  Defect = "ignores-dlchannel"  // DlChannelReq
	IgnoresTXParam    Defect = "ignores-txparam"    // TxParamSetupReq
	FeignsLinkADR     Defect = "feigns-linkadr"
	FeignsDutyCycle   Defect = "feigns-dutycycle"
	FeignsRXParam     Defect = "feigns-rxparam"
	FeignsRXTiming    Defect = "feigns-rxtiming"
	FeignsNewChannel  Defect = "feigns-newchannel"
	FeignsDLChannel   Defect = "feigns-dlchannel"

	IgnoresPingChannel Defect = "ignores-pingchannel" // class B: PingSlotChannelReq
	FeignsPingChannel  Defect = "feigns-pingchannel"
	IgnoresADRParam    Defect = "ignores-adrparam" // 1.1: ADRParamSetupReq
	FeignsADRParam     Defect = "feigns-adrparam"
	IgnoresRejoinParam Defect = "ignores-rejoinparam" // 1.1: RejoinParamSetupReq
	FeignsRejoinParam  Defect = "feigns-rejoinparam"

	HalfLinkADR    Defect = "half-linkadr"    // does what it can of a LinkADRReq that it refuses
	IgnoresMask    Defect = "ignores-chmask"  // obeys LinkADRReq but for its channel mask
	IgnoresPower   Defect = "ignores-txpower" // obeys LinkADRReq but for its power
	IgnoresNbTrans Defect = "ignores-nbtrans" // obeys LinkADRReq but for its repetitions
	StickyOnce     Defect = "sticky-once"     // sends answers once that it should repeat until they are heard
)

// ignores are the commands that a defect lets go unanswered.
func ignores() map[Defect]lorawan.CID {
	return map[Defect]lorawan.CID{
		IgnoresDevStatus: lorawan.DevStatusReq, IgnoresLinkADR: lorawan.LinkADRReq, IgnoresDutyCycle: lorawan.DutyCycleReq,
		IgnoresRXParam: lorawan.RXParamSetupReq, IgnoresRXTiming: lorawan.RXTimingSetupReq, IgnoresNewChannel: lorawan.NewChannelReq,
		IgnoresDLChannel: lorawan.DLChannelReq, IgnoresTXParam: lorawan.TXParamSetupReq, IgnoresPingChannel: lorawan.PingSlotChannelReq,
		IgnoresADRParam: lorawan.ADRParamSetupReq, IgnoresRejoinParam: lorawan.RejoinParamSetupReq, NoRejoin: lorawan.ForceRejoinReq,
	}
}

// feigns are the commands that a defect answers without obeying.
func feigns() map[Defect]lorawan.CID {
	return map[Defect]lorawan.CID{
		FeignsLinkADR: lorawan.LinkADRReq, FeignsDutyCycle: lorawan.DutyCycleReq, FeignsRXParam: lorawan.RXParamSetupReq,
		FeignsRXTiming: lorawan.RXTimingSetupReq, FeignsNewChannel: lorawan.NewChannelReq, FeignsDLChannel: lorawan.DLChannelReq,
		FeignsPingChannel: lorawan.PingSlotChannelReq, FeignsADRParam: lorawan.ADRParamSetupReq, FeignsRejoinParam: lorawan.RejoinParamSetupReq,
	}
}

// Defects are all there are, in order.
func Defects() []Defect {
	list := []Defect{
		SameDevNonce, DevNonceBack, ForgetsNonces, JoinHammering, BadAccept, NoJoinRX2, WrongDevAddr, IgnoresCFList, IgnoresRXDelay, IgnoresRX1Offset, IgnoresRX2Rate,
		RX1Late, NoRX1, NoRX2, NarrowWindow, DeafRXC, DeafPings, WrongPings, LeavesB, StaysInB, DeafGroup,
		AcceptsReplays, AcceptsWrongMIC, WrongPort0Key, NeverAcks, AcksForever, SixteenBits, OneCounter11, GroupMIC, GroupReplays, AcksGroup, SameRJCount, ForgetsSession, KeepsSession, ResetsRadio,
		OneChannel, OffPlan, NoDuty, LongPayload, FrozenCounter, RestartsCounter, NoRetransmit, NewCounterAgain, NoADRAckReq, NoBackOff, NoRekey, PlainFOpts,
		RefusesMAC, HalfLinkADR, IgnoresMask, IgnoresPower, IgnoresNbTrans, StickyOnce,
	}
	list = slices.AppendSeq(list, maps.Keys(ignores()))
	list = slices.AppendSeq(list, maps.Keys(feigns()))
	slices.Sort(list)
	return list
}

// has tells whether the device has a defect.
func (d *Device) has(x Defect) bool { return d.cfg.Defect == x }

const (
	lateBy      = 200 * time.Millisecond // RX1Late
	narrow      = 10 * time.Microsecond  // NarrowWindow
	beside      = 100_000                // Hz, OffPlan
	overlong    = 8                      // bytes, LongPayload
	mostPayload = 255 - 13               // what a radio can send at all
	sameNonce   = 0x1234                 // SameDevNonce
)

// plant changes a configuration where the defect is no more than that.
func (c *Config) plant() {
	switch c.Defect {
	case NarrowWindow:
		c.Tolerance = narrow
	case NoDuty:
		c.NoDutyCycle = true
	case NoRetransmit:
		c.Retries = 1
	}
}

// misremember spoils what a device knows after a power cycle.
func (d *Device) misremember() {
	switch {
	case d.has(ForgetsNonces):
		d.st = State{}
	case d.has(RestartsCounter):
		d.st.FCntUp = 0
	}
}

// misopen spoils the windows after an uplink.
func (d *Device) misopen(slots []slot) []slot {
	shut := map[Defect]string{NoRX1: "RX1", NoRX2: "RX2", DeafRXC: "RXC"}[d.cfg.Defect]
	if !d.st.Joined {
		shut = map[Defect]string{NoJoinRX2: "RX2"}[d.cfg.Defect]
	}
	return slices.DeleteFunc(slots, func(s slot) bool { return s.name == shut })
}

// mischoose spoils the choice among free channels.
func (d *Device) mischoose(free []Channel, dr int) Channel {
	c := free[d.rnd.IntN(len(free))]
	if !d.has(OffPlan) || d.rnd.IntN(4) > 0 {
		return c
	}
	if d.all == nil {
		c.Freq += beside
		return c
	}
	for _, other := range d.all {
		if !slices.ContainsFunc(d.st.Channels, func(c Channel) bool { return c.Index == other.Index }) && other.MinDR <= dr && dr <= other.MaxDR {
			return other
		}
	}
	return c
}

// heeded are the commands that the device does not ignore.
func (d *Device) heeded(list []lorawan.MACCommand) []lorawan.MACCommand {
	cid, ok := ignores()[d.cfg.Defect]
	if !ok {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(c lorawan.MACCommand) bool { return c.CID == cid })
}

// feigned undoes what was done for a command that was only feigned.
func (d *Device) feigned(cid lorawan.CID, before State) {
	if f, ok := feigns()[d.cfg.Defect]; ok && f == cid || d.has(RefusesMAC) {
		before.Session = d.st.Session
		d.st = before
	}
}

// misobey spoils what a LinkADRReq did.
func (d *Device) misobey(before State, refused bool, last *lorawan.LinkADRReqPayload) {
	switch {
	case refused && d.has(HalfLinkADR):
		d.st.DataRate = int(last.DataRate)
	case d.has(IgnoresMask):
		d.st.Channels = before.Channels
	case d.has(IgnoresPower):
		d.st.TXPower = before.TXPower
	case d.has(IgnoresNbTrans):
		d.st.NbTrans = before.NbTrans
	}
}

// refusal is the answer of a device that refuses what can be refused: those
// are the answers that have a status.
func refusal(cid lorawan.CID, answer []byte) []byte {
	if len(answer) == 2 && cid != lorawan.PingSlotInfoReq {
		answer[1] = 0
	}
	return answer
}

// counterOf is the counter that a downlink is checked against.
func (d *Device) counterOf(app bool) *uint32 { return d.st.counter(app && !d.has(OneCounter11)) }

// nextCounter is the lowest counter that the next downlink may have.
func (d *Device) nextCounter(app bool) uint32 {
	next := *d.counterOf(app)
	if d.has(SixteenBits) {
		next &= 0xFFFF
	}
	return next
}

// offset is by how much RX1 is opened late.
func (d *Device) offset(name string) time.Duration {
	if d.has(RX1Late) && d.st.Joined && name == "RX1" {
		return lateBy
	}
	return 0
}

// pingAddr is the address that the device's ping slots are reckoned with.
func (d *Device) pingAddr() [4]byte {
	addr := d.st.DevAddr
	if d.has(WrongPings) {
		addr[3] ^= 0x55
	}
	return addr
}

// padded is a payload that is longer than there is room.
func (d *Device) padded(payload []byte, room int) []byte {
	if !d.has(LongPayload) || room < 0 || len(payload)+room+overlong > mostPayload {
		return payload
	}
	return append(slices.Clone(payload), make([]byte, room+overlong)...)
}

// beaconless is how long class B lasts without beacons.
func (d *Device) beaconless() time.Duration {
	switch {
	case d.has(LeavesB):
		return 0
	case d.has(StaysInB):
		return math.MaxInt64
	default:
		return classb.Beaconless
	}
}

// misgroup spoils what a frame to a multicast group does.
func (d *Device) misgroup(down *Downlink) {
	d.ack = d.ack || down != nil && d.has(AcksGroup)
}

// misrejoin spoils what comes after a rejoin that nobody answered.
func (d *Device) misrejoin(err error) {
	if err != nil && d.has(ForgetsSession) {
		d.reset()
		d.save()
	}
}
