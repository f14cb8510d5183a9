package concentrator

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
)

// A chip that stalls without any traffic is noticed, what waits is reported,
// everything is counted, and ten seconds after the fault the chip receives
// again: here the reset cures it.
func TestAStalledChipIsBackInTenSeconds(t *testing.T) {
	for _, x := range []struct {
		name   string
		stall  bool // counted as one: the chip answers, but doesn't work
		change func(*sx1302sim.Misbehaviour)
	}{
		{"AGC parity", true, func(m *sx1302sim.Misbehaviour) { m.ParityAGC = true }},
		{"ARB parity", true, func(m *sx1302sim.Misbehaviour) { m.ParityARB = true }},
		{"AGC stuck", true, func(m *sx1302sim.Misbehaviour) { m.StuckAGC = stalledAGC }},
		{"clock gone", true, func(m *sx1302sim.Misbehaviour) { m.NoClock = true }},
		{"counter jumped", true, func(m *sx1302sim.Misbehaviour) { m.CounterJump = 32_000_000 }},
		{"power lost", true, func(m *sx1302sim.Misbehaviour) { m.LosePower = 1 }},
		{"bus low", true, func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerZeroes }},
		{"bus high", true, func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerOnes }},
		{"transfers fail", false, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			onCampaign(t, &dimension{}, eu868(t), func(c *campaign) {
				pulse := c.cfg.Reset
				c.cfg.Reset = func(ctx context.Context) error {
					c.mend()
					return pulse(ctx)
				}
				c.testBench.run()
				time.Sleep(20*time.Second + 100*time.Millisecond) // just after a look at the health
				before := c.Stats()
				for i := range 3 {
					if err := c.Schedule(c.t.Context(), c.plan(c.medium.Now()+radio.Instant(60+i)*1_000_000)); err != nil {
						c.t.Fatal(err)
					}
				}
				fault := time.Now()
				if x.change == nil {
					c.saboteur.set(once(1, 0, fails))
				} else {
					c.chip.Faults().Set(x.change)
				}
				err := <-c.done
				noticed := time.Since(fault)
				c.ended(x.name, err)
				if n := len(c.Reports()); n != 3 {
					c.t.Errorf("%d reports of 3 downlinks that waited", n)
				}
				for len(c.Reports()) > 0 {
					if r := <-c.Reports(); !errors.Is(r.Err, radio.ErrStopped) {
						c.t.Errorf("%+v", r)
					}
				}
				c.testBench.run()
				back := time.Since(fault)
				c.t.Logf("noticed after %v, receives after %v: %v", noticed, back, err)
				if back > 10*time.Second {
					c.t.Errorf("it took %v", back)
				}
				now := c.Stats()
				stalls, others := uint64(0), uint64(1)
				if x.stall {
					stalls, others = 1, 0
				}
				if now.Starts != before.Starts+1 || now.TXFailed != before.TXFailed+3 || now.Stalls != before.Stalls+stalls || now.Broken != before.Broken+others {
					c.t.Errorf("counted %+v, before %+v", now, before)
				}
				if x.name != "counter jumped" { // its Instants are others now
					c.works(x.name)
				}
			})
		})
	}
}
