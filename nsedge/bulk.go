package nsedge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatewayd/radio"
)

// updater is what a [Store] must offer for bulk changes: many documents in
// one transaction, a nil value removes.
type updater interface {
	Update(fill func(put func(bucket string, key, value []byte)) error) error
}

// Change is one device of a bulk change. Edit gets a new device with nothing
// but its DevEUI, or the registered one as [Edge.Device] shows it.
type Change struct {
	DevEUI radio.EUI64
	State  []byte // of [Edge.Export]; only a new device takes it
	Edit   func(d *Device, registered bool) error
}

// BulkOptions of [Edge.ChangeDevices].
type BulkOptions struct {
	DryRun     bool // only tell what would become of each device
	SkipFaults bool // change the others if some are refused
}

// BulkAction is what becomes of a device.
type BulkAction string

// Bulk actions.
const (
	BulkCreated   BulkAction = "created"
	BulkChanged   BulkAction = "changed"
	BulkUnchanged BulkAction = "unchanged"
	BulkRefused   BulkAction = "refused"
)

// Outcome of one change, in the order of the changes.
type Outcome struct {
	Action BulkAction
	Err    error // why it is refused
}

// plan is a change that was looked at.
type plan struct {
	Outcome
	dev    *Device // as it will be registered
	gen    byte
	renew  bool      // a new session begins
	before []byte    // the old document
	after  []byte    // the new one
	state  *moved    // of a new device
	joins  joinState // of a new device
}

// ChangeDevices registers and changes many devices in one transaction. If one
// is refused, nothing changes, unless the options say otherwise; applied
// tells. What was changed can be taken back with [Edge.UndoChanges] until the
// next bulk change.
func (e *Edge) ChangeDevices(ctx context.Context, changes []Change, o BulkOptions) (out []Outcome, applied bool, err error) {
	e.docs.Lock()
	defer e.docs.Unlock()
	plans := make([]plan, len(changes))
	out = make([]Outcome, len(changes))
	seen := make(map[radio.EUI64]bool, len(changes))
	refused, wanted := 0, 0
	for i := range changes {
		if err := ctx.Err(); err != nil {
			return nil, false, fmt.Errorf("change devices: %w", err)
		}
		p, c := &plans[i], &changes[i]
		if seen[c.DevEUI] {
			err = invalid("dev_eui", "%v comes more than once: one entry a device", c.DevEUI)
		} else {
			*p, err = e.planChange(ctx, c)
		}
		seen[c.DevEUI] = true
		if err != nil {
			p.Outcome = Outcome{BulkRefused, err}
			refused++
		} else if p.Action != BulkUnchanged {
			wanted++
		}
		out[i] = p.Outcome
	}
	if o.DryRun || wanted == 0 || refused > 0 && !o.SkipFaults {
		return out, false, nil
	}
	plans = slices.DeleteFunc(plans, func(p plan) bool { return p.Action == BulkRefused || p.Action == BulkUnchanged })
	if err := e.apply(ctx, plans); err != nil {
		return out, false, fmt.Errorf("change devices: %w", err)
	}
	return out, true, nil
}

// planChange says what a change comes to.
func (e *Edge) planChange(ctx context.Context, c *Change) (p plan, err error) {
	var (
		known       bool
		before, reg Device
		used        marks
	)
	if err := e.do(ctx, func() {
		var dev *device
		if dev, known = e.byEUI[c.DevEUI]; known {
			before, reg, p.gen = e.snapshot(dev), *dev.spec, dev.specGen
			used = dev.active.marks()
		}
	}); err != nil {
		return p, err
	}
	if !known {
		return e.planNew(c)
	}
	if p.before, err = encodeDocument(&reg, p.gen); err != nil {
		return p, err
	}
	after, gen, renew, err := e.revise(&before, &reg, p.gen, used, func(d *Device) error { return c.Edit(d, true) })
	if err != nil {
		return p, err
	}
	p.dev, p.gen, p.renew, p.Action = &after, gen, renew, BulkChanged
	if p.after, err = encodeDocument(p.dev, p.gen); err == nil && bytes.Equal(p.before, p.after) {
		p.Action = BulkUnchanged
	}
	return p, err
}

func (e *Edge) planNew(c *Change) (p plan, err error) {
	p.dev, p.Action = &Device{DevEUI: c.DevEUI}, BulkCreated
	if err := c.Edit(p.dev, false); err != nil {
		return p, err
	}
	if c.State != nil {
		if p.state, err = e.decodeMoved(c.State); err != nil {
			return p, err
		}
		p.gen, p.joins = p.state.gen, p.state.joins
	}
	if err := e.normalise(p.dev); err != nil {
		return p, err
	}
	if len(p.joins.sessions) > 0 { // they are in the join state
		p.dev.DevAddr, p.dev.NwkSKey, p.dev.AppSKey, p.dev.CounterUp, p.dev.CounterDown = nil, nil, nil, 0, 0
		p.dev.SNwkSIntKey, p.dev.NwkSEncKey, p.dev.CounterDownApp = nil, nil, 0
	}
	if err := e.normalise(p.dev); err != nil {
		return p, err
	}
	p.after, err = encodeDocument(p.dev, p.gen)
	return p, err
}

// apply makes the plans durable, then known. The caller holds docs.
func (e *Edge) apply(ctx context.Context, plans []plan) error {
	st, ok := e.cfg.Store.(updater)
	if !ok {
		return errors.New("the store can't change many documents at once")
	}
	// Counters first: a session without them would use counters again.
	for _, p := range plans {
		if p.state != nil && p.state.counters != nil {
			if err := e.cfg.Store.Append(p.dev.DevEUI, p.state.counters); err != nil {
				return err
			}
		}
	}
	if err := e.cfg.Store.Sync(ctx); err != nil {
		return err
	}
	for _, p := range plans {
		if p.Action == BulkChanged && !p.renew {
			if err := e.keepRadio(ctx, p.dev); err != nil {
				return err
			}
		}
	}
	undo, err := e.undoKeys()
	if err != nil {
		return err
	}
	if err := st.Update(func(put func(string, []byte, []byte)) error {
		for _, key := range undo {
			put(bucketUndo, key, nil)
		}
		for i := range plans {
			if err := e.putPlan(put, &plans[i]); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return e.reveal(context.WithoutCancel(ctx), plans)
}

// putPlan writes a device's documents.
func (e *Edge) putPlan(put func(string, []byte, []byte), p *plan) error {
	key := p.dev.DevEUI[:]
	put(bucketDevices, key, p.after)
	put(bucketUndo, key, encodeUndo(p))
	raw, err := e.cfg.Store.Get(bucketJoins, key)
	if err != nil {
		return err
	}
	old, err := decodeJoinState(raw)
	switch {
	case err != nil:
		return err
	case p.renew && raw != nil:
		old.standing = standing{}
		put(bucketJoins, key, old.encode())
	case p.state != nil:
		// JoinNonces go on, whatever was heard of the device before.
		p.joins.nonce, p.joins.joins = max(p.joins.nonce, old.nonce), max(p.joins.joins, old.joins)
		put(bucketJoins, key, p.joins.encode())
		if p.state.radio != nil {
			put(bucketRadio, key, p.state.radio)
		}
	}
	return nil
}

// reveal makes the edge know what is durable, a page at a time, so that no
// frame waits for it.
func (e *Edge) reveal(ctx context.Context, plans []plan) error {
	slices.SortFunc(plans, func(a, b plan) int { return bytes.Compare(a.dev.DevEUI[:], b.dev.DevEUI[:]) })
	for page := range slices.Chunk(plans, devicePage) {
		if err := e.do(ctx, func() {
			var fresh []*device
			for i := range page {
				p := &page[i]
				if p.Action == BulkChanged {
					e.swap(p.dev, p.gen, p.renew)
					continue
				}
				dev := &device{spec: p.dev, specGen: p.gen}
				dev.install(p.joins)
				p.state.give(dev)
				fresh = append(fresh, dev)
			}
			e.addAll(fresh)
		}); err != nil {
			return err
		}
	}
	return nil
}

// addAll registers devices that are in order, in one pass over those that
// are there.
func (e *Edge) addAll(devices []*device) {
	end := len(e.order)
	e.order = append(e.order, devices...) // makes room
	for i := len(devices) - 1; i >= 0; i-- {
		d := devices[i]
		at, _ := slices.BinarySearchFunc(e.order[:end], d, byDevEUI)
		copy(e.order[at+i+1:], e.order[at:end])
		e.order[at+i], end = d, at
		e.byEUI[d.spec.DevEUI] = d
		for _, s := range d.sessions() {
			e.link(s)
		}
	}
}

// Exported is a device with what lets it go on at another gateway: its
// downlink counter is the mark below which values may have been used, and
// State has joins, DevNonces, counters and what the device was set up for.
// State holds keys.
type Exported struct {
	Device
	State []byte
}

// Export calls yield for each device in the order of DevEUI until it returns
// false.
func (e *Edge) Export(ctx context.Context, yield func(Exported) bool) error {
	var failed error
	err := e.Devices(ctx, func(d Device) bool {
		var x Exported
		if x, failed = e.exported(ctx, d); errors.Is(failed, ErrUnknownDevice) {
			failed = nil // deleted meanwhile
			return true
		}
		return failed == nil && yield(x)
	})
	if err = cmp.Or(err, failed); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func (e *Edge) exported(ctx context.Context, d Device) (x Exported, err error) {
	raw, err := e.cfg.Store.Get(bucketJoins, d.DevEUI[:])
	if err != nil {
		return x, err
	}
	m := moved{}
	if m.joins, err = decodeJoinState(raw); err != nil {
		return x, err
	}
	known := false
	if err := e.do(ctx, func() {
		var dev *device
		if dev, known = e.byEUI[d.DevEUI]; !known {
			return
		}
		x.Device, m.gen = e.snapshot(dev), dev.specGen
		if s := dev.active; s != nil {
			x.CounterDown, x.CounterDownApp = max(s.down, s.mark), max(s.appDown, s.appMark)
			m.counters = s.appendState(nil, s.gen)
			if m.radio, err = (&session{gen: s.gen, settings: s.settings}).encodeRadio(); err != nil {
				return
			}
		}
	}); err != nil {
		return x, err
	}
	if !known {
		return x, ErrUnknownDevice
	}
	x.State = m.encode()
	return x, err
}

// usedSince tells whether a device was in use after a moment.
func (s *session) usedSince(t time.Time) bool {
	return s != nil && (s.seen >= t.Unix() || !s.joined.Before(t.Truncate(time.Second)))
}
