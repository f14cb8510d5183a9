package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// push sends a downlink without waiting for an uplink.
func push(ctx context.Context, b *Bench, a answerArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	payload, err := bytesOf(a.Payload, a.Hex)
	if err != nil {
		return nil, err
	}
	if s.spec.Class == "A" {
		return nil, fmt.Errorf("%w: %v is of class A, which hears only answers: call answer(...) after an uplink", ErrCall, s.eui)
	}
	next := b.count()
	b.goOn(s, "downlink", next)
	if err := b.edge.Load().Answer(ctx, nsedge.Claim{Device: s.eui}); err != nil {
		return nil, err
	}
	e, err := b.await(ctx, &next, downlinkWait, "transmit opportunity for "+s.eui.String(), func(e nsedge.Event) bool {
		_, ok := e.(*nsedge.DownlinkRequest)
		return ok && e.About().Device == s.eui
	})
	if err != nil {
		return nil, err
	}
	open := e.Event.(*nsedge.DownlinkRequest) //nolint:forcetypeassert // the closure looked
	r := nsedge.DownlinkResponse{PacketHash: open.PacketHash, Device: s.eui, Payload: payload, HasPayload: true, Port: a.Port, Confirmed: a.Confirmed, Pending: a.Pending, QueueIfLate: true}
	if err := b.edge.Load().Answer(ctx, r); err != nil {
		return nil, err
	}
	if a.Wait != nil && !*a.Wait {
		return nil, nil
	}
	return expectDownlink(ctx, b, downlinkArgs{Device: &s.eui, Within: Seconds(max(time.Until(open.TXTime), 0).Seconds() + downlinkWait.Seconds())})
}

type probeArgs struct {
	Device *radio.EUI64 `json:"device"`
	Within Seconds      `json:"within"` // for each of the two uplinks
}

const (
	probePort  = 2
	probeTries = 5
)

// probe finds out whether a device hears: the figures of the downlink, and
// whether the next uplink acknowledged it.
func probe(ctx context.Context, b *Bench, a probeArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	var before, sent any
	text := "probe"
	for try := range probeTries {
		if before, err = expectUplink(ctx, b, uplinkArgs{Device: &s.eui, Within: a.Within, Fresh: true}); err != nil {
			return nil, err
		}
		sent, err = answer(ctx, b, answerArgs{Device: &s.eui, Payload: &text, Port: probePort, Confirmed: true})
		if err == nil {
			break
		}
		if !errors.Is(err, errNoWindow) || try == probeTries-1 { // the host may have stood still for a second
			return nil, err
		}
	}
	after, err := expectUplink(ctx, b, uplinkArgs{Device: &s.eui, Within: a.Within, Fresh: true})
	if err != nil {
		return nil, err
	}
	out := sent.(Result)                                                               //nolint:forcetypeassert // it is what answer returns
	out["acked"] = after.(Result)["ack"]                                               //nolint:forcetypeassert // likewise
	out["delay"] = float64(out["started"].(int64)-before.(Result)["at"].(int64)) / 1e6 //nolint:forcetypeassert // likewise
	out["uplink_datarate"] = before.(Result)["datarate"]                               //nolint:forcetypeassert // likewise
	return out, nil
}
