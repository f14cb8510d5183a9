package lab

import (
	"context"
	"slices"

	"gatewayd/nsedge"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

func megahertz(f float64) radio.Hertz { return radio.Hertz(f*1e6 + 0.5) }

// regional tells a script what it may expect in this part of the world.
func regional(_ context.Context, b *Bench, _ struct{}) (any, error) {
	r := b.region
	join := r.JoinChannels()
	freq, rate := r.RX2()
	top := join[0].MaxDR
	return Result{
		"name": r.Short(), "fixed": r.Group() > 0, "join_channels": frequencies(narrow(join)), "channels": frequencies(narrow(r.Channels())),
		"min_datarate": int64(b.slowest()), "max_datarate": int64(top), "rx2_freq": freq.MHz(), "rx2_datarate": int64(rate),
		"max_rx1_offset": int64(r.MaxRX1Offset()), "tx_param_setup": r.HasTXParamSetup(), "group": int64(r.Group()), "dwell": r.Dwell().Uplink,
		"duty_cycle": slices.ContainsFunc(r.SubBands(), func(s region.SubBand) bool { return s.Duty < 1 }),
	}, nil
}

// narrow leaves out the wide channels, which no device must use.
func narrow(list []region.Channel) (out []region.Channel) {
	for _, c := range list {
		if c.MinDR == list[0].MinDR {
			out = append(out, c)
		}
	}
	return out
}

// leastRoom is what a data rate must carry to be of use: FOpts, and a little.
const leastRoom = 11

// slowest is the lowest data rate that carries anything: dwell times rule some
// out.
func (b *Bench) slowest() int {
	c := b.region.JoinChannels()[0]
	for dr := c.MinDR; dr < c.MaxDR; dr++ {
		if b.region.MaxUplinkPayload(dr, region.Version{}) >= leastRoom {
			return dr
		}
	}
	return c.MaxDR
}

func frequencies(list []region.Channel) []any {
	out := []any{}
	for _, c := range list {
		out = append(out, c.Freq.MHz())
	}
	return out
}

// room is the longest FRMPayload of the data rate of an uplink without
// options (RP002, table of maximum payload sizes, N).
func (b *Bench) room(u *nsedge.UplinkEvent) int {
	if u.Radio.DataRate < 0 {
		return 0
	}
	return b.region.MaxUplinkPayload(u.Radio.DataRate, region.Version{})
}
