package nsedge

import (
	"slices"
	"strings"
	"time"

	"gatewayd/nsedge/classb"
)

// A multicast group is a [Device] with Multicast: a session that many devices
// share and that nobody sends with. Its claims, its one ordered queue and its
// downlink counter are those of any device of class B or C.

const (
	maxRepeat = 3
	// repeatGap is how long after the end of a round to a class C group the
	// next one begins: whatever disturbed it should be over.
	repeatGap = 2 * time.Second
)

// checkPings checks where a device or a group listens in class B.
func (e *Edge) checkPings(d *Device) error {
	p := d.PingSlots
	if n := p.Periodicity; n != nil && (*n < 0 || *n > classb.MaxPeriodicity) {
		return invalid("ping_slot.periodicity", "%d is not 0 (a slot each second, about) to %d (each 128 seconds)", *n, classb.MaxPeriodicity)
	}
	if f := p.Freq; f != 0 {
		if _, ok := e.cfg.Region.EIRP(f); !ok {
			return invalid("ping_slot.freq", "%d Hz is not where a gateway may send in %s", f, e.cfg.Region)
		}
	}
	if dr := p.DataRate; dr != nil {
		if _, err := e.cfg.Region.Downlink(*dr); err != nil {
			return invalid("ping_slot.datarate", "%v", err)
		}
	}
	return nil
}

// checkMulticast checks what makes a device a group.
func (e *Edge) checkMulticast(d *Device) error {
	switch {
	case !d.Multicast && d.Repeat != 0:
		return invalid("repeat", "%d: only frames to multicast groups are repeated. Set multicast, or leave it out", d.Repeat)
	case !d.Multicast:
		return nil
	case d.Activation != ABP:
		return invalid("activation", "a multicast group has a session and never joins: ABP is wanted, with dev_addr, nwkskey and appskey")
	case d.Class != "B" && d.Class != "C":
		return invalid("dev_class", "%q: the devices of a multicast group listen in class B or C", d.Class)
	case d.Class == "B" && d.PingSlots.Periodicity == nil:
		return invalid("ping_slot.periodicity", "it is missing: a multicast group of class B needs it, 0 to %d", classb.MaxPeriodicity)
	case d.Repeat < 0 || d.Repeat > maxRepeat:
		return invalid("repeat", "%d is not 0 to %d", d.Repeat, maxRepeat)
	case strings.HasPrefix(d.Version, "1.1"):
		return invalid("lorawan_version", "%q: frames to groups are as in 1.0 also for devices of 1.1", d.Version)
	}
	return nil
}

// groupSettings are where a group's devices listen: as registered.
func (d *Device) groupSettings() settings {
	s := firstSettings(0)
	s.RX2Freq = d.RX2Freq
	if d.RX2DataRate != nil {
		s.RX2DR = int8(*d.RX2DataRate)
	}
	p := pingSettings{On: true, Told: true, Freq: d.PingSlots.Freq, DR: -1}
	if d.PingSlots.Periodicity != nil {
		p.Periodicity = uint8(*d.PingSlots.Periodicity)
	}
	if d.PingSlots.DataRate != nil {
		p.DR = int8(*d.PingSlots.DataRate)
	}
	s.Ping = &p
	return s
}

// repetition is a frame that is sent again as it is. In a round each gateway
// sends it once, one after the other: two at the same moment would disturb each
// other at the devices between them, unless they were synchronous to a part of a
// symbol, which the host's clocks are not.
type repetition struct {
	flight *flight    // the first time
	rest   []*gateway // to send it in this round
	left   int        // rounds after this one
}

// repeat sends a frame to a group again if that is wanted, after it was on the
// air, or failed there.
func (e *Edge) repeat(fl *flight) {
	if !fl.w.dev.spec.Multicast {
		return
	}
	again := fl.c.again
	if again == nil {
		others := slices.DeleteFunc(slices.Clone(e.reaching(fl.w)), func(g *gateway) bool { return g == fl.slot.gw })
		again = &repetition{flight: fl, rest: others, left: fl.w.dev.spec.Repeat}
	}
	e.resend(*again)
}

// resend begins with the next gateway of the round, before whatever waits for
// the group, or with the next round, behind it.
func (e *Edge) resend(again repetition) {
	first := again.flight
	d := first.w.dev
	for e.running != nil && e.byEUI[d.spec.DevEUI] == d && d.session() == first.w.s {
		round := len(again.rest) > 0
		if !round {
			if again.left <= 0 {
				return
			}
			again.left, again.rest = again.left-1, e.reaching(first.w)
		}
		g := again.rest[0]
		again.rest = again.rest[1:]
		err := e.resendBy(g, again, round)
		if err == nil {
			return
		}
		e.failed(first.w, err)
	}
}

// resendBy sends a frame to a group again by a gateway.
func (e *Edge) resendBy(g *gateway, again repetition, round bool) error {
	d := again.flight.w.dev
	w, err := e.openRXC(d, again.flight.w.hash, &g.EUI)
	if err != nil {
		return err
	}
	w.held, w.round = true, round
	switch {
	case round:
		i := slices.IndexFunc(d.rxc, func(w *window) bool { return !w.round })
		if i < 0 {
			i = len(d.rxc)
		}
		d.rxc = slices.Insert(d.rxc, i, w)
	case d.classC():
		d.until = time.Now().Add(repeatGap)
	}
	c := *again.flight.c
	c.came, c.again = time.Now(), &again
	return e.sendRXC(w, &c)
}
