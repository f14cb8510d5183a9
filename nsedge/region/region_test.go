package region_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

func lookup(t *testing.T, name string, opts ...region.Option) *region.Region {
	t.Helper()
	r, err := region.Lookup(name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// every returns each region with each of its groups.
func every(t *testing.T) []*region.Region {
	t.Helper()
	var out []*region.Region
	for _, n := range region.Names() {
		r := lookup(t, n)
		out = append(out, r)
		for g := 2; r.Group() > 0; g++ {
			next, err := region.Lookup(fmt.Sprintf("%s-%d", n, g))
			if err != nil {
				break
			}
			out = append(out, next)
		}
	}
	return out
}

func TestNamesOfTheSpecificationAndOfEverynetAreFound(t *testing.T) {
	for name, want := range map[string]string{
		"EU863-870": "EU868", "eu868": "EU868", " EU_863_870 ": "EU868", "Eu863–870": "EU868",
		"US902-928": "US915-1", "US915": "US915-1", "us915-8": "US915-8", "US_902_928_FSB_2": "US915-2", "AS_923_2": "AS923-2", "US902-928B": "US915-2", "US902-928-3": "US915-3",
		"AU915-928": "AU915-1", "AU915-928A": "AU915-1", "LA915-928A": "LA915-1", "la915-928a": "LA915-1",
		"AS923": "AS923-1", "AS923-1": "AS923-1", "AS923-2": "AS923-2", "AS923_3": "AS923-3", "AS923-4": "AS923-4",
		"IN865-867": "IN865", "KR920-923": "KR920", "RU864-870": "RU864", "EU433": "EU433", "CN779-787": "CN779",
		"CN470-510": "CN470-1", "CN470-12": "CN470-12",
		"CN470-510-20A": "CN470-20A-1", "CN_470_510_20_A": "CN470-20A-1", "cn470-20a-8": "CN470-20A-8", "CN470-26B-6": "CN470-26B-6", "CN470-20B": "CN470-20B-1", "CN470-26A-7": "", "CN470-20C": "",
		"US915-9": "", "US915-0": "", "US915--1": "", "US915A": "", "US902-928I": "", "US915-": "", "CN470-13": "", "EU868-1": "", "AS923-5": "", "AS923-": "", "": "", "MARS": "",
	} {
		r, err := region.Lookup(name)
		switch {
		case want == "" && !errors.Is(err, region.ErrUnknown):
			t.Errorf("%q: %v, %v, want ErrUnknown", name, r, err)
		case want == "" && !strings.Contains(err.Error(), "EU863-870 (EU868)"):
			t.Errorf("%q: the error does not list what is allowed: %v", name, err)
		case want != "" && (err != nil || r.Short() != want):
			t.Errorf("%q: %v, %v, want %s", name, r, err, want)
		}
	}
	for _, r := range every(t) {
		again := lookup(t, r.Short())
		if again.Name() != r.Name() || again.Group() != r.Group() {
			t.Errorf("%s finds %s group %d", r.Short(), again.Name(), again.Group())
		}
	}
	if n := len(every(t)); n != 9+4+3*8+12-3+2*8+2*6 { // 10 regions with one plan, 3 with 8 groups, one with 12, CN470's antennas
		t.Errorf("%d plans", n)
	}
}

func FuzzLookup(f *testing.F) {
	for _, s := range []string{"EU868", "US_902_928_FSB_2", "LA915-928A", "CN470-12", "--1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		r, err := region.Lookup(name)
		if err != nil {
			if !errors.Is(err, region.ErrUnknown) {
				t.Error(err)
			}
			return
		}
		if again, err := region.Lookup(r.Short()); err != nil || again.Short() != r.Short() {
			t.Errorf("%q is %v, which is %v: %v", name, r, again, err)
		}
	})
}

func TestDataRatesAreTheSameBothWays(t *testing.T) {
	for _, r := range every(t) {
		for _, d := range r.DataRates() {
			m, err := r.DataRate(d.Index)
			if err != nil || m != d.Mod {
				t.Errorf("%v DR%d: %v, %v", r, d.Index, m, err)
			}
			for _, up := range []bool{true, false} {
				got, err := r.DataRateOf(m, up)
				if has := up && d.Uplink || !up && d.Downlink; has && (err != nil || got != d.Index) {
					t.Errorf("%v DR%d uplink=%v: %d, %v", r, d.Index, up, got, err)
				}
			}
		}
		for _, dr := range []int{-1, 14, 15, 16, math.MaxInt, math.MinInt} {
			if _, err := r.DataRate(dr); !errors.Is(err, region.ErrDataRate) {
				t.Errorf("%v DR%d: %v", r, dr, err)
			}
			if n := r.MaxPayload(dr, region.Version{}); n != 0 {
				t.Errorf("%v DR%d: payload %d", r, dr, n)
			}
		}
	}
}

// RP002 §2.6.3: DR4 and DR12 of US902-928 are both SF8 with 500 kHz.
func TestDirectionChoosesBetweenEqualModulations(t *testing.T) {
	r := lookup(t, "US915")
	m := radio.LoRa{SF: 8, Bandwidth: 500_000, InvertIQ: true, NoCRC: true, CodeRate: 1}
	if up, err := r.DataRateOf(m, true); err != nil || up != 4 {
		t.Errorf("up %d, %v", up, err)
	}
	if down, err := r.DataRateOf(m, false); err != nil || down != 12 {
		t.Errorf("down %d, %v", down, err)
	}
	if _, err := r.DataRateOf(radio.FSK{BitRate: 50_000}, true); !errors.Is(err, region.ErrDataRate) {
		t.Errorf("FSK in US915: %v", err)
	}
	if _, err := r.DataRateOf(nil, true); !errors.Is(err, region.ErrDataRate) {
		t.Errorf("no modulation: %v", err)
	}
}

func TestDownlinksAreInvertedAndWithoutCRC(t *testing.T) {
	eu := lookup(t, "EU868")
	m, err := eu.Downlink(0)
	if want := (radio.LoRa{SF: 12, Bandwidth: 125_000, InvertIQ: true, NoCRC: true}); err != nil || m != want {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := eu.Downlink(7); err != nil || m != (radio.FSK{BitRate: 50_000}) {
		t.Errorf("%+v, %v", m, err)
	}
	for _, dr := range []int{0, 99} { // for uplinks only; unknown
		if _, err := lookup(t, "US915").Downlink(dr); !errors.Is(err, region.ErrDataRate) {
			t.Errorf("DR%d of US915: %v", dr, err)
		}
	}
}

// Golden windows from RP002-1.0.3: default RX2 (§2.x "RX2"), RX1 mapping.
func TestReceiveWindowsOfTheSpecification(t *testing.T) {
	for _, c := range []struct {
		region     string
		up         radio.Hertz
		dr, offset int
		rx1        radio.Hertz
		rx1DR      int
		rx2        radio.Hertz
		rx2DR      int
	}{
		{"EU868", 868_100_000, 5, 0, 868_100_000, 5, 869_525_000, 0},
		{"EU868", 867_900_000, 3, 5, 867_900_000, 0, 869_525_000, 0},
		{"EU868", 868_800_000, 7, 1, 868_800_000, 6, 869_525_000, 0},
		{"US915", 902_300_000, 0, 0, 923_300_000, 10, 923_300_000, 8},
		{"US915-2", 905_300_000, 3, 0, 927_500_000, 13, 923_300_000, 8}, // channel 15
		{"US915-8", 914_900_000, 0, 3, 927_500_000, 8, 923_300_000, 8},  // channel 63
		{"US915-2", 904_600_000, 4, 0, 923_900_000, 13, 923_300_000, 8}, // channel 65
		{"AU915", 915_200_000, 0, 0, 923_300_000, 8, 923_300_000, 8},
		{"AU915-2", 917_500_000, 6, 1, 923_900_000, 13, 923_300_000, 8}, // channel 65
		{"AS923-1", 923_200_000, 2, 0, 923_200_000, 2, 923_200_000, 2},
		{"AS923-2", 921_400_000, 5, 6, 921_400_000, 5, 921_400_000, 2},
		{"AS923-3", 916_600_000, 3, 7, 916_600_000, 5, 916_600_000, 2},
		{"AS923-4", 917_300_000, 5, 5, 917_300_000, 2, 917_300_000, 2}, // dwell time: not below DR2
		{"KR920", 922_100_000, 0, 0, 922_100_000, 0, 921_900_000, 0},
		{"IN865", 865_062_500, 0, 7, 865_062_500, 2, 866_550_000, 2},
		{"IN865", 865_062_500, 7, 1, 865_062_500, 5, 866_550_000, 2}, // there is no DR6
		{"RU864", 868_900_000, 4, 1, 868_900_000, 3, 869_100_000, 0},
		{"CN470", 470_300_000, 5, 0, 500_300_000, 5, 505_300_000, 0},
		{"CN470-7", 479_900_000, 0, 0, 500_300_000, 0, 505_300_000, 0}, // channel 48
		{"EU433", 433_175_000, 1, 1, 433_175_000, 0, 434_665_000, 0},
		{"CN779", 779_500_000, 2, 2, 779_500_000, 0, 786_000_000, 0},
	} {
		r := lookup(t, c.region)
		f, dr, err := r.RX1(c.up, c.dr, c.offset)
		if err != nil || f != c.rx1 || dr != c.rx1DR {
			t.Errorf("%s RX1 after %d DR%d offset %d: %d DR%d, %v", c.region, c.up, c.dr, c.offset, f, dr, err)
		}
		if f, dr := r.RX2(); f != c.rx2 || dr != c.rx2DR {
			t.Errorf("%s RX2: %d DR%d", c.region, f, dr)
		}
	}
}

func TestRX1OfAnImpossibleUplinkIsAnError(t *testing.T) {
	eu, us := lookup(t, "EU868"), lookup(t, "US915")
	for _, c := range []struct {
		r          *region.Region
		freq       radio.Hertz
		dr, offset int
		want       error
	}{
		{eu, 915_000_000, 0, 0, region.ErrFrequency},
		{eu, -868_100_000, 0, 0, region.ErrFrequency},
		{eu, 868_100_000 + 1<<32, 0, 0, region.ErrFrequency}, // would be 868.1 MHz in 32 bits
		{us, 902_400_000, 0, 0, region.ErrFrequency},
		{eu, 868_100_000, 8, 0, region.ErrDataRate}, // LR-FHSS
		{us, 902_300_000, 8, 0, region.ErrDataRate}, // for downlinks only
		{eu, 868_100_000, -1, 0, region.ErrDataRate},
		{eu, 868_100_000, 0, 6, region.ErrOffset},
		{eu, 868_100_000, 0, -1, region.ErrOffset},
		{lookup(t, "KR920"), 922_100_000, 0, 6, region.ErrOffset},
	} {
		if _, _, err := c.r.RX1(c.freq, c.dr, c.offset); !errors.Is(err, c.want) {
			t.Errorf("%v %d DR%d offset %d: %v, want %v", c.r, c.freq, c.dr, c.offset, err, c.want)
		}
	}
}

func TestRX1AlwaysUsesADataRateForDownlinks(t *testing.T) {
	for _, r := range every(t) {
		for _, c := range r.Channels() {
			for dr := c.MinDR; dr <= c.MaxDR; dr++ {
				for offset := range r.MaxRX1Offset() + 1 {
					f, down, err := r.RX1(c.Freq, dr, offset)
					if err != nil {
						t.Fatalf("%v: %v", r, err)
					}
					if _, err := r.Downlink(down); err != nil {
						t.Errorf("%v DR%d offset %d: %v", r, dr, offset, err)
					}
					if _, ok := r.EIRP(f); !ok {
						t.Errorf("%v: RX1 on %d, where nothing may be sent", r, f)
					}
				}
			}
		}
		f, dr := r.RX2()
		if _, ok := r.EIRP(f); !ok {
			t.Errorf("%v: RX2 on %d, where nothing may be sent", r, f)
		}
		if _, err := r.Downlink(dr); err != nil {
			t.Errorf("%v RX2: %v", r, err)
		}
	}
}

// Everynet's channel plan LA915A; RP002 §2 for the others.
func TestDelays(t *testing.T) {
	for _, r := range every(t) {
		want := region.Delays{RX1: time.Second, RX2: 2 * time.Second, JoinAccept1: 5 * time.Second, JoinAccept2: 6 * time.Second}
		if r.Name() == "LA915-928" {
			want.RX1, want.RX2 = 5*time.Second, 6*time.Second
		}
		if got := r.Delays(); got != want {
			t.Errorf("%v: %+v", r, got)
		}
	}
}

// RP002-1.0.3 tables of maximum payloads, column N.
func TestMaxPayload(t *testing.T) {
	latest := region.Version{}
	for _, c := range []struct {
		name string
		r    *region.Region
		v    region.Version
		dr   int
		want int
	}{
		{"EU868", lookup(t, "EU868"), latest, 0, 51},
		{"EU868", lookup(t, "EU868"), latest, 5, 242},
		{"EU868 for repeaters", lookup(t, "EU868", region.RepeaterCompatible()), latest, 5, 222},
		{"US915", lookup(t, "US915"), latest, 8, 53},
		{"US915 1.0.0", lookup(t, "US915"), region.Version{LoRaWAN: "1.0.0"}, 2, 129},
		{"US915 1.0.2", lookup(t, "US915"), region.Version{LoRaWAN: "1.0.2", Params: "B"}, 2, 125},
		{"AS923 as it starts", lookup(t, "AS923"), latest, 2, 11},
		{"AS923 as it starts", lookup(t, "AS923"), latest, 0, 0},
		{"AS923 without dwell time", lookup(t, "AS923", region.WithDwell(region.Dwell{})), latest, 2, 115},
	} {
		if got := c.r.MaxPayload(c.dr, c.v); got != c.want {
			t.Errorf("%s DR%d: %d, want %d", c.name, c.dr, got, c.want)
		}
	}
	as := lookup(t, "AS923", region.WithDwell(region.Dwell{Uplink: true}))
	if up, down := as.MaxUplinkPayload(2, latest), as.MaxPayload(2, latest); up != 11 || down != 115 {
		t.Errorf("AS923 with an uplink dwell time only: %d up, %d down", up, down)
	}
	if got := as.Dwell(); got != (region.Dwell{Uplink: true}) || !as.HasTXParamSetup() || lookup(t, "EU868").HasTXParamSetup() {
		t.Errorf("dwell %+v", got)
	}
}

// RP002 §2.5.4 and LoRaWAN 1.0.4 §6.2.6: five frequencies of three bytes in
// 100 Hz, low byte first, then the type.
func TestCFListOfEU868HasFiveChannels(t *testing.T) {
	got := hex.EncodeToString(lookup(t, "EU868").CFList(region.Version{LoRaWAN: "1.0.2"}))
	if want := "184f84" + "e85684" + "b85e84" + "886684" + "586e84" + "00"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// RP002 §2.6.4: masks of 16 channels, low byte first, then type 1. Group 2 has
// channels 8 to 15 and 65.
func TestCFListOfUS915IsAMask(t *testing.T) {
	r := lookup(t, "US915-2")
	got := hex.EncodeToString(r.CFList(region.Version{LoRaWAN: "1.0.3"}))
	if want := "00ff" + "0000" + "0000" + "0000" + "0200" + "0000000000" + "01"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if old := r.CFList(region.Version{LoRaWAN: "1.0.2"}); old != nil {
		t.Errorf("a 1.0.2 device is sent % x, which it does not know", old)
	}
}

func TestEveryCFListHasSixteenBytesOrNone(t *testing.T) {
	for _, r := range every(t) {
		n := len(r.CFList(region.Version{}))
		none := slices.Contains([]string{"IN865", "EU433", "CN779"}, r.Short())
		if none && n != 0 || !none && n != 16 {
			t.Errorf("%v: %d bytes", r, n)
		}
	}
}

func TestDeviceChannelsAreHeardByTheGateway(t *testing.T) {
	for _, r := range every(t) {
		p := r.Plan()
		if len(p.MultiSF) == 0 || len(p.MultiSF) > 8 {
			t.Fatalf("%v: %d channels", r, len(p.MultiSF))
		}
		for _, c := range r.Channels() {
			heard := slices.Contains(p.MultiSF, c.Freq)
			if p.Service != nil && c.Freq == p.Service.Freq {
				m, _ := r.DataRate(c.MinDR)
				heard = heard || m == p.Service.Mod
			}
			if !heard {
				t.Errorf("%v: channel %+v is not heard", r, c)
			}
		}
		for _, f := range p.MultiSF {
			if !r.Contains(f) {
				t.Errorf("%v: %d is outside", r, f)
			}
		}
		for _, v := range []*region.Receiver{p.Service, p.FSK} {
			if v == nil {
				continue
			}
			if _, err := r.DataRateOf(v.Mod, true); err != nil || !r.Contains(v.Freq) {
				t.Errorf("%v: receiver %+v: %v", r, *v, err)
			}
		}
	}
}

func TestGroupsOfFixedPlans(t *testing.T) {
	for name, want := range map[string][]string{
		"US915-1": {"902.3-903.7 903.0"}, "US915-8": {"913.5-914.9 914.2"},
		"AU915-1": {"915.2-916.6 915.9"}, "AU915-2": {"916.8-918.2 917.5"},
	} {
		r := lookup(t, name)
		p := r.Plan()
		got := fmt.Sprintf("%.1f-%.1f %.1f", p.MultiSF[0].MHz(), p.MultiSF[7].MHz(), p.Service.Freq.MHz())
		if got != want[0] {
			t.Errorf("%s: %s, want %s", name, got, want[0])
		}
		if c := r.Channels(); len(c) != 9 || c[8].Index != 63+r.Group() {
			t.Errorf("%s: channels %+v", name, c)
		}
	}
	if p := lookup(t, "CN470-11").Plan(); p.MultiSF[0] != 486_300_000 || p.Service != nil {
		t.Errorf("CN470-11: %+v", p)
	}
}

// EN 300 220-2 V3.2.1 annex B, bands K to Q.
func TestSubBandsOfEurope(t *testing.T) {
	r := lookup(t, "EU868")
	for _, c := range []struct {
		f    radio.Hertz
		name string
		duty float64
		eirp radio.DBm
	}{
		{863_500_000, "K", 0.001, 16}, {867_100_000, "L", 0.01, 16}, {868_100_000, "M", 0.01, 16},
		{868_000_000, "M", 0.01, 16}, {868_600_000, "M", 0.01, 16}, {868_800_000, "N", 0.001, 16},
		{869_525_000, "P", 0.1, 29}, {869_900_000, "Q", 0.01, 16},
	} {
		s, ok := r.SubBand(c.f)
		if !ok || s.Name != c.name || s.Duty != c.duty || s.EIRP != c.eirp {
			t.Errorf("%d: %+v, %v", c.f, s, ok)
		}
		if p, ok := r.EIRP(c.f); !ok || p != c.eirp {
			t.Errorf("%d: %v dBm, %v", c.f, p, ok)
		}
	}
	for _, f := range []radio.Hertz{862_999_999, 868_650_000, 869_300_000, 869_680_000, 870_000_001} {
		if s, ok := r.SubBand(f); ok {
			t.Errorf("%d: %+v, where nothing may be sent", f, s)
		}
	}
	if q, _ := r.SubBand(869_800_000); q.Free != 9 {
		t.Errorf("Q is free up to %v dBm", q.Free)
	}
	if s, ok := lookup(t, "US915").SubBand(923_300_000); !ok || s.Duty != 1 || s.EIRP != 30 {
		t.Errorf("US915: %+v, %v", s, ok)
	}
	if _, ok := lookup(t, "US915").SubBand(868_100_000); ok {
		t.Error("US915 transmits on 868.1 MHz")
	}
}

// RP002 §2.5.3 table of TX powers.
func TestTXPowerSteps(t *testing.T) {
	r := lookup(t, "EU868")
	for i := range 8 {
		if p, err := r.TXPower(i); err != nil || p != radio.DBm(16-2*i) {
			t.Errorf("index %d: %v, %v", i, p, err)
		}
	}
	for _, i := range []int{-1, 8, 15, 1 << 40} {
		if _, err := r.TXPower(i); !errors.Is(err, region.ErrPower) {
			t.Errorf("index %d: %v", i, err)
		}
	}
	if p, err := lookup(t, "EU433").TXPower(5); err != nil || math.Abs(float64(p)-2.15) > 1e-9 {
		t.Errorf("EU433 index 5: %v, %v", p, err)
	}
	if !lookup(t, "KR920").ListenBeforeTalk() || r.ListenBeforeTalk() {
		t.Error("listen before talk is for KR920")
	}
	if f, to := r.Range(); f != 863_000_000 || to != 870_000_000 {
		t.Errorf("%d to %d", f, to)
	}
	if r.MaxADRDataRate() != 5 || lookup(t, "US915").MaxADRDataRate() != 3 {
		t.Error("the top of ADR is the fastest 125 kHz data rate")
	}
}

// A Region is shared by many goroutines, and what it hands out is the
// caller's: the race detector and the second look are the test.
func TestARegionIsImmutable(t *testing.T) {
	r := lookup(t, "AU915-2")
	want := fmt.Sprint(r.Plan().MultiSF, r.SubBands(), r.DataRates(), r.Channels(), r.CFList(region.Version{}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p := r.Plan()
			p.MultiSF[0]++
			p.Service.Freq = 1
			r.SubBands()[0].Duty = 0
			r.DataRates()[0].Index = 9
			r.Channels()[0].Freq = 0
			r.CFList(region.Version{})[0] = 9
			_, _, _ = r.RX1(915_200_000, 0, 0)
			_ = r.MaxPayload(8, region.Version{})
		})
	}
	wg.Wait()
	if got := fmt.Sprint(r.Plan().MultiSF, r.SubBands(), r.DataRates(), r.Channels(), r.CFList(region.Version{})); got != want {
		t.Errorf("changed:\n%s\n%s", got, want)
	}
	for _, name := range []string{"EU868", "KR920", "AS923-2"} {
		r := lookup(t, name)
		before := fmt.Sprint(r.Plan().MultiSF, r.Channels())
		clear(r.Plan().MultiSF)
		if after := fmt.Sprint(r.Plan().MultiSF, r.Channels()); after != before {
			t.Errorf("%s changed: %s, %s", name, before, after)
		}
	}
}
