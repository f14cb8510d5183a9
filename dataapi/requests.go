package dataapi

import (
	"slices"
	"sync"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// requests remembers which downlink_requests and join_requests were told, by
// packet hash: that is what answers name. It forgets the oldest.
type requests struct {
	mu     sync.Mutex
	byHash map[nsedge.PacketHash]told
	order  []nsedge.PacketHash // oldest first
}

// told is a request that applications may have heard of.
type told struct {
	event    nsedge.Event
	at       time.Time
	deadline time.Time // zero if none is known
}

// Bounds of what requests remember: more than are ever open at a time.
const (
	mostRequests = 4096
	requestsFor  = time.Minute // after the deadline
)

// note remembers an event if it is a request.
func (r *requests) note(ev nsedge.Event) {
	one := told{event: ev, at: time.Now()}
	switch ev := ev.(type) {
	case *nsedge.DownlinkRequest:
		one.deadline = ev.Deadline
	case *nsedge.JoinRequest:
	default:
		return
	}
	hash := ev.About().PacketHash
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 && (len(r.order) >= mostRequests || r.byHash[r.order[0]].over(one.at)) {
		delete(r.byHash, r.order[0])
		r.order = r.order[1:]
	}
	if r.byHash == nil {
		r.byHash = map[nsedge.PacketHash]told{}
	}
	if _, again := r.byHash[hash]; !again {
		r.order = append(r.order, hash)
	}
	r.byHash[hash] = one
}

func (t told) over(now time.Time) bool {
	until := t.at
	if t.deadline.After(until) {
		until = t.deadline
	}
	return now.Sub(until) > requestsFor
}

// find returns the request of that hash; without a hash the last one of the
// device.
func (r *requests) find(hash nsedge.PacketHash, device radio.EUI64) (told, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if hash != (nsedge.PacketHash{}) {
		one, ok := r.byHash[hash]
		return one, ok
	}
	for _, h := range slices.Backward(r.order) {
		if one := r.byHash[h]; one.event.About().Device == device {
			return one, true
		}
	}
	return told{}, false
}
