package region_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// The values are those of LoRaMac-node 4.7, RegionCN470.h and
// RegionCN470{A20,B20,A26,B26}.{c,h}, but for RX2 of the seventh join channel
// of 20 MHz A: its list breaks the steps of 1.6 MHz there (494.0 MHz).
func TestChannelsOfTheAntennasOfChina(t *testing.T) {
	for _, c := range []struct {
		region      string
		first, last radio.Hertz // channels of the group
		join        radio.Hertz // 0: no join channel
		accept      radio.Hertz // of both windows of its join-request
		rx1First    radio.Hertz // of the first channel
		rx2, abp    radio.Hertz
		beacon      radio.Hertz // of period 0
	}{
		{"CN470-20A-1", 470_300_000, 471_700_000, 470_900_000, 484_500_000, 483_900_000, 485_300_000, 486_900_000, 483_900_000},
		{"CN470-20A-4", 475_100_000, 476_500_000, 475_700_000, 489_300_000, 488_700_000, 490_100_000, 486_900_000, 488_700_000},
		{"CN470-20A-5", 503_500_000, 504_900_000, 504_100_000, 490_900_000, 490_300_000, 491_700_000, 486_900_000, 490_300_000},
		{"CN470-20A-7", 506_700_000, 508_100_000, 507_300_000, 494_100_000, 493_500_000, 494_900_000, 486_900_000, 493_500_000},
		{"CN470-20A-8", 508_300_000, 509_700_000, 508_900_000, 495_700_000, 495_100_000, 496_500_000, 486_900_000, 495_100_000},
		{"CN470-20B-1", 476_900_000, 478_300_000, 0, 0, 476_900_000, 478_300_000, 498_300_000, 481_500_000},
		{"CN470-20B-2", 478_500_000, 479_900_000, 479_900_000, 479_900_000, 478_500_000, 478_300_000, 498_300_000, 481_500_000},
		{"CN470-20B-6", 498_500_000, 499_900_000, 499_900_000, 499_900_000, 498_500_000, 498_300_000, 498_300_000, 501_500_000},
		{"CN470-26A-1", 470_300_000, 471_700_000, 470_300_000, 492_500_000, 490_100_000, 492_500_000, 492_500_000, 494_900_000},
		{"CN470-26A-4", 475_100_000, 476_500_000, 476_300_000, 492_500_000, 490_100_000, 492_500_000, 492_500_000, 494_900_000},
		{"CN470-26A-5", 476_700_000, 478_100_000, 0, 0, 491_700_000, 492_500_000, 492_500_000, 494_900_000},
		{"CN470-26B-2", 481_900_000, 483_300_000, 482_300_000, 502_500_000, 501_700_000, 502_500_000, 502_500_000, 504_900_000},
		{"CN470-26B-6", 488_300_000, 489_700_000, 488_300_000, 502_500_000, 503_300_000, 502_500_000, 502_500_000, 504_900_000},
	} {
		r := lookup(t, c.region)
		all := r.Channels()
		if len(all) != 8 || all[0].Freq != c.first || all[7].Freq != c.last || all[0].Index != 8*(r.Group()-1) || all[0].MinDR != 1 || all[7].MaxDR != 5 {
			t.Errorf("%s: channels %+v", c.region, all)
		}
		joins := r.JoinChannels()
		if c.join == 0 && len(joins) > 0 || c.join != 0 && (len(joins) != 1 || joins[0].Freq != c.join || r.JoinAccept(c.join, 1) != c.accept) {
			t.Errorf("%s: joins on %+v, answered on %d", c.region, joins, r.JoinAccept(c.join, 1))
		}
		if f, dr, err := r.RX1(c.first, 5, 5); f != c.rx1First || dr != 1 || err != nil {
			t.Errorf("%s: RX1 %d DR%d, %v", c.region, f, dr, err)
		}
		if f, dr := r.RX2(); f != c.rx2 || dr != 1 {
			t.Errorf("%s: RX2 %d DR%d", c.region, f, dr)
		}
		if f, dr := r.PersonalisedRX2(); f != c.abp || dr != 1 {
			t.Errorf("%s: RX2 of a personalised device %d DR%d", c.region, f, dr)
		}
		if f, dr := r.BeaconChannel(0); f != c.beacon || dr != 2 {
			t.Errorf("%s: beacons on %d DR%d", c.region, f, dr)
		}
		if _, _, err := r.RX1(c.first, 0, 0); !errors.Is(err, region.ErrDataRate) || r.MaxPayload(0, region.Version{}) != 0 {
			t.Errorf("%s: DR0 is in use: %v", c.region, err)
		}
		if _, _, err := r.RX1(c.first+100_000, 5, 0); !errors.Is(err, region.ErrFrequency) {
			t.Errorf("%s: RX1 between two channels: %v", c.region, err)
		}
	}
	if f := lookup(t, "EU868").JoinAccept(868_100_000, 869_525_000); f != 869_525_000 {
		t.Errorf("EU868: a join-request is answered on %d", f)
	}
}

// RegionCN470B20.h of LoRaMac-node 4.7: 32 ping channels, from the first of
// that half on.
func TestPingChannelsOf20MHzB(t *testing.T) {
	for name, first := range map[string]radio.Hertz{"CN470-20B-2": 476_900_000, "CN470-20B-6": 496_900_000} {
		r := lookup(t, name)
		for _, n := range []byte{0, 1, 31, 32, 33} {
			if f, _ := r.PingChannel([4]byte{3: n}, 64); f != first+radio.Hertz(n%32)*200_000 {
				t.Errorf("%s: address %d: %d Hz", name, n, f)
			}
		}
	}
}

// LoRaMac-node takes masks of four blocks (20 MHz) and three (26 MHz) from a
// CFList, and switches all off with ChMaskCntl 7 and 4.
func TestMasksOfTheAntennasOfChina(t *testing.T) {
	for name, want := range map[string]struct {
		list string
		off  uint8
	}{
		"CN470-20A-6": {"00000000" + "00ff" + "0000" + "00000000000000" + "01", 7},
		"CN470-26B-6": {"0000" + "0000" + "00ff" + "000000000000000000" + "01", 4},
	} {
		r := lookup(t, name)
		if got := hex.EncodeToString(r.CFList(region.Version{LoRaWAN: "1.0.3"})); got != want.list {
			t.Errorf("%s: CFList %s, want %s", name, got, want.list)
		}
		if off, ok := r.MaskOff(); !ok || off != want.off {
			t.Errorf("%s: ChMaskCntl %d, %v", name, off, ok)
		}
	}
	if _, ok := lookup(t, "CN470").MaskOff(); ok {
		t.Error("CN470 of 1.0.2 has no ChMaskCntl for all channels off")
	}
}

// RP002 §2.11.7 as LoRaMac-node 4.7 has it (RegionIN865.h): there is no DR6,
// and offsets 6 and 7 go up.
func TestRX1OfIndia(t *testing.T) {
	r := lookup(t, "IN865")
	for dr, want := range map[int][]int{
		0: {0, 0, 0, 0, 0, 0, 1, 2},
		1: {1, 0, 0, 0, 0, 0, 2, 3},
		2: {2, 1, 0, 0, 0, 0, 3, 4},
		3: {3, 2, 1, 0, 0, 0, 4, 5},
		4: {4, 3, 2, 1, 0, 0, 5, 5},
		5: {5, 4, 3, 2, 1, 0, 5, 7},
		7: {7, 5, 5, 4, 3, 2, 7, 7},
	} {
		var got []int
		for offset := range 8 {
			_, down, err := r.RX1(865_062_500, dr, offset)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, down)
		}
		if !slices.Equal(got, want) {
			t.Errorf("DR%d: %v, want %v", dr, got, want)
		}
	}
}
