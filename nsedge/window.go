package nsedge

import (
	"container/heap"
	"errors"
	"time"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// window is what the edge may send after one uplink: one downlink in one of
// two slots. It opens with the uplink; shortly before RX1's cut-off a frame
// that the device must have (ACK, MAC commands) begins to stand by (standby.go),
// at RX2's the window closes.
type window struct {
	hash  PacketHash
	kind  windowKind
	zone  *region.Region // with the dwell times that the device assumes
	state windowState
	dev   *device
	s     *session // nil for joins and claims
	r     *reception

	up        radio.Uplink   // the copy whose gateway answers: the best one
	copies    []radio.Uplink // the best one of each gateway, in that order; nil: there is only up
	dr        int            // of the uplink
	slots     [2]slot
	announced uint32 // FCntDown of the downlink_request

	ack     bool         // the uplink was confirmed
	acked   uint32       // its counter
	must    bool         // the device wants a frame even if no AS answers
	mac     int          // bytes of MAC commands that were due when it opened
	flight  uint64       // ID of the last transmission
	waiting *content     // was taken, can't go yet
	holding bool         // until the cut-off; else until its counter is safe
	held    bool         // in RXC: it was taken, and had to wait
	pings   bool         // in RXC: the device listens in ping slots
	asks    bool         // in RXC: for MAC commands alone
	round   bool         // in RXC: a frame to a group, by the next gateway
	sentApp bool         // what was sent came from an AS
	refused bool         // an AS answered, and no slot would do
	insist  *radio.EUI64 // the gateway that a claim named
	join    *joining     // for joins

	due   time.Time // of the next timer
	index int       // in timers
}

type windowKind uint8

const (
	dataWindow windowKind = iota
	joinWindow
	claimWindow  // opened by an AS, for the next uplink
	classCWindow // opened by an AS, for a device that listens without an uplink before: class C, or B in ping slots
)

// hasData tells whether data frames are sent in w.
func (w *window) hasData() bool { return w.kind == dataWindow || w.kind == classCWindow }

type windowState uint8

const (
	beforeRX1 windowState = iota // RX1's cut-off has not passed
	beforeRX2
	sent
	closed
)

// slot is one receive window of the device.
type slot struct {
	name   string
	gw     *gateway      // that sends; nil if none can
	at     radio.Instant // start of the preamble
	start  time.Time     // the same on the host clock
	cutoff time.Time     // the last moment to send something
	freq   radio.Hertz
	dr     int
	mod    radio.Modulation
	power  radio.DBm
	size   int   // largest FRMPayload without FOpts
	err    error // why it can't be used
}

// keepClosed is how long a window is remembered, to tell a late answer by how
// much; a refusal says "a minute".
const keepClosed = time.Minute

var (
	errForced  = errors.New("rx2.force is set for the device")
	errSilent  = errors.New("the region forbids transmissions there")
	errDwell   = errors.New("the dwell time forbids this data rate")
	errForeign = errors.New("another gateway heard the uplink")
)

// plan computes the slots of a window from its uplink.
func (e *Edge) plan(w *window) {
	w.zone = e.regionOf(w.s)
	d := w.zone.Delays()
	rx1, rx2 := d.RX1, d.RX2
	offset := 0
	switch {
	case w.kind == joinWindow:
		rx1, rx2 = d.JoinAccept1, d.JoinAccept2
		if w.s != nil { // a rejoin
			offset = int(w.s.Offset)
		}
	case w.s != nil:
		if w.s.RXDelay > 0 {
			rx1 = time.Duration(w.s.RXDelay) * time.Second
			rx2 = rx1 + time.Second // LoRaWAN 1.0.4 §3.3.3
		}
		offset = int(w.s.Offset)
	}
	freq, dr, err := w.zone.RX1(w.up.Freq, w.dr, offset)
	if w.s == nil {
		freq = w.zone.JoinAccept(w.up.Freq, freq)
	} else {
		for _, m := range w.s.Down {
			if m.Up == w.up.Freq {
				freq = m.Down
			}
		}
	}
	if err == nil && w.dev.spec.RX2Force && w.kind == dataWindow {
		err = errForced
	}
	w.slots[0] = e.slot(w, "RX1", rx1, freq, dr, err)
	if freq, dr = w.zone.RX2(); w.s != nil {
		freq, dr = e.rx2Of(w.s)
	} else {
		freq = w.zone.JoinAccept(w.up.Freq, freq)
	}
	w.slots[1] = e.slot(w, "RX2", rx2, freq, dr, nil)
}

// probe stands for a frame of the greatest length.
var probe [255]byte

func (e *Edge) slot(w *window, name string, delay time.Duration, freq radio.Hertz, dr int, err error) slot {
	s := slot{name: name, gw: e.gatewayOf(&w.up), at: w.up.At.Add(delay), start: w.up.Time.Add(delay), freq: freq, dr: dr, err: err}
	s.cutoff = s.start
	if s.err == nil {
		s.mod, s.err = w.zone.Downlink(dr)
	}
	switch {
	case s.err != nil:
	case s.gw == nil:
		s.err = errForeign
	case s.gw.gone:
		s.err = errGone
	}
	if s.err != nil {
		return s
	}
	eirp, ok := w.zone.EIRP(freq)
	if !ok {
		s.err = errSilent
		return s
	}
	s.power = eirp - radio.DBm(s.gw.AntennaGain)
	// Where only a table has no size for it, an empty frame may still go.
	if s.size = w.zone.MaxPayload(dr, region.Version{}); s.size <= 0 && w.zone.Dwell().Downlink {
		s.err = errDwell
		return s
	}
	lead := s.gw.Air.Lead(radio.Downlink{At: s.at, Freq: freq, Mod: s.mod, Power: s.power, Payload: probe[:min(s.size+13, len(probe))]})
	s.cutoff = s.start.Add(-lead - e.cfg.Margin)
	return s
}

// open opens the windows after a data uplink and tells the AS.
func (e *Edge) open(r *reception, f *dataUp, s *session, counter uint32) {
	d := s.dev
	if old := d.busy().win; old != nil {
		e.closeWindow(old)
	}
	d.lastUp, d.ackBy = r.first, time.Time{}
	if d.spec.BlockDownlink {
		if f.confirmed() || f.has(ctrlADRACKReq) {
			e.notice(Warning, CodeDownlinkBlocked, e.meta(d, s, r.hash, r.first.Gateway), "the device wants an answer, but its downlinks are blocked: clear block_downlink")
		}
		return
	}
	w := &window{hash: r.hash, dev: d, s: s, r: r, up: r.first, dr: e.dataRate(&r.first), announced: s.nextApp(), ack: f.confirmed(), acked: counter, index: -1}
	e.plan(w)
	w.mac = len(e.macDue(w, maxFOpts))
	w.must = w.ack || f.has(ctrlADRACKReq)
	at := w.usable()
	if at < 0 {
		e.noticef(Warning, CodeDownlinkNoWindow, e.meta(d, s, r.hash, r.first.Gateway), "the device can't be answered: RX1: %v; RX2: %v", w.slots[0].err, w.slots[1].err)
		return
	}
	r.win, d.win = w, w
	e.near(w)
	e.windows[w.hash] = w
	e.reserve(w)
	e.arm(w, w.firstTick())
	if d.queued != nil && !e.fitsQueued(w) {
		d.queued = nil
	}
	e.publish(&DownlinkRequest{
		Meta:   e.meta(d, s, r.hash, r.first.Gateway),
		TXTime: w.slots[at].start, Deadline: w.slots[at].cutoff,
		Counter: w.announced, MaxSize: max(w.slots[at].size-w.mac, 0),
	})
}

// usable returns the first slot that can be used at all, or -1.
func (w *window) usable() int {
	for i := range w.slots {
		if w.slots[i].err == nil {
			return i
		}
	}
	return -1
}

// hearAgain takes another copy into account.
func (w *window) hearAgain(e *Edge, u *radio.Uplink) {
	if e.gatewayOf(u) == nil || e.dataRate(u) < 0 || !e.addCopy(w, u) {
		return
	}
	e.near(w)
	if best := &w.copies[0]; best.Gateway == w.up.Gateway && best.At == w.up.At && best.Freq == w.up.Freq {
		return
	}
	if w.state != beforeRX1 || w.kind == dataWindow && w.waiting != nil {
		return
	}
	e.via(w, w.copies[0])
	if w.waiting == nil {
		e.arm(w, w.firstTick())
	}
}

// closeWindow ends a window without sending. What waits in it is kept for the
// next one if its AS wants that.
func (e *Edge) closeWindow(w *window) {
	if w.state >= sent {
		return
	}
	w.state = closed
	e.arm(w, time.Now().Add(keepClosed))
	if w.kind == joinWindow && w.join.ready && !w.join.answered {
		w.dev.busy().joining = false
	}
	if c := w.waiting; c != nil {
		w.waiting = nil
		e.tooLate(w, c)
	}
}

// arm sets the window's next timer.
func (e *Edge) arm(w *window, at time.Time) {
	w.due = at
	if w.index >= 0 {
		heap.Fix(&e.timers, w.index)
	} else {
		heap.Push(&e.timers, w)
	}
}

// expire lets every window act whose time has come.
func (e *Edge) expire(now time.Time) {
	for len(e.timers) > 0 && !e.timers[0].due.After(now) {
		e.tick(e.timers[0], now)
	}
}

// tick is a window's timer: the cut-off of RX1, that of RX2, or its end.
func (e *Edge) tick(w *window, now time.Time) {
	if w.kind == classCWindow && w.state < sent {
		e.tickRXC(w)
		return
	}
	switch w.state {
	case beforeRX1:
		if now.Before(w.slots[0].cutoff) {
			e.arm(w, w.slots[0].cutoff)
			if w.kind == joinWindow && w.waiting != nil { // it waited for better copies
				e.flush(w)
			}
			e.standBy(w)
			return
		}
		w.state = beforeRX2
		e.arm(w, w.slots[1].cutoff)
		e.cutoff(w)
	case beforeRX2:
		e.cutoff(w)
		if w.state == beforeRX2 {
			e.giveUp(w)
		}
	default:
		heap.Remove(&e.timers, w.index)
		delete(e.windows, w.hash)
		delete(e.reserved, w)
		delete(e.flights, w.flight)
		if w.dev.traffic != nil && w.dev.win == w {
			w.dev.win = nil
		}
	}
}

// cutoff sends what has to go out now.
func (e *Edge) cutoff(w *window) {
	switch {
	case w.kind == claimWindow:
	case w.waiting != nil:
		e.flush(w)
	case w.kind == joinWindow:
	case w.dev.queued != nil:
		c := w.dev.queued
		w.dev.queued = nil
		if err := e.send(w, c); err != nil {
			e.failed(w, err)
		}
	}
	if w.kind == dataWindow && w.state == beforeRX2 && w.waiting == nil && e.frameDue(w) {
		if err := e.send(w, &content{}); err != nil {
			e.log.Debug("bare frame not sent", "device", w.dev.spec.DevEUI, "err", err)
		}
	}
}

// frameDue tells whether a frame goes out even without an AS.
func (e *Edge) frameDue(w *window) bool {
	return w.must || w.s.urgentDue() || len(e.answersDue(w, maxFOpts)) > 0
}

// giveUp closes a window in which nothing was sent.
func (e *Edge) giveUp(w *window) {
	m := e.meta(w.dev, w.s, w.hash, w.up.Gateway)
	switch {
	case w.kind == claimWindow:
	case w.kind == joinWindow:
		e.joinExpired(w)
	case w.must || len(e.answersDue(w, maxFOpts)) > 0:
		e.notice(Error, CodeDownlinkFailed, m, "the frame that the device wants (ACK or MAC commands) could be sent neither in RX1 nor in RX2; it will ask again")
	case !w.refused:
		e.notice(Warning, CodeDownlinkNoAnswer, m, "no application answered the downlink_request in time")
	}
	e.closeWindow(w)
}

// timers is a heap of windows by their next deadline.
type timers []*window

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].due.Before(t[j].due) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

// Push implements heap.Interface.
func (t *timers) Push(x any) {
	w := x.(*window)
	w.index = len(*t)
	*t = append(*t, w)
}

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	old := *t
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	w.index = -1
	return w
}

// wait is the time until the next deadline.
func (t timers) wait(now time.Time) time.Duration {
	if len(t) == 0 {
		return time.Hour
	}
	return max(t[0].due.Sub(now), 0)
}
