package dataapi

import (
	"math/bits"
	"strings"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// kind is a set of message types.
type kind uint16

// The types of messages to an AS.
const (
	uplink kind = 1 << iota
	downlinkRequest
	downlink
	joinRequest
	statusResponse
	location
	errorNotice
	warningNotice
	infoNotice

	allKinds     = kind(1<<len(kindNames) - 1)
	defaultKinds = uplink | downlink | downlinkRequest | joinRequest | statusResponse
)

// kindNames in the order of the bits.
var kindNames = [...]string{"uplink", "downlink_request", "downlink", "join_request", "status_response", "location", "error", "warning", "info"}

// String lists the types, comma separated.
func (k kind) String() string {
	if bits.OnesCount16(uint16(k)) == 1 {
		return kindNames[bits.TrailingZeros16(uint16(k))]
	}
	var names []string
	for i, name := range kindNames {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// parseKind returns the type of that name; status is an older name.
func parseKind(name string) (kind, bool) {
	if name == "status" {
		return statusResponse, true
	}
	for i, n := range kindNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

func kindOf(ev nsedge.Event) kind {
	switch ev := ev.(type) {
	case *nsedge.UplinkEvent:
		return uplink
	case *nsedge.DownlinkRequest:
		return downlinkRequest
	case *nsedge.DownlinkEvent:
		return downlink
	case *nsedge.JoinRequest:
		return joinRequest
	case *nsedge.StatusResponse:
		return statusResponse
	case *nsedge.Location:
		return location
	case *nsedge.Notice:
		return [...]kind{infoNotice, warningNotice, errorNotice}[ev.Level]
	}
	return 0
}

// filter is what a subscriber wants to hear. A nil set lets everything
// through; sets of different kinds are ANDed, their members ORed.
type filter struct {
	kinds        kind
	duplicates   bool
	devices      map[radio.EUI64]bool
	gateways     map[radio.EUI64]bool
	applications map[radio.EUI64]bool
	tags         map[string]bool
	within       *filter // that must let it through, too; nil: none
}

func (f *filter) match(k kind, ev nsedge.Event) bool {
	if f.kinds&k == 0 || f.within != nil && !f.within.match(k, ev) {
		return false
	}
	if up, ok := ev.(*nsedge.UplinkEvent); ok && up.Duplicate && !f.duplicates {
		return false
	}
	m := ev.About()
	return has(f.devices, m.Device) && has(f.gateways, m.Gateway) && has(f.applications, m.Application) && f.tagged(m.Tags)
}

func (f *filter) tagged(tags []string) bool {
	if f.tags == nil {
		return true
	}
	for _, t := range tags {
		if f.tags[t] {
			return true
		}
	}
	return false
}

func has(set map[radio.EUI64]bool, e radio.EUI64) bool { return set == nil || set[e] }
