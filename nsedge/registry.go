package nsedge

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"gatewayd/radio"
)

// device is a registered device with its sessions, as the edge keeps it in
// memory. spec is never changed, only replaced.
type device struct {
	spec    *Device
	specGen byte       // generation of the session in spec
	active  *session   // nil before the first join
	pending []*session // joined, but no uplink has used them yet; oldest first, at most maxPending

	*traffic // nil while the device is silent
}

// traffic is what goes on between the edge and a device right now.
type traffic struct {
	win     *window  // the last window
	queued  *content // an answer kept for the next window
	joining bool     // a join is being worked on
	status  status
	force   forced
	lastUp  radio.Uplink  // the best copy, for a claim
	near    []radio.EUI64 // of several gateways those that heard it, the best one first
	rxc     []*window     // class C: frames that wait, in order
	until   time.Time     // end of the last frame to the device
	joins   []JoinNote    // the last ones, for people
	ackBy   time.Time     // class B and C: until when the device may take to answer
}

// Generations tell which session a state in the journal belongs to: one byte,
// below 128 for sessions that were registered, from 128 on for joined ones.
const joinedGen = 128

func nextSpecGen(g byte) byte   { return (g + 1) % joinedGen }
func joinGen(joins uint32) byte { return joinedGen + byte(joins%joinedGen) }

// busy returns the device's traffic.
func (d *device) busy() *traffic {
	if d.traffic == nil {
		d.traffic = &traffic{}
	}
	return d.traffic
}

// maxPending is how many sessions wait for their first uplink: after a
// rejoin-request the device may be in the last one that it was given, or, as
// its join-accept was lost, in the one before.
const maxPending = 2

// session is the one in use, or else the newest that waits for its first
// uplink; nil before the first join.
func (d *device) session() *session {
	if d.active != nil {
		return d.active
	}
	return d.newest()
}

// newest is the session of the last join, if it waits for its first uplink.
func (d *device) newest() *session {
	if n := len(d.pending); n > 0 {
		return d.pending[n-1]
	}
	return nil
}

// promote makes a session that waited the one in use. Those before it are
// over; later ones go on waiting.
func (d *device) promote(i int) { d.active, d.pending = d.pending[i], d.pending[i+1:] }

// specSession makes the session that was registered, or nil.
func (d *device) specSession() *session {
	p := d.spec
	if p.DevAddr == nil || p.NwkSKey == nil {
		return nil
	}
	s := &session{
		dev: d, addr: *p.DevAddr, keys: keys10(*p.NwkSKey), gen: d.specGen,
		settings: firstSettings(uint8(p.RX1Delay)), lastDR: -1,
		counters: counters{up: p.CounterUp, mark: p.CounterDown}, down: p.CounterDown, safe: p.CounterDown,
	}
	if p.session11() {
		s.v11, s.sIntKey, s.encKey = true, *p.SNwkSIntKey, *p.NwkSEncKey
		s.appMark, s.appDown, s.appSafe = p.CounterDownApp, p.CounterDownApp, p.CounterDownApp
	}
	if p.AppSKey != nil {
		s.setApp(*p.AppSKey)
	}
	if p.Multicast {
		s.settings = p.groupSettings()
	}
	return s
}

// joinedSession makes a session from its record.
func (d *device) joinedSession(r joined) *session {
	s := &session{
		dev: d, addr: r.addr, keys: r.keys, gen: r.gen,
		settings: firstSettings(r.rxDelay), lastDR: -1, joined: time.Unix(r.at, 0),
	}
	s.Offset, s.RX2DR = r.offset, r.rx2DR
	if s.kept = r.keep; r.keep != nil {
		s.settings = *r.keep
		return s
	}
	// Before 1.0.3, devices don't know the channel mask in a join-accept.
	s.Masked = d.spec.since("1.0.3") || d.spec.Encryption == KeysAtApp
	return s
}

// restore gives the session the counters that the journal kept. Downlink
// counters go on at the mark: none below it may be used again.
func (s *session) restore(c counters) {
	s.counters = c
	s.down, s.safe = c.mark, c.mark
	s.appDown, s.appSafe = c.appMark, c.appMark
}

// load reads everything from the store.
func (e *Edge) load() error {
	for _, step := range []func() error{e.loadDevices, e.loadCounters, e.loadFloors, e.loadRadio, e.loadDuty} {
		if err := step(); err != nil {
			return err
		}
	}
	for _, d := range e.order {
		for _, s := range d.sessions() {
			s.doubt()
			e.link(s)
		}
	}
	return nil
}

// loadDevices reads what was registered, and joined.
func (e *Edge) loadDevices() error {
	err := e.cfg.Store.Each(bucketDevices, func(k, v []byte) error {
		spec, gen, err := decodeDocument(v)
		if err != nil {
			return fmt.Errorf("device %x: %w", k, err)
		}
		d := &device{spec: spec, specGen: gen}
		e.byEUI[spec.DevEUI] = d
		e.order = append(e.order, d)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(e.order, byDevEUI)

	joins := map[radio.EUI64]joinState{}
	err = e.cfg.Store.Each(bucketJoins, func(k, v []byte) error {
		j, err := decodeJoinState(v)
		if err != nil {
			return fmt.Errorf("join state of %x: %w", k, err)
		}
		if len(k) == len(radio.EUI64{}) {
			j.nonces = nil // read again when they are needed
			joins[radio.EUI64(k)] = j
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range e.order {
		d.install(joins[d.spec.DevEUI])
	}
	return nil
}

// loadCounters reads the journal.
func (e *Edge) loadCounters() error {
	return e.cfg.Store.EachState(func(key [8]byte, value []byte) error {
		if key == ([8]byte{}) {
			return nil // no device's: where the duty ledger was before it was a document
		}
		c, gen, err := decodeState(value)
		if err != nil {
			return fmt.Errorf("state of %x: %w", key, err)
		}
		if d := e.byEUI[key]; d != nil {
			d.adopt(c, gen)
		}
		return nil
	})
}

// install makes the device's sessions from what was stored.
func (d *device) install(j joinState) {
	d.active, d.pending = d.specSession(), nil
	for _, r := range j.sessions {
		d.pending = append(d.pending, d.joinedSession(r))
	}
	if len(d.pending) > 1 && !j.registered || len(d.pending) > 0 && d.active == nil {
		d.promote(0)
	}
}

// adopt gives the counters of the journal to the session that they belong to.
// Where that waits, an uplink has made it the active one.
func (d *device) adopt(c counters, gen byte) {
	if i := slices.IndexFunc(d.pending, func(s *session) bool { return s.gen == gen }); i >= 0 {
		d.promote(i)
	}
	if d.active != nil && d.active.gen == gen {
		d.active.restore(c)
	}
}

func byDevEUI(a, b *device) int { return bytes.Compare(a.spec.DevEUI[:], b.spec.DevEUI[:]) }

// find returns where the device is in the order, or belongs.
func (e *Edge) find(eui radio.EUI64) (int, bool) {
	return slices.BinarySearchFunc(e.order, eui, func(d *device, eui radio.EUI64) int {
		return bytes.Compare(d.spec.DevEUI[:], eui[:])
	})
}

// add registers a device.
func (e *Edge) add(d *device) {
	at, _ := e.find(d.spec.DevEUI)
	e.order = slices.Insert(e.order, at, d)
	e.byEUI[d.spec.DevEUI] = d
	for _, s := range d.sessions() {
		e.link(s)
	}
}

// remove forgets a device.
func (e *Edge) remove(d *device) {
	if at, ok := e.find(d.spec.DevEUI); ok {
		e.order = slices.Delete(e.order, at, at+1)
	}
	delete(e.byEUI, d.spec.DevEUI)
	e.dropSessions(d)
}

func (e *Edge) dropSessions(d *device) {
	for _, s := range d.sessions() {
		e.unlink(s)
	}
	d.active, d.pending = nil, nil
	if d.traffic != nil {
		if d.win != nil {
			e.closeWindow(d.win)
		}
		d.traffic = nil
	}
}
