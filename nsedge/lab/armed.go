package lab

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gatewayd/radio"
)

// mostArmed faults at once; more is surely a script that went wild.
const mostArmed = 100

// armed is a fault that waits for frames.
type armed struct {
	Fault
	passed int // fitting frames before After
}

// Keys are what a fault needs to know of a device.
type Keys struct {
	DevAddr [4]byte
	NwkSKey [16]byte // signs data frames of LoRaWAN 1.0
	Root    [16]byte // signs join-requests: the AppKey of LoRaWAN 1.0, the NwkKey of 1.1

	V11         bool     // the session is one of LoRaWAN 1.1
	SNwkSIntKey [16]byte // signs its downlinks
	NwkSEncKey  [16]byte // encrypts its MAC commands

	confirmed uint16 // FCntUp of the last confirmed uplink, which an ACK of LoRaWAN 1.1 signs too
}

// Know tells which address and keys a device has from now on: without it,
// faults for one device don't find its data frames.
func (l *Layer) Know(device radio.EUI64, k Keys) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.confirmed = l.book[device].confirmed
	l.book[device] = k
}

// Arm plans a fault and returns it with its ID. The error wraps [ErrFault].
func (l *Layer) Arm(f Fault) (Fault, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, known := l.book[f.Device]
	if err := f.check(known); err != nil {
		return f, err
	}
	if err := f.check11(k); err != nil {
		return f, err
	}
	l.expire(time.Now())
	if len(l.armed) == mostArmed {
		return f, fmt.Errorf("%w: %d are armed already; disarm some", ErrFault, mostArmed)
	}
	l.nextID++
	f.ID, f.Hits = l.nextID, 0
	l.armed = append(l.armed, &armed{Fault: f})
	l.log.Info("lab: fault armed", f.fields()...)
	return f, nil
}

// Disarm takes a fault back; 0 takes all. It tells whether there was one.
func (l *Layer) Disarm(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.armed)
	l.armed = slices.DeleteFunc(l.armed, func(a *armed) bool { return id == 0 || a.ID == id })
	return len(l.armed) < before
}

// Faults are those that are armed, oldest first.
func (l *Layer) Faults() []Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(time.Now())
	out := make([]Fault, len(l.armed))
	for i, a := range l.armed {
		out[i] = a.Fault
	}
	return out
}

func (f Fault) fields() []any {
	return []any{slog.Uint64("id", f.ID), slog.String("kind", string(f.Kind)), slog.String("direction", string(f.Direction)), slog.String("device", f.Device.String()), slog.Int64("amount", f.Amount)}
}

// expire switches off what has done its work.
func (l *Layer) expire(now time.Time) {
	l.armed = slices.DeleteFunc(l.armed, func(a *armed) bool {
		over := a.Count > 0 && a.Hits >= a.Count || !a.Until.IsZero() && !now.Before(a.Until)
		if over {
			l.log.Info("lab: fault is off", append(a.fields(), slog.Int("hits", a.Hits))...)
		}
		return over
	})
}

// hitting returns the faults that a frame sets off, counted. The device is
// zero where the frame doesn't tell.
func (l *Layer) hitting(way Direction, device radio.EUI64, kind Frame) []Fault {
	if len(l.armed) == 0 {
		return nil
	}
	l.expire(time.Now())
	var out []Fault
	for _, a := range l.armed {
		if !a.fits(way, device, kind) {
			continue
		}
		if a.passed < a.After {
			a.passed++
			continue
		}
		a.Hits++
		l.log.Info("lab: fault hits", append(a.fields(), slog.Int("hit", a.Hits))...)
		out = append(out, a.Fault)
	}
	return out
}

// unhit takes hits back: the air refused the frame, which will come again.
func (l *Layer) unhit(faults []Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range faults {
		for _, a := range l.armed {
			if a.ID == f.ID {
				a.Hits--
			}
		}
	}
}

func (f Fault) fits(way Direction, device radio.EUI64, kind Frame) bool {
	tr := traits()[f.Kind]
	switch {
	case f.Direction != "" && f.Direction != way, way == Up && !tr.up, way == Down && !tr.down:
		return false
	case f.Device != radio.EUI64{} && f.Device != device:
		return false
	}
	return f.Frame.fits(kind)
}

// deviceOf tells whose a data frame is; zero if nobody's.
func (l *Layer) deviceOf(payload []byte) radio.EUI64 {
	addr, ok := devAddr(payload)
	if !ok {
		return radio.EUI64{}
	}
	for eui, k := range l.book {
		if k.DevAddr == addr {
			return eui
		}
	}
	return radio.EUI64{}
}
