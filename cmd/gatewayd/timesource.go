package main

import (
	"context"
	"strings"
	"time"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
	"gatewayd/nsedge"
)

// timeWatch is how often a change of the time's quality is looked for.
const timeWatch = 10 * time.Second

// satellites makes the satellite receiver that is configured, or the one on
// the board; nil if there is none.
func (d *daemon) satellites(b board.Board) *gnss.Receiver {
	c := d.cfg.Concentrator
	if d.parts.sky != nil {
		return gnss.New(gnss.Config{Open: d.parts.sky, UBlox: true, LeapSeconds: c.LeapSeconds, Log: d.log})
	}
	device := c.GPS
	if device == "" && strings.HasPrefix(b.SPI, "/dev/") {
		device = b.GNSS.Device
	}
	if device == "" || device == config.Off {
		return nil
	}
	return gnss.New(gnss.Config{
		Open:        func(ctx context.Context) (gnss.Line, error) { return gnss.OpenTTY(ctx, device, 0) },
		UBlox:       b.GNSS.Kind != board.NMEA,
		LeapSeconds: c.LeapSeconds, Log: d.log,
	})
}

// timeSources tells the driver where time comes from. A simulated chip has
// simulated satellites, or the host's clock and nothing to judge it by.
func (d *daemon) timeSources(rc *concentrator.Config, b board.Board) {
	rc.LeapSeconds = d.cfg.Concentrator.LeapSeconds
	if d.cfg.Emulated() && d.parts.sky == nil {
		return
	}
	if !d.cfg.Emulated() {
		rc.HostClock = gnss.HostClock
	}
	if d.gnss = d.satellites(b); d.gnss != nil {
		rc.Fixes = d.gnss.Fixes()
	}
}

// gps is the GPS time of a moment on the host's clock, for what has no time of
// its own; false while nobody vouches for that clock.
func (d *daemon) gps(t time.Time) (time.Duration, bool) {
	if d.cfg.Emulated() {
		return nsedge.HostGPS(t)
	}
	if ok, _ := gnss.HostClock(); !ok {
		return 0, false
	}
	return gnss.FromUTC(t, d.conc.Time().Leap), true
}

// watchTime logs what the time is worth, whenever that changes.
func (d *daemon) watchTime(ctx context.Context) error {
	tick := time.NewTicker(timeWatch)
	defer tick.Stop()
	for last := concentrator.NoTime; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if s := d.conc.Time(); s.Quality != last {
			last = s.Quality
			d.log.Info("time", "quality", s.Quality, "error", s.Error, "drift_ppm", s.Drift, "leap_seconds", s.Leap)
		}
	}
}
