package nsedge

import (
	"strings"
	"time"

	"gatewayd/nsedge/classb"
)

// A multicast group is a [Device] with Multicast: a session that many devices
// share and that nobody sends with. Its claims, its one ordered queue and its
// downlink counter are those of any device of class B or C.

const (
	maxRepeat = 3
	// repeatGap is how long after the end of a frame to a class C group it is
	// sent again: whatever disturbed it should be over.
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

// repetition is a frame that is sent again as it is.
type repetition struct {
	flight *flight // the first time
	left   int
}

// repeat sends a frame to a group again if that is wanted: after it was on the
// air, behind whatever waits for the group.
func (e *Edge) repeat(fl *flight) {
	left := fl.w.dev.spec.Repeat
	if fl.c.again != nil {
		left = fl.c.again.left
	}
	d := fl.w.dev
	if left <= 0 || e.running == nil || e.byEUI[d.spec.DevEUI] != d || d.session() != fl.w.s {
		return
	}
	w, err := e.openRXC(d, fl.w.hash, fl.w.insist)
	if err == nil {
		w.held = true
		if d.classC() {
			d.until = time.Now().Add(repeatGap)
		}
		c := *fl.c
		c.came, c.again = time.Now(), &repetition{flight: fl, left: left - 1}
		err = e.sendRXC(w, &c)
	}
	if err != nil {
		e.failed(fl.w, err)
	}
}
