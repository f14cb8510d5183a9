package nsedge

import (
	"context"
	"fmt"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// Explanation says when a device can be sent something, and why not now.
type Explanation struct {
	Device  radio.EUI64
	Now     time.Time
	Summary string         // for people
	Windows []WindowReason // RX1 and RX2 after the last uplink, or RXC
	Duty    []DutyUse      // of all sub-bands with a limit, by gateway
	Asked   []string       // MAC commands that wait for a downlink or an answer
	Resting []string       // MAC commands that the device refused or did not answer
}

// WindowReason is one receive window.
type WindowReason struct {
	Name     string      // "RX1", "RX2", "ClassB", "ClassC"
	Gateway  radio.EUI64 // that is asked; of several the one that suits best is the first
	Start    time.Time
	Deadline time.Time // for an answer
	Freq     radio.Hertz
	DataRate int
	Power    radio.DBm
	MaxSize  int
	Why      string    // "" if it can be used
	FreeAt   time.Time // where waiting helps
}

// DutyUse is how much of a sub-band's duty cycle is used.
type DutyUse struct {
	Gateway   radio.EUI64
	Band      string
	From, To  radio.Hertz
	Used      time.Duration // within the last hour
	Allowed   time.Duration // within any hour
	FreeAt    time.Time     // when a frame of ProbeTime may go out
	ProbeTime time.Duration
}

// probeFrame is the size of the frame that an explanation is about: 10 bytes
// for the application.
const probeFrame = frameOverhead + 10

// Explain tells what stands between a device and its next downlink.
func (e *Edge) Explain(ctx context.Context, eui radio.EUI64) (x Explanation, err error) {
	known := false
	if err := e.do(ctx, func() {
		var d *device
		if d, known = e.byEUI[eui]; known {
			x = e.explanation(d, time.Now())
		}
	}); err != nil {
		return x, fmt.Errorf("explain device %v: %w", eui, err)
	}
	if !known {
		return x, fmt.Errorf("explain device %v: %w", eui, ErrUnknownDevice)
	}
	return x, nil
}

// Duty tells how much of each sub-band's duty cycle each gateway has used.
func (e *Edge) Duty(ctx context.Context) (use []DutyUse, err error) {
	if err := e.do(ctx, func() { use = e.dutyUse(time.Now()) }); err != nil {
		return nil, fmt.Errorf("tell the duty cycle: %w", err)
	}
	return use, nil
}

func (e *Edge) explanation(d *device, now time.Time) Explanation {
	x := Explanation{Device: d.spec.DevEUI, Now: now, Duty: e.dutyUse(now)}
	s := d.session()
	if s == nil {
		x.Summary = "the device has no session: it has to join; " + d.lastJoin()
		return x
	}
	x.Asked, x.Resting = ordersShown(s)
	var w *window
	if d.traffic != nil {
		w = d.win
	}
	switch {
	case d.spec.BlockDownlink:
		x.Summary = "downlinks of the device are blocked: clear block_downlink"
	case w != nil && e.answerable(w):
		x.Windows = e.windowReasons(w, now)
		x.Summary = e.summary(x.Windows)
	case e.anytime(d) || d.spec.Multicast:
		x.Windows, x.Summary = e.explainRXC(d, now)
	case (d.classC() || d.classB()) && d.moving():
		x.Summary = "the device was asked to move where it listens between its uplinks, and did not answer yet: the next uplink opens windows"
	case w != nil && w.state == sent:
		x.Summary = "a downlink went out in the windows of the last uplink; the next uplink opens the next ones"
	default:
		x.Summary = "a class A device listens only after its uplinks: the next one opens windows"
	}
	if d.traffic != nil && d.queued != nil {
		x.Summary += "; an answer is kept for the next window"
	}
	return x
}

// ordersShown tells people which MAC commands wait, and which rest.
func ordersShown(s *session) (asked, resting []string) {
	if s == nil || s.orders == nil {
		return nil, nil
	}
	for _, a := range s.orders.open {
		asked = append(asked, fmt.Sprintf("%s, sent %d times", macTables[false][lorawan.CID(a.CID)].name, a.Tries))
	}
	for _, r := range s.orders.refused {
		resting = append(resting, fmt.Sprintf("%s, until %s", macTables[false][lorawan.CID(r.CID)].name, time.Unix(r.At, 0).Add(orderRest).UTC().Format(time.RFC3339)))
	}
	return asked, resting
}

// lastJoin is why a device that wants to has not joined.
func (d *device) lastJoin() string {
	if d.traffic == nil || len(d.joins) == 0 {
		return "no join-request of it was heard since gatewayd started"
	}
	last := d.joins[len(d.joins)-1]
	return fmt.Sprintf("the last word on its join-requests, at %s: %s (%s)", last.Time.UTC().Format(time.RFC3339), last.Message, last.Code)
}

// windowReasons looks at both slots of an open window, in the order in which
// they and the gateways are tried. A frame that stands by keeps its gateway.
func (e *Edge) windowReasons(w *window, now time.Time) (rs []WindowReason) {
	if len(w.copies) < 2 || e.standby(w) != nil {
		return []WindowReason{e.windowReason(w, &w.slots[0], now), e.windowReason(w, &w.slots[1], now)}
	}
	for i := range w.slots {
		for _, u := range w.copies {
			other := *w
			e.via(&other, u)
			rs = append(rs, e.windowReason(&other, &other.slots[i], now))
		}
	}
	return rs
}

// windowReason looks at one slot of an open window.
func (e *Edge) windowReason(w *window, s *slot, now time.Time) WindowReason {
	r := WindowReason{Name: s.name, Gateway: w.up.Gateway, Start: s.start, Deadline: s.cutoff, Freq: s.freq, DataRate: s.dr, Power: s.power, MaxSize: max(s.size-w.mac, 0)}
	if s.err != nil {
		r.Why = s.err.Error()
		return r
	}
	took := s.mod.Airtime(probeFrame)
	l := &s.gw.ledger
	if _, err := l.check(s, took, e.cfg.IgnoreDutyCycle); err != nil {
		r.Why, r.FreeAt = err.Error(), l.freeAt(l.band(s.freq), took, now)
	} else if err := e.yield(w, s, took); err != nil {
		r.Why = err.Error()
	}
	if r.Why == "" && !now.Before(s.cutoff) {
		r.Why = fmt.Sprintf("%v after its deadline", now.Sub(s.cutoff).Round(time.Millisecond))
	}
	return r
}

// explainRXC looks at what a device of class B or C could be sent now.
func (e *Edge) explainRXC(d *device, now time.Time) ([]WindowReason, string) {
	w, err := e.openRXC(d, PacketHash{}, nil)
	if err != nil {
		return nil, err.Error()
	}
	d.busy()
	var rs []WindowReason
	for _, g := range e.reaching(w) {
		if e.planRXC(w, g, 0) != nil {
			continue
		}
		r := e.windowReason(w, &w.slots[0], now)
		if turn := e.turnRXC(w, &content{plain: make([]byte, 10)}, now); r.Why == "" && turn.After(now) {
			r.Why, r.FreeAt = "the device's own windows, another frame to it, or an acknowledgement come first", turn
		}
		rs = append(rs, r)
	}
	return rs, e.summary(rs)
}

// summary is the first window that can be used, or why none can.
func (e *Edge) summary(rs []WindowReason) (s string) {
	for _, r := range rs {
		by := ""
		if len(e.gateways) > 1 {
			by = " by gateway " + r.Gateway.String()
		}
		if r.Why == "" {
			return fmt.Sprintf("%s%s at %s can be used, for an answer until %s", r.Name, by, clockTime(r.Start), clockTime(r.Deadline))
		}
		s += fmt.Sprintf("%s%s: %s. ", r.Name, by, r.Why)
	}
	return s
}

// dutyUse lists the sub-bands with a limit.
func (e *Edge) dutyUse(now time.Time) (out []DutyUse) {
	if e.cfg.IgnoreDutyCycle {
		return nil
	}
	_, dr := e.cfg.Region.RX2()
	mod, err := e.cfg.Region.Downlink(dr)
	if err != nil {
		return nil
	}
	took := mod.Airtime(probeFrame)
	for _, g := range e.gateways {
		l := &g.ledger
		for i, b := range l.bands {
			if !l.limited(i) {
				continue
			}
			l.forget(i, now)
			out = append(out, DutyUse{
				Gateway: g.EUI, Band: b.Name, From: b.From, To: b.To, Used: l.total[i], Allowed: l.budget(i),
				FreeAt: l.freeAt(i, took, now), ProbeTime: took,
			})
		}
	}
	return out
}
