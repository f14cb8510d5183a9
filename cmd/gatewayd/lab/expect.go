package lab

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// How long is waited where a script doesn't say.
const (
	joinWait     = 2 * time.Minute
	uplinkWait   = 2 * time.Minute
	downlinkWait = 10 * time.Second
)

type joinArgs struct {
	Device *radio.EUI64 `json:"device"`
	Within Seconds      `json:"within"`
}

// expectJoin waits for a join-accept on the air and the first uplink's proof
// that the device took it is left to the script.
func expectJoin(ctx context.Context, b *Bench, a joinArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	e, err := s.await(ctx, b, "join", a.Within.Duration(joinWait), "join of "+s.eui.String(), func(e nsedge.Event) bool {
		n, ok := e.(*nsedge.Notice)
		return ok && n.Code == nsedge.CodeJoinAccepted
	})
	if err != nil {
		return nil, err
	}
	if err := b.know(ctx, s); err != nil {
		return nil, err
	}
	d, err := b.edge.Load().Device(ctx, s.eui)
	if err != nil {
		return nil, err
	}
	out := Result{"device": s.eui.String(), "time": unix(e.at)}
	if d.DevAddr != nil {
		out["dev_addr"] = d.DevAddr.String()
	}
	return out, nil
}

// expectSession is expectJoin for a device that joins, nothing for others.
func expectSession(ctx context.Context, b *Bench, a joinArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	if s.spec.Activation == nsedge.ABP {
		return Result{"device": s.eui.String(), "dev_addr": s.spec.DevAddr.String(), "time": unix(time.Now())}, nil
	}
	return expectJoin(ctx, b, a)
}

// await looks on where the last expectation of that kind ended.
func (s *subject) await(ctx context.Context, b *Bench, kind string, within time.Duration, what string, fits func(nsedge.Event) bool) (event, error) {
	next := b.from(s, kind)
	e, err := b.await(ctx, &next, within, what, func(e nsedge.Event) bool { return e.About().Device == s.eui && fits(e) })
	b.goOn(s, kind, next)
	return e, err
}

type uplinkArgs struct {
	Device    *radio.EUI64 `json:"device"`
	Within    Seconds      `json:"within"`
	Port      *uint8       `json:"port"`
	FCnt      *uint32      `json:"fcnt"`
	Payload   *string      `json:"payload"` // as text
	Hex       *string      `json:"hex"`
	Confirmed *bool        `json:"confirmed"`
	ACK       *bool        `json:"ack"`
	MAC       *string      `json:"mac"` // the name of a command that is in it
	DataRate  *int         `json:"datarate"`
	Fresh     bool         `json:"fresh"` // what came before the call doesn't count
}

func (a uplinkArgs) fits(u *nsedge.UplinkEvent) bool {
	has := func(name string) bool {
		for _, c := range u.Frame.MACCommands {
			if c.Name == name {
				return true
			}
		}
		return false
	}
	switch {
	case u.Duplicate,
		a.Port != nil && *a.Port != u.Port,
		a.FCnt != nil && *a.FCnt != u.Counter,
		a.Payload != nil && *a.Payload != string(u.Payload),
		a.Hex != nil && !strings.EqualFold(*a.Hex, hex.EncodeToString(u.Payload)),
		a.Confirmed != nil && *a.Confirmed != u.Frame.Confirmed,
		a.ACK != nil && *a.ACK != u.Frame.ACK,
		a.MAC != nil && !has(*a.MAC),
		a.DataRate != nil && *a.DataRate != u.Radio.DataRate:
		return false
	}
	return true
}

// expectUplink waits for the next data frame that has what was asked for;
// others are passed over.
func expectUplink(ctx context.Context, b *Bench, a uplinkArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	if a.Fresh {
		b.goOn(s, "uplink", b.count())
	}
	e, err := s.await(ctx, b, "uplink", a.Within.Duration(uplinkWait), "uplink of "+s.eui.String()+a.wish(), func(e nsedge.Event) bool {
		u, ok := e.(*nsedge.UplinkEvent)
		return ok && a.fits(u)
	})
	if err != nil {
		return nil, err
	}
	return b.uplink(e), nil
}

// wish is what was asked for, in words.
func (a uplinkArgs) wish() string {
	var words []string
	add := func(name string, set bool, value any) {
		if set {
			words = append(words, fmt.Sprintf("%s %v", name, value))
		}
	}
	add("port", a.Port != nil, deref(a.Port))
	add("fcnt", a.FCnt != nil, deref(a.FCnt))
	add("payload", a.Payload != nil, deref(a.Payload))
	add("hex", a.Hex != nil, deref(a.Hex))
	add("confirmed", a.Confirmed != nil, deref(a.Confirmed))
	add("ack", a.ACK != nil, deref(a.ACK))
	add("mac", a.MAC != nil, deref(a.MAC))
	add("datarate", a.DataRate != nil, deref(a.DataRate))
	if len(words) == 0 {
		return ""
	}
	return " with " + strings.Join(words, ", ")
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// uplink is a frame as scripts see it.
func (b *Bench) uplink(e event) Result {
	u := e.Event.(*nsedge.UplinkEvent) //nolint:forcetypeassert // the caller looked
	b.mu.Lock()
	at := b.heard[heardKey{u.Radio.Tmst, u.Radio.Freq}]
	b.mu.Unlock()
	out := Result{
		"device": u.Device.String(), "dev_addr": u.DevAddr.String(), "hash": u.PacketHash.String(), "time": unix(e.at), "at": int64(at),
		"fcnt": int64(u.Counter), "port": int64(u.Port), "hex": hex.EncodeToString(u.Payload), "confirmed": u.Frame.Confirmed,
		"adr": u.Frame.ADR, "adr_ack_req": u.Frame.ADRACKReq, "ack": u.Frame.ACK, "class_b": u.Frame.ClassB,
		"freq": u.Radio.Freq.MHz(), "datarate": int64(u.Radio.DataRate), "rssi": float64(u.Radio.RSSI), "snr": float64(u.Radio.SNR),
		"size": int64(u.Radio.Size), "room": int64(b.room(u)), "airtime": u.Radio.Mod.Airtime(u.Radio.Size).Seconds(), "commands": commands(u.Frame.MACCommands),
	}
	if utf8.Valid(u.Payload) {
		out["payload"] = string(u.Payload)
	}
	return out
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func commands(list []nsedge.MACCommand) []any {
	out := []any{}
	for _, c := range list {
		out = append(out, Result{"name": c.Name, "value": c.Value})
	}
	return out
}

type downlinkArgs struct {
	Device *radio.EUI64 `json:"device"`
	Within Seconds      `json:"within"`
	Window *string      `json:"window"` // RX1, RX2, ClassB, ClassC
}

func expectDownlink(ctx context.Context, b *Bench, a downlinkArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	e, err := s.await(ctx, b, "downlink", a.Within.Duration(downlinkWait), "downlink to "+s.eui.String(), func(e nsedge.Event) bool {
		d, ok := e.(*nsedge.DownlinkEvent)
		return ok && (a.Window == nil || *a.Window == d.Timing.Window)
	})
	if err != nil {
		return nil, err
	}
	d := e.Event.(*nsedge.DownlinkEvent) //nolint:forcetypeassert // the closure looked
	t := d.Timing
	return Result{
		"device": s.eui.String(), "window": t.Window, "planned": int64(t.Planned), "started": int64(t.Started), "off": int64(t.Started - t.Planned),
		"margin": t.Margin.Seconds(), "fcnt": int64(d.Counter), "port": int64(d.Port), "freq": d.Radio.Freq.MHz(), "datarate": int64(d.Radio.DataRate),
		"power": float64(d.Radio.Power), "ack": d.Frame.ACK, "commands": commands(d.Frame.MACCommands), "time": unix(e.at),
	}, nil
}

type noticeArgs struct {
	Device *radio.EUI64 `json:"device"`
	Code   string       `json:"code"`
	Within Seconds      `json:"within"`
	Fresh  bool         `json:"fresh"` // what came before the call doesn't count
}

func expectNotice(ctx context.Context, b *Bench, a noticeArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	if a.Fresh {
		b.goOn(s, "notice "+a.Code, b.count())
	}
	e, err := s.await(ctx, b, "notice "+a.Code, a.Within.Duration(uplinkWait), fmt.Sprintf("notice %q about %v", a.Code, s.eui), func(e nsedge.Event) bool {
		n, ok := e.(*nsedge.Notice)
		return ok && (a.Code == "" || n.Code == a.Code)
	})
	if err != nil {
		return nil, err
	}
	n := e.Event.(*nsedge.Notice) //nolint:forcetypeassert // the closure looked
	return Result{"device": s.eui.String(), "level": n.Level.String(), "code": n.Code, "message": n.Message, "time": unix(e.at)}, nil
}

// errUnexpected says that a device did what it should not.
var errUnexpected = errors.New("unexpected")

type silenceArgs struct {
	Device  *radio.EUI64 `json:"device"`
	Seconds Seconds      `json:"seconds"`
}

// expectSilence fails when the device sends anything, joins included.
func expectSilence(ctx context.Context, b *Bench, a silenceArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	next := b.count()
	e, err := b.await(ctx, &next, a.Seconds.Duration(time.Minute), "", func(e nsedge.Event) bool {
		switch e.(type) {
		case *nsedge.UplinkEvent, *nsedge.JoinRequest:
			return e.About().Device == s.eui
		default:
			return false
		}
	})
	if err == nil {
		return nil, fmt.Errorf("%w: %v was to be silent, but there came: %s", errUnexpected, s.eui, tell(e.Event))
	}
	if _, ok := err.(*TimeoutError); !ok { //nolint:errorlint // it is not wrapped
		return nil, err
	}
	return nil, nil
}
