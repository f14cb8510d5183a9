package lab

import (
	"log/slog"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// passed is an uplink on its way to the network server.
type passed struct {
	frame radio.Uplink
	after time.Duration
}

// bendUp applies the armed faults and returns what the network server gets.
func (l *Layer) bendUp(u radio.Uplink) []passed {
	device, ok := joinDevice(u.Payload)
	if !ok {
		device = l.deviceOf(u.Payload)
	}
	out := []passed{{frame: u}}
	for _, f := range l.hitting(Up, device, kindOf(u.Payload)) {
		var err error
		if out, err = bendUplinks(out, f, l.book[f.Device]); err != nil {
			l.log.Warn("lab: a fault could not be applied", append(f.fields(), slog.Any("error", err))...)
		}
	}
	return out
}

func bendUplinks(list []passed, f Fault, k Keys) ([]passed, error) {
	amount := time.Duration(f.Amount) * time.Microsecond
	switch f.Kind {
	case Drop, Silent:
		return nil, nil
	case Twice:
		for _, p := range list {
			list = append(list, passed{p.frame, p.after + amount})
		}
		return list, nil
	}
	for i := range list {
		p := &list[i]
		var err error
		switch f.Kind {
		case Delay:
			p.after += amount
		case CRC:
			p.frame.CRC = radio.BadCRC
		case MIC:
			p.frame.Payload = spoil(p.frame.Payload)
		case Truncate:
			p.frame.Payload = cut(p.frame.Payload, f.Amount)
		case Counter:
			p.frame.Payload, err = changed(p.frame.Payload, k, func(m *lorawan.MACPayload) { m.FHDR.FCnt = uint32(int64(m.FHDR.FCnt)+f.Amount) & 0xFFFF })
		case DevNonce:
			var out []byte
			if out, err = renonce(p.frame.Payload, k.Root, f.Amount); err == nil {
				p.frame.Payload = out
			}
		}
		if err != nil {
			return list, err
		}
	}
	return list, nil
}
