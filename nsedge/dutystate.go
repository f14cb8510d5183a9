package nsedge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatewayd/radio"
)

// bucketDuty holds the duty ledger of each gateway.
const bucketDuty = "duty"

// dutyBin is how coarse the ledger is on the disk. A transmission counts from
// the end of its bin on, that is for too long rather than too short.
const dutyBin = 5 * time.Minute

const (
	dutyVersion = 1 // more was sent since, for all that is known
	dutyWhole   = 2 // nothing was
)

// The disk is always behind. In each sub-band a credit of time on air may be
// used that is not on it; a start that cannot rule that out takes all of it for
// used. It has to hold a frame of SF12, and is a part of the hour's budget, so
// that neither a slow disk nor a power cut closes a sub-band.
const (
	dutyCredit    = 8               // the budget, divided
	dutyCreditMin = 3 * time.Second // or this
)

// errUnsaved says that the credit is used up.
var errUnsaved = fmt.Errorf("%w", radio.ErrDutyCycle)

func (l *ledger) credit(band int) time.Duration {
	return min(l.budget(band), max(l.budget(band)/dutyCredit, dutyCreditMin))
}

var errDuty = errors.New("not a duty ledger of a known version")

// encode is the ledger as it is stored: the sum of each bin, by sub-band, with
// the name of the region that numbers them.
func (l *ledger) encode(version byte, region string, now time.Time) []byte {
	b := []byte{version, byte(len(region))}
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
	if r.failed || version != dutyVersion && version != dutyWhole || n > len(r.b) {
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
	for i := range l.bands {
		if version != dutyWhole && l.limited(i) {
			l.add(entry{band: i, start: now, took: l.credit(i)})
		}
	}
	return nil
}

// account adds a transmission to a gateway's ledger, and has the ledger saved
// when half of the credit is used.
func (e *Edge) account(g *gateway, en entry) {
	if en.band < 0 {
		return
	}
	l := &g.ledger
	l.add(en)
	if l.unsaved[en.band] += en.took; l.unsaved[en.band] > l.credit(en.band)/2 {
		e.saveDuty()
	}
}

// mayTransmit asks the gateway's ledger for time on air in a slot: see check.
func (e *Edge) mayTransmit(s *slot, took time.Duration) (entry, error) {
	en, err := s.gw.ledger.check(s, took, e.cfg.IgnoreDutyCycle)
	if errors.Is(err, errUnsaved) {
		e.saveDuty()
	}
	return en, err
}

// openDuty has the disk know that something may be sent, before anything is.
func (e *Edge) openDuty() {
	err := e.putDuty(e.dutyRecords(dutyVersion))
	e.dutyOpen = err == nil // else beginDuty tries again
}

// beginDuty does the same where a Run has ended before.
func (e *Edge) beginDuty() {
	if e.dutyOpen {
		return
	}
	for _, g := range e.gateways {
		for i := range g.ledger.bands {
			g.ledger.unsaved[i] = g.ledger.credit(i)
		}
	}
	e.dutyOpen = true
	e.saveDuty()
}

// endDuty records that nothing is sent any more.
func (e *Edge) endDuty() {
	e.dutyOpen = false
	if err := e.putDuty(e.dutyRecords(dutyWhole)); err != nil {
		e.log.Warn("the duty ledger can't be recorded", "err", err)
	}
}

// dutyRecord is the ledger of one gateway on its way to the disk.
type dutyRecord struct {
	gateway *gateway
	key     radio.EUI64 // 0 for the local one, which may get another EUI
	doc     []byte
	unsaved []time.Duration // that are in it
}

func (e *Edge) dutyRecords(version byte) (out []dutyRecord) {
	for _, g := range e.gateways {
		r := dutyRecord{gateway: g, doc: g.ledger.encode(version, e.cfg.Region.Short(), time.Now()), unsaved: slices.Clone(g.ledger.unsaved)}
		if g != e.local {
			r.key = g.EUI
		}
		out = append(out, r)
	}
	return out
}

func (e *Edge) putDuty(records []dutyRecord) error {
	for _, r := range records {
		if err := e.cfg.Store.Put(bucketDuty, r.key[:], r.doc); err != nil {
			return err
		}
	}
	return nil
}

// saveDuty makes the ledgers durable, off the owner's goroutine.
func (e *Edge) saveDuty() {
	if e.dutySaving {
		return
	}
	records := e.dutyRecords(dutyVersion)
	e.dutySaving = e.background(func(context.Context) func() {
		err := e.putDuty(records)
		return func() { e.dutySaved(records, err) }
	})
}

// dutySaved takes what is on the disk off the credit.
func (e *Edge) dutySaved(records []dutyRecord, err error) {
	e.dutySaving = false
	if err != nil { // whoever finds the credit used up tries again
		e.log.Warn("the duty ledger can't be recorded", "err", err)
		return
	}
	for _, r := range records {
		for band, took := range r.unsaved {
			r.gateway.ledger.unsaved[band] -= took
		}
	}
}

// loadDuty reads what was recorded. What gateways sent that are not there any
// more does not count.
func (e *Edge) loadDuty() error {
	for _, r := range e.dutyRecords(dutyVersion) {
		raw, err := e.cfg.Store.Get(bucketDuty, r.key[:])
		if err == nil && raw != nil {
			err = r.gateway.ledger.decode(raw, e.cfg.Region.Short(), time.Now())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
