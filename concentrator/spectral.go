package concentrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatewayd/radio"
	"gatewayd/radio/sx1261"
)

// SpectrumRequest asks how loud a frequency is how often.
type SpectrumRequest struct {
	Freq      radio.Hertz
	Bandwidth radio.Hertz // 125 or 250 kHz; 0 means 125
	Samples   int         // 1 to 65535, one every 8.2 µs; 0 means 2000
}

// Histogram says how many samples were how loud.
type Histogram struct {
	Freq    radio.Hertz
	At      radio.Instant // the scan was complete
	Time    time.Time     // the same by the host's clock
	Samples int
	Classes []HistogramClass // from loud to quiet
}

// HistogramClass counts the samples from Level up to the next louder class;
// the last one counts those below Level.
type HistogramClass struct {
	Level radio.DBm // at the antenna connector
	Count int
}

const (
	defaultSamples = 2000
	scanPoll       = 2 * time.Millisecond
	lowestScan     = 100_000_000 // Hz
	highestScan    = 1_000_000_000
	scanPatience   = 250 * time.Millisecond // beyond the time that the samples take
)

// scanRequest is a SpectralScan call on its way to the loop.
type scanRequest struct {
	ctx    context.Context
	ask    SpectrumRequest
	answer chan scanAnswer // holds one
}

type scanAnswer struct {
	histogram Histogram
	err       error
}

// SpectralScan measures a frequency with the SX1261 while the chip receives
// and transmits. One scan runs at a time, others wait as long as their
// context lets them. A transmission that must listen first ends the scan with
// [ErrScanAborted]. Other errors wrap [ErrConfig], [ErrSX1261],
// [radio.ErrStopped] or are the context's.
func (c *Concentrator) SpectralScan(ctx context.Context, ask SpectrumRequest) (Histogram, error) {
	h, err := c.spectralScan(ctx, ask)
	if err != nil {
		return h, fmt.Errorf("spectral scan of %d Hz: %w", ask.Freq, err)
	}
	return h, nil
}

func (c *Concentrator) spectralScan(ctx context.Context, ask SpectrumRequest) (Histogram, error) {
	if ask.Samples == 0 {
		ask.Samples = defaultSamples
	}
	if err := c.checkScan(ask); err != nil {
		return Histogram{}, err
	}
	s := c.session()
	if s == nil {
		return Histogram{}, radio.ErrStopped
	}
	r := scanRequest{ctx: ctx, ask: ask, answer: make(chan scanAnswer, 1)}
	select {
	case s.scans <- r:
	case <-s.done:
		return Histogram{}, radio.ErrStopped
	case <-ctx.Done():
		return Histogram{}, context.Cause(ctx)
	}
	select {
	case a := <-r.answer:
		return a.histogram, a.err
	case <-s.done:
		return Histogram{}, radio.ErrStopped
	case <-ctx.Done():
		return Histogram{}, context.Cause(ctx)
	}
}

func (c *Concentrator) checkScan(ask SpectrumRequest) error {
	switch {
	case c.cfg.SX1261.Port == nil:
		return configError("SX1261.Port", "none", "an SX1261 measures the spectrum; set sx1261_spi in the configuration")
	case ask.Freq < lowestScan || ask.Freq > highestScan:
		return configError("Freq", int64(ask.Freq), "a frequency in Hz, 100 MHz to 1 GHz")
	case ask.Bandwidth != 0 && ask.Bandwidth != 125_000 && ask.Bandwidth != 250_000:
		return configError("Bandwidth", int64(ask.Bandwidth), "125000 or 250000")
	case ask.Samples < 0 || ask.Samples > 65535:
		return configError("Samples", ask.Samples, "1 to 65535")
	}
	return nil
}

// takesScans is the channel of scan requests while one can be begun, else nil.
func (s *session) takesScans() <-chan scanRequest {
	k := s.drv.companion
	if k == nil || k.job != nil || s.listens() {
		return nil
	}
	return s.scans
}

// listens tells whether the SX1261 watches, or is about to watch, a channel.
func (s *session) listens() bool {
	if t := s.tx.active; t != nil && t.listen != nil && t.listen.verdict != settled {
		return true
	}
	return len(s.tx.queue) > 0 && s.tx.queue[0].listen != nil && s.tx.queue[0].listen.begun
}

// beginScan measures the spectrum: tune, scan, ask until it is done, fetch
// the result.
func (s *session) beginScan(r scanRequest) {
	k := s.drv.companion
	deadline := time.Now().Add(scanPatience + sx1261.SpectrumTime(uint16(r.ask.Samples)))
	j := &job{ctx: r.ctx, requests: append(k.listen(LBTChannel{Freq: r.ask.Freq, Bandwidth: r.ask.Bandwidth}),
		sx1261.Spectrum(uint16(r.ask.Samples)), sx1261.AskState())}
	j.check = func(q sx1261.Request, answer []byte) error {
		switch {
		case q.Op != sx1261.ReadRegister:
			return checkReceives(q, answer)
		case len(answer) != len(sx1261.AskState().Args):
			counts, err := sx1261.ParseResults(answer)
			if err == nil {
				r.answer <- scanAnswer{histogram: s.histogram(r.ask, counts)}
			}
			return err
		}
		return followScan(j, answer, deadline)
	}
	j.done = func(err error) {
		if errors.Is(err, errPreempted) {
			err = fmt.Errorf("%w: %w", ErrScanAborted, err)
		}
		if err != nil {
			r.answer <- scanAnswer{err: err}
		}
		if !errors.Is(err, ErrScanAborted) {
			k.rest()
		}
	}
	k.begin(j)
}

// followScan decides what comes after a look at the scan's state.
func followScan(j *job, answer []byte, deadline time.Time) error {
	state, err := sx1261.ParseState(answer)
	switch {
	case err != nil:
		return err
	case state == sx1261.ScanDone:
		j.requests = append(j.requests, sx1261.AskResults())
	case state != sx1261.ScanRuns:
		return fmt.Errorf("%w: the SX1261 says 0x%02X", ErrScanAborted, byte(state))
	case time.Now().After(deadline):
		return fmt.Errorf("the scan does not end: state 0x%02X %v after its time", byte(state), scanPatience)
	default:
		again := sx1261.AskState()
		again.Wait = scanPoll
		j.requests = append(j.requests, again)
	}
	return nil
}

func (s *session) histogram(ask SpectrumRequest, counts [sx1261.Levels]uint16) Histogram {
	now := time.Now()
	h := Histogram{Freq: ask.Freq, At: s.clock.now(now).instant(), Time: now.Round(0)}
	for i, n := range counts {
		h.Classes = append(h.Classes, HistogramClass{sx1261.Level(i) + radio.DBm(s.c.cfg.SX1261.RSSIOffset), int(n)})
		h.Samples += int(n)
	}
	return h
}
