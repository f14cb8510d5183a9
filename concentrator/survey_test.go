package concentrator

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Two frequencies in turns, one of them loud, while the chip is at work.
func TestASurveyMeasuresTheSpectrumInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := as923(t)
		cfg.SX1261.Survey = Survey{From: 922_000_000, Points: 2, Samples: 1000}
		b := newBench(t, cfg, fast, nil)
		if got := b.Spectrum(); len(got) != 0 {
			t.Errorf("before the start: %v", got)
		}
		b.run()
		loudest := func() (list []string) {
			for _, h := range b.Spectrum() {
				best := h.Classes[0]
				for _, c := range h.Classes {
					if c.Count > best.Count {
						best = c
					}
				}
				list = append(list, fmt.Sprintf("%d Hz: %d samples, most above %d", h.Freq, h.Samples, int(best.Level)/10*10))
			}
			return list
		}
		time.Sleep(surveyPace + 100*time.Millisecond)
		if got := fmt.Sprint(loudest()); got != "[922000000 Hz: 1000 samples, most above -110]" {
			t.Errorf("after one turn: %s", got)
		}
		time.Sleep(surveyPace - 300*time.Millisecond)
		b.occupy(922_200_000, 40)
		time.Sleep(300 * time.Millisecond)
		if got := fmt.Sprint(loudest()); got != "[922000000 Hz: 1000 samples, most above -110 922200000 Hz: 1000 samples, most above -60]" {
			t.Errorf("after two turns: %s", got)
		}
		first := b.Spectrum()[0].Time
		time.Sleep(surveyPace)
		if d := b.Spectrum()[0].Time.Sub(first); d < 2*surveyPace || d > 2*surveyPace+time.Second {
			t.Errorf("measured again after %v", d)
		}
		b.stop()
	})
}

// A transmission that must listen comes first; what it broke off is measured
// at the next turn.
func TestASurveyGivesWayToTransmissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := as923(t)
		cfg.SX1261.Survey = Survey{From: 922_000_000, Points: 3, Samples: 65535, Every: time.Second} // 537 ms
		b := newBench(t, cfg, fast, nil)
		b.run()
		at := b.instant() + 1_200_000
		if r := b.send(as923Downlink(1, at, 923_200_000)); r.Err != nil || r.Started != at {
			t.Errorf("%+v", r)
		}
		if got := b.Spectrum(); len(got) != 0 {
			t.Errorf("measured while the channel was watched: %v", got)
		}
		time.Sleep(2 * time.Second)
		if got := b.Spectrum(); len(got) != 1 || got[0].Freq != 922_000_000 {
			t.Errorf("after the transmission: %v", got)
		}
		b.stop()
	})
}

func TestASurveyIsPlannedWithSense(t *testing.T) {
	for says, s := range map[string]Survey{
		"Points = 256":       {From: 922_000_000, Points: 256},
		"From = 999000000":   {From: 999_000_000, Points: 7},
		"Samples = 65536":    {From: 922_000_000, Points: 1, Samples: 65536},
		"Every = 10ms":       {From: 922_000_000, Points: 1, Every: 10 * time.Millisecond},
		"Survey.Points = -1": {From: 922_000_000, Points: -1},
	} {
		cfg := as923(t)
		cfg.SX1261.Survey = s
		if err := cfg.checkSurvey(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	cfg := eu868(t)
	cfg.SX1261.Survey = Survey{From: 868_100_000, Points: 1}
	if err := cfg.checkSurvey(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "sx1261_spi") {
		t.Errorf("without an SX1261: %v", err)
	}
}
