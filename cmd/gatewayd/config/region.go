package config

import "gatewayd/nsedge/region"

// Lookup returns the configured region.
func (r Region) Lookup() (*region.Region, error) {
	var options []region.Option
	switch r.DwellTime {
	case DwellNone:
		options = append(options, region.WithDwell(region.Dwell{}))
	case DwellUplink:
		options = append(options, region.WithDwell(region.Dwell{Uplink: true}))
	case DwellDownlink:
		options = append(options, region.WithDwell(region.Dwell{Downlink: true}))
	case DwellBoth:
		options = append(options, region.WithDwell(region.Dwell{Uplink: true, Downlink: true}))
	}
	return region.Lookup(r.Name, options...)
}

// checkRegion wants a dwell time only where there is one.
func (c Config) checkRegion(k *checker) {
	r, err := c.Region.Lookup()
	if err != nil {
		k.fault("region.name", c.Region.Name, "%v", err)
		return
	}
	k.oneOf("region.dwell_time", c.Region.DwellTime, DwellAuto, DwellNone, DwellUplink, DwellDownlink, DwellBoth)
	switch d := c.Region.DwellTime; d {
	case DwellNone, DwellUplink, DwellDownlink, DwellBoth:
		if !r.HasTXParamSetup() {
			k.fault("region.dwell_time", d, "%s has none: auto", r)
		}
	}
}
