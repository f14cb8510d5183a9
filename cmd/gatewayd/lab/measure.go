package lab

import (
	"context"
	"fmt"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

type measureArgs struct {
	Device  *radio.EUI64 `json:"device"`
	Uplinks int          `json:"uplinks"` // so many, or
	Seconds Seconds      `json:"seconds"` // for so long
}

// measure watches a device: which channels and data rates it uses, how often
// it sends, how long it is on the air, which counters are missing.
func measure(ctx context.Context, b *Bench, a measureArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	if a.Uplinks < 0 || a.Uplinks == 0 && a.Seconds <= 0 {
		return nil, fmt.Errorf("%w: uplinks is %d, seconds is %v; one of them must be positive", ErrCall, a.Uplinks, a.Seconds)
	}
	m := figures{region: b.region, bands: map[string]time.Duration{}}
	begin := time.Now()
	until := begin.Add(a.Seconds.Duration(24 * time.Hour))
	for a.Uplinks == 0 || m.n < a.Uplinks {
		within := min(time.Until(until), uplinkWait)
		e, err := s.await(ctx, b, "uplink", within, "uplink of "+s.eui.String(), func(e nsedge.Event) bool {
			u, ok := e.(*nsedge.UplinkEvent)
			return ok && !u.Duplicate
		})
		if _, ok := err.(*TimeoutError); ok && a.Seconds > 0 { //nolint:errorlint // it is not wrapped
			if time.Now().Before(until) {
				continue
			}
			break
		}
		if err != nil {
			return nil, err
		}
		m.add(e)
	}
	out := m.result(time.Since(begin))
	out["device"] = s.eui.String()
	return out, nil
}

// figures are what is counted.
type figures struct {
	region          *region.Region
	n, missing      int
	channels, rates map[string]any
	air             time.Duration
	bands           map[string]time.Duration // time on air by sub-band
	longest         time.Duration
	gaps            []float64
	last            *nsedge.UplinkEvent
	lastAt          time.Time
}

func (m *figures) add(e event) {
	u := e.Event.(*nsedge.UplinkEvent) //nolint:forcetypeassert // the caller looked
	if m.channels == nil {
		m.channels, m.rates = map[string]any{}, map[string]any{}
	}
	m.n++
	count(m.channels, fmt.Sprintf("%.3f", u.Radio.Freq.MHz()))
	count(m.rates, fmt.Sprint(u.Radio.DataRate))
	airtime := u.Radio.Mod.Airtime(u.Radio.Size)
	m.air += airtime
	if band, ok := m.region.SubBand(u.Radio.Freq); ok {
		m.bands[band.Name] += airtime
	}
	m.longest = max(m.longest, airtime)
	if m.last != nil {
		m.gaps = append(m.gaps, e.at.Sub(m.lastAt).Seconds())
		if step := int(u.Counter) - int(m.last.Counter); step > 1 {
			m.missing += step - 1
		}
	}
	m.last, m.lastAt = u, e.at
}

func count(m map[string]any, key string) {
	n, _ := m[key].(int64)
	m[key] = n + 1
}

// shares are the sub-bands that were used, with what the regulator allows.
func (m *figures) shares(over time.Duration) []any {
	out := []any{}
	for _, band := range m.region.SubBands() {
		if air := m.bands[band.Name]; air > 0 {
			out = append(out, Result{"name": band.Name, "airtime": air.Seconds(), "share": air.Seconds() / over.Seconds(), "limit": band.Duty})
		}
	}
	return out
}

func (m *figures) result(over time.Duration) Result {
	out := Result{
		"uplinks": int64(m.n), "missing": int64(m.missing), "channels": m.channels, "datarates": m.rates,
		"airtime": m.air.Seconds(), "seconds": over.Seconds(), "duty": m.air.Seconds() / over.Seconds(), "longest": m.longest.Seconds(), "bands": m.shares(over),
	}
	if len(m.gaps) > 0 {
		least, most := m.gaps[0], m.gaps[0]
		for _, g := range m.gaps {
			least, most = min(least, g), max(most, g)
		}
		out["least_interval"], out["most_interval"] = least, most
	}
	return out
}
