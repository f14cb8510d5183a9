package nsedge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gatewayd/radio"
)

// Gateway is one more gateway, beside the one that the edge runs on.
type Gateway struct {
	EUI         radio.EUI64 // of all that its Air hears
	Air         Air
	AntennaGain radio.DB // taken off the EIRP that the region allows
	// Clock ties the counter of its Air to GPS time; nil: it sends no beacons
	// and serves no ping slots.
	Clock GPSClock
	// Position is its own, for beacons; nil, or false, while unknown.
	Position func() (Position, bool)
}

// gateway is a gateway with all that is counted by gateway. Each has a counter
// of its own: the Instants of one mean nothing to another.
type gateway struct {
	Gateway
	ledger  ledger
	anchor  radio.Uplink // the last frame that it heard: only its moment
	beacons beaconing
	gone    bool // its Air closed a channel in this Run
}

var errGone = errors.New("the gateway is gone")

// farQueue bounds what the other gateways heard and reported, and Run did not
// look at yet. Beyond it their Airs have to wait, or drop.
const farQueue = 64

// gatewaysOf checks and makes the gateways; the first one is the local one.
func gatewaysOf(cfg *Config, air Air) ([]*gateway, error) {
	all := append([]Gateway{{EUI: cfg.Gateway, Air: air, AntennaGain: cfg.AntennaGain, Clock: cfg.Clock, Position: cfg.Position}}, cfg.Others...)
	var out []*gateway
	for i, g := range all {
		switch {
		case g.Air == nil:
			return nil, fmt.Errorf("nsedge: gateway %v has no Air", g.EUI)
		case len(all) > 1 && g.EUI == (radio.EUI64{}):
			return nil, errors.New("nsedge: each of several gateways needs an EUI: set Config.Gateway and Config.Others[].EUI")
		case slices.ContainsFunc(all[:i], func(o Gateway) bool { return o.EUI == g.EUI }):
			return nil, fmt.Errorf("nsedge: there are two gateways %v: give each its own EUI", g.EUI)
		}
		out = append(out, &gateway{Gateway: g, ledger: newLedger(cfg.Region.SubBands()), beacons: beaconing{ClassBState: ClassBState{Mode: cfg.ClassB}}})
	}
	return out, nil
}

// gatewayOf finds the gateway that heard u; nil if it can't be used to answer.
func (e *Edge) gatewayOf(u *radio.Uplink) *gateway {
	if e.cfg.Gateway == (radio.EUI64{}) {
		return e.local
	}
	return e.gateway(u.Gateway)
}

func (e *Edge) gateway(eui radio.EUI64) *gateway {
	for _, g := range e.gateways {
		if g.EUI == eui {
			return g
		}
	}
	return nil
}

// listen brings what the other gateways hear and report to Run. The channel is
// nil where there are none. wait waits until nobody listens any more.
func (e *Edge) listen(ctx context.Context) (wait func()) {
	var all sync.WaitGroup
	e.far, e.ended = nil, nil
	if len(e.gateways) > 1 {
		e.far = make(chan func(), farQueue)
	}
	for _, g := range e.gateways {
		g.gone, g.beacons.due = false, time.Time{}
		if g != e.local {
			all.Go(func() { e.listenTo(ctx, g, e.far) })
		}
	}
	return all.Wait
}

// listenTo serves one of the other gateways until it is gone or ctx ends.
func (e *Edge) listenTo(ctx context.Context, g *gateway, far chan<- func()) {
	for gone := false; !gone; {
		var what func()
		select {
		case <-ctx.Done():
			return
		case u, ok := <-g.Air.Uplinks():
			u.Gateway = g.EUI
			what, gone = func() { e.receive(u) }, !ok
		case r, ok := <-g.Air.Reports():
			what, gone = func() { e.report(r) }, !ok
		}
		if gone {
			what = func() { e.lose(g, "channels") }
		}
		select {
		case far <- what:
		case <-ctx.Done():
			return
		}
	}
}

// lose notes that a gateway closed its channels. That of the last one ends Run.
func (e *Edge) lose(g *gateway, channels string) {
	if g.gone {
		return
	}
	g.gone = true
	for range len(g.Air.Reports()) {
		if r, ok := <-g.Air.Reports(); ok {
			e.report(r)
		}
	}
	if !slices.ContainsFunc(e.gateways, func(g *gateway) bool { return !g.gone }) {
		e.ended = fmt.Errorf("nsedge: the air closed its %s", channels)
		return
	}
	e.log.Warn("a gateway is gone", "gateway", g.EUI)
	var lost []uint64
	for id, fl := range e.flights {
		if fl.slot.gw == g {
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	for _, id := range lost {
		fl := e.flights[id]
		w, name := fl.w, fl.slot.name
		delete(e.flights, id)
		code := CodeDownlinkFailed
		if w.kind == joinWindow {
			code = CodeJoinFailed
		}
		why := "the gateway is gone, and did not tell whether it sent the downlink in " + name
		if !w.dev.spec.Multicast {
			why += ". It is not sent again, as the device may have it"
		}
		e.notice(Error, code, e.meta(w.dev, w.s, w.hash, g.EUI), why)
		e.repeat(fl)
	}
}

// uplinks and reports are the channels of the local gateway while it is there.
func (g *gateway) uplinks() <-chan radio.Uplink {
	if g.gone {
		return nil
	}
	return g.Air.Uplinks()
}

func (g *gateway) reports() <-chan radio.Report {
	if g.gone {
		return nil
	}
	return g.Air.Reports()
}

// strength is how well a gateway heard a device, and so how well the device
// will hear it: the power of the signal alone, which below the noise is less
// than the RSSI by the SNR. The gateways' noise does not matter to the device.
func strength(u *radio.Uplink) radio.DBm { return u.RSSI + radio.DBm(min(u.SNR, 0)) }

// similar is the difference in dB that chance makes: gateways within it are
// equally good, and the one that needs less lead goes first.
const similar = 3

// addCopy notes another copy of the window's uplink: the best one by gateway
// counts. The best gateway is the first.
func (e *Edge) addCopy(w *window, u *radio.Uplink) bool {
	if w.copies == nil {
		w.copies = []radio.Uplink{w.up}
	}
	i := slices.IndexFunc(w.copies, func(c radio.Uplink) bool { return c.Gateway == u.Gateway })
	switch {
	case i < 0:
		w.copies = append(w.copies, *u)
	case u.SNR <= w.copies[i].SNR:
		return false
	default:
		w.copies[i] = *u
	}
	slices.SortStableFunc(w.copies, func(a, b radio.Uplink) int { return cmp.Compare(strength(&b), strength(&a)) })
	best := strength(&w.copies[0])
	near := slices.IndexFunc(w.copies, func(c radio.Uplink) bool { return best-strength(&c) > similar })
	if near < 0 {
		near = len(w.copies)
	}
	slices.SortStableFunc(w.copies[:near], func(a, b radio.Uplink) int { return cmp.Compare(e.leadOf(w, &a), e.leadOf(w, &b)) })
	return true
}

// leadOf is the lead that the gateway of a copy needs for a long frame in RX2.
func (e *Edge) leadOf(w *window, u *radio.Uplink) int64 {
	s := &w.slots[1]
	if g := e.gatewayOf(u); g != nil && s.mod != nil {
		return int64(g.Air.Lead(radio.Downlink{Freq: s.freq, Mod: s.mod, Power: s.power, Payload: probe[:min(max(s.size, 0)+13, len(probe))]}))
	}
	return 0
}

// via makes w one that is answered by the gateway of a copy of its uplink.
func (e *Edge) via(w *window, u radio.Uplink) {
	w.up, w.dr = u, e.dataRate(&u)
	e.plan(w)
}

// through offers a frame to the gateways that heard the uplink, the best one
// first, for one of the two slots. A frame that stands by can only be replaced
// where it is. What the first gateway can't take yet waits for it.
func (e *Edge) through(w *window, i int, c *content) error {
	if c.gateway == nil && (len(w.copies) < 2 || e.standby(w) != nil) {
		return e.try(w, &w.slots[i], c)
	}
	copies := w.copies
	if copies == nil {
		copies = []radio.Uplink{w.up}
	}
	first := w.up
	var why error
	for _, u := range copies {
		if c.gateway != nil && u.Gateway != *c.gateway || e.standby(w) != nil && u.Gateway != first.Gateway {
			continue
		}
		e.via(w, u)
		err := e.try(w, &w.slots[i], c)
		if err == nil || errors.Is(err, radio.ErrTooEarly) {
			return err
		}
		err = fmt.Errorf("gateway %v: %w", u.Gateway, err)
		if why == nil {
			why = err
		} else {
			why = fmt.Errorf("%w; %w", why, err)
		}
	}
	if e.standby(w) == nil {
		e.via(w, copies[0])
	}
	if why == nil {
		why = fmt.Errorf("gateway %v, which was insisted on, did not hear the uplink, or another has the acknowledgement", *c.gateway)
	}
	return why
}

// try schedules a frame in a slot if that can be used.
func (e *Edge) try(w *window, s *slot, c *content) error {
	if err := e.usableFor(w, s, c); err != nil {
		return err
	}
	return e.schedule(w, s, c)
}

// near notes by which gateways a device can be reached without an uplink
// before: those that heard the last one, the best one first.
func (e *Edge) near(w *window) {
	if len(e.gateways) == 1 {
		return
	}
	t := w.dev.busy()
	t.near = []radio.EUI64{w.up.Gateway}
	if len(w.copies) > 0 {
		t.near = t.near[:0]
	}
	for _, u := range w.copies {
		t.near = append(t.near, u.Gateway)
	}
}

// reaching lists the gateways for a frame to a device that listens without an
// uplink before, the one to begin with first. For a group it is all of them.
func (e *Edge) reaching(w *window) (out []*gateway) {
	switch {
	case w.insist != nil && e.gateway(*w.insist) != nil:
		return []*gateway{e.gateway(*w.insist)}
	case len(e.gateways) == 1:
		return e.gateways
	}
	able := (*gateway).counts
	if w.pings {
		able = (*gateway).pings
	}
	for _, eui := range w.dev.busy().near {
		if g := e.gateway(eui); g != nil && able(g) {
			out = append(out, g)
		}
	}
	if len(out) == 0 { // nothing was heard of it yet, or of a group
		for _, g := range e.gateways {
			if able(g) {
				out = append(out, g)
			}
		}
	}
	if len(out) == 0 {
		return e.gateways[:1]
	}
	return out
}

// counts tells whether the gateway's counter is known.
func (g *gateway) counts() bool {
	_, ok := g.now()
	return ok
}

// pings tells whether the gateway can be used for ping slots.
func (g *gateway) pings() bool { return g.beacons.Active }

// insisted is the gateway that a claim is about.
func (e *Edge) insisted(eui *radio.EUI64) radio.EUI64 {
	if eui != nil {
		return *eui
	}
	return e.cfg.Gateway
}

// by names the gateway to people, where there are several.
func (e *Edge) by(s *slot) string {
	if len(e.gateways) == 1 || s.gw == nil {
		return ""
	}
	return " by gateway " + s.gw.EUI.String()
}
