package concentrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gatewayd/radio"
)

// Survey is a spectral scan in the background: the SX1261 measures one
// frequency after the other, and then begins again, whenever no transmission
// must listen first.
type Survey struct {
	From    radio.Hertz   // the first frequency; the others follow in steps of 200 kHz
	Points  int           // how many frequencies, at most 255; 0: no survey
	Samples int           // of each, 1 to 65535; 0 means 2000
	Every   time.Duration // from one frequency to the next, at least 1 s; 0 means 10 s
}

const (
	surveyStep     = 200_000 // Hz
	surveyPoints   = 255
	surveyPace     = 10 * time.Second
	surveyPatience = 5 * time.Second // for one frequency: transmissions come first
)

func (c *Config) checkSurvey() error {
	s := &c.SX1261.Survey
	last := s.From + surveyStep*radio.Hertz(s.Points-1)
	switch {
	case s.Points == 0:
		return nil
	case c.SX1261.Port == nil:
		return configError("SX1261.Survey.Points", s.Points, "an SX1261 measures the spectrum: set SX1261.Port (sx1261_spi in the configuration)")
	case s.Points < 0 || s.Points > surveyPoints:
		return configError("SX1261.Survey.Points", s.Points, fmt.Sprintf("0 to %d", surveyPoints))
	case s.From < lowestScan || last > highestScan:
		return configError("SX1261.Survey.From", int64(s.From), fmt.Sprintf("%d Hz to %d Hz, the last of %d points included", lowestScan, highestScan, s.Points))
	case s.Samples < 0 || s.Samples > 65535:
		return configError("SX1261.Survey.Samples", s.Samples, "1 to 65535")
	case s.Every != 0 && s.Every < time.Second:
		return configError("SX1261.Survey.Every", s.Every, "at least 1 s")
	}
	return nil
}

// survey is what the last measurements of a [Survey] found.
type survey struct {
	mu     sync.Mutex
	latest map[radio.Hertz]Histogram
}

// Spectrum is the last measurement of each frequency of the [Survey], by
// frequency; those that it has not come to yet are missing.
func (c *Concentrator) Spectrum() []Histogram {
	c.survey.mu.Lock()
	defer c.survey.mu.Unlock()
	list := make([]Histogram, 0, len(c.survey.latest))
	for _, h := range c.survey.latest {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b Histogram) int { return int(a.Freq - b.Freq) })
	return list
}

// measureSpectrum works the survey off until ctx ends. A frequency that could
// not be measured is tried again at the next turn.
func (c *Concentrator) measureSpectrum(ctx context.Context) {
	plan := c.cfg.SX1261.Survey
	warned := false
	for n := 0; pause(ctx, plan.Every) == nil; {
		within, cancel := context.WithTimeout(ctx, surveyPatience)
		h, err := c.SpectralScan(within, SpectrumRequest{Freq: plan.From + surveyStep*radio.Hertz(n), Samples: plan.Samples})
		cancel()
		switch {
		case err == nil:
			c.survey.put(h)
			n, warned = (n+1)%plan.Points, false
		case ctx.Err() != nil || errors.Is(err, ErrScanAborted) || warned:
		default:
			c.cfg.Log.Warn("spectral survey: a frequency could not be measured", "err", err)
			warned = true
		}
	}
}

func (s *survey) put(h Histogram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest == nil {
		s.latest = map[radio.Hertz]Histogram{}
	}
	s.latest[h.Freq] = h
}
