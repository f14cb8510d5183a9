package main

import (
	"context"
	"log/slog"

	"gatewayd/cmd/gatewayd/lab"
	"gatewayd/dataapi"
	"gatewayd/nsedge"
	bench "gatewayd/nsedge/lab"
)

// laboratory is the bench as the Management API has it.
type laboratory struct{ *lab.Bench }

// Call tells apart what a device did not do from a wrong call.
func (l laboratory) Call(ctx context.Context, verb string, args map[string]any) (any, error) {
	out, err := l.Bench.Call(ctx, verb, args)
	if err != nil && !lab.Wrong(err) {
		return nil, &dataapi.LabError{Err: err}
	}
	return out, err
}

// laboratory puts a bench beside the network, if the configuration wants one;
// nil if it doesn't.
func (d *daemon) laboratory() dataapi.Laboratory {
	if !d.cfg.Lab.Enabled || d.parts.lab != nil {
		return nil
	}
	d.log.Warn("the laboratory is on: administrators may plant faults", slog.String("switch", "lab.enabled"))
	b := lab.New(lab.Config{})
	tell := d.parts.tell
	d.parts.tell = func(e nsedge.Event) {
		b.Publish(e)
		if tell != nil {
			tell(e)
		}
	}
	d.parts.lab = func(air nsedge.Air) *bench.Layer {
		layer := bench.New(bench.Config{Air: air, Observers: []bench.Observer{b}, Log: d.log})
		b.Attach(layer)
		return layer
	}
	d.parts.also = append(d.parts.also, func(ctx context.Context, d *daemon) error {
		b.Begin(d.gateway, d.edge, d.region, d.parts.hardware.Medium)
		<-ctx.Done()
		b.Close()
		return ctx.Err()
	})
	return laboratory{b}
}
