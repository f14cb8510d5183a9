package main

import (
	"context"

	"gatewayd/concentrator"
	"gatewayd/radio"
)

// renamed is a concentrator under another EUI than the chip's own.
type renamed struct {
	*concentrator.Concentrator
	eui     radio.EUI64
	uplinks chan radio.Uplink
}

func rename(c *concentrator.Concentrator, eui radio.EUI64) *renamed {
	return &renamed{Concentrator: c, eui: eui, uplinks: make(chan radio.Uplink)}
}

// EUI is the other one.
func (r *renamed) EUI() radio.EUI64 { return r.eui }

// Uplinks carries the frames with the gateway's other name.
func (r *renamed) Uplinks() <-chan radio.Uplink { return r.uplinks }

// Run hands uplinks on until ctx ends. The queue is the concentrator's.
func (r *renamed) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case u := <-r.Concentrator.Uplinks():
			u.Gateway = r.eui
			select {
			case r.uplinks <- u:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}
