package region_test

import (
	"testing"
	"time"

	"github.com/brocaar/lorawan"
	"github.com/brocaar/lorawan/band"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// The sections "Class B beacon and default downlink channel" of RP002-1.0.3.
func TestBeaconChannels(t *testing.T) {
	for _, c := range []struct {
		region      string
		first, last radio.Hertz // of the periods 0 and 7
		sf          uint8
		bw          radio.Hertz
	}{
		{"EU868", 869_525_000, 869_525_000, 9, 125_000},
		{"US915", 923_300_000, 927_500_000, 12, 500_000},
		{"AU915-3", 923_300_000, 927_500_000, 12, 500_000},
		{"LA915", 923_300_000, 927_500_000, 12, 500_000},
		{"AS923-1", 923_400_000, 923_400_000, 9, 125_000},
		{"AS923-2", 921_600_000, 921_600_000, 9, 125_000},
		{"AS923-3", 916_800_000, 916_800_000, 9, 125_000},
		{"AS923-4", 917_500_000, 917_500_000, 9, 125_000},
		{"IN865", 866_550_000, 866_550_000, 8, 125_000},
		{"KR920", 923_100_000, 923_100_000, 9, 125_000},
		{"RU864", 869_100_000, 869_100_000, 9, 125_000},
		{"CN470", 508_300_000, 509_700_000, 10, 125_000},
		{"EU433", 434_665_000, 434_665_000, 9, 125_000},
		{"CN779", 785_000_000, 785_000_000, 9, 125_000},
	} {
		r := lookup(t, c.region)
		first, dr := r.BeaconChannel(0)
		last, _ := r.BeaconChannel(7)
		again, _ := r.BeaconChannel(1 << 24)
		if first != c.first || last != c.last || again != c.first {
			t.Errorf("%s: beacons on %d and %d, %d Hz", c.region, first, last, again)
		}
		m := r.Beacon()
		if m.SF != c.sf || m.Bandwidth != c.bw || m.Preamble != 10 || m.InvertIQ || !m.NoCRC || !m.Implicit {
			t.Errorf("%s: %+v", c.region, m)
		}
		if _, err := r.Downlink(dr); err != nil {
			t.Errorf("%s: ping slots: %v", c.region, err)
		}
		for period := range int64(8) {
			if f, _ := r.BeaconChannel(period); !allowedOn(r, f) {
				t.Errorf("%s: a beacon on %d Hz", c.region, f)
			}
		}
	}
}

func allowedOn(r *region.Region, f radio.Hertz) bool {
	_, ok := r.EIRP(f)
	return ok
}

func TestPingChannelsEqualBrocaar(t *testing.T) {
	each(t, func(t *testing.T, r *region.Region, b band.Band) {
		for period := range int64(9) {
			addr := [4]byte{0x26, 0x01, byte(period * 77), byte(period * 13)}
			want, err := b.GetPingSlotFrequency(lorawan.DevAddr(addr), time.Duration(period)*128*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := r.PingChannel(addr, period); got != radio.Hertz(want) {
				t.Errorf("%s: period %d: %d Hz, brocaar has %d", r, period, got, want)
			}
		}
	})
}
