package adapter

import (
	"sync"
	"time"
)

// The rule by which a receiver that fails is left alone for a while.
const (
	pauseWindow   = 600 * time.Second
	pauseLeast    = 100 // requests in the window
	pausePercent  = 5   // of them failed
	pauseDuration = 60 * time.Second

	bucketWidth = 10 * time.Second
)

// pause counts requests and says when to make one. After a pause it counts
// from the beginning.
type pause struct {
	mu      sync.Mutex
	buckets [pauseWindow / bucketWidth]struct {
		slot          int64
		total, failed int
	}
	until time.Time
}

// active tells whether nothing may be sent at that time.
func (p *pause) active(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Before(p.until)
}

// count takes the result of a request; begun says that it began a pause.
func (p *pause) count(now time.Time, ok bool) (begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot := now.UnixNano() / int64(bucketWidth)
	b := &p.buckets[slot%int64(len(p.buckets))]
	if b.slot != slot {
		b.slot, b.total, b.failed = slot, 0, 0
	}
	b.total++
	if ok {
		return false
	}
	b.failed++
	total, failed := 0, 0
	for _, b := range p.buckets {
		if slot-b.slot < int64(len(p.buckets)) {
			total += b.total
			failed += b.failed
		}
	}
	if total < pauseLeast || failed*100 < total*pausePercent || now.Before(p.until) {
		return false
	}
	p.until = now.Add(pauseDuration)
	clear(p.buckets[:])
	return true
}
