package region_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/brocaar/lorawan"
	"github.com/brocaar/lorawan/band"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// theirs names our regions as brocaar/lorawan/band does.
var theirs = map[string]band.Name{
	"EU863-870": band.EU868, "US902-928": band.US915, "AU915-928": band.AU915, "LA915-928": band.AU915,
	"AS923-1": band.AS923, "AS923-2": band.AS923_2, "AS923-3": band.AS923_3, "AS923-4": band.AS923_4,
	"IN865-867": band.IN865, "KR920-923": band.KR920, "RU864-870": band.RU864, "CN470-510": band.CN470,
	"EU433": band.EU433, "CN779-787": band.CN779,
}

var versions = []region.Version{
	{}, {"1.0.0", ""}, {"1.0.1", ""}, {"1.0.2", "A"}, {"1.0.2", "B"}, {"1.0.3", "A"}, {"1.1.0", "A"}, {"1.1.0", "B"},
	{"1.0.4", "RP002-1.0.0"}, {"1.0.4", "RP002-1.0.1"}, {"1.0.4", "RP002-1.0.2"}, {"1.0.4", "RP002-1.0.3"},
}

// known lists the regions that the library has: all but four plans of RP002,
// which have a test of their own.
func known(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, name := range region.Names() {
		if !strings.HasPrefix(name, "CN470-510-") {
			out = append(out, name)
		}
	}
	if len(out) != len(theirs) || len(region.Names()) != len(out)+4 {
		t.Fatalf("%d regions, %d to compare with", len(out), len(theirs))
	}
	return out
}

// each calls f with every region, with and without dwell times and repeaters,
// beside the library's band.
func each(t *testing.T, f func(*testing.T, *region.Region, band.Band)) {
	for _, name := range known(t) {
		for _, dwell := range []bool{false, true} {
			for _, repeater := range []bool{false, true} {
				opts := []region.Option{region.WithDwell(region.Dwell{Uplink: dwell, Downlink: dwell})}
				dt := lorawan.DwellTimeNoLimit
				if dwell {
					dt = lorawan.DwellTime400ms
				}
				if repeater {
					opts = append(opts, region.RepeaterCompatible())
				}
				b, err := band.GetConfig(theirs[name], repeater, dt)
				if err != nil {
					t.Fatal(err)
				}
				f(t, lookup(t, name, opts...), b)
			}
		}
	}
}

func TestDataRatesEqualBrocaar(t *testing.T) {
	each(t, func(t *testing.T, r *region.Region, b band.Band) {
		for dr := -1; dr < 17; dr++ {
			want, errWant := b.GetDataRate(dr)
			got, err := r.DataRate(dr)
			if errWant != nil || want.Modulation == band.LRFHSSModulation {
				if err == nil {
					t.Errorf("%v DR%d: %v, brocaar: %v", r, dr, got, want)
				}
				continue
			}
			switch m := got.(type) {
			case radio.LoRa:
				if want.Modulation != band.LoRaModulation || int(m.SF) != want.SpreadFactor || int(m.Bandwidth) != 1000*want.Bandwidth {
					t.Errorf("%v DR%d: %v, brocaar: %v", r, dr, got, want)
				}
			case radio.FSK:
				if want.Modulation != band.FSKModulation || m.BitRate != want.BitRate {
					t.Errorf("%v DR%d: %v, brocaar: %v", r, dr, got, want)
				}
			default:
				t.Errorf("%v DR%d: %v, %v", r, dr, got, err)
			}
			for _, up := range []bool{true, false} {
				want, errWant := b.GetDataRateIndex(up, want)
				got, err := r.DataRateOf(got, up)
				if got != want || (err == nil) != (errWant == nil) {
					t.Errorf("%v DR%d uplink=%v: %d %v, brocaar: %d %v", r, dr, up, got, err, want, errWant)
				}
			}
		}
	})
}

func TestPayloadsEqualBrocaar(t *testing.T) {
	each(t, func(t *testing.T, r *region.Region, b band.Band) {
		for _, v := range versions {
			for dr := range 16 {
				want, _ := b.GetMaxPayloadSizeForDataRateIndex(v.LoRaWAN, v.Params, dr) // 0 where there is none
				if got := r.MaxPayload(dr, v); got != want.N {
					t.Errorf("%v DR%d %v: %d down, brocaar: %d", r, dr, v, got, want.N)
				}
				if got := r.MaxUplinkPayload(dr, v); got != want.N {
					t.Errorf("%v DR%d %v: %d up, brocaar: %d", r, dr, v, got, want.N)
				}
			}
		}
	})
}

func TestWindowsEqualBrocaar(t *testing.T) {
	each(t, func(t *testing.T, r *region.Region, b band.Band) {
		d := b.GetDefaults()
		if f, dr := r.RX2(); f != radio.Hertz(d.RX2Frequency) || dr != d.RX2DataRate {
			t.Errorf("%v RX2: %d DR%d", r, f, dr)
		}
		if got := r.Delays(); r.Name() != "LA915-928" && got != (region.Delays{RX1: d.ReceiveDelay1, RX2: d.ReceiveDelay2, JoinAccept1: d.JoinAcceptDelay1, JoinAccept2: d.JoinAcceptDelay2}) {
			t.Errorf("%v: %+v", r, got)
		}
		for _, i := range b.GetUplinkChannelIndices() {
			c, err := b.GetUplinkChannel(i)
			if err != nil {
				t.Fatal(err)
			}
			freq, err := b.GetRX1FrequencyForUplinkFrequency(c.Frequency)
			if err != nil {
				t.Fatal(err)
			}
			for dr := range 14 {
				for offset := range r.MaxRX1Offset() + 1 {
					sameRX1(t, r, b, c.Frequency, freq, dr, offset)
				}
			}
		}
	})
}

func sameRX1(t *testing.T, r *region.Region, b band.Band, up, down uint32, dr, offset int) {
	t.Helper()
	want, errWant := b.GetRX1DataRateIndex(dr, offset)
	f, got, err := r.RX1(radio.Hertz(up), dr, offset)
	rates := r.DataRates()
	i := slices.IndexFunc(rates, func(d region.DataRate) bool { return d.Index == dr && d.Uplink })
	switch {
	case i < 0 || errWant != nil:
		if err == nil {
			t.Errorf("%v DR%d: RX1 DR%d, which brocaar has not", r, dr, got)
		}
	case r.Name() == "IN865-867" && (dr == 7 && offset == 1 || dr == 5 && offset == 7): // RP002 §2.11.7: TestRX1OfIndia
	case err != nil || got != want || f != radio.Hertz(down):
		t.Errorf("%v %d DR%d offset %d: %d DR%d %v, brocaar: %d DR%d", r, up, dr, offset, f, got, err, down, want)
	}
}

func TestPowersAndChannelsEqualBrocaar(t *testing.T) {
	each(t, func(t *testing.T, r *region.Region, b band.Band) {
		if got := float64(r.MaxEIRP()); math.Abs(got-float64(b.GetDefaultMaxUplinkEIRP())) > 1e-5 {
			t.Errorf("%v: MaxEIRP %v", r, got)
		}
		for i := range 17 {
			off, errWant := b.GetTXPowerOffset(i)
			got, err := r.TXPower(i)
			if (err == nil) != (errWant == nil) || err == nil && got != r.MaxEIRP()+radio.DBm(off) {
				t.Errorf("%v TX power %d: %v %v, brocaar: %d %v", r, i, got, err, off, errWant)
			}
		}
		for _, c := range r.JoinChannels() {
			want, err := b.GetUplinkChannel(c.Index)
			if err != nil || radio.Hertz(want.Frequency) != c.Freq || want.MinDR != c.MinDR || want.MaxDR < c.MaxDR {
				t.Errorf("%v: channel %+v, brocaar: %+v %v", r, c, want, err)
			}
			// The regulator's limit is never below what the library sends with.
			f, _, err := r.RX1(c.Freq, c.MinDR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if p, _ := r.EIRP(f); p < radio.DBm(b.GetDownlinkTXPower(uint32(f))) {
				t.Errorf("%v: at most %v dBm on %d, brocaar: %d", r, p, f, b.GetDownlinkTXPower(uint32(f)))
			}
		}
	})
}

// The library's own CFList, made by adding our channels to its band.
func TestCFListsEqualBrocaar(t *testing.T) {
	for _, name := range known(t) {
		r := lookup(t, name)
		b, err := band.GetConfig(theirs[name], false, lorawan.DwellTimeNoLimit)
		if err != nil {
			t.Fatal(err)
		}
		mine := r.Channels()
		for _, i := range b.GetUplinkChannelIndices() {
			if !slices.ContainsFunc(mine, func(c region.Channel) bool { return c.Index == i }) {
				if err := b.DisableUplinkChannelIndex(i); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, c := range mine[min(len(mine), len(r.JoinChannels())):] {
			if err := b.AddChannel(uint32(c.Freq), c.MinDR, c.MaxDR); err != nil {
				t.Fatal(err)
			}
		}
		for _, v := range versions {
			var want []byte
			if l := b.GetCFList(v.LoRaWAN); l != nil {
				if want, err = l.MarshalBinary(); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.CFList(v); !slices.Equal(got, want) {
				t.Errorf("%v %v: % x, brocaar: % x", r, v, got, want)
			}
		}
	}
}
