package lab

import (
	"context"
	"encoding/hex"
	"fmt"

	"gatewayd/nsedge/lab"
	"gatewayd/radio"
)

// macArgs are one MAC command by name with its fields, or any by their bytes.
type macArgs struct {
	Device  *radio.EUI64 `json:"device"`
	Command string       `json:"command"`
	Hex     *string      `json:"hex"`
	Port0   bool         `json:"port0"` // in a frame of port 0, encrypted; else in FOpts
	lab.Request
}

func (a macArgs) bytes() ([]byte, error) {
	if a.Hex != nil {
		b, err := hex.DecodeString(*a.Hex)
		if err != nil || a.Command != "" {
			return nil, fmt.Errorf("%w: command is %q, hex is %q; one of them is wanted, hex being pairs of digits", ErrCall, a.Command, *a.Hex)
		}
		return b, nil
	}
	b, err := a.Bytes(a.Command)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCall, err)
	}
	return b, nil
}

type rejoinArgs struct {
	Device *radio.EUI64 `json:"device"`
	Type   int          `json:"type"` // 0 or 2
	Within Seconds      `json:"within"`
}

// rejoin has the network ask a device of LoRaWAN 1.1 for a rejoin-request, and
// waits until that was answered.
func rejoin(ctx context.Context, b *Bench, a rejoinArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	b.goOn(s, "join", b.count())
	if err := b.edge.Load().ForceRejoin(ctx, s.eui, a.Type); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCall, err)
	}
	return expectJoin(ctx, b, joinArgs{Device: &s.eui, Within: a.Within})
}

// mac sends MAC commands of the script's own in the next downlink. The network
// server does not know of them: it goes on with the windows and channels that
// it agreed with the device, which settings(...) changes.
func mac(ctx context.Context, b *Bench, a macArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	commands, err := a.bytes()
	if err != nil {
		return nil, err
	}
	if err := b.know(ctx, s); err != nil {
		return nil, err
	}
	f := lab.Fault{Kind: lab.Commands, Direction: lab.Down, Device: s.eui, Commands: commands}
	if a.Port0 {
		f.Amount = 1
	}
	armed, err := b.layer.Arm(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCall, err)
	}
	empty := ""
	out, err := answer(ctx, b, answerArgs{Device: &s.eui, Payload: &empty})
	if err != nil {
		b.layer.Disarm(armed.ID)
	}
	return out, err
}
