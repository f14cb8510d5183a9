package enddevice

import (
	"context"
	"fmt"
	"time"

	"gatewayd/radio"
	"gatewayd/radio/air"
)

// transmit sends a frame on a random channel that has the data rate and is
// free, waiting for one if need be, and returns after its end. The frame is
// made for the channel.
func (d *Device) transmit(ctx context.Context, seal func(Channel) ([]byte, error), dr int, wait radio.Instant) (air.Transmission, Channel, error) {
	mod, err := d.region.DataRate(dr)
	if err != nil {
		return air.Transmission{}, Channel{}, err
	}
	power := d.power()
	channel, err := d.pick(ctx, dr, power, wait)
	if err != nil {
		return air.Transmission{}, channel, err
	}
	frame, err := seal(channel)
	if err != nil {
		return air.Transmission{}, channel, err
	}
	t, err := d.station.Transmit(air.Frame{Payload: frame, Freq: channel.Freq, Mod: mod}, air.Immediately, power)
	if err != nil {
		return t, channel, err
	}
	d.charge(t)
	return t, channel, d.m.Wait(ctx, t.End)
}

// power is what the device radiates.
func (d *Device) power() radio.DBm {
	p, err := d.region.TXPower(d.st.TXPower)
	if err != nil { // a State of another region
		p = d.region.MaxEIRP()
	}
	if d.st.MaxEIRP != nil {
		p += *d.st.MaxEIRP - d.region.MaxEIRP() // the index counts down from it
	}
	return p
}

// pick waits until at least the given instant and until a channel is free, and
// chooses one of those at random.
func (d *Device) pick(ctx context.Context, dr int, power radio.DBm, earliest radio.Instant) (Channel, error) {
	for {
		now := d.m.Now()
		var free []Channel
		soonest := radio.Instant(-1)
		for _, c := range d.st.Channels {
			if !c.Enabled || dr < c.MinDR || dr > c.MaxDR {
				continue
			}
			at := max(d.freeAt(c.Freq, power), d.quiet, earliest)
			if at <= now {
				free = append(free, c)
			}
			if soonest < 0 || at < soonest {
				soonest = at
			}
			if d.has(OneChannel) {
				break
			}
		}
		switch {
		case len(free) > 0:
			return d.mischoose(free, dr), nil
		case soonest < 0:
			return Channel{}, fmt.Errorf("%w: DR%d of %s", ErrNoChannel, dr, d.region)
		}
		if err := d.m.Wait(ctx, soonest); err != nil {
			return Channel{}, err
		}
	}
}

// freeAt is when the duty cycle of the sub-band of f allows a frame.
func (d *Device) freeAt(f radio.Hertz, power radio.DBm) radio.Instant {
	band, ok := d.region.SubBand(f)
	if d.cfg.NoDutyCycle || d.has(JoinHammering) && !d.st.Joined || !ok || band.Duty >= 1 || band.Free > 0 && power <= band.Free {
		return 0
	}
	return d.free[band.Name]
}

// charge accounts for a transmission: after a time on air T the sub-band is
// closed for T/duty - T, so that no hour has more than its share.
func (d *Device) charge(t air.Transmission) {
	airtime := t.End.Sub(t.Start)
	if band, ok := d.region.SubBand(t.Freq); ok && band.Duty < 1 {
		d.free[band.Name] = t.End.Add(time.Duration(float64(airtime) * (1/band.Duty - 1)))
	}
	if d.st.MaxDuty > 0 {
		d.quiet = t.End.Add(airtime * (1<<min(d.st.MaxDuty, 15) - 1))
	}
}
