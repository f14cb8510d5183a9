package lab

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/lab"
	"gatewayd/radio"
)

type answerArgs struct {
	Device    *radio.EUI64 `json:"device"`
	Payload   *string      `json:"payload"` // as text
	Hex       *string      `json:"hex"`
	Port      uint8        `json:"port"`
	Confirmed bool         `json:"confirmed"`
	Pending   bool         `json:"pending"`
	Wait      *bool        `json:"wait"` // until it was on the air; true by default
}

// answer sends a downlink after the last uplink of a device. Where its windows
// are over it is kept for those of the next.
func answer(ctx context.Context, b *Bench, a answerArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	payload, err := bytesOf(a.Payload, a.Hex)
	if err != nil {
		return nil, err
	}
	e, err := s.await(ctx, b, "request", requestWait, "open window", func(e nsedge.Event) bool {
		r, ok := e.(*nsedge.DownlinkRequest)
		return ok && time.Now().Before(r.Deadline)
	})
	if _, ok := err.(*TimeoutError); ok { //nolint:errorlint // it is not wrapped
		return nil, fmt.Errorf("%w of %v is open; call expect_uplink(...) first, and answer at once", errNoWindow, s.eui)
	}
	if err != nil {
		return nil, err
	}
	open := e.Event.(*nsedge.DownlinkRequest) //nolint:forcetypeassert // the closure looked
	b.goOn(s, "downlink", b.count())
	r := nsedge.DownlinkResponse{PacketHash: open.PacketHash, Device: s.eui, Payload: payload, HasPayload: true, Port: a.Port, Confirmed: a.Confirmed, Pending: a.Pending, QueueIfLate: true}
	if err := b.edge.Load().Answer(ctx, r); err != nil {
		return nil, err
	}
	if a.Wait != nil && !*a.Wait {
		return nil, nil
	}
	return expectDownlink(ctx, b, downlinkArgs{Device: &s.eui, Within: Seconds(time.Until(open.Deadline).Seconds() + 10)})
}

// errNoWindow says that a downlink has nowhere to go.
var errNoWindow = fmt.Errorf("%w: no window", ErrCall)

// requestWait is more than lies between an uplink and its downlink_request.
const requestWait = time.Second

func bytesOf(text, digits *string) ([]byte, error) {
	switch {
	case text != nil && digits != nil:
		return nil, fmt.Errorf("%w: payload and hex are given; one is wanted", ErrCall)
	case digits != nil:
		b, err := hex.DecodeString(*digits)
		if err != nil {
			return nil, fmt.Errorf("%w: hex is %q; pairs of hex digits are wanted", ErrCall, *digits)
		}
		return b, nil
	case text != nil:
		return []byte(*text), nil
	default:
		return nil, nil
	}
}

// status asks for DevStatusAns and waits for it.
func status(ctx context.Context, b *Bench, a joinArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	if err := b.edge.Load().Answer(ctx, nsedge.StatusRequest{Device: s.eui}); err != nil {
		return nil, err
	}
	e, err := s.await(ctx, b, "status", a.Within.Duration(uplinkWait), "DevStatusAns of "+s.eui.String(), func(e nsedge.Event) bool {
		_, ok := e.(*nsedge.StatusResponse)
		return ok
	})
	if err != nil {
		return nil, err
	}
	r := e.Event.(*nsedge.StatusResponse) //nolint:forcetypeassert // the closure looked
	return Result{"device": s.eui.String(), "battery": int64(r.Battery), "margin": int64(r.SNR), "time": unix(e.at)}, nil
}

type faultArgs struct {
	Device    *radio.EUI64  `json:"device"`
	Everyone  bool          `json:"everyone"` // all devices
	Kind      lab.Kind      `json:"kind"`
	Direction lab.Direction `json:"direction"`
	Frame     lab.Frame     `json:"frame"`
	Amount    int64         `json:"amount"`
	After     int           `json:"after"`
	Count     int           `json:"count"`
	Seconds   Seconds       `json:"seconds"` // switched off then at the latest
}

func arm(ctx context.Context, b *Bench, a faultArgs) (any, error) {
	f := lab.Fault{Kind: a.Kind, Direction: a.Direction, Frame: a.Frame, Amount: a.Amount, After: a.After, Count: a.Count}
	if !a.Everyone {
		s, err := b.named(a.Device)
		if err != nil {
			return nil, err
		}
		f.Device = s.eui
		if err := b.know(ctx, s); err != nil {
			return nil, err
		}
	}
	if a.Kind == lab.RX2 {
		if err := b.inRX2(&f); err != nil {
			return nil, err
		}
	}
	if a.Seconds > 0 {
		f.Until = time.Now().Add(a.Seconds.Duration(0))
	}
	armed, err := b.layer.Arm(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCall, err)
	}
	return Result{"id": int64(armed.ID)}, nil
}

// inRX2 fills in where RX2 is.
func (b *Bench) inRX2(f *lab.Fault) error {
	freq, rate := b.region.RX2()
	if s, err := b.named(&f.Device); err == nil {
		freq = or(s.spec.RX2Freq, freq)
		if s.spec.RX2DataRate != nil {
			rate = *s.spec.RX2DataRate
		}
	}
	mod, err := b.region.Downlink(rate)
	if err != nil {
		return err
	}
	f.Amount, f.Freq, f.Mod = time.Second.Microseconds(), freq, mod
	return nil
}

func faults(_ context.Context, b *Bench, _ struct{}) (any, error) {
	out := []any{}
	for _, f := range b.layer.Faults() {
		out = append(out, Result{"id": int64(f.ID), "kind": string(f.Kind), "hits": int64(f.Hits), "device": f.Device.String()})
	}
	return out, nil
}

type disarmArgs struct {
	ID uint64 `json:"id"` // 0: all
}

func disarm(_ context.Context, b *Bench, a disarmArgs) (any, error) {
	return b.layer.Disarm(a.ID), nil
}

type rawArgs struct {
	Hex       string   `json:"hex"`
	At        *int64   `json:"at"` // µs on the counter; at once without it
	Freq      float64  `json:"freq"`
	SF        uint8    `json:"sf"`
	Bandwidth int64    `json:"bandwidth"`
	CodeRate  uint8    `json:"coderate"` // 1 to 4: 4/5 to 4/8
	Preamble  uint16   `json:"preamble"`
	Sync      *byte    `json:"sync"`
	Inverted  *bool    `json:"inverted"`
	CRC       bool     `json:"crc"`
	Implicit  bool     `json:"implicit"`
	FSK       int      `json:"fsk"` // bit/s; LoRa without it
	Deviation int64    `json:"deviation"`
	Power     *float64 `json:"power"`
}

const (
	rawBandwidth = 125_000
	rawPower     = 14 // dBm
	rawDeviation = 25_000
)

// sendRaw puts any frame on the air.
func sendRaw(ctx context.Context, b *Bench, a rawArgs) (any, error) {
	d, err := a.downlink()
	if err != nil {
		return nil, err
	}
	r, err := b.layer.Send(ctx, d)
	if err != nil {
		return nil, err
	}
	return Result{"planned": int64(r.Planned), "started": int64(r.Started), "ended": int64(r.Ended), "power": float64(r.Power)}, nil
}

func (a rawArgs) downlink() (radio.Downlink, error) {
	payload, err := hex.DecodeString(a.Hex)
	if err != nil {
		return radio.Downlink{}, fmt.Errorf("%w: hex is %q; pairs of hex digits are wanted", ErrCall, a.Hex)
	}
	d := radio.Downlink{Payload: payload, Freq: radio.Hertz(a.Freq*1e6 + 0.5), Power: rawPower, Immediate: a.At == nil}
	if a.At != nil {
		d.At = radio.Instant(*a.At)
	}
	if a.Power != nil {
		d.Power = radio.DBm(*a.Power)
	}
	if a.FSK > 0 {
		d.Mod = radio.FSK{BitRate: a.FSK, Deviation: radio.Hertz(or(a.Deviation, rawDeviation)), Preamble: a.Preamble}
		return d, nil
	}
	m := radio.LoRa{SF: a.SF, Bandwidth: radio.Hertz(or(a.Bandwidth, rawBandwidth)), CodeRate: a.CodeRate, Preamble: a.Preamble, InvertIQ: true, NoCRC: !a.CRC, Implicit: a.Implicit}
	if a.Sync != nil {
		m.Sync = *a.Sync
	}
	if a.Inverted != nil {
		m.InvertIQ = *a.Inverted
	}
	d.Mod = m
	return d, nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

type listenArgs struct {
	Within Seconds  `json:"within"`
	Freq   *float64 `json:"freq"`
	CRC    string   `json:"crc"` // good, bad, none; all without it
}

var errNothingHeard = errors.New("nothing of the kind was heard")

// listenRaw waits for a frame of anybody.
func listenRaw(ctx context.Context, b *Bench, a listenArgs) (any, error) {
	frames, stop := b.layer.Listen()
	defer stop()
	within := a.Within.Duration(uplinkWait)
	over := time.NewTimer(within)
	defer over.Stop()
	for {
		select {
		case u := <-frames:
			if a.Freq != nil && u.Freq != radio.Hertz(*a.Freq*1e6+0.5) || a.CRC != "" && a.CRC != crcWord(u.CRC) {
				continue
			}
			return heard(u), nil
		case <-over.C:
			return nil, fmt.Errorf("%w within %v", errNothingHeard, within)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// heard is any frame, as scripts and programs see it.
func heard(u radio.Uplink) Result {
	return Result{
		"hex": hex.EncodeToString(u.Payload), "at": int64(u.At), "freq": u.Freq.MHz(), "modulation": u.Mod.String(), "airtime": u.Mod.Airtime(len(u.Payload)).Seconds(), "crc": crcWord(u.CRC),
		"rssi": float64(u.RSSI), "snr": float64(u.SNR), "offset": int64(u.FreqOffset), "size": int64(len(u.Payload)),
	}
}

func crcWord(c radio.CRC) string { return [...]string{"none", "good", "bad"}[c] }
