package concentrator

import (
	"fmt"
	"slices"

	"gatewayd/radio"
)

// PlanRequest is what is to be received: up to eight LoRa channels of 125 kHz
// with all spreading factors, one LoRa channel with a single spreading
// factor, one FSK channel.
type PlanRequest struct {
	Channels []radio.Hertz
	Service  *PlannedService
	FSK      *PlannedFSK
}

// PlannedService is the single spreading factor channel of a plan.
type PlannedService struct {
	Freq      radio.Hertz
	Bandwidth radio.Hertz
	SF        uint8
}

// PlannedFSK is the FSK channel of a plan.
type PlannedFSK struct {
	Freq    radio.Hertz
	BitRate int
}

// Plan is where the radios listen, ready for a Config. Radios[1].Enable is
// false when one radio is enough.
type Plan struct {
	Radios   [2]PlannedRadio
	Channels [8]Channel
	Service  Service
	FSK      FSKChannel
}

// PlannedRadio is one radio of a Plan.
type PlannedRadio struct {
	Enable bool
	Freq   radio.Hertz // centre
}

// Apply puts the plan into a configuration.
func (p Plan) Apply(c *Config) {
	for i, r := range p.Radios {
		c.Radios[i].Enable, c.Radios[i].Freq = r.Enable, r.Freq
	}
	c.Channels, c.Service, c.FSK = p.Channels, p.Service, p.FSK
}

// Centres are put on multiples of wideRaster where that costs little, else of
// fineRaster where that fits. Edges up to comfort from the centre are as good
// as any; farther out the radio's filter begins to fall.
const (
	wideRaster = 500_000
	fineRaster = 100_000
	comfort    = 600_000
	oneRadio   = 500_000 // up to here one radio does for everything
)

// wanted is one channel to place.
type wanted struct {
	name string
	freq radio.Hertz
	bw   radio.Hertz
	slot int // 0-7, serviceChain, fskChain
}

// low and high bound the centres of a radio that receives the channel:
// |IF| + bandwidth/2 must stay within 800 kHz.
func (w wanted) low() radio.Hertz  { return w.freq - (maxIF - w.bw/2) }
func (w wanted) high() radio.Hertz { return w.freq + (maxIF - w.bw/2) }

// Place finds two radio centres from which every channel can be received, or
// says which one doesn't fit. Radio A gets the lower channels. The best plan
// is the one whose channels are nearest to their centres: EU868's usual eight
// give 867.5 and 868.5 MHz.
func Place(r PlanRequest) (Plan, error) {
	list, err := r.list()
	if err != nil {
		return Plan{}, err
	}
	slices.SortStableFunc(list, func(a, b wanted) int { return int(a.freq - b.freq) })
	alone, ok := centre(list)
	if ok && widest(list, alone) <= oneRadio {
		return r.plan(list, nil, alone, 0), nil
	}
	best, bestCost := Plan{}, radio.Hertz(-1)
	for _, s := range splits(list) {
		lower, okL := centre(s[0])
		upper, okU := centre(s[1])
		if !okL || !okU {
			continue
		}
		// First the channel that is farthest out counts, then the others.
		a, b := widest(s[0], lower), widest(s[1], upper)
		if cost := 10*max(a, b) + a + b; bestCost < 0 || cost < bestCost {
			best, bestCost = r.plan(s[0], s[1], lower, upper), cost
		}
	}
	switch {
	case bestCost >= 0:
		return best, nil
	case ok:
		return r.plan(list, nil, alone, 0), nil
	}
	return Plan{}, misfit(list)
}

// splits are the ways to share a list, sorted by frequency, between two
// radios: all cuts, and the one of firstGroup, which works if any does.
func splits(list []wanted) (out [][2][]wanted) {
	for k := 1; k < len(list); k++ {
		out = append(out, [2][]wanted{list[:k], list[k:]})
	}
	if a, b := firstGroup(list); len(b) > 0 {
		out = append(out, [2][]wanted{a, b})
	}
	return out
}

// firstGroup puts a radio as high as the channel that needs it lowest
// allows, and takes all that it then receives.
func firstGroup(list []wanted) (in, out []wanted) {
	c := list[0].high()
	for _, w := range list {
		c = min(c, w.high())
	}
	for _, w := range list {
		if w.low() <= c {
			in = append(in, w)
		} else {
			out = append(out, w)
		}
	}
	return in, out
}

// list checks the request and makes it one list.
func (r PlanRequest) list() ([]wanted, error) {
	if len(r.Channels) > 8 {
		return nil, configError("channels", len(r.Channels), "the chip has eight channels of 125 kHz with all spreading factors")
	}
	var list []wanted
	for i, f := range r.Channels {
		list = append(list, wanted{fmt.Sprintf("channel %d", i), f, 125_000, i})
	}
	if s := r.Service; s != nil {
		if _, ok := bandwidthCode(s.Bandwidth); !ok {
			return nil, configError("service bandwidth", int64(s.Bandwidth), "125000, 250000 or 500000")
		}
		list = append(list, wanted{"service channel", s.Freq, s.Bandwidth, serviceChain})
	}
	if f := r.FSK; f != nil {
		list = append(list, wanted{"FSK channel", f.Freq, 125_000, fskChain})
	}
	if len(list) == 0 {
		return nil, configError("channels", "none", "at least one channel is needed")
	}
	for i, w := range list {
		if w.freq < 100_000_000 || w.freq > 1_000_000_000 {
			return nil, configError(w.name, int64(w.freq), "a frequency in Hz, 100 MHz to 1 GHz")
		}
		for _, o := range list[:i] {
			if o.freq == w.freq && o.slot < 8 && w.slot < 8 {
				return nil, configError(w.name, int64(w.freq), o.name+" has the same frequency")
			}
		}
	}
	return list, nil
}

// centre returns the best centre for a group; false when there is none. It is
// near the middle of the multi-SF channels, as these are what matters most.
func centre(group []wanted) (radio.Hertz, bool) {
	low, high := group[0].low(), group[0].high()
	first, last := radio.Hertz(0), radio.Hertz(0)
	for _, w := range group {
		low, high = max(low, w.low()), min(high, w.high())
		if w.slot < 8 {
			if first == 0 {
				first = w.freq
			}
			last = w.freq
		}
	}
	if low > high {
		return 0, false
	}
	if first == 0 {
		first, last = group[0].freq, group[len(group)-1].freq
	}
	middle := (first + last) / 2
	if c := nearest(middle, wideRaster); c >= low && c <= high && widest(group, c) <= comfort {
		return c, true
	}
	middle = min(max(middle, low), high)
	for _, c := range []radio.Hertz{nearest(middle, fineRaster), middle / fineRaster * fineRaster, (middle/fineRaster + 1) * fineRaster} {
		if c >= low && c <= high {
			return c, true
		}
	}
	return middle, true
}

func nearest(f, raster radio.Hertz) radio.Hertz { return (f + raster/2) / raster * raster }

// widest is the largest offset of a channel's edge from the centre.
func widest(group []wanted, c radio.Hertz) (edge radio.Hertz) {
	for _, w := range group {
		edge = max(edge, max(w.freq-c, c-w.freq)+w.bw/2)
	}
	return edge
}

// misfit names the channel without which the others would fit, else the one
// that is farthest from all.
func misfit(list []wanted) error {
	for i := range list {
		others := slices.Delete(slices.Clone(list), i, i+1)
		if fits(others) {
			return misfitError(list[i], list)
		}
	}
	return misfitError(list[len(list)-1], list)
}

// fits tells whether two radios can do it.
func fits(list []wanted) bool {
	if len(list) == 0 {
		return true
	}
	_, rest := firstGroup(list)
	if len(rest) == 0 {
		return true
	}
	_, ok := centre(rest)
	return ok
}

func misfitError(w wanted, list []wanted) error {
	return fmt.Errorf("%w: %s at %d Hz does not fit: two radios cover %d kHz each, the channels reach from %d to %d Hz",
		ErrConfig, w.name, w.freq, 2*maxIF/1000, list[0].freq, list[len(list)-1].freq)
}

// plan writes a placement down.
func (r PlanRequest) plan(lower, upper []wanted, a, b radio.Hertz) Plan {
	p := Plan{Radios: [2]PlannedRadio{{Enable: true, Freq: a}, {Enable: len(upper) > 0, Freq: b}}}
	if r.Service != nil {
		p.Service.Bandwidth, p.Service.SF = r.Service.Bandwidth, r.Service.SF
	}
	if r.FSK != nil {
		p.FSK.BitRate = r.FSK.BitRate
	}
	for n, group := range [2][]wanted{lower, upper} {
		for _, w := range group {
			ch := Channel{Enable: true, Radio: n, IF: w.freq - p.Radios[n].Freq}
			switch w.slot {
			case serviceChain:
				p.Service.Channel = ch
			case fskChain:
				p.FSK.Channel = ch
			default:
				p.Channels[w.slot] = ch
			}
		}
	}
	return p
}
