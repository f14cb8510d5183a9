package lab

import (
	"log/slog"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// bent is what becomes of a downlink.
type bent struct {
	frame radio.Downlink
	by    []Fault
	drop  bool
	again time.Duration // a second copy so much later; 0 is none
}

// bendDown applies the armed faults.
func (l *Layer) bendDown(d radio.Downlink) bent {
	kind, device := kindOfDownlink(d), radio.EUI64{}
	switch kind {
	case JoinAccept:
		device = l.joining(d.At)
	case Data, Confirmed:
		device = l.deviceOf(d.Payload)
	}
	return l.bendAs(d, l.hitting(Down, device, kind))
}

// bendAs applies these faults.
func (l *Layer) bendAs(d radio.Downlink, faults []Fault) bent {
	out := bent{frame: d, by: faults}
	for _, f := range faults {
		if err := out.apply(f, l.book[f.Device]); err != nil {
			l.log.Warn("lab: a fault could not be applied", append(f.fields(), slog.Any("error", err))...)
		}
	}
	return out
}

func (b *bent) apply(f Fault, k Keys) (err error) {
	d := &b.frame
	mod, lora := d.Mod.(radio.LoRa)
	switch f.Kind {
	case Drop, Silent:
		b.drop = true
	case Shift:
		d.At += radio.Instant(f.Amount)
	case RX2:
		d.At, d.Freq, d.Mod, lora = d.At.Add(time.Duration(f.Amount)*time.Microsecond), f.Freq, f.Mod, false
	case Twice:
		b.again = time.Duration(f.Amount) * time.Microsecond
	case MIC:
		d.Payload = spoil(d.Payload)
	case Truncate:
		d.Payload = cut(d.Payload, f.Amount)
	case Frequency:
		d.Freq += radio.Hertz(f.Amount)
	case Counter:
		d.Payload, err = changed(d.Payload, k, func(m *lorawan.MACPayload) { m.FHDR.FCnt = uint32(int64(m.FHDR.FCnt)+f.Amount) & 0xFFFF })
	case Commands:
		d.Payload, err = commanded(d.Payload, k, f)
	case Ack:
		d.Payload, err = changed(d.Payload, k, func(m *lorawan.MACPayload) { m.FHDR.FCtrl.ACK = false })
	case DataRate:
		mod.SF = uint8(f.Amount)
	case IQ:
		mod.InvertIQ = !mod.InvertIQ
	case Sync:
		mod.Sync = byte(f.Amount)
	}
	if lora {
		d.Mod = mod
	}
	return err
}

// changed is resign, but what can't be changed stays as it is.
func changed(payload []byte, k Keys, change func(*lorawan.MACPayload)) ([]byte, error) {
	out, err := resign(payload, k, change)
	if err != nil {
		return payload, err
	}
	return out, nil
}
