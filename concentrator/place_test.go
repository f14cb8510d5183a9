package concentrator

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"gatewayd/radio"
)

func every(first radio.Hertz, n int, step radio.Hertz) (list []radio.Hertz) {
	for i := range n {
		list = append(list, first+radio.Hertz(i)*step)
	}
	return list
}

// checkPlan verifies that a plan receives what was asked for.
func checkPlan(t *testing.T, what string, r PlanRequest, p Plan) {
	t.Helper()
	one := func(name string, ch Channel, want, bw radio.Hertz) {
		t.Helper()
		if !ch.Enable || !p.Radios[ch.Radio].Enable || p.Radios[ch.Radio].Freq+ch.IF != want || max(ch.IF, -ch.IF)+bw/2 > 800_000 {
			t.Errorf("%s: %s: %+v on %+v, want %d Hz", what, name, ch, p.Radios, want)
		}
	}
	for i, f := range r.Channels {
		one("channel", p.Channels[i], f, 125_000)
	}
	if r.Service != nil {
		one("service", p.Service.Channel, r.Service.Freq, r.Service.Bandwidth)
		if p.Service.SF != r.Service.SF || p.Service.Bandwidth != r.Service.Bandwidth {
			t.Errorf("%s: service %+v", what, p.Service)
		}
	}
	if r.FSK != nil {
		one("FSK", p.FSK.Channel, r.FSK.Freq, 125_000)
	}
}

func TestUsualPlansArePlaced(t *testing.T) {
	eu := append([]radio.Hertz{868_100_000, 868_300_000, 868_500_000}, every(867_100_000, 5, 200_000)...)
	for _, x := range []struct {
		name    string
		r       PlanRequest
		centres [2]radio.Hertz // 0: any
	}{
		{"EU868", PlanRequest{eu, &PlannedService{868_300_000, 250_000, 7}, &PlannedFSK{868_800_000, 50_000}}, [2]radio.Hertz{867_500_000, 868_500_000}},
		{"EU868, LoRa only", PlanRequest{Channels: eu}, [2]radio.Hertz{867_500_000, 868_500_000}},
		{"EU868, three", PlanRequest{Channels: eu[:3]}, [2]radio.Hertz{868_500_000, 0}},
		{"US915 FSB2", PlanRequest{every(903_900_000, 8, 200_000), &PlannedService{904_600_000, 500_000, 8}, nil}, [2]radio.Hertz{}},
		{"AU915 FSB2", PlanRequest{every(916_800_000, 8, 200_000), &PlannedService{917_500_000, 500_000, 8}, nil}, [2]radio.Hertz{}},
		{"AS923", PlanRequest{every(922_000_000, 8, 200_000), &PlannedService{922_100_000, 250_000, 7}, &PlannedFSK{921_800_000, 50_000}}, [2]radio.Hertz{}},
		{"KR920", PlanRequest{Channels: every(922_100_000, 7, 200_000)}, [2]radio.Hertz{}},
		{"IN865", PlanRequest{Channels: []radio.Hertz{865_062_500, 865_402_500, 865_985_000}}, [2]radio.Hertz{}},
		{"RU864", PlanRequest{Channels: append(every(864_100_000, 5, 200_000), 868_900_000, 869_100_000)}, [2]radio.Hertz{}},
		{"CN470", PlanRequest{Channels: every(486_300_000, 8, 200_000)}, [2]radio.Hertz{}},
		{"EU433", PlanRequest{Channels: every(433_175_000, 3, 200_000)}, [2]radio.Hertz{}},
	} {
		p, err := Place(x.r)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		checkPlan(t, x.name, x.r, p)
		for i, c := range x.centres {
			if c != 0 && p.Radios[i].Freq != c {
				t.Errorf("%s: radio %d at %d, want %d", x.name, i, p.Radios[i].Freq, c)
			}
		}
	}
}

func TestAPlanGoesIntoAConfiguration(t *testing.T) {
	cfg := eu868(t)
	var r PlanRequest
	for _, ch := range cfg.Channels {
		r.Channels = append(r.Channels, cfg.Radios[ch.Radio].Freq+ch.IF)
	}
	r.Service = &PlannedService{868_300_000, 250_000, 7}
	r.FSK = &PlannedFSK{868_800_000, 50_000}
	p, err := Place(r)
	if err != nil {
		t.Fatal(err)
	}
	want := cfg
	p.Apply(&cfg)
	if cfg.Channels != want.Channels || cfg.Radios[0].Freq != want.Radios[0].Freq || cfg.Radios[1].Freq != want.Radios[1].Freq || cfg.Service.Channel != want.Service.Channel || cfg.FSK.Channel != want.FSK.Channel {
		t.Errorf("%+v, the recorded plan is %+v", cfg, want)
	}
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		t.Error(err)
	}
}

func TestAPlanThatDoesNotFitNamesTheChannel(t *testing.T) {
	for _, x := range []struct {
		r    PlanRequest
		says string
	}{
		{PlanRequest{Channels: append(every(867_100_000, 7, 200_000), 871_000_000, 865_000_000)[:9]}, "channels = 9"},
		{PlanRequest{Channels: []radio.Hertz{867_100_000, 867_300_000, 869_000_000, 871_000_000}}, "at 8"},
		{PlanRequest{Channels: append(every(867_100_000, 7, 200_000), 871_000_000), FSK: &PlannedFSK{873_000_000, 50_000}}, "873000000"},
		{PlanRequest{Channels: []radio.Hertz{868_100_000, 868_100_000}}, "channel 1 = 868100000"},
		{PlanRequest{Channels: []radio.Hertz{868}}, "channel 0 = 868"},
		{PlanRequest{Channels: every(868_100_000, 1, 0), Service: &PlannedService{868_300_000, 200_000, 7}}, "service bandwidth = 200000"},
		{PlanRequest{}, "none"},
	} {
		if p, err := Place(x.r); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%+v: %+v, %v, want %q", x.r, p, err, x.says)
		}
	}
}

// Whatever lies within reach of two centres is placed.
func TestEveryPossiblePlanIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		a := radio.Hertz(863_000_000 + rng.IntN(60)*100_000)
		b := a + radio.Hertz(rng.IntN(30)*100_000)
		at := func(bw radio.Hertz) radio.Hertz {
			c := a
			if rng.IntN(2) == 1 {
				c = b
			}
			reach := int(800_000 - bw/2)
			return c + radio.Hertz(rng.IntN(2*reach+1)-reach)
		}
		var r PlanRequest
		used := map[radio.Hertz]bool{}
		for range rng.IntN(9) {
			if f := at(125_000); !used[f] {
				used[f] = true
				r.Channels = append(r.Channels, f)
			}
		}
		bw := []radio.Hertz{125_000, 250_000, 500_000}[rng.IntN(3)]
		r.Service = &PlannedService{at(bw), bw, 7}
		r.FSK = &PlannedFSK{at(125_000), 50_000}
		p, err := Place(r)
		if err != nil {
			t.Fatalf("centres %d and %d would do for %+v: %v", a, b, r, err)
		}
		checkPlan(t, "random", r, p)
	}
}
