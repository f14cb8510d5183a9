package main

import (
	"context"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatewayd/board"
	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
	"gatewayd/concentrator/gnss/gnsssim"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/nsedge"
	"gatewayd/radio"
)

// gpsClock is the driver's GPS time as the network server wants it.
type gpsClock struct{ conc *concentrator.Concentrator }

func (c gpsClock) GPSTime(i radio.Instant) (time.Duration, nsedge.TimeQuality) {
	gps, s := c.conc.GPSTime(i)
	return gps, qualityOf(s)
}

func (c gpsClock) InstantAt(gps time.Duration) (radio.Instant, nsedge.TimeQuality) {
	i, s := c.conc.InstantAt(gps)
	return i, qualityOf(s)
}

func qualityOf(s concentrator.TimeState) nsedge.TimeQuality {
	switch s.Quality {
	case concentrator.GNSSPulse:
		return nsedge.TimeQuality{Source: nsedge.SatelliteTime, Error: s.Error}
	case concentrator.HostDisciplined:
		return nsedge.TimeQuality{Source: nsedge.HostTime, Error: s.Error}
	}
	return nsedge.TimeQuality{}
}

// classB is what class B is at present, zero before the network server is there.
func (d *daemon) classB() nsedge.ClassBState {
	d.mu.Lock()
	edge := d.edge
	d.mu.Unlock()
	if edge == nil {
		return nsedge.ClassBState{}
	}
	return edge.ClassB()
}

// classBMetrics are the figures of class B.
func (d *daemon) classBMetrics(r prometheus.Registerer) {
	gauge := func(name, help string, of func(nsedge.ClassBState) float64) {
		o := prometheus.GaugeOpts{Namespace: "gatewayd", Subsystem: "class_b", Name: name, Help: help}
		r.MustRegister(prometheus.NewGaugeFunc(o, func() float64 { return of(d.classB()) }))
	}
	counter := func(name, help string, of func(nsedge.ClassBState) float64) {
		o := prometheus.CounterOpts{Namespace: "gatewayd", Subsystem: "class_b", Name: name, Help: help}
		r.MustRegister(prometheus.NewCounterFunc(o, func() float64 { return of(d.classB()) }))
	}
	gauge("active", "1 while beacons are sent.", func(s nsedge.ClassBState) float64 {
		if s.Active {
			return 1
		}
		return 0
	})
	gauge("time_source", "Where GPS time comes from: 0 nobody vouches for it, 1 the host's clock, 2 satellites.", func(s nsedge.ClassBState) float64 { return float64(s.Time.Source) })
	gauge("time_error_seconds", "Bound of the error of GPS time.", func(s nsedge.ClassBState) float64 { return s.Time.Error.Seconds() })
	counter("beacons_total", "Beacons on the air.", func(s nsedge.ClassBState) float64 { return float64(s.Sent) })
	counter("beacons_missed_total", "Beacons that the transmitter refused or failed to send.", func(s nsedge.ClassBState) float64 { return float64(s.Missed) })
}

// beaconPosition is what beacons tell of where the gateway is.
func (d *daemon) beaconPosition() (nsedge.Position, bool) {
	p, ok := d.position(radio.EUI64{})
	return nsedge.Position{Lat: p.Lat, Lng: p.Lng}, ok
}

// underSky puts a satellite receiver beside a simulated chip: its pulses go
// into the chip at the seconds of the host's clock, and the result opens its
// serial line.
func underSky(e *board.Emulation) func(context.Context) (gnss.Line, error) {
	now := time.Now()
	wait := now.Truncate(time.Second).Add(2 * time.Second).Sub(now)
	first := now.Add(wait)
	e.PPS = &sx1302sim.PPS{Offset: wait}
	if e.Medium != nil {
		e.PPS.Offset += e.Medium.Elapsed()
	}
	receiver := gnsssim.New(gnsssim.Config{
		First: first, GPS: gnss.FromUTC(first.Round(0), gnss.LeapSeconds).Round(time.Second),
	})
	return func(ctx context.Context) (gnss.Line, error) {
		ours, theirs := net.Pipe()
		go func() {
			_ = receiver.Run(ctx, theirs) // nil: it ends with ctx, or with our end of the line
			_ = theirs.Close()
		}()
		return ours, nil
	}
}
