package flight

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/concentrator/sx1302sim"
)

// ticksPerMicrosecond: the chip's counter runs at 32 MHz.
const ticksPerMicrosecond = 32

// txFree is a transmitter's status when it has nothing to do.
const txFree = 0x80

// watch follows what the transmitters were told.
func (p *player) watch(a reg.Addr, data []byte) {
	for chain := range 2 {
		k := int(reg.TXTrigImmediate.Chain(chain).Addr()) - int(a)
		if k < 0 || k >= len(data) || data[k]&(reg.TXTrigImmediate.Mask()|reg.TXTrigDelayed.Mask()|reg.TXTrigGPS.Mask()) == 0 {
			continue
		}
		p.unsure[chain] = reg.TXTrigGPS.Get(data[k]) == 1 // when the pulse comes, nobody recorded
	}
}

// compareChip compares what was read of the chip itself.
func (p *player) compareChip(i int, e *Entry, a reg.Addr, got []byte) {
	if from := int(reg.TimestampMsb2.Addr()) - int(a); from >= 0 && from+4 <= len(got) {
		if off, ok := p.align(e.In[from:], got[from:]); !ok {
			p.differ(i, e, &Difference{Register: named(reg.TimestampMsb2.Addr()), Recorded: e.In, Got: got,
				Why: fmt.Sprintf("the counter is %v off the time at which it was recorded, %v is allowed: recorded %x, the simulated chip says %x", off, p.drift, []byte(e.In[from:from+4]), got[from:from+4])})
			return
		}
	}
	for k := range got {
		if at := a + reg.Addr(k); got[k] != e.In[k] && !p.open(at, e.In[k]) {
			p.differ(i, e, &Difference{Register: named(at), Recorded: e.In, Got: got})
			return
		}
	}
}

// align sets the simulated counter to the recorded one: by what they differ at
// first, and by as little as the two clocks may drift later.
func (p *player) align(recorded, got []byte) (off time.Duration, ok bool) {
	was := binary.BigEndian.Uint32(recorded)
	ticks := int32(was - binary.BigEndian.Uint32(got))
	if ticks == 0 {
		p.aligned = p.aligned || was != 0 // 0: it stands still, without a clock
		return 0, true
	}
	off = time.Duration(ticks) * time.Microsecond / ticksPerMicrosecond
	// A tick is what rounding takes.
	if p.aligned && (ticks < -1 || ticks > 1) && off.Abs() > p.drift {
		return off, false
	}
	p.aligned = true
	p.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.CounterJump += int64(ticks) })
	return 0, true
}

// open tells whether a register shows something that the recording alone
// knows: the counters, which align compares, what noise moves, a transmitter
// of which nobody knows what it does.
func (p *player) open(a reg.Addr, recorded byte) bool {
	switch {
	case a >= reg.TimestampPPSMsb2.Addr() && a <= reg.TimestampLsb1.Addr():
		return true
	case a >= reg.ARBDebugSts1.Addr() && a < reg.ARBDebugSts1.Addr()+arbCounters:
		return true
	}
	for chain := range 2 {
		if a == reg.TXFsmStatusTX.Chain(chain).Addr() && p.unsure[chain] {
			if recorded == txFree {
				p.unsure[chain] = false
			}
			return true
		}
	}
	return false
}

// arbCounters are the arbiter's debug counters from the first one on.
const arbCounters = 15

// compareRadio compares what a radio answered.
func (p *player) compareRadio(i int, e *Entry, got []byte) {
	if len(e.In) != len(got) || bytes.Equal(e.In, got) {
		return
	}
	p.differ(i, e, &Difference{Recorded: e.In, Got: got})
}
