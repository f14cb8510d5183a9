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

// raster is where radio centres are put: multiples of 100 kHz, if that fits.
const raster = 100_000

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
// says which one doesn't fit. Radio A gets the lower half. Centres are the
// middle of the multi-SF channels that their radio receives, on a 100 kHz
// raster, shifted only as far as the other channels need: so EU868's usual
// eight channels give 867.5 and 868.5 MHz.
func Place(r PlanRequest) (Plan, error) {
	list, err := r.list()
	if err != nil {
		return Plan{}, err
	}
	slices.SortStableFunc(list, func(a, b wanted) int { return int(a.freq - b.freq) })
	if c, ok := centre(list); ok {
		return r.plan(list, nil, c, 0), nil
	}
	// Channels sorted by frequency split into a lower and an upper group; the
	// best split is the one with the smallest widest offset.
	best, bestCost := Plan{}, radio.Hertz(-1)
	for k := 1; k < len(list); k++ {
		lower, okL := centre(list[:k])
		upper, okU := centre(list[k:])
		if !okL || !okU {
			continue
		}
		if cost := widest(list[:k], lower) + widest(list[k:], upper); bestCost < 0 || cost < bestCost {
			best, bestCost = r.plan(list[:k], list[k:], lower, upper), cost
		}
	}
	if bestCost >= 0 {
		return best, nil
	}
	return Plan{}, misfit(list)
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

// centre returns the best centre for a group; false when there is none.
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
	c := (first + last) / 2
	onRaster := (c + raster/2) / raster * raster
	if slices.ContainsFunc(group, func(w wanted) bool { return w.freq%raster != 0 }) {
		onRaster = c // an odd grid: the exact middle
	}
	if onRaster < low {
		onRaster = (low + raster - 1) / raster * raster
	}
	if onRaster > high {
		onRaster = high / raster * raster
	}
	if onRaster < low || onRaster > high {
		onRaster = min(max(c, low), high)
	}
	return onRaster, true
}

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

func fits(list []wanted) bool {
	if len(list) == 0 {
		return true
	}
	for k := 1; k <= len(list); k++ {
		_, ok := centre(list[:k])
		if ok && k < len(list) {
			_, ok = centre(list[k:])
		}
		if ok {
			return true
		}
	}
	return false
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
