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

	requests *requests

	mu     sync.Mutex
	byAS   map[string]*lead
	byUnit map[radio.EUI64]*lead // by device
}

// Bounds of what leads remember and measure.
const (
	mostLeads   = 4096
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

func newLeads(h *prometheus.HistogramVec, r *requests) *leads {
	return &leads{histogram: h, requests: r, byAS: map[string]*lead{}, byUnit: map[radio.EUI64]*lead{}}
}

// answered notes an answer that has just come.
func (l *leads) answered(as string, a nsedge.Answer) {
	response, ok := a.(nsedge.DownlinkResponse)
	if !ok {
		return
	}
	now := time.Now()
	to, ok := l.requests.find(response.PacketHash, response.Device)
	if !ok || to.deadline.IsZero() || to.deadline.Sub(to.at) > longestLead {
		return
	}
	early := to.deadline.Sub(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.histogram.WithLabelValues(as).Observe(early.Seconds())
	leadOf(l.byAS, as).add(early)
	leadOf(l.byUnit, to.event.About().Device).add(early)
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
