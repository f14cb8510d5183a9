package nsedge

import (
	"errors"
	"slices"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// content is what goes into a downlink. The zero value is a bare frame: ACK
// and MAC commands only.
type content struct {
	app       bool // from an AS
	raw       []byte
	port      uint8
	plain     []byte
	encrypted []byte // as the AS encrypted it with counter
	confirmed bool
	pending   bool
	counter   *uint32
	ifLate    bool         // keep it for the next window
	gateway   *radio.EUI64 // that must send it; nil: any
	standby   bool         // gives way to an answer
	again     *repetition  // nil: it was not on the air yet
	came      time.Time
}

func (c *content) size() int { return max(len(c.plain), len(c.encrypted)) }

// flight is a downlink that the Air has taken.
type flight struct {
	w        *window
	slot     *slot
	c        *content
	counter  uint32
	phy      []byte
	frm      []byte // encrypted FRMPayload
	mac      []byte
	airtime  entry
	schedule time.Time
	replaced bool // perhaps: the Air did not say in time
}

// send transmits c in the first slot of w that will do. nil means that it was
// taken: scheduled, or kept until it can be. The error is a *Refusal.
func (e *Edge) send(w *window, c *content) error {
	if w.kind == dataWindow {
		if err := e.checkCounter(w, c); err != nil {
			return err
		}
		if e.waitsForCounter(w, c) || e.waitsForSettings(w, c) {
			return nil
		}
	}
	var why [2]error
	for i := range w.slots {
		err := e.through(w, i, c)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, radio.ErrTooEarly) && time.Now().Before(w.slots[i].cutoff) && w.state < sent:
			w.waiting, w.holding = c, true // again at the cut-off
			return nil
		}
		why[i] = err
	}
	return e.explain(w, c, why)
}

// checkCounter refuses a counter that was used.
func (e *Edge) checkCounter(w *window, c *content) error {
	next := e.nextDown(w, c.app)
	switch {
	case c.again != nil:
		return nil
	case c.counter != nil && *c.counter < next:
		return refuse(CodeDownlinkCounter, "counter_down", "%d was used already, %d is the next: leave counter_down out, or give a greater one", *c.counter, next)
	case c.counter != nil && *c.counter == maxCounter, next == maxCounter:
		return refuse(CodeDownlinkCounter, "counter_down", "the session's counters are used up: the device has to join again")
	case c.counter == nil && len(c.encrypted) > 0 && w.announced != next:
		return refuse(CodeDownlinkCounter, "counter_down", "the payload was encrypted with counter %d, but %d is the next: wait for another downlink_request", w.announced, next)
	}
	return nil
}

// waitsForCounter keeps c back if its counter is not reserved on disk yet.
func (e *Edge) waitsForCounter(w *window, c *content) bool {
	n := e.counterOf(w, c)
	if n < *w.s.downCounter(c.app).safe {
		return false
	}
	w.waiting, w.holding = c, false
	if err := e.record(w.s, n, c.app); err != nil {
		e.log.Warn("downlink counter can't be reserved", "device", w.dev.spec.DevEUI, "err", err)
	}
	return true
}

// waitsForSettings keeps c back while the disk does not know yet where the
// device's windows are: it would stop telling.
func (e *Edge) waitsForSettings(w *window, c *content) bool {
	if w.s.orders == nil || !w.s.orders.blocking {
		return false
	}
	w.waiting, w.holding = c, false
	e.saveSettings(w.s)
	return true
}

// flush sends what waits in the window.
func (e *Edge) flush(w *window) {
	c := w.waiting
	w.waiting = nil
	if err := e.send(w, c); err != nil {
		e.failed(w, err)
	}
}

// failed publishes why something that was taken was not sent.
func (e *Edge) failed(w *window, err error) {
	var r *Refusal
	if !errors.As(err, &r) {
		r = &Refusal{Code: CodeDownlinkFailed, Message: err.Error()}
	}
	code := r.Code
	if w.kind == joinWindow {
		code = CodeJoinFailed
	}
	e.tell(&Notice{Meta: e.meta(w.dev, w.s, w.hash, w.up.Gateway), Level: Error, Code: code, Message: r.Message, Timing: r.Timing})
}

// Why a slot can't be used for a frame.
var errPassed = errors.New("its time has passed")

// usableFor tells why c can't go into a slot, nil if it can.
func (e *Edge) usableFor(w *window, s *slot, c *content) error {
	switch {
	case s.err != nil:
		return s.err
	case !time.Now().Before(s.start):
		return errPassed
	case w.kind == dataWindow && c.size() > 0 && c.size() > s.size-w.mac:
		return errTooLong
	}
	return nil
}

var errTooLong = errors.New("the payload is too long")

// schedule composes the frame and gives it to the Air.
func (e *Edge) schedule(w *window, s *slot, c *content) error {
	fl := &flight{w: w, slot: s, c: c, phy: c.raw}
	if first := c.again; first != nil { // byte by byte, with the counter that it had
		fl.phy, fl.counter, fl.frm = first.flight.phy, first.flight.counter, first.flight.frm
	} else if w.hasData() {
		if err := e.compose(fl); err != nil {
			return err
		}
	}
	if err := e.launch(fl); err != nil {
		return err
	}
	w.state = sent
	w.sentApp = c.app
	e.arm(w, time.Now().Add(keepClosed))
	if w.hasData() && c.again == nil {
		e.spend(w.s, c, fl.counter)
	}
	e.notice(Info, CodeDownlinkScheduled, e.meta(w.dev, w.s, w.hash, w.up.Gateway), "the downlink is scheduled for "+s.name+e.by(s))
	return nil
}

// launch gives a composed frame to the Air.
func (e *Edge) launch(fl *flight) error {
	if e.running == nil {
		return radio.ErrStopped
	}
	s, old := fl.slot, e.standby(fl.w)
	if old != nil {
		s.gw.ledger.cancel(old.airtime)
	}
	airtime, err := e.mayTransmit(s, s.mod.Airtime(len(fl.phy)))
	if err == nil {
		err = e.yield(fl.w, s, s.mod.Airtime(len(fl.phy)))
	}
	if err == nil {
		e.lastID++
		err = e.handOver(s.gw.Air, radio.Downlink{ID: e.lastID, Payload: fl.phy, At: s.at, Freq: s.freq, Mod: s.mod, Power: s.power}, old)
	}
	if err != nil {
		if old != nil {
			s.gw.ledger.add(old.airtime)
		}
		return err
	}
	fl.w.flight = e.lastID
	fl.airtime, fl.schedule = airtime, time.Now()
	e.account(s.gw, airtime)
	if fl.w.hasData() {
		fl.w.dev.busy().until = s.start.Add(s.mod.Airtime(len(fl.phy)))
	}
	e.flights[e.lastID] = fl
	e.stats.Scheduled++
	return nil
}

// spend marks a downlink counter as used.
func (e *Edge) spend(s *session, c *content, counter uint32) {
	d := s.downCounter(c.app)
	*d.next = counter + 1
	signed := s.v11 && c.confirmed // its ACK can only be checked by its counter
	if signed {
		s.conf.sent(counter)
	}
	if !signed && uint64(*d.safe) >= uint64(*d.next)+reserve/2 {
		return
	}
	if err := e.record(s, *d.next, c.app); err != nil {
		e.log.Warn("downlink counters can't be reserved", "device", s.dev.spec.DevEUI, "err", err)
	}
}

// compose builds a data downlink (LoRaWAN 1.0.4 §4).
func (e *Edge) compose(fl *flight) error {
	w, c := fl.w, fl.c
	fl.counter = e.counterOf(w, c)
	room := fl.slot.size - c.size()
	if c.app {
		room = min(room, maxFOpts)
	}
	switch {
	case w.kind == dataWindow:
		fl.mac = e.macDue(w, room)
	case w.asks:
		fl.mac = e.requestsDue(w, min(room, maxFOpts))
	}
	return fl.seal()
}

// seal encrypts and signs what the flight carries.
func (fl *flight) seal() error {
	w, c := fl.w, fl.c
	m := &lorawan.MACPayload{FHDR: lorawan.FHDR{
		DevAddr: lorawan.DevAddr(w.s.addr),
		FCtrl:   lorawan.FCtrl{ACK: w.ack, FPending: c.pending},
		FCnt:    fl.counter,
	}}
	switch {
	case len(fl.mac) > maxFOpts: // as FRMPayload on port 0
		m.FPort = new(uint8)
		fl.frm = crypt(w.s.encKey, false, w.s.addr, fl.counter, fl.mac)
		m.FRMPayload = []lorawan.Payload{&lorawan.DataPayload{Bytes: fl.frm}}
	case len(fl.mac) > 0:
		opts := fl.mac
		if w.s.v11 {
			opts = cryptOpts(w.s.encKey, false, c.app, w.s.addr, fl.counter, slices.Clone(opts))
		}
		m.FHDR.FOpts = []lorawan.Payload{&lorawan.DataPayload{Bytes: opts}}
	}
	if c.app {
		port := c.port
		m.FPort = &port
		if fl.frm = c.encrypted; len(c.plain) > 0 {
			fl.frm = crypt(w.s.appSKey, false, w.s.addr, fl.counter, c.plain)
		}
		m.FRMPayload = []lorawan.Payload{&lorawan.DataPayload{Bytes: fl.frm}}
	}
	p := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.UnconfirmedDataDown}, MACPayload: m}
	if c.confirmed {
		p.MHDR.MType = lorawan.ConfirmedDataDown
	}
	phy, err := p.MarshalBinary()
	if err != nil {
		return err
	}
	end := len(phy) - micSize
	mic := w.s.downMIC(fl.counter, w.ack, w.acked, phy[:end])
	copy(phy[end:], mic[:])
	fl.phy = phy
	return nil
}

// explain makes the refusal of a frame that no slot would take.
func (e *Edge) explain(w *window, c *content, why [2]error) error {
	for i, err := range why {
		if errors.Is(err, errTooLong) {
			limit := max(w.slots[i].size-w.mac, 0)
			other := ""
			if i == 1 && why[0] != nil {
				other = ", and RX1 can't be used: " + why[0].Error()
			}
			return refuse(CodeDownlinkTooLong, "payload", "%d bytes, max_size is %d in %s at DR%d%s", c.size(), limit, w.slots[i].name, w.slots[i].dr, other)
		}
	}
	for _, err := range why {
		if errors.Is(err, radio.ErrDutyCycle) {
			return refuse(CodeDownlinkDutyCycle, "", "RX1: %v; RX2: %v", why[0], why[1])
		}
	}
	late := func(err error) bool { return errors.Is(err, errPassed) || errors.Is(err, radio.ErrTooLate) }
	if late(why[1]) {
		return e.refuseLate(w, c)
	}
	return refuse(CodeDownlinkFailed, "", "RX1: %v; RX2: %v", why[0], why[1])
}
