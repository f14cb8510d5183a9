package nsedge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatewayd/radio"
)

// DeviceState is what the edge knows of a device's radio right now, beside
// what was registered. It holds no keys.
type DeviceState struct {
	Device  radio.EUI64
	Session *SessionState // in use; nil before the first join
	Pending *SessionState // the newest that was joined and not used by an uplink yet; nil if there is none
	Joins   []JoinNote    // what came of the last join-requests since the start, oldest first
	Asked   []string      // MAC commands that wait for a downlink or an answer
	Resting []string      // MAC commands that the device refused or did not answer
}

// SessionState is one session.
type SessionState struct {
	DevAddr                                DevAddr
	LoRaWAN11                              bool
	Joined                                 time.Time // zero: it was registered
	LastUplink                             time.Time
	CounterUp, CounterDown, CounterDownApp uint32 // the next ones; the last is of 1.1

	RX1Delay    time.Duration
	RX1Offset   int
	RX2Freq     radio.Hertz
	RX2DataRate int
	DataRate    int // of the last uplink; -1 is unknown
	TXPower     int // index; 0 is the highest
	NbTrans     int
	MaxDuty     int  // 1/2^n of the time
	ADR         bool // the ADR bit of the last uplink
	Channels    []ChannelState
	Samples     []ADRSample // what ADR goes by, oldest first

	ClassB *ClassBSession // nil: it is not registered with class B
}

// ClassBSession is what a device of class B has told, or what was registered.
type ClassBSession struct {
	Active      bool        // by the bit in its last uplink
	Told        bool        // its periodicity is known
	Periodicity int         // a ping slot each 2^n s
	Freq        radio.Hertz // of its ping slots; 0 is the region's
	DataRate    int         // -1 is the region's
}

// ChannelState is a channel that the device has.
type ChannelState struct {
	Index        int
	Freq         radio.Hertz
	Down         radio.Hertz // of its RX1, where that is elsewhere; else 0
	MinDR, MaxDR int
}

// JoinNote is what came of a join-request.
type JoinNote struct {
	Time    time.Time
	Level   Level
	Code    string
	Message string
}

// joinNotes is how many notes are kept for each device.
const joinNotes = 8

// noteJoin remembers a notice about a join of a device that is known.
func (e *Edge) noteJoin(level Level, code string, m Meta, message string) {
	if !strings.HasPrefix(code, "join_") || code == CodeJoinDuplicate {
		return
	}
	d := e.byEUI[m.Device]
	if d == nil {
		return
	}
	t := d.busy()
	if len(t.joins) >= joinNotes {
		t.joins = slices.Delete(t.joins, 0, 1)
	}
	t.joins = append(t.joins, JoinNote{m.Time, level, code, message})
}

// State tells what is known of a device's radio.
func (e *Edge) State(ctx context.Context, eui radio.EUI64) (st DeviceState, err error) {
	known := false
	if err := e.do(ctx, func() {
		var d *device
		if d, known = e.byEUI[eui]; known {
			st = e.stateOf(d)
		}
	}); err != nil {
		return st, fmt.Errorf("state of device %v: %w", eui, err)
	}
	if !known {
		return st, fmt.Errorf("state of device %v: %w", eui, ErrUnknownDevice)
	}
	return st, nil
}

func (e *Edge) stateOf(d *device) DeviceState {
	st := DeviceState{Device: d.spec.DevEUI, Session: e.sessionState(d.active), Pending: e.sessionState(d.newest())}
	st.Asked, st.Resting = ordersShown(d.session())
	if d.traffic != nil {
		st.Joins = slices.Clone(d.joins)
	}
	return st
}

func (e *Edge) sessionState(s *session) *SessionState {
	if s == nil {
		return nil
	}
	st := &SessionState{
		DevAddr: s.addr, LoRaWAN11: s.v11, Joined: s.joined, CounterUp: s.up, CounterDown: s.down, CounterDownApp: s.appDown,
		RX1Delay: time.Duration(e.delayOf(s)) * time.Second, RX1Offset: int(s.Offset), DataRate: int(s.lastDR), TXPower: int(s.TXPower),
		NbTrans: int(max(s.NbTrans, 1)), MaxDuty: int(s.MaxDuty), ADR: s.adrBit, Samples: slices.Clone(s.history),
	}
	if s.seen > 0 {
		st.LastUplink = time.Unix(s.seen, 0)
	}
	st.RX2Freq, st.RX2DataRate = e.rx2Of(s)
	if s.dev.spec.Class == "B" {
		p := s.pings()
		st.ClassB = &ClassBSession{p.On, p.Told, int(p.Periodicity), p.Freq, int(p.DR)}
	}
	for _, c := range e.channelsOf(s) {
		ch := ChannelState{Index: c.Index, Freq: c.Freq, MinDR: c.MinDR, MaxDR: c.MaxDR}
		for _, m := range s.Down {
			if m.Index == c.Index {
				ch.Down = m.Down
			}
		}
		st.Channels = append(st.Channels, ch)
	}
	return st
}
