package nsedge

import (
	"fmt"
	"time"
)

// refuseLate refuses an answer that missed its windows: who was late, and by
// how much.
func (e *Edge) refuseLate(w *window, c *content) *Refusal {
	now := time.Now()
	if c.came.IsZero() {
		c.came = now
	}
	rx1, last := &w.slots[0], w.lastSlot()
	bare := w.state >= sent && !w.sentApp
	r := &Refusal{Code: CodeDownlinkLate}
	switch {
	case bare && c.came.Before(last.cutoff) && c.came.After(rx1.cutoff):
		last = rx1
		r.Message = fmt.Sprintf("the answer came %v after the deadline of RX1, when the ACK or MAC commands that were due had to go out; the application was late. Set queue_if_late to keep such answers",
			rounded(c.came.Sub(rx1.cutoff)))
	case c.came.After(last.cutoff):
		r.Message = fmt.Sprintf("the answer came %v after the deadline of RX2 and %v after that of RX1: the application was late. Set queue_if_late to keep such answers",
			rounded(c.came.Sub(last.cutoff)), rounded(c.came.Sub(rx1.cutoff)))
	default:
		r.Message = fmt.Sprintf("the answer came in time (%v before the deadline of RX2), but the server or the transmitter was late", rounded(last.cutoff.Sub(c.came)))
	}
	r.Timing = last.missed(c.came)
	return r
}

// lastSlot is the last one that could have been used.
func (w *window) lastSlot() *slot {
	if w.slots[1].err != nil {
		return &w.slots[0]
	}
	return &w.slots[1]
}

// missed is the timing of an answer that was not sent in the slot: the margin
// is that to its deadline, negative where the application was late.
func (s *slot) missed(came time.Time) *Timing {
	t := &Timing{Window: s.name, Planned: s.at, Margin: s.cutoff.Sub(came), Late: "as"}
	if t.Margin > 0 {
		t.Late = "ns"
	}
	return t
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond / 10) }
