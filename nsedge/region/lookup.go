package region

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/brocaar/lorawan"
	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// plan is what a file of this package says about its region.
type plan struct {
	name    string   // the specification's
	short   string   // the common one
	aliases []string // others, upper case
	band    band.Name

	from, to radio.Hertz
	groups   int                  // of eight channels; 0: the channels are not fixed
	gateway  func(group int) Plan // what a gateway listens to
	extras   []radio.Hertz        // channels beyond the defaults, for the CFList

	dwell    Dwell     // what a device assumes after its reset
	eirp     radio.DBm // of a gateway, where subBands is empty
	subBands []SubBand
	lbt      bool
	delays   Delays        // zero: brocaar's
	rx1      map[int][]int // rows that differ from brocaar's
	offsets  int           // highest RX1DROffset
	classB   classB
	antenna  *antenna // nil: brocaar has the channels
}

func plans() []plan {
	out := []plan{
		eu868(), us915(), au915(), la915(),
		as923(1), as923(2), as923(3), as923(4),
		in865(), kr920(), ru864(), cn470(), eu433(), cn779(),
	}
	for _, a := range cn470Antennas() {
		out = append(out, cn470Antenna(a))
	}
	return out
}

// Option changes a region from what its name says.
type Option func(*options)

type options struct {
	repeater bool
	dwell    *Dwell
}

// RepeaterCompatible limits payloads so that a repeater can wrap them.
func RepeaterCompatible() Option { return func(o *options) { o.repeater = true } }

// WithDwell overrides the dwell times that a device assumes after its reset.
// It matters only where [Region.HasTXParamSetup].
func WithDwell(d Dwell) Option { return func(o *options) { o.dwell = &d } }

// Names returns the specification's names of all regions.
func Names() []string {
	var out []string
	for _, p := range plans() {
		out = append(out, p.name)
	}
	return out
}

// Lookup finds a region by the specification's name ("EU863-870"), the common
// name ("EU868") or Everynet's ("LA915-928A"), in any case. A number ("US915-2",
// "US902-928-2") or, after a range, a letter ("US902-928B") selects the group
// of channels; without one it is group 1. It builds tables: keep the result.
// The error wraps [ErrUnknown] and lists
// what is allowed.
func Lookup(name string, opts ...Option) (*Region, error) {
	var o options
	for _, f := range opts {
		f(&o)
	}
	want := normal(name)
	for _, p := range plans() {
		if group, ok := p.match(want); ok {
			return build(p, group, o)
		}
	}
	return nil, fmt.Errorf("%w %q: allowed are %s", ErrUnknown, name, allowed())
}

// normal brings the spellings of other programs ("EU_863_870",
// "US_902_928_FSB_2") to ours.
func normal(name string) string {
	s := strings.ToUpper(strings.TrimSpace(name))
	s = strings.NewReplacer("_FSB_", "-", "_", "-", "–", "-", " ", "-").Replace(s)
	if i := strings.IndexAny(s, "0123456789"); i > 0 {
		s = strings.TrimSuffix(s[:i], "-") + s[i:]
	}
	return s
}

// match tells whether name means p, and which group of it.
func (p plan) match(name string) (group int, ok bool) {
	for _, n := range append([]string{p.name, p.short}, p.aliases...) {
		rest, found := strings.CutPrefix(name, n)
		switch {
		case !found:
			continue
		case rest == "":
			return min(p.groups, 1), true
		case p.groups == 0:
			continue
		case len(rest) == 1 && strings.Contains(n, "-") && rest[0] >= 'A':
			group = int(rest[0]-'A') + 1
		case rest[0] == '-':
			group, _ = strconv.Atoi(rest[1:])
		}
		if group >= 1 && group <= p.groups {
			return group, true
		}
	}
	return 0, false
}

func allowed() string {
	var out []string
	for _, p := range plans() {
		s := fmt.Sprintf("%s (%s)", p.name, p.short)
		if p.groups > 0 {
			s = fmt.Sprintf("%s (%s, or %s-1 to %s-%d)", p.name, p.short, p.short, p.short, p.groups)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func build(p plan, group int, o options) (*Region, error) {
	r := &Region{plan: p, group: group, dwell: p.dwell, maxOffset: p.offsets}
	if o.dwell != nil {
		r.dwell = *o.dwell
	}
	var err error
	if r.up, err = band.GetConfig(p.band, o.repeater, dwellTime(r.dwell.Uplink)); err != nil {
		return nil, fmt.Errorf("region %s: %w", p.name, err)
	}
	r.down = r.up
	if r.dwell.Uplink != r.dwell.Downlink {
		if r.down, err = band.GetConfig(p.band, o.repeater, dwellTime(r.dwell.Downlink)); err != nil {
			return nil, fmt.Errorf("region %s: %w", p.name, err)
		}
	}
	if a := p.antenna; a != nil {
		r.up, r.down = antennaBand{r.up, a, group}, antennaBand{r.down, a, group}
		r.classB = a.classB(group)
	}
	r.rates = dataRates(r.up)
	return r, nil
}

func dwellTime(limited bool) lorawan.DwellTime {
	if limited {
		return lorawan.DwellTime400ms
	}
	return lorawan.DwellTimeNoLimit
}

// dataRates copies the table that the library keeps to itself.
func dataRates(b band.Band) []DataRate {
	var out []DataRate
	for i := range 16 {
		d, err := b.GetDataRate(i)
		if err != nil {
			continue
		}
		var m radio.Modulation
		switch d.Modulation {
		case band.LoRaModulation:
			m = radio.LoRa{SF: uint8(d.SpreadFactor), Bandwidth: radio.Hertz(d.Bandwidth) * 1000}
		case band.FSKModulation:
			m = radio.FSK{BitRate: d.BitRate}
		default:
			continue
		}
		// A modulation has one index in each direction.
		up, errUp := b.GetDataRateIndex(true, d)
		down, errDown := b.GetDataRateIndex(false, d)
		out = append(out, DataRate{i, m, errUp == nil && up == i, errDown == nil && down == i})
	}
	return out
}
