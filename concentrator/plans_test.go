package concentrator

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// recordedPlan is a random configuration on which the vendor's library ran,
// unmodified, on this project's simulated chip.
type recordedPlan struct {
	Config     recordedConfig
	SyncWord   string            `json:"fsk_sync_word"`
	Celsius    float64           `json:"temperature_c"`
	Regs       map[string]string // after the start, those that aren't at their reset value
	Sends      []recordedStep
	Receptions []struct {
		Inst    uint32 `json:"inst_ticks"`
		FIFO    string
		Packets []recordedPacket
	}
}

func recordedPlans(t *testing.T) (plans []recordedPlan) {
	t.Helper()
	for _, l := range lines(string(golden(t, "plans.jsonl"))) {
		var p recordedPlan
		if err := json.Unmarshal([]byte(l), &p); err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
	}
	return plans
}

// config is the plan in our terms.
func (p *recordedPlan) config(t *testing.T) Config {
	t.Helper()
	rec := recording{Config: p.Config}
	c := rec.config()
	if p.SyncWord != "" {
		var err error
		if c.FSK.SyncWord, err = hex.DecodeString(p.SyncWord); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// Other regions, radios, clock sources, IFs, gain tables, service modems and
// FSK settings than those of the recorded runs: the registers after the
// start, those of each transmission, and what is made of receive buffers are
// still the library's.
func TestAnyPlanIsTheReferences(t *testing.T) {
	kinds, sent, received := map[RadioType]int{}, 0, 0
	for i, p := range recordedPlans(t) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			cfg := p.config(t)
			kinds[cfg.Radios[cfg.ClockSource].Type]++
			diffMaps(t, registerImage(t, withoutIdentity(startTrace(t, cfg))), p.Regs)
			sent += p.compareSends(t, cfg)
			received += p.compareReceptions(t, cfg)
		})
	}
	if kinds[SX1250] < 10 || kinds[SX1255] < 3 || kinds[SX1257] < 3 || sent < 80 || received < 200 {
		t.Errorf("only %v plans, %d transmissions, %d packets", kinds, sent, received)
	}
}

func (p *recordedPlan) compareSends(t *testing.T, cfg Config) (compared int) {
	offsets := calibrated(t, cfg)
	for _, step := range p.Sends {
		d, ok := downlink(t, step.Call)
		if !ok {
			t.Fatalf("not a call: %s", step.Call)
		}
		chain := int(fields(step.Call).int(t, "chain"))
		one := cfg
		one.Radios[1-chain].Transmit = false
		got, below := transmitBlock(t, one, offsets, d, chain, fields(step.Call))
		if below {
			t.Errorf("%s: refused for its power", step.Call)
			continue
		}
		want, err := hex.DecodeString(step.Block)
		if err != nil {
			t.Fatal(err)
		}
		compareBlock(t, step.Call, got, want, d.Mod)
		compared++
	}
	return compared
}

func (p *recordedPlan) compareReceptions(t *testing.T, cfg Config) (compared int) {
	cfg.Temperature = func() (float64, error) { return p.Celsius, nil }
	s := offline(t, cfg)
	for _, r := range p.Receptions {
		fifo, err := hex.DecodeString(r.FIFO)
		if err != nil {
			t.Fatal(err)
		}
		got := s.feed(fifo, r.Inst)
		if len(got) != len(r.Packets) {
			t.Errorf("%d packets, recorded %d", len(got), len(r.Packets))
			continue
		}
		for _, u := range got {
			i := matching(r.Packets, u)
			if i < 0 {
				t.Errorf("no recorded packet is at %d: %+v", u.At, u)
				continue
			}
			comparePacket(t, "packet", u, r.Packets[i])
			if hex.EncodeToString(u.Payload) != strings.ToLower(r.Packets[i].Payload) {
				t.Errorf("payload %x, recorded %s", u.Payload, r.Packets[i].Payload)
			}
			compared++
		}
	}
	return compared
}
