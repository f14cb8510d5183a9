// Package gnsssim is a satellite receiver in software: the other end of the
// serial line, for tests and for gatewayd sim. Its pulse per second is not
// here: the simulated concentrator makes it (sx1302sim.PPS), of the same
// moments.
package gnsssim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"
	"time"

	"gatewayd/concentrator/gnss"
)

// Config of a Receiver. The zero value speaks NMEA as a GPS-only receiver,
// and UBX when it has been asked for NAV-TIMEGPS, from now on.
type Config struct {
	First    time.Time     // moment of the first pulse; zero means now
	GPS      time.Duration // since the GPS epoch at the first pulse, whole seconds; 0 means First by the host's clock
	Leap     int           // GPS time minus UTC; 0 means gnss.LeapSeconds
	Talker   string        // "" means GP
	Delay    time.Duration // from the pulse to the first message; 0 means 120 ms
	NoUBX    bool          // not a u-blox: requests are ignored
	Position gnss.Position
	// Fix tells whether there is a fix in second n after the first pulse; nil
	// means always.
	Fix func(n int) bool
}

// Receiver is a satellite receiver.
type Receiver struct {
	cfg Config
	ubx atomic.Bool
}

// New returns a receiver that has not been started.
func New(cfg Config) *Receiver {
	if cfg.First.IsZero() {
		cfg.First = time.Now()
	}
	if cfg.Leap == 0 {
		cfg.Leap = gnss.LeapSeconds
	}
	if cfg.GPS == 0 {
		cfg.GPS = gnss.FromUTC(cfg.First, cfg.Leap).Round(time.Second)
	}
	if cfg.Talker == "" {
		cfg.Talker = "GP"
	}
	if cfg.Delay == 0 {
		cfg.Delay = 120 * time.Millisecond
	}
	return &Receiver{cfg: cfg}
}

// Run speaks once a second until ctx ends, and then returns nil. It does not
// close the line; a request can only end with it.
func (r *Receiver) Run(ctx context.Context, line io.ReadWriter) error {
	go r.listen(line)
	n := max(0, int(math.Ceil(time.Since(r.cfg.First).Seconds())))
	for ; ; n++ {
		t := time.NewTimer(time.Until(r.cfg.First.Add(time.Duration(n)*time.Second + r.cfg.Delay)))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		if l, ok := line.(interface{ SetWriteDeadline(time.Time) error }); ok {
			_ = l.SetWriteDeadline(time.Now().Add(time.Second / 2))
		}
		// What nobody takes is lost, as on a serial line.
		if _, err := line.Write(r.Messages(n)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			if ctx.Err() != nil || errors.Is(err, io.ErrClosedPipe) {
				return nil
			}
			return fmt.Errorf("simulated satellite receiver: %w", err)
		}
	}
}

// listen waits for the request for NAV-TIMEGPS.
func (r *Receiver) listen(line io.Reader) {
	s := gnss.NewScanner(line)
	want := string(gnss.EnableTimeGPS())
	for {
		m, err := s.Next()
		if err != nil {
			return
		}
		if m.Sentence == "" && string(gnss.EncodeUBX(m.Class, m.ID, m.Payload)) == want && !r.cfg.NoUBX {
			r.ubx.Store(true)
		}
	}
}

// Messages is what the receiver says after pulse n.
func (r *Receiver) Messages(n int) []byte {
	gps := r.cfg.GPS + time.Duration(n)*time.Second
	fix := r.cfg.Fix == nil || r.cfg.Fix(n)
	utc := gnss.ToUTC(gps, r.cfg.Leap)
	var out []byte
	say := func(format string, args ...any) {
		out = append(out, gnss.EncodeNMEA(r.cfg.Talker+fmt.Sprintf(format, args...))...)
	}
	clock, date := utc.Format("150405.00"), utc.Format("020106")
	place := coordinates(r.cfg.Position)
	if fix {
		say("RMC,%s,A,%s,0.0,0.0,%s,,,A", clock, place, date)
	} else {
		say("RMC,,V,,,,,,,,,,N")
	}
	// Not the last one: a host that reads in blocks would see its end a second late.
	if r.ubx.Load() {
		out = append(out, timeGPS(gps, r.cfg.Leap, fix)...)
	}
	if fix {
		say("GGA,%s,%s,1,08,1.0,%.1f,M,0.0,M,,", clock, place, r.cfg.Position.Altitude)
		say("ZDA,%s,%s,00,00", clock, utc.Format("02,01,2006"))
	} else {
		say("GGA,,,,,,0,00,99.99,,,,,,")
	}
	return out
}

// timeGPS is UBX-NAV-TIMEGPS.
func timeGPS(gps time.Duration, leap int, fix bool) []byte {
	const week = 7 * 24 * time.Hour
	p := make([]byte, 16)
	binary.LittleEndian.PutUint32(p, uint32(gps%week/time.Millisecond))
	binary.LittleEndian.PutUint16(p[8:], uint16(gps/week))
	p[10] = byte(leap)
	if fix {
		p[11] = 7
	}
	binary.LittleEndian.PutUint32(p[12:], 25) // ns
	return gnss.EncodeUBX(0x01, 0x20, p)
}

// coordinates are four fields: ddmm.mmmmm, N or S, dddmm.mmmmm, E or W.
func coordinates(p gnss.Position) string {
	ns, ew := "N", "E"
	if p.Latitude < 0 {
		ns = "S"
	}
	if p.Longitude < 0 {
		ew = "W"
	}
	lat, lon := math.Abs(p.Latitude), math.Abs(p.Longitude)
	minutes := func(v float64) float64 { return (v - math.Floor(v)) * 60 }
	return fmt.Sprintf("%02.0f%08.5f,%s,%03.0f%08.5f,%s", math.Floor(lat), minutes(lat), ns, math.Floor(lon), minutes(lon), ew)
}
