package enddevice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatewayd/radio"
	"gatewayd/radio/air"
)

// A receiver without a Tolerance hears preambles that start that many symbols
// late; by how much they may be early is the medium's rule.
const lateSymbols = 3

// slot is a receive window that is planned.
type slot struct {
	air.Window
	name  string
	delay time.Duration // of the window from the end of the uplink; 0 for RXC
	at    radio.Instant // class B: when the device expects the frame
}

// windows plans the windows after an uplink. A class C device also listens
// with the parameters of RX2 whenever no other window is open.
func (d *Device) windows(up air.Transmission, c Channel, dr int, first, second time.Duration) ([]slot, error) {
	freq, rx1DR, err := d.region.RX1(up.Freq, dr, d.st.RX1Offset)
	if err != nil {
		return nil, fmt.Errorf("RX1: %w", err)
	}
	if c.Down != 0 {
		freq = c.Down
	}
	rx2Freq := d.st.RX2Freq
	if !d.st.Joined {
		freq, rx2Freq = d.region.JoinAccept(up.Freq, freq), d.region.JoinAccept(up.Freq, rx2Freq)
	}
	rx1, err := d.slot("RX1", up, first, freq, rx1DR)
	if err != nil {
		return nil, err
	}
	rx2, err := d.slot("RX2", up, second, rx2Freq, d.st.RX2DR)
	if err != nil {
		return nil, err
	}
	if d.cfg.Class == "B" && d.st.Joined {
		d.b.busy = rx2.Until + 1
		return d.misopen(append(d.pingSlots(up.End, rx1.From), rx1, rx2)), nil
	}
	if d.cfg.Class != "C" || !d.st.Joined {
		return d.misopen([]slot{rx1, rx2}), nil
	}
	rxc := rx2
	rxc.name, rxc.delay = "RXC", 0
	freq, rate := d.rxcChannel()
	if rxc.Freq = freq; rate != d.st.RX2DR {
		if rxc.Mod, err = d.region.Downlink(rate); err != nil {
			return nil, fmt.Errorf("RXC: %w", err)
		}
	}
	before, between := rxc, rxc
	before.From, before.Until = up.End, rx1.From-1
	between.From, between.Until = rx1.From, rx2.From-1
	return d.misopen([]slot{before, rx1, between, rx2}), nil
}

// slot plans one window.
func (d *Device) slot(name string, up air.Transmission, delay time.Duration, freq radio.Hertz, dr int) (slot, error) {
	mod, err := d.region.Downlink(dr)
	if err != nil {
		return slot{}, fmt.Errorf("%s: %w", name, err)
	}
	at := up.End.Add(delay + d.offset(name))
	s := slot{Window: air.Window{Freq: freq, Mod: mod, From: at, Until: at}, name: name, delay: delay}
	switch m := mod.(type) {
	case radio.LoRa:
		s.Until = at.Add(lateSymbols * m.SymbolTime())
	case radio.FSK:
		s.Until = at.Add(lateSymbols * 8 * time.Second / time.Duration(m.BitRate))
	}
	if tol := d.cfg.Tolerance; tol > 0 {
		s.From, s.Until = at.Add(-tol), at.Add(tol)
	}
	return s, nil
}

// listen opens windows one after the other until take accepts a frame, and
// returns whether it did.
func (d *Device) listen(ctx context.Context, up air.Transmission, slots []slot, take func(Arrival) bool) (bool, error) {
	for _, s := range slots {
		for s.From <= s.Until {
			r, err := d.station.Receive(ctx, s.Window)
			if errors.Is(err, air.ErrTimeout) {
				break
			}
			if err != nil {
				return false, err
			}
			a := Arrival{Reception: r, Window: s.name, Uplink: up}
			if up.ID != 0 {
				a.Delay = r.Start.Sub(up.End)
			}
			if s.delay != 0 {
				a.Offset = a.Delay - s.delay
			}
			if s.at != 0 {
				a.Offset = r.Start.Sub(s.at)
			}
			if d.punctual(a) && take(a) {
				return true, nil
			}
			s.From = max(r.End, s.From+1) // what began meanwhile was not heard
		}
	}
	return false, nil
}

// punctual tells whether a device with a Tolerance hears the frame: the medium
// also matches preambles that began before the window.
func (d *Device) punctual(a Arrival) bool {
	if d.cfg.Tolerance == 0 || a.Window == "RXC" || a.Window == "ping" || a.Window == "beacon" || max(a.Offset, -a.Offset) <= d.cfg.Tolerance {
		return true
	}
	d.emit(Rejected{a, fmt.Errorf("%v away from the begin of %s: %v is tolerated", a.Offset, a.Window, d.cfg.Tolerance)})
	return false
}

// Listen waits until the given air time. A device of class B or C that has
// joined receives meanwhile.
func (d *Device) Listen(ctx context.Context, until radio.Instant) error {
	for d.m.Now() < until {
		if _, err := d.idle(ctx, until); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// idle is Listen that ends early, with true, when a downlink wants an uplink.
func (d *Device) idle(ctx context.Context, until radio.Instant) (urgent bool, err error) {
	if d.cfg.Class == "B" && d.State().Joined {
		return d.idleB(ctx, until)
	}
	if d.cfg.Class != "C" || !d.State().Joined || d.has(DeafRXC) {
		return false, d.m.Wait(ctx, until)
	}
	s, err := d.rxc(ctx, until)
	if err != nil {
		return false, err
	}
	return d.listen(ctx, air.Transmission{}, []slot{s}, func(a Arrival) bool {
		if d.take(ctx) != nil {
			return false
		}
		defer d.release()
		down := d.receive(a)
		return down != nil && (down.Confirmed || down.Pending)
	})
}

// rxc is a class C window from now on, with the parameters of RX2.
func (d *Device) rxc(ctx context.Context, until radio.Instant) (slot, error) {
	if err := d.take(ctx); err != nil {
		return slot{}, err
	}
	defer d.release()
	freq, dr := d.rxcChannel()
	mod, err := d.region.Downlink(dr)
	if err != nil {
		return slot{}, fmt.Errorf("RXC: %w", err)
	}
	return slot{Window: air.Window{Freq: freq, Mod: mod, From: d.m.Now(), Until: until}, name: "RXC"}, nil
}
