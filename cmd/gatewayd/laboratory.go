package main

import (
	"context"
	"fmt"
	"log/slog"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
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
	observers := []bench.Observer{b}
	markers := d.markers()
	if markers != nil {
		observers = append(observers, markers)
	}
	d.parts.tell = func(e nsedge.Event) {
		b.Publish(e)
		if markers != nil {
			markers.Event(e)
		}
		if tell != nil {
			tell(e)
		}
	}
	d.parts.lab = func(air nsedge.Air) *bench.Layer {
		layer := bench.New(bench.Config{Air: air, Observers: observers, Log: d.log})
		if markers != nil {
			markers.Attach(layer)
		}
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

// markers are those that the configuration wants; nil: none.
func (d *daemon) markers() *lab.Markers {
	if d.parts.markers == nil {
		return nil
	}
	l := d.cfg.Lab
	return lab.NewMarkers(lab.MarkersConfig{
		Lines: d.parts.markers, TX: board.Pin(l.MarkerTX), RX: board.Pin(l.MarkerRX), Window: board.Pin(l.MarkerWindow), Log: d.log,
	})
}

// openMarkers takes the GPIO lines of markers.
func (p *parts) openMarkers(cfg config.Config, open *closers) error {
	pins := cfg.Lab.Markers()
	if len(pins) == 0 {
		return nil
	}
	lines, err := p.hardware.Board.OpenMarkers(pins)
	if err != nil {
		return fmt.Errorf("lab.marker_tx, marker_rx, marker_window: %w", err)
	}
	open.add(lines.Close)
	p.markers = lines
	return nil
}
