package nsedge

import (
	"gatewayd/radio"
)

// ADRFunc decides about a device's data rate. It is called by the edge's
// owner after an uplink and must not block.
type ADRFunc func(ADRInput) ADRDecision

// ADRInput is what is known of a device.
type ADRInput struct {
	Samples     []ADRSample // the last uplinks, newest last; at most ADRWindow
	DataRate    int         // of the last uplink
	TXPower     int         // index that the device confirmed, 0 is the highest power
	NbTrans     int
	MaxDataRate int                         // of the region's channels and of the device
	MaxTXPower  int                         // highest index, lowest power
	Floor       func(dataRate int) radio.DB // SNR at which it is just demodulated
	Margin      radio.DB                    // to keep
}

// ADRSample is one uplink.
type ADRSample struct {
	Counter uint32
	SNR     radio.DB // of the best copy that came first
}

// ADRDecision is what the device is asked for.
type ADRDecision struct{ DataRate, TXPower, NbTrans int }

// ADRWindow is how many uplinks an [ADRFunc] sees; before there are so many,
// nothing is decided.
const ADRWindow = 20

// defaultADRMargin is the installation margin of Semtech's algorithm, dB.
const defaultADRMargin = 10

// adrStep is by how much a data rate differs from the next, dB.
const adrStep = 3

// ReferenceADR is Semtech's algorithm ("LoRaWAN: simple rate adaptation
// recommended algorithm", rev 1.0): the best SNR of the window, less what the
// data rate needs and the margin, in steps of 3 dB: first up with the data
// rate, then down with the power; with too little, up with the power. The
// data rate is never lowered: a device that is not heard does that by itself.
// NbTrans follows the loss.
func ReferenceADR(in ADRInput) ADRDecision {
	d := ADRDecision{DataRate: in.DataRate, TXPower: in.TXPower, NbTrans: nbTrans(in)}
	best := in.Samples[0].SNR
	for _, s := range in.Samples {
		best = max(best, s.SNR)
	}
	steps := int((best - in.Floor(in.DataRate) - in.Margin) / adrStep)
	for ; steps > 0 && d.DataRate < in.MaxDataRate; steps-- {
		d.DataRate++
	}
	for ; steps > 0 && d.TXPower < in.MaxTXPower; steps-- {
		d.TXPower++
	}
	for ; steps < 0 && d.TXPower > 0; steps++ {
		d.TXPower--
	}
	return d
}

// nbTrans is the number of repetitions by the loss and the present number:
// the table of Semtech's algorithm.
func nbTrans(in ADRInput) int {
	table := [][3]int{{1, 1, 2}, {1, 2, 3}, {2, 3, 3}, {3, 3, 3}} // below 5, 10, 30 % and more
	sent := int(in.Samples[len(in.Samples)-1].Counter-in.Samples[0].Counter) + 1
	lost := 100 * (sent - len(in.Samples)) / max(sent, 1)
	row := 3
	for i, limit := range []int{5, 10, 30} {
		if lost < limit {
			row = i
			break
		}
	}
	return table[row][min(max(in.NbTrans, 1), 3)-1]
}

// adrSample remembers an uplink for ADR.
func (e *Edge) adrSample(r *reception, f *dataUp, s *session, counter uint32) {
	dr := int8(e.dataRate(&r.first))
	if s.adrBit = f.has(ctrlADR); !s.adrBit {
		s.history = nil
	}
	if s.adrBit && s.DataRate >= 0 && dr < s.DataRate {
		// It was not heard for long and fell back by itself: its power first.
		s.DataRate, s.TXPower, s.NbTrans, s.history = dr, 0, 1, nil
	}
	s.lastDR = dr
	if n := len(s.history); n > 0 && counter <= s.history[n-1].Counter {
		s.history = nil
	}
	if mode := s.dev.spec.ADR.Mode; !s.adrBit || mode == "off" || mode == "static" || s.dev.spec.handsOff() {
		return
	}
	if len(s.history) == ADRWindow {
		copy(s.history, s.history[1:])
		s.history = s.history[:ADRWindow-1]
	}
	s.history = append(s.history, ADRSample{counter, r.first.SNR})
}

// adrDecision is what the device's mode wants, as far as the device can do it.
func (e *Edge) adrDecision(s *session, dr, power, nb int) (wantDR, wantPower, wantNb int) {
	spec, r, l := s.dev.spec, e.cfg.Region, s.learnt()
	wantDR, wantPower, wantNb = dr, power, nb
	top := l.highest(r.MaxADRDataRate(), l.rates)
	switch spec.ADR.Mode {
	case "off":
		return wantDR, wantPower, wantNb
	case "static":
		if p := spec.ADR.DataRate; p != nil {
			wantDR = *p
		}
		if p := spec.ADR.TXPower; p != nil {
			wantPower = *p
		}
	default:
		// FSK and the wide channels have no place on the ladder.
		if len(s.history) < ADRWindow || dr > r.MaxADRDataRate() {
			return wantDR, wantPower, wantNb
		}
		d := e.cfg.ADR(ADRInput{
			Samples: s.history, DataRate: dr, TXPower: power, NbTrans: nb, MaxDataRate: max(top, dr),
			MaxTXPower: l.highest(r.MaxTXPower(), l.powers), Floor: e.floor, Margin: e.cfg.ADRMargin,
		})
		wantDR, wantPower, wantNb = d.DataRate, d.TXPower, min(max(d.NbTrans, 1), 15)
	}
	if wantDR != dr && !l.can(l.rates, wantDR) {
		wantDR = max(l.highest(wantDR, l.rates), dr)
	}
	if wantPower != power && !l.can(l.powers, wantPower) {
		wantPower = power
	}
	return wantDR, wantPower, wantNb
}

// floor is the SNR at which a data rate is just demodulated.
func (e *Edge) floor(dr int) radio.DB {
	m, err := e.cfg.Region.DataRate(dr)
	if l, ok := m.(radio.LoRa); err == nil && ok {
		return snrFloor(l)
	}
	return 0
}
