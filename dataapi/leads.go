package dataapi

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// leads measure how early applications answer: the time from an answer's
// arrival to the deadline of its downlink_request, negative where it was late.
// Per application that is the key, the session or the connection that the
// answer came by.
type leads struct {
	histogram *prometheus.HistogramVec

	mu     sync.Mutex
	asked  map[nsedge.PacketHash]awaited
	order  []nsedge.PacketHash // of asked, oldest first
	byAS   map[string]*lead
	byUnit map[radio.EUI64]*lead // by device
}

// awaited is a downlink_request that was told.
type awaited struct {
	device   radio.EUI64
	deadline time.Time
}

// Bounds of what leads remember.
const (
	mostAwaited = 4096
	mostLeads   = 4096
	awaitedFor  = time.Minute // after the deadline
	longestLead = time.Minute // a claim may be answered for ten: no matter of speed
)

// leadBuckets are upper bounds in seconds; in the first are those that were
// late.
func leadBuckets() []float64 {
	return []float64{0, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5}
}

// lead is what is known of one application or device.
type lead struct {
	answers, late    uint64
	last, least, sum time.Duration
	histogram        []uint64 // by [leadBuckets], and one for what is more
}

func newLeads(h *prometheus.HistogramVec) *leads {
	return &leads{histogram: h, asked: map[nsedge.PacketHash]awaited{}, byAS: map[string]*lead{}, byUnit: map[radio.EUI64]*lead{}}
}

// ask notes a request.
func (l *leads) ask(ev *nsedge.DownlinkRequest) {
	now := time.Now()
	if ev.Deadline.IsZero() || ev.Deadline.Sub(now) > longestLead {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.order) > 0 && (len(l.order) >= mostAwaited || now.Sub(l.asked[l.order[0]].deadline) > awaitedFor) {
		delete(l.asked, l.order[0])
		l.order = l.order[1:]
	}
	if _, again := l.asked[ev.PacketHash]; !again {
		l.order = append(l.order, ev.PacketHash)
	}
	l.asked[ev.PacketHash] = awaited{ev.Device, ev.Deadline}
}

// answered notes an answer that has just come.
func (l *leads) answered(as string, a nsedge.Answer) {
	response, ok := a.(nsedge.DownlinkResponse)
	if !ok {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	to, ok := l.find(&response)
	if !ok {
		return
	}
	early := to.deadline.Sub(now)
	l.histogram.WithLabelValues(as).Observe(early.Seconds())
	leadOf(l.byAS, as).add(early)
	leadOf(l.byUnit, to.device).add(early)
}

// find returns what a response answers: one without a hash, the last request
// of its device.
func (l *leads) find(a *nsedge.DownlinkResponse) (awaited, bool) {
	if a.PacketHash != (nsedge.PacketHash{}) {
		to, ok := l.asked[a.PacketHash]
		return to, ok
	}
	for _, hash := range slices.Backward(l.order) {
		if to := l.asked[hash]; to.device == a.Device {
			return to, true
		}
	}
	return awaited{}, false
}

// leadOf finds or makes an entry; where there is no room, any other one goes.
func leadOf[K comparable](by map[K]*lead, key K) *lead {
	if one := by[key]; one != nil {
		return one
	}
	makeRoom(by, mostLeads)
	one := &lead{histogram: make([]uint64, len(leadBuckets())+1)}
	by[key] = one
	return one
}

func (d *lead) add(early time.Duration) {
	if d.answers == 0 || early < d.least {
		d.least = early
	}
	d.answers++
	d.last = early
	d.sum += early
	if early < 0 {
		d.late++
	}
	i, _ := slices.BinarySearch(leadBuckets(), early.Seconds())
	d.histogram[i]++
}

// forget drops what is known of an application.
func (l *leads) forget(as string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byAS, as)
	l.histogram.DeleteLabelValues(as)
}
