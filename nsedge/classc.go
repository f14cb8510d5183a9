package nsedge

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"gatewayd/radio"
)

const (
	// classCGuard is how far a class C downlink stays away from the device's
	// RX1 and from other frames for it.
	classCGuard = 20 * time.Millisecond
	// classCWait is CLASS_B_RESP_TIMEOUT and CLASS_C_RESP_TIMEOUT (RP002-1.0.3
	// §2.3): how long the device may take to acknowledge a confirmed downlink.
	classCWait = 8 * time.Second
	// classCRetry is when a frame is tried again that found the transmitter
	// busy, or its counter not yet on the disk.
	classCRetry = 100 * time.Millisecond
	// classCLife bounds how long a frame may wait for its turn.
	classCLife = time.Minute
	// classCQueue bounds how many frames may wait for one device or group.
	classCQueue = 64
)

var errOnlyRXC = errors.New("a class C downlink has one window")

// classC tells whether the device listens all the time.
func (d *device) classC() bool {
	s := d.session()
	return s != nil && cmp.Or(s.Mode, d.spec.Class) == "C"
}

// clock is an Air that knows its counter without a frame.
type clock interface{ Now() (radio.Instant, bool) }

// now is the present moment on the gateway's counter: the Air's own word, or
// reckoned from the last frame. It is unknown of a gateway that is gone.
func (g *gateway) now() (radio.Instant, bool) {
	if g.gone {
		return 0, false
	}
	if c, ok := g.Air.(clock); ok {
		if now, ok := c.Now(); ok {
			return now, true
		}
	}
	if g.anchor.Time.IsZero() {
		return 0, false
	}
	return g.anchor.At.Add(time.Since(g.anchor.Time)), true
}

// openRXC makes a window for one frame in RXC, the parameters of RX2. It is
// not in any list yet.
func (e *Edge) openRXC(d *device, hash PacketHash, insist *radio.EUI64) (*window, error) {
	s := d.session()
	w := &window{hash: hash, kind: classCWindow, state: beforeRX2, dev: d, s: s, zone: e.regionOf(s), announced: s.nextApp(), pings: d.spec.Class == "B", insist: insist, index: -1}
	if err := e.planRXC(w, e.reaching(w)[0], 0); err != nil {
		return nil, err
	}
	return w, nil
}

// planRXC sets the slot of w to the next possible moment for a payload of size
// bytes, in a gateway.
func (e *Edge) planRXC(w *window, g *gateway, size int) error {
	if w.pings {
		return e.planPing(w, g, size, e.freeRXC(w, time.Now()))
	}
	at, ok := g.now()
	if !ok {
		return refuse(CodeDownlinkNoWindow, "device", "the gateway's counter is not known before it has heard a frame: try again then")
	}
	w.up = radio.Uplink{Gateway: g.EUI, At: at, Time: time.Now()}
	freq, dr := e.rx2Of(w.s)
	probe := e.slot(w, "ClassC", 0, freq, dr, nil)
	if probe.err != nil {
		return refuse(CodeDownlinkNoWindow, "device", "RXC: %v", probe.err)
	}
	lead := probe.start.Sub(probe.cutoff) + e.cfg.Margin
	w.slots[0] = e.slot(w, "ClassC", lead, freq, dr, nil)
	w.slots[1] = slot{name: "RX2", err: errOnlyRXC}
	return nil
}

// claimRXC answers the claim of a class C device: its downlink_request comes at
// once, and the response goes out as soon as it is there.
func (e *Edge) claimRXC(d *device, insist *radio.EUI64) error {
	var f fingerprint
	copy(f[:], d.spec.DevEUI[:])
	w, err := e.openRXC(d, e.packetHash(f), insist)
	if err != nil {
		return err
	}
	e.windows[w.hash] = w
	deadline := time.Now().Add(claimLife)
	e.arm(w, deadline)
	e.publish(&DownlinkRequest{
		Meta: e.meta(d, w.s, w.hash, w.up.Gateway), TXTime: w.slots[0].start, Deadline: deadline,
		Counter: w.announced, MaxSize: w.slots[0].size,
	})
	return nil
}

// lateRXC sends an answer in RXC that came too late for RX1 and RX2.
func (e *Edge) lateRXC(w *window, c *content) error {
	late, err := e.openRXC(w.dev, w.hash, w.insist)
	if err != nil {
		return err
	}
	late.announced = w.announced
	if err := e.sendRXC(late, c); err != nil {
		return err
	}
	w.sentApp = true // its answer is taken
	return nil
}

// sendRXC sends c as soon as the device may get it. nil means that it was
// scheduled, or waits for its turn.
func (e *Edge) sendRXC(w *window, c *content) error {
	t := w.dev.busy()
	switch {
	case w.dev.session() != w.s:
		return e.leaveRXC(w, refuse(CodeDownlinkNoWindow, "device", "the device's session ended"))
	case c.size() > w.slots[0].size:
		return e.leaveRXC(w, refuse(CodeDownlinkTooLong, "payload", "%d bytes, max_size is %d in RXC at DR%d", c.size(), w.slots[0].size, w.slots[0].dr))
	}
	if err := e.checkCounter(w, c); err != nil {
		return e.leaveRXC(w, err)
	}
	if !slices.Contains(t.rxc, w) {
		if len(t.rxc) >= classCQueue {
			return e.leaveRXC(w, refuse(CodeDownlinkFailed, "", "%d downlinks wait for %v, which is the most: answer again when some of them are out", len(t.rxc), w.dev.spec.DevEUI))
		}
		t.rxc = append(t.rxc, w)
	}
	now := time.Now()
	switch turn := e.turnRXC(w, c, now); {
	case !w.dev.spec.Multicast && !e.anytime(w.dev):
		return e.backToA(w, c)
	case now.Sub(c.came) > w.life():
		return e.leaveRXC(w, refuse(CodeDownlinkFailed, "", "no moment was free for the %s downlink within %v", w.slots[0].name, w.life()))
	case t.rxc[0] != w:
		return e.waitRXC(w, c, now.Add(classCRetry))
	case turn.After(now):
		return e.waitRXC(w, c, turn)
	case e.waitsForCounter(w, c), e.waitsForSettings(w, c):
		return e.waitRXC(w, c, now.Add(classCRetry))
	}
	return e.tryRXC(w, c)
}

// tryRXC gives c to the Air.
func (e *Edge) tryRXC(w *window, c *content) error {
	via := e.reaching(w)
	if err := e.planRXC(w, via[0], c.size()); err != nil {
		return e.leaveRXC(w, err)
	}
	if w.asks && len(e.requestsDue(w, maxFOpts)) == 0 { // it went with RX1 or RX2
		return e.dropRXC(w)
	}
	if c.size() > w.slots[0].size {
		return e.leaveRXC(w, refuse(CodeDownlinkTooLong, "payload", "%d bytes, max_size is %d in %s at DR%d", c.size(), w.slots[0].size, w.slots[0].name, w.slots[0].dr))
	}
	if w.s.unacked && !w.dev.ackBy.IsZero() {
		w.s.unacked = false
		e.pingMissed(w)
		e.noticef(Warning, CodeDownlinkNotAcked, e.meta(w.dev, w.s, w.hash, w.up.Gateway), "the device did not acknowledge the confirmed downlink within %v: the next one goes out", classCWait)
	}
	if w.pings && time.Until(w.slots[0].cutoff) > pingAhead {
		return e.waitRXC(w, c, w.slots[0].cutoff.Add(-pingAhead))
	}
	err := e.schedule(w, &w.slots[0], c)
	for _, g := range via[1:] { // the best one can't: another may
		if err != nil && e.planRXC(w, g, c.size()) == nil && e.schedule(w, &w.slots[0], c) == nil {
			err = nil
		}
	}
	switch {
	case err == nil:
		return e.leaveRXC(w, nil)
	case errors.Is(err, radio.ErrCollision), errors.Is(err, radio.ErrTooLate):
		return e.waitRXC(w, c, time.Now().Add(classCRetry))
	case errors.Is(err, radio.ErrDutyCycle):
		return e.leaveRXC(w, refuse(CodeDownlinkDutyCycle, "", "%s: %v", w.slots[0].name+e.by(&w.slots[0]), err))
	}
	return e.leaveRXC(w, refuse(CodeDownlinkFailed, "", "%s: %v", w.slots[0].name+e.by(&w.slots[0]), err))
}

// life is how long a frame may wait for its turn.
func (w *window) life() time.Duration {
	if w.pings {
		return pingLife
	}
	return classCLife
}

// backToA keeps c for the window after the next uplink: the device is in class
// A, or there are no ping slots.
func (e *Edge) backToA(w *window, c *content) error {
	if w.asks { // the next uplink's windows will do
		return e.dropRXC(w)
	}
	w.state, w.sentApp = closed, true
	e.keep(w, c)
	w.held = false
	e.arm(w, time.Now().Add(keepClosed))
	return e.leaveRXC(w, nil)
}

// dropRXC ends a window that has nothing to send any more.
func (e *Edge) dropRXC(w *window) error {
	w.state = closed
	e.arm(w, time.Now())
	return e.leaveRXC(w, nil)
}

// waitRXC tries c again later.
func (e *Edge) waitRXC(w *window, c *content, at time.Time) error {
	w.waiting, w.holding = c, true
	e.arm(w, at)
	return nil
}

// leaveRXC ends w's turn, well or not, and lets the next one try.
func (e *Edge) leaveRXC(w *window, err error) error {
	t := w.dev.busy()
	t.rxc = slices.DeleteFunc(t.rxc, func(x *window) bool { return x == w })
	e.nextRXC(w.dev)
	if err != nil && w.held { // else the AS may give a better answer
		w.state = closed
		e.arm(w, time.Now().Add(keepClosed))
	}
	return err
}

// nextRXC lets the first frame that waits for a device look at its turn again.
func (e *Edge) nextRXC(d *device) {
	if t := d.traffic; t != nil && len(t.rxc) > 0 && t.rxc[0].waiting != nil {
		e.arm(t.rxc[0], time.Now())
	}
}

// turnRXC is the moment from which the device may get c: not over its RX1 or
// before a frame that is on its way to it, and not while it should
// acknowledge another.
func (e *Edge) turnRXC(w *window, c *content, now time.Time) time.Time {
	turn := e.freeRXC(w, now)
	if w.pings { // planPing looks for a slot beside RX1 and RX2
		return turn
	}
	end := turn.Add(w.slots[0].mod.Airtime(c.size() + frameOverhead)).Add(w.slots[0].start.Sub(w.up.Time))
	if after, busy := w.dev.listening(turn, end); busy {
		turn = after
	}
	return turn
}

// freeRXC is the moment from which nothing else is on its way to the device,
// or from it.
func (e *Edge) freeRXC(w *window, now time.Time) time.Time {
	t := w.dev.busy()
	turn := now
	if t.until.After(turn) {
		turn = t.until.Add(classCGuard)
	}
	if t.ackBy.After(turn) {
		turn = t.ackBy
	}
	if after, busy := w.dev.listening(turn, turn.Add(classCLife)); busy && w.asks {
		turn = after // RX1 or RX2 may take what it asks for
	}
	return turn
}

// frameOverhead is what a data frame has beside its FRMPayload: MHDR, FHDR
// without FOpts, FPort, MIC.
const frameOverhead = 13

// tickRXC is the timer of a window in RXC: another try, or nobody answered the
// claim.
func (e *Edge) tickRXC(w *window) {
	c := w.waiting
	if c == nil {
		w.state = closed
		e.arm(w, time.Now().Add(keepClosed))
		return
	}
	w.waiting, w.held = nil, true
	switch err := e.sendRXC(w, c); {
	case err != nil && w.asks:
		e.log.Debug("MAC commands not sent between uplinks", "device", w.dev.spec.DevEUI, "err", err)
	case err != nil:
		e.failed(w, err)
		if c.again != nil {
			e.resend(*c.again)
		}
	}
}

// paceRXC notes that a frame was sent to a device of class B or C that it should
// answer soon.
func (d *device) paceRXC(ended time.Time) {
	if d.classC() || d.classB() {
		d.busy().ackBy = ended.Add(classCWait)
	}
}
