package dataapi

import (
	"context"
	"math"
	"net/http"
	"slices"

	"gatewayd/radio"
)

var errNoMachine = &problem{http.StatusNotImplemented, codeNotReady, "", "there is no radio and no daemon around this server: start gatewayd"}

// machine is what a handler needs one for.
func (s *Server) machine(f func(*call, Machine) (reply, error)) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		if s.cfg.Machine == nil {
			return reply{}, errNoMachine
		}
		return f(c, s.cfg.Machine)
	}
}

func (s *Server) radioRoutes() []route {
	return []route{
		{"/radio", "radio", methods{http.MethodGet: s.machine(func(_ *call, m Machine) (reply, error) {
			return reply{http.StatusOK, map[string]Radio{"radio": m.Radio()}}, nil
		})}},
		{"/radio/frames", "radio", methods{http.MethodGet: s.watchFrames}},
		{"/radio/scan", "radio", methods{http.MethodPost: s.machine(s.startScan), http.MethodGet: s.machine(func(_ *call, m Machine) (reply, error) {
			return reply{http.StatusOK, map[string][]ScanPoint{"points": m.Spectrum()}}, nil
		})}},
		{"/jobs", "radio", methods{http.MethodGet: s.listJobs}},
		{"/jobs/{id}", "radio", methods{http.MethodGet: s.getJob, http.MethodDelete: s.cancelJob}},
	}
}

// Bounds of a scan. A point of 2000 samples takes about 20 ms.
const (
	mostScanPoints  = 1000
	mostScanSamples = 65535
	scanSamples     = 2000
	scanStep        = 100_000 // Hz
)

// scanRequest is what of the spectrum is to be measured.
type scanRequest struct {
	from, to, step, bandwidth radio.Hertz
	samples                   int
}

func parseScan(body fields) (q scanRequest, err error) {
	for _, f := range []struct {
		name        string
		least, most float64 // MHz
		otherwise   radio.Hertz
		into        *radio.Hertz
	}{{"from", 100, 1000, 0, &q.from}, {"to", 100, 1000, 0, &q.to}, {"step", 0.001, 100, scanStep, &q.step}, {"bandwidth", 0.125, 0.25, 125_000, &q.bandwidth}} {
		if *f.into = f.otherwise; !body.given(f.name) {
			if f.otherwise == 0 {
				return q, missingField(f.name, "a frequency in MHz from %g to %g is wanted", f.least, f.most)
			}
			continue
		}
		if *f.into, err = megahertz(body, f.name, f.least, f.most); err != nil {
			return q, err
		}
	}
	if q.bandwidth != 125_000 && q.bandwidth != 250_000 {
		return q, badField("bandwidth", "%s; 0.125 and 0.25 (MHz) are allowed", body.raw("bandwidth"))
	}
	if q.to < q.from {
		return q, badField("to", "%s; at least from, %s, is wanted", body.raw("to"), body.raw("from"))
	}
	if n := q.points(); n > mostScanPoints {
		return q, badField("step", "%d points; at most %d are allowed: take a larger step, or less of the spectrum", n, mostScanPoints)
	}
	q.samples = scanSamples
	return q, setNumber(&q.samples, body, "samples", 1, mostScanSamples)
}

func (q scanRequest) points() int { return int((q.to-q.from)/q.step) + 1 }

// megahertz reads a frequency to the Hz.
func megahertz(body fields, name string, least, most float64) (radio.Hertz, error) {
	v, err := number64(body.bare(name))
	if err != nil || !(v >= least && v <= most) {
		return 0, badField(body.name(name), "%s; a number of MHz from %g to %g is allowed", body.raw(name), least, most)
	}
	return radio.Hertz(math.Round(v * 1e6)), nil
}

// startScan begins a scan, which is a job.
func (s *Server) startScan(c *call, m Machine) (reply, error) {
	body, err := c.body("scan")
	if err != nil {
		return reply{}, err
	}
	q, err := parseScan(body)
	if err != nil {
		return reply{}, err
	}
	if !m.Radio().CanScan {
		return reply{}, &problem{http.StatusConflict, codeNotReady, "", "an SX1261 measures the spectrum, and there is none: set concentrator.sx1261_spi"}
	}
	j, err := s.startJob("radio scan", c.key.ID, q.points(), func(ctx context.Context, j *job) error {
		points := make([]ScanPoint, 0, q.points())
		for f := q.from; f <= q.to; f += q.step {
			p, err := m.Scan(ctx, f, q.bandwidth, q.samples)
			if err != nil {
				return scanProblem(ctx, err)
			}
			points = append(points, p)
			j.progress(len(points), slices.Clip(points))
		}
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return jobReply(http.StatusAccepted, j), nil
}

func scanProblem(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &problem{http.StatusInternalServerError, codeServerError, "", err.Error()}
}
