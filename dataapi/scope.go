package dataapi

import (
	"errors"
	"net/http"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// A key may be confined: its Scope names the devices, applications, tags,
// gateways and message types that it is about, in the words of a stored
// filter. Whatever its connections ask for, they hear no more than that and
// answer nothing else, and the other devices do not exist for it.

// confine returns what a key's connections are confined to, nil for nothing.
func (k *Key) confine() *filter {
	devices := k.allowedDevices()
	if devices == nil {
		return k.scope
	}
	return &filter{kinds: allKinds, duplicates: true, devices: devices, within: k.scope}
}

// allowedDevices are those that the permissions name one by one; nil where the
// key may connect without that.
func (k *Key) allowedDevices() map[radio.EUI64]bool {
	if k.mayHearAll() {
		return nil
	}
	set := map[radio.EUI64]bool{}
	for _, resource := range []string{"data", "devices"} {
		for id := range k.Permissions[resource] {
			if e, err := radio.ParseEUI64(id); err == nil && k.Permissions.allow(resource, read, id) {
				set[e] = true
			}
		}
	}
	return set
}

// covers tells whether a device is within the key's scope.
func (k *Key) covers(d *nsedge.Device) bool {
	return k.scope == nil || k.scope.about(d)
}

var errOutOfScope = &problem{http.StatusForbidden, codeForbidden, "access_token", "access_token: this key is confined to other devices; see its scope"}

// mayAnswer is nil if a message from the application is about something that
// its connection may hear of.
func (c *subscriber) mayAnswer(m message) error {
	scope := c.filter.within
	if scope == nil {
		return nil
	}
	wanted, hash, device := downlinkRequest, nsedge.PacketHash{}, radio.EUI64{}
	switch a := m.answer.(type) {
	case nsedge.DownlinkResponse:
		hash, device = a.PacketHash, a.Device
	case nsedge.JoinResponse:
		wanted, hash, device = joinRequest, a.PacketHash, a.Device
	case nsedge.Claim:
		device = a.Device
	case nsedge.StatusRequest:
		wanted, device = statusResponse, a.Device
	}
	if !scope.hears(wanted) {
		return &problem{http.StatusForbidden, codeForbidden, "type", "type: this key is confined to other messages than " + m.kind + "; see its scope"}
	}
	if hash != (nsedge.PacketHash{}) {
		if to, ok := c.server.requests.find(hash, device); ok && scope.match(kindOf(to.event), to.event) {
			return nil
		}
		return errOutOfScope
	}
	edge, err := c.server.theEdge()
	if err != nil {
		return err
	}
	d, err := edge.Device(c.server.life, device)
	if errors.Is(err, nsedge.ErrUnknownDevice) || err == nil && !scope.about(&d) {
		return errOutOfScope
	}
	return err
}

// hears tells whether messages of a type come through at all.
func (f *filter) hears(k kind) bool {
	return f.kinds&k != 0 && (f.within == nil || f.within.hears(k))
}

// about tells whether messages of a device come through.
func (f *filter) about(d *nsedge.Device) bool {
	return has(f.devices, d.DevEUI) && has(f.applications, d.AppEUI) && f.tagged(d.Tags) && (f.within == nil || f.within.about(d))
}
