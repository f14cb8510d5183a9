package nsedge

import (
	"slices"
	"time"

	"github.com/brocaar/lorawan"
)

// setup is one way in which the edge sets a device's radio up: a MAC command,
// what is wanted by it, and what becomes of the answer. Each is in the mac_….go
// of its command.
type setup struct {
	cid     lorawan.CID // of the request and of its answer
	urgent  bool        // worth a frame of its own; else it waits for one
	sticky  bool        // the device answers until it hears a downlink (§5)
	windows bool        // it moves the receive windows

	// want returns the commands to send, nil if the device is as it should be.
	want func(*Edge, *session) []byte
	// answered takes the payloads of the answers, one at least, changes the
	// settings and returns "", or why the device did not obey.
	answered func(e *Edge, s *session, commands []byte, answers [][]byte) string
}

// setups are in the order in which they are sent: first what decides whether
// the device is heard at all.
func setups() []setup {
	return []setup{
		rxTimingSetup(), rxParamSetup(), txParamSetup(), linkADRSetup(), dutyCycleSetup(), dlChannelSetup(), pingSlotChannelSetup(), beaconFreqSetup(), newChannelSetup(),
		adrParamSetup(), rejoinParamSetup(),
	}
}

// orders are what the edge asks of a device by MAC commands. They are on the
// disk before they are on the air, so that an answer is understood after a
// power cut, too.
type orders struct {
	open    []*order
	refused []refused
	learnt

	echo     lorawan.CID          // of a sticky answer that came again; 0 is none
	echoes   int                  // uplinks in a row with it
	last     map[lorawan.CID]bool // answers in the last uplink
	dirty    bool                 // changed since it was encoded for the disk
	saving   bool
	blocking bool // the windows moved, and that is not on the disk yet
}

// plainCID is stored as a number.
type plainCID lorawan.CID

// order is one request.
type order struct {
	CID    plainCID `json:"cid"`
	Bytes  []byte   `json:"bytes"`
	Tries  int      `json:"tries,omitempty"` // how often it was on the air
	App    bool     `json:"app,omitempty"`   // an AS wants it: see inject.go
	urgent bool
	sent   bool // since the last uplink
	saved  bool
}

// refused is what is not asked again for a while.
type refused struct {
	CID   plainCID `json:"cid"`
	Bytes []byte   `json:"bytes,omitempty"` // nil is any request of that command
	At    int64    `json:"at"`              // unix time
}

// learnt is what refusals of LinkADRReq taught.
type learnt struct {
	rates     uint16 // bits of data rates that the device can't use
	powers    uint16 // bits of power indices
	plainMask int    // refusals of the channel mask
	nacks     int
}

const (
	maxOrderTries = 3
	maxNACKs      = 6 // of LinkADRReq, then it is left alone for orderRest
	maxRefused    = 16
	maxEchoes     = 3 // bare downlinks to end a sticky answer
	orderRest     = 24 * time.Hour
)

func (l *learnt) can(bits uint16, index int) bool {
	return index >= 0 && index < 16 && bits&(1<<index) == 0
}

// highest is the highest index up to top that is not among bits; 0 if none.
func (l *learnt) highest(top int, bits uint16) int {
	for ; top > 0 && !l.can(bits, top); top-- {
	}
	return top
}

// learnt returns what was learnt of a session's device.
func (s *session) learnt() *learnt { return &s.ordering().learnt }

func (s *session) ordering() *orders {
	if s.orders == nil {
		s.orders = &orders{}
	}
	return s.orders
}

// find returns the open order of a command.
func (o *orders) find(cid lorawan.CID) *order {
	if o == nil {
		return nil
	}
	for _, x := range o.open {
		if x.CID == plainCID(cid) {
			return x
		}
	}
	return nil
}

// drop takes an order off the list.
func (o *orders) drop(x *order) {
	o.open = slices.DeleteFunc(o.open, func(y *order) bool { return x == y })
	o.dirty = true
}

// refuse notes that something must not be asked again.
func (o *orders) refuse(cid lorawan.CID, commands []byte, now time.Time) {
	if len(o.refused) >= maxRefused {
		o.refused = slices.Delete(o.refused, 0, 1)
	}
	o.refused = append(o.refused, refused{plainCID(cid), commands, now.Unix()})
}

// mayAsk tells whether the device has not refused these commands lately.
func (o *orders) mayAsk(cid lorawan.CID, commands []byte, now time.Time) bool {
	o.refused = slices.DeleteFunc(o.refused, func(r refused) bool { return now.Sub(time.Unix(r.At, 0)) > orderRest })
	return !slices.ContainsFunc(o.refused, func(r refused) bool {
		return r.CID == plainCID(cid) && (r.Bytes == nil || slices.Equal(r.Bytes, commands))
	})
}

// settle compares the answers in a new uplink with the orders.
func (e *Edge) settle(r *reception, s *session, answers map[lorawan.CID][][]byte) {
	o := s.orders
	if o == nil {
		return
	}
	o.echo = 0
	for _, set := range setups() {
		a := answers[set.cid]
		x := o.find(set.cid)
		switch {
		case x == nil || x.Tries == 0:
			if len(a) > 0 && set.sticky {
				o.echo = set.cid
			}
		case len(a) > 0:
			o.drop(x)
			e.settled(r, s, &set, x, a)
		case x.sent:
			e.unanswered(r, s, &set, x)
		}
	}
	if o.last = nil; len(answers) > 0 {
		o.last = map[lorawan.CID]bool{}
		for cid := range answers {
			o.last[cid] = true
		}
	}
	if o.echo == 0 {
		o.echoes = 0
	} else {
		o.echoes++
	}
}

// settled takes the answer to an order.
func (e *Edge) settled(r *reception, s *session, set *setup, x *order, answers [][]byte) {
	o, m, name := s.orders, e.meta(s.dev, s, r.hash, r.first.Gateway), macTables[false][set.cid].name
	why := set.answered(e, s, x.Bytes, answers)
	if why == "" {
		o.blocking = o.blocking || set.windows
		e.noticef(Info, CodeMACAccepted, m, "the device obeyed %s", name)
		return
	}
	if x.App {
		e.noticef(Warning, CodeMACRefused, m, "the device refused the application's %s: %s", name, why)
		return
	}
	o.refuse(set.cid, x.Bytes, r.came)
	if set.cid == lorawan.LinkADRReq && (o.nacks >= maxNACKs || o.plainMask > 1) {
		o.refuse(set.cid, nil, r.came)
	}
	e.noticef(Warning, CodeMACRefused, m, "the device refused %s: %s. That is not asked again; set mac to %s if the device minds its radio itself", name, why, MACHandsOff)
}

// unanswered deals with an uplink that should have had the answer to an order.
func (e *Edge) unanswered(r *reception, s *session, set *setup, x *order) {
	x.sent = false
	if x.Tries < maxOrderTries {
		return // it is sent again
	}
	s.orders.drop(x)
	if x.App {
		e.noticef(Warning, CodeMACNoAnswer, e.meta(s.dev, s, r.hash, r.first.Gateway),
			"the device did not answer the application's %s, %d times: it may not hear the gateway, or not know the command", macTables[false][set.cid].name, x.Tries)
		return
	}
	s.orders.refuse(set.cid, nil, r.came)
	e.noticef(Warning, CodeMACNoAnswer, e.meta(s.dev, s, r.hash, r.first.Gateway),
		"the device did not answer %s, %d times: it may not hear the gateway, or not know the command. It is left alone with that for %v; set mac to %s to leave it alone for good",
		macTables[false][set.cid].name, x.Tries, orderRest, MACHandsOff)
}

// review compares what the device is with what it should be, and orders what
// is missing.
func (e *Edge) review(s *session, now time.Time) {
	if s.dev.spec.handsOff() {
		if s.orders != nil {
			s.orders.open = slices.DeleteFunc(s.orders.open, func(x *order) bool { return !x.App })
			if s.orders.dirty {
				e.saveSettings(s)
			}
		}
		return
	}
	for _, set := range setups() {
		commands := set.want(e, s)
		x := s.orders.find(set.cid)
		switch {
		case x != nil && (x.Tries > 0 || x.App): // first it has to be settled
			continue
		case x != nil && !slices.Equal(x.Bytes, commands):
			s.orders.drop(x)
		case x != nil:
			continue
		}
		if commands == nil || !s.ordering().mayAsk(set.cid, commands, now) || set.sticky && s.orders.last[set.cid] {
			continue
		}
		s.orders.open = append(s.orders.open, &order{CID: plainCID(set.cid), Bytes: commands, urgent: set.urgent})
		s.orders.dirty = true
	}
	if s.orders != nil && s.orders.dirty {
		e.saveSettings(s)
	}
}

// ordersDue are the orders that may go into the next downlink.
func (s *session) ordersDue() []*order {
	if s == nil || s.orders == nil {
		return nil
	}
	due := make([]*order, 0, len(s.orders.open))
	for _, set := range setups() {
		if x := s.orders.find(set.cid); x != nil && s.dueNow(&set, x) && (x.App || !s.dev.spec.handsOff()) {
			due = append(due, x)
		}
	}
	return due
}

// urgentDue tells whether the device should get a frame even if no AS answers:
// for an order, or to end a sticky answer.
func (s *session) urgentDue() bool {
	if s == nil || s.orders == nil {
		return false
	}
	if s.orders.echo != 0 && s.orders.echoes <= maxEchoes {
		return true
	}
	return slices.ContainsFunc(s.ordersDue(), func(x *order) bool { return x.urgent })
}

// onAir notes which orders a downlink carried.
func (s *session) onAir(commands []byte) {
	if s.orders == nil {
		return
	}
	sent := map[lorawan.CID]bool{}
	_ = eachMAC(false, commands, func(cid lorawan.CID, _ macForm, _ []byte) error { // the edge's own
		sent[cid] = true
		return nil
	})
	for _, x := range s.orders.open {
		if sent[lorawan.CID(x.CID)] {
			x.sent = true
			x.Tries++
		}
	}
}
