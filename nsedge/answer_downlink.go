package nsedge

import (
	"errors"
	"time"

	"gatewayd/radio"
)

const lastPort = 224 // 225 and more are reserved (LoRaWAN 1.0.4 §4.3.2)

// answerDownlink takes a downlink_response.
func (e *Edge) answerDownlink(a DownlinkResponse) error {
	w, err := e.findWindow(a.PacketHash, a.Device)
	if err != nil {
		return err
	}
	if a.MAC != nil {
		return e.answerMAC(w, &a)
	}
	c, err := e.contentOf(w, &a)
	if err != nil {
		return err
	}
	switch {
	case w.kind == joinWindow:
		return refuse(CodeDownlinkUnknown, "packet_hash", "it belongs to a join_request: answer that with a join_response")
	case w.waiting != nil && !w.waiting.standby:
		return refuse(CodeDownlinkAnswered, "", "another answer to this downlink_request was taken already")
	}
	m := e.meta(w.dev, w.s, w.hash, w.up.Gateway)
	e.notice(Info, CodeDownlinkReceived, m, "the downlink was obtained from the application")
	switch {
	case w.kind == claimWindow && w.state < sent:
		w.state = closed
		e.keep(w, c)
	case !e.answerable(w):
		if err := e.afterwards(w, c); err != nil {
			return err
		}
	case w.kind == classCWindow:
		if err := e.sendRXC(w, c); err != nil {
			return err
		}
	default:
		if err := e.sendAnswer(w, c); err != nil {
			return err
		}
	}
	if c.size() == 0 {
		e.notice(Warning, CodeDownlinkEmpty, m, "the downlink has an empty payload")
	}
	return nil
}

// sendAnswer sends c in an open window; one that comes too late is kept if
// its AS wants that.
func (e *Edge) sendAnswer(w *window, c *content) error {
	kept, old, d := w.waiting, e.standby(w), w.dev
	w.waiting = nil
	err := e.send(w, c)
	if err != nil {
		w.waiting, w.refused = kept, true
	}
	if err == nil && (d.queued != nil || kept != nil && kept.app || old != nil && old.c.app) {
		d.queued = nil
		e.notice(Warning, CodeDownlinkReplaced, e.meta(d, w.s, w.hash, w.up.Gateway), "an answer that was kept for this window is dropped: a newer one replaces it")
	}
	var r *Refusal
	if errors.As(err, &r) && r.Code == CodeDownlinkLate && e.anytime(w.dev) {
		return e.lateRXC(w, c)
	}
	if errors.As(err, &r) && r.Code == CodeDownlinkLate && c.ifLate {
		e.keep(w, c)
		return nil
	}
	return err
}

// afterwards deals with an answer to a window that is over.
func (e *Edge) afterwards(w *window, c *content) error {
	if w.kind == dataWindow && !w.sentApp && e.anytime(w.dev) && w.s == w.dev.session() {
		return e.lateRXC(w, c)
	}
	if c.ifLate {
		e.keep(w, c)
		return nil
	}
	if w.sentApp {
		return refuse(CodeDownlinkAnswered, "", "an answer to this downlink_request was sent already: one downlink fits a window. Set queue_if_late to keep more for the next one")
	}
	return e.refuseLate(w, c)
}

// findWindow finds what an answer belongs to.
func (e *Edge) findWindow(hash PacketHash, eui radio.EUI64) (*window, error) {
	if hash != (PacketHash{}) {
		if w := e.windows[hash]; w != nil && e.byEUI[w.dev.spec.DevEUI] == w.dev {
			return w, nil
		}
		return nil, refuse(CodeDownlinkUnknown, "packet_hash", "no downlink_request %v is known: it was more than a minute ago, or another gateway's", hash)
	}
	d := e.byEUI[eui]
	if d == nil {
		return nil, refuse(CodeDeviceUnknown, "device", "device %v is not registered, and there is no packet_hash", eui)
	}
	var open *window
	for _, w := range e.windows {
		if w.dev != d || !e.answerable(w) || w.kind == joinWindow {
			continue
		}
		if open != nil {
			return nil, refuse(CodeDownlinkAmbiguous, "packet_hash", "several requests of device %v are open: say which by its packet_hash", eui)
		}
		open = w
	}
	if open == nil {
		return nil, refuse(CodeDownlinkUnknown, "device", "no downlink_request of device %v is open: answer within its window, or claim one", eui)
	}
	return open, nil
}

// contentOf checks a response by itself.
func (e *Edge) contentOf(w *window, a *DownlinkResponse) (*content, error) {
	c := &content{
		app: true, port: a.Port, plain: a.Payload, encrypted: a.Encrypted, confirmed: a.Confirmed,
		pending: a.Pending, counter: a.Counter, ifLate: a.QueueIfLate, gateway: w.insist, came: time.Now(),
	}
	if c.port == 0 {
		c.port = 1
	}
	if c.counter != nil && *c.counter == w.announced && len(c.encrypted) == 0 {
		c.counter = nil // an echo
	}
	s := w.s
	if s == nil {
		s = w.dev.session()
	}
	switch {
	case w.dev.spec.BlockDownlink:
		return nil, refuse(CodeDownlinkBlocked, "", "downlinks of device %v are blocked: clear block_downlink", w.dev.spec.DevEUI)
	case w.dev.spec.Multicast && c.confirmed:
		return nil, refuse(CodeDownlinkPayload, "confirmed", "%v is a multicast group: nobody acknowledges for it. Leave confirmed out", w.dev.spec.DevEUI)
	case c.port > lastPort:
		return nil, refuse(CodeDownlinkPort, "port", "%d is not 1 to %d", c.port, lastPort)
	case len(a.Payload) > 0 && len(a.Encrypted) > 0:
		return nil, refuse(CodeDownlinkPayload, "payload", "both payload and encrypted_payload are given: give one")
	case len(a.Payload) > 0 && s != nil && !s.hasApp:
		return nil, refuse(CodeDownlinkNoKey, "payload", "the network server has no AppSKey of device %v to encrypt it: send encrypted_payload, encrypted with counter_down", w.dev.spec.DevEUI)
	}
	return c, nil
}

// keep holds an answer for the next window; a newer one replaces it.
func (e *Edge) keep(w *window, c *content) {
	d := w.dev
	m := e.meta(d, w.s, w.hash, w.up.Gateway)
	if d.busy().queued != nil {
		e.notice(Warning, CodeDownlinkReplaced, m, "an answer that was kept for the next window is dropped: a newer one replaces it")
	}
	if len(c.encrypted) > 0 && c.counter == nil {
		n := w.announced
		c.counter = &n // what it was encrypted with
	}
	d.queued = c
	e.notice(Info, CodeDownlinkQueued, m, "the downlink is kept for the window after the next uplink")
}

// fitsQueued checks the kept answer against a new window.
func (e *Edge) fitsQueued(w *window) bool {
	c := w.dev.queued
	if len(c.encrypted) > 0 && c.counter != nil && *c.counter < w.s.nextApp() {
		e.noticef(Error, CodeDownlinkCounter, e.meta(w.dev, w.s, w.hash, w.up.Gateway),
			"the kept downlink was encrypted with counter %d, which was used meanwhile: answer again with counter %d", *c.counter, w.s.nextApp())
		return false
	}
	return true
}

// tooLate is the end of something taken that did not go out.
func (e *Edge) tooLate(w *window, c *content) {
	if c.app && c.ifLate {
		e.keep(w, c)
		return
	}
	e.failed(w, e.refuseLate(w, c))
}
