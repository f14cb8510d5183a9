package main

import (
	"context"

	"gatewayd/dataapi"
	"gatewayd/nsedge/region"
)

// bands are all regions as the Management API shows them.
func bands() []dataapi.Band {
	var all []dataapi.Band
	for _, name := range region.Names() {
		if b, ok := bandNamed(name); ok {
			all = append(all, b)
		}
	}
	return all
}

// bandNamed finds a region by any name that a device's band may have, also
// by that of a group of channels.
func bandNamed(name string) (dataapi.Band, bool) {
	r, err := region.Lookup(name)
	if err != nil {
		return dataapi.Band{}, false
	}
	b := dataapi.Band{Names: []string{r.Name(), r.Short()}, RX1Delay: r.Delays().RX1}
	b.RX2Freq, b.RX2Rate = r.RX2()
	for _, c := range r.Channels() {
		channel := dataapi.BandChannel{Freq: c.Freq}
		for dr := c.MinDR; dr <= c.MaxDR; dr++ {
			channel.DataRates = append(channel.DataRates, dr)
		}
		b.Channels = append(b.Channels, channel)
	}
	for _, d := range r.DataRates() {
		b.DataRates = append(b.DataRates, dataapi.BandDataRate{Index: d.Index, Mod: d.Mod, Uplink: d.Uplink, Downlink: d.Downlink})
	}
	return b, true
}

// gateways are those of this site: one, once its chip has told its EUI.
func (d *daemon) gateways() []dataapi.Gateway {
	d.mu.Lock()
	edge, eui := d.edge, d.gateway
	d.mu.Unlock()
	if edge == nil {
		return nil
	}
	state := edge.ClassB()
	return []dataapi.Gateway{{EUI: eui, Band: d.region.Short(), Online: d.ready(context.Background()) == nil, ClassB: &state}}
}
