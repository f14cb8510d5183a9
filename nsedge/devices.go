package nsedge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatewayd/radio"
)

// Errors of the device calls.
var (
	ErrUnknownDevice = errors.New("no such device is registered")
	ErrDeviceExists  = errors.New("a device with this DevEUI is registered already")
)

// Device returns what was registered about a device together with what its
// session knows, or [ErrUnknownDevice].
func (e *Edge) Device(ctx context.Context, eui radio.EUI64) (d Device, err error) {
	known := false
	if err := e.do(ctx, func() {
		var dev *device
		if dev, known = e.byEUI[eui]; known {
			d = e.snapshot(dev)
		}
	}); err != nil {
		return d, fmt.Errorf("device %v: %w", eui, err)
	}
	if !known {
		return d, fmt.Errorf("device %v: %w", eui, ErrUnknownDevice)
	}
	return d, nil
}

// devicePage is how many devices are taken from the edge at a time, so that
// no frame ever waits for a long list.
const devicePage = 64

// Devices calls yield for each device in the order of DevEUI until it returns
// false. Changes meanwhile may or may not show.
func (e *Edge) Devices(ctx context.Context, yield func(Device) bool) error {
	var from radio.EUI64
	skip := false // the device at from was given already
	page := make([]Device, 0, devicePage)
	for {
		page = page[:0]
		if err := e.do(ctx, func() {
			at, found := e.find(from)
			if found && skip {
				at++
			}
			for ; at < len(e.order) && len(page) < devicePage; at++ {
				page = append(page, e.snapshot(e.order[at]))
			}
		}); err != nil {
			return fmt.Errorf("devices: %w", err)
		}
		for _, d := range page {
			if !yield(d) {
				return nil
			}
			from, skip = d.DevEUI, true
		}
		if len(page) < devicePage {
			return nil
		}
	}
}

// CreateDevice registers a device. Wrong fields give a *[Refusal], a known
// DevEUI [ErrDeviceExists]. It is durable when CreateDevice returns.
func (e *Edge) CreateDevice(ctx context.Context, d Device) error {
	if err := e.normalise(&d); err != nil {
		return err
	}
	e.docs.Lock()
	defer e.docs.Unlock()
	exists := false
	if err := e.do(ctx, func() { _, exists = e.byEUI[d.DevEUI] }); err != nil {
		return fmt.Errorf("create device %v: %w", d.DevEUI, err)
	}
	if exists {
		return fmt.Errorf("create device %v: %w", d.DevEUI, ErrDeviceExists)
	}
	if err := e.putDevice(&d, 0); err != nil {
		return fmt.Errorf("create device %v: %w", d.DevEUI, err)
	}
	dev := &device{spec: &d}
	dev.install(joinState{})
	// It is registered now, whatever becomes of the caller.
	return e.do(context.WithoutCancel(ctx), func() { e.add(dev) })
}

func (e *Edge) putDevice(d *Device, gen byte) error {
	doc, err := encodeDocument(d, gen)
	if err != nil {
		return err
	}
	return e.cfg.Store.Put(bucketDevices, d.DevEUI[:], doc)
}

// UpdateDevice changes a device. change gets it as [Edge.Device] returns it;
// its error is returned and nothing changes. New keys, a new address or other
// counters begin a new session and end those that were joined.
func (e *Edge) UpdateDevice(ctx context.Context, eui radio.EUI64, change func(*Device) error) (Device, error) {
	e.docs.Lock()
	defer e.docs.Unlock()
	var (
		known       bool
		before, reg Device // as shown, as registered
		gen         byte
		used        marks
	)
	if err := e.do(ctx, func() {
		var dev *device
		if dev, known = e.byEUI[eui]; known {
			before, reg, gen = e.snapshot(dev), *dev.spec, dev.specGen
			used = dev.active.marks()
		}
	}); err != nil {
		return before, fmt.Errorf("update device %v: %w", eui, err)
	}
	if !known {
		return before, fmt.Errorf("update device %v: %w", eui, ErrUnknownDevice)
	}
	after, gen, renew, err := e.revise(&before, &reg, gen, used, change)
	if err != nil {
		return before, err
	}
	return e.replace(ctx, &after, gen, renew)
}

// revise applies a change to a device, shown as before and registered as reg.
// It tells the generation and whether a new session begins.
func (e *Edge) revise(before, reg *Device, gen byte, used marks, change func(*Device) error) (after Device, _ byte, renew bool, _ error) {
	after = before.clone()
	if err := change(&after); err != nil {
		return after, gen, false, err
	}
	if after.DevEUI != before.DevEUI {
		return after, gen, false, invalid("dev_eui", "it can't be changed: create another device")
	}
	policyAfter(before, &after)
	if err := e.normalise(&after); err != nil {
		return after, gen, false, err
	}
	if sessionDiffers(before, &after) {
		return after, nextSpecGen(gen), true, keepCounterDown(before, &after, used)
	}
	after.DevAddr, after.NwkSKey, after.AppSKey = reg.DevAddr, reg.NwkSKey, reg.AppSKey
	after.SNwkSIntKey, after.NwkSEncKey = reg.SNwkSIntKey, reg.NwkSEncKey
	after.CounterUp, after.CounterDown, after.CounterDownApp = reg.CounterUp, reg.CounterDown, reg.CounterDownApp
	return after, gen, false, nil
}

// replace makes a changed device durable, then known.
func (e *Edge) replace(ctx context.Context, d *Device, gen byte, renew bool) (shown Device, err error) {
	if renew {
		if err := e.endJoined(d.DevEUI, false); err != nil {
			return *d, fmt.Errorf("update device %v: %w", d.DevEUI, err)
		}
	}
	if !renew {
		err = e.keepRadio(ctx, d)
	}
	if err == nil {
		err = e.putDevice(d, gen)
	}
	if err != nil {
		return *d, fmt.Errorf("update device %v: %w", d.DevEUI, err)
	}
	err = e.do(context.WithoutCancel(ctx), func() {
		shown = e.snapshot(e.swap(d, gen, renew))
	})
	return shown, err
}

// swap makes a changed device known; renew ends its sessions.
func (e *Edge) swap(d *Device, gen byte, renew bool) *device {
	dev := e.byEUI[d.DevEUI]
	dev.spec, dev.specGen = d, gen
	if renew {
		e.dropSessions(dev)
		if dev.active = dev.specSession(); dev.active != nil {
			e.link(dev.active)
		}
	} else if s := dev.session(); s != nil && d.Multicast {
		s.settings = d.groupSettings()
	} else if s != nil {
		if d.Activation == ABP && d.handsOff() {
			s.RXDelay = uint8(d.RX1Delay) // what the device has by itself
		}
		e.review(s, time.Now())
	}
	return dev
}

// keepRadio records what a personalised device uses now, before that can't be
// told from its registration any more.
func (e *Edge) keepRadio(ctx context.Context, d *Device) error {
	var doc []byte
	var err error
	if doErr := e.do(ctx, func() {
		s := e.byEUI[d.DevEUI].active
		if d.Activation != ABP || s == nil || d.RX1Delay == e.byEUI[d.DevEUI].spec.RX1Delay {
			return
		}
		now := s.RXDelay
		if d.handsOff() {
			s.RXDelay = uint8(d.RX1Delay)
		}
		doc, err = s.encodeRadio()
		s.RXDelay = now
	}); doErr != nil {
		return doErr
	}
	if err != nil || doc == nil {
		return err
	}
	return e.cfg.Store.Put(bucketRadio, d.DevEUI[:], doc)
}

// endJoined forgets a device's joined sessions, and its DevNonces if asked
// to. The JoinNonce goes on counting.
func (e *Edge) endJoined(eui radio.EUI64, nonces bool) error {
	raw, err := e.cfg.Store.Get(bucketJoins, eui[:])
	if err != nil || raw == nil {
		return err
	}
	j, err := decodeJoinState(raw)
	if err != nil {
		return err
	}
	j.standing = standing{}
	if nonces {
		j.nonces, j.rejoin1, j.rejoin0 = nil, 0, 0
	}
	return e.cfg.Store.Put(bucketJoins, eui[:], j.encode())
}

func sessionDiffers(a, b *Device) bool {
	return !same(a.DevAddr, b.DevAddr) || !same(a.NwkSKey, b.NwkSKey) || !same(a.AppSKey, b.AppSKey) ||
		!same(a.SNwkSIntKey, b.SNwkSIntKey) || !same(a.NwkSEncKey, b.NwkSEncKey) || a.CounterDownApp != b.CounterDownApp || a.CounterUp != b.CounterUp || a.CounterDown != b.CounterDown || a.Activation != b.Activation || a.Multicast != b.Multicast
}

func same[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// marks are where downlink counters that may have been used end.
type marks struct{ down, app uint32 }

func (s *session) marks() (m marks) {
	if s != nil {
		m = marks{s.mark, s.appMark}
	}
	return m
}

// keepCounterDown refuses to use a downlink counter again under the same key.
func keepCounterDown(before, after *Device, used marks) error {
	if !same(before.NwkSKey, after.NwkSKey) || !same(before.DevAddr, after.DevAddr) || after.NwkSKey == nil {
		return nil
	}
	const again = "%d: a counter is never used again, %d is the next. Give new session keys, or leave it out"
	switch {
	case after.CounterDown < before.CounterDown:
		return invalid("counter_down", again, after.CounterDown, before.CounterDown)
	case after.session11() && after.CounterDownApp < before.CounterDownApp:
		return invalid("counter_down_app", again, after.CounterDownApp, before.CounterDownApp)
	}
	after.CounterDown, after.CounterDownApp = max(after.CounterDown, used.down), max(after.CounterDownApp, used.app)
	return nil
}

// DeleteDevice forgets a device, its sessions and its DevNonces.
func (e *Edge) DeleteDevice(ctx context.Context, eui radio.EUI64) error {
	e.docs.Lock()
	defer e.docs.Unlock()
	known := false
	if err := e.do(ctx, func() {
		var dev *device
		if dev, known = e.byEUI[eui]; known {
			e.remove(dev)
		}
	}); err != nil {
		return fmt.Errorf("delete device %v: %w", eui, err)
	}
	if !known {
		return fmt.Errorf("delete device %v: %w", eui, ErrUnknownDevice)
	}
	err := errors.Join(e.cfg.Store.Delete(bucketDevices, eui[:]), e.cfg.Store.Delete(bucketRadio, eui[:]), e.endJoined(eui, true), e.cfg.Store.Forget(eui))
	if err != nil {
		return fmt.Errorf("delete device %v: %w", eui, err)
	}
	return nil
}
