package nsedge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"gatewayd/radio"
)

// dutyKey is where the journal keeps the duty ledger: no device has DevEUI 0.
var dutyKey = radio.EUI64{}

// dutyBin is how coarse the ledger is on the disk. A transmission counts from
// the end of its bin on, that is for too long rather than too short.
const dutyBin = 5 * time.Minute

const (
	dutyVersion = 1
	dutySeveral = 2 // of several gateways: EUI, length, and a ledger each
)

var errDuty = errors.New("not a duty ledger of a known version")

// encode is the ledger as it is stored: the sum of each bin, by sub-band, with
// the name of the region that numbers them.
func (l *ledger) encode(b []byte, region string, now time.Time) []byte {
	b = append(b, dutyVersion, byte(len(region)))
	b = append(b, region...)
	for i := range l.spent {
		l.forget(i, now)
		sums := map[int64]time.Duration{}
		var bins []int64 // in order, as the entries are
		for _, en := range l.spent[i] {
			bin := en.start.Unix() / int64(dutyBin/time.Second)
			if _, known := sums[bin]; !known {
				bins = append(bins, bin)
			}
			sums[bin] += en.took
		}
		if len(bins) == 0 {
			continue
		}
		b = binary.AppendUvarint(b, uint64(i))
		b = binary.AppendUvarint(b, uint64(len(bins)))
		for _, bin := range bins {
			b = binary.AppendVarint(b, bin)
			b = binary.AppendUvarint(b, uint64((sums[bin]+time.Millisecond-1)/time.Millisecond))
		}
	}
	return b
}

// decode adds what encode stored. The record of another region is no use: its
// frequencies are others. A host clock that was never set, or was set back, is
// before what was recorded; then it is as if no time had passed since. From
// here on the monotonic clock counts: what the host's clock does later neither
// frees a sub-band nor keeps it closed.
func (l *ledger) decode(raw []byte, region string, now time.Time) error {
	r := reader{b: raw}
	version, n := r.byte(), int(r.byte())
	if r.failed || version != dutyVersion || n > len(r.b) {
		return fmt.Errorf("%w: %d bytes", errDuty, len(raw))
	}
	name := string(r.b[:n])
	if r.b = r.b[n:]; name != region {
		return nil
	}
	var list []entry
	var newest time.Time
	for len(r.b) > 0 && !r.failed {
		band, bins := int(r.uvarint(uint64(len(l.bands)))), r.uvarint(1000)
		for range bins {
			bin, took := r.varint(), r.uvarint(uint64(dutyPeriod/time.Millisecond))
			if r.failed || band >= len(l.bands) || bin < 0 || bin > 1<<40 {
				return fmt.Errorf("%w: %d bytes", errDuty, len(raw))
			}
			en := entry{band: band, start: time.Unix((bin+1)*int64(dutyBin/time.Second), -1), took: time.Duration(took) * time.Millisecond}
			if list = append(list, en); en.start.After(newest) {
				newest = en.start
			}
		}
	}
	if r.failed {
		return fmt.Errorf("%w: %d bytes", errDuty, len(raw))
	}
	reference := now
	if newest.Add(-dutyBin).After(now) { // not even its bin has begun
		reference = newest
	}
	for _, en := range list {
		en.start = now.Add(en.start.Sub(reference))
		l.add(en)
	}
	return nil
}

// account adds a transmission to a gateway's ledger, also on the disk: written
// before it is on the air, so a killed process knows it, and synced within a second.
func (e *Edge) account(g *gateway, en entry) {
	if en.band < 0 {
		return
	}
	g.ledger.add(en)
	e.scratch = e.encodeDuty(e.scratch[:0])
	if err := e.cfg.Store.Append(dutyKey, e.scratch); err != nil {
		e.log.Warn("the duty ledger can't be recorded", "err", err)
	}
}

// encodeDuty is the ledgers of all gateways. The local one, which may get
// another EUI, is stored as 0.
func (e *Edge) encodeDuty(b []byte) []byte {
	name, now := e.cfg.Region.Short(), time.Now()
	if len(e.gateways) == 1 {
		return e.local.ledger.encode(b, name, now)
	}
	b = append(b, dutySeveral)
	for _, g := range e.gateways {
		eui := g.EUI
		if g == e.local {
			eui = radio.EUI64{}
		}
		one := g.ledger.encode(nil, name, now)
		b = append(b, eui[:]...)
		b = binary.AppendUvarint(b, uint64(len(one)))
		b = append(b, one...)
	}
	return b
}

// loadDuty is the inverse of encodeDuty. What gateways sent that are not there
// any more is forgotten.
func (e *Edge) loadDuty(raw []byte) error {
	name, now := e.cfg.Region.Short(), time.Now()
	if len(raw) == 0 || raw[0] != dutySeveral {
		return e.local.ledger.decode(raw, name, now)
	}
	for r := (reader{b: raw[1:]}); len(r.b) > 0; {
		var eui radio.EUI64
		r.bytes(eui[:])
		n := r.uvarint(uint64(len(raw)))
		if r.failed || n > uint64(len(r.b)) {
			return fmt.Errorf("%w: %d bytes", errDuty, len(raw))
		}
		g := e.gateway(eui)
		if eui == (radio.EUI64{}) {
			g = e.local
		}
		if g != nil {
			if err := g.ledger.decode(r.b[:n], name, now); err != nil {
				return err
			}
		}
		r.b = r.b[n:]
	}
	return nil
}
