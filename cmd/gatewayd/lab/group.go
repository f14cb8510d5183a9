package lab

import (
	"context"
	"errors"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/radio"
)

// groupArgs are a multicast group that the device under test belongs to. What
// isn't given is made up.
type groupArgs struct {
	DevAddr *hexAddr `json:"dev_addr"`
	NwkSKey *hexKey  `json:"nwkskey"`
	AppSKey *hexKey  `json:"appskey"`
	Period  int      `json:"period"` // class B: a ping slot each 2^n s, about
}

// makeGroup makes a device's group known to the network: a device of its own.
func (b *Bench) makeGroup(ctx context.Context, s *subject, a groupArgs) error {
	like := deviceArgs{Activation: "ABP", Class: s.spec.Class, DevAddr: a.DevAddr, NwkSKey: a.NwkSKey, AppSKey: a.AppSKey}
	spec := nsedge.Device{Encryption: nsedge.KeysAtNS, Version: "1.0.4", Tags: []string{"lab"}, Multicast: true, DevEUI: groupOf(s.eui)}
	like.into(&spec)
	if spec.Class == "B" {
		spec.PingSlots.Periodicity = &a.Period
	}
	b.complete(&spec)
	if err := b.edge.Load().DeleteDevice(ctx, spec.DevEUI); err != nil && !errors.Is(err, nsedge.ErrUnknownDevice) {
		return err
	}
	if err := b.edge.Load().CreateDevice(ctx, spec); err != nil {
		return err
	}
	s.group = &subject{eui: spec.DevEUI, spec: spec}
	b.put(s.group)
	return b.know(ctx, s.group)
}

// groupOf is the name of a device's group.
func groupOf(eui radio.EUI64) radio.EUI64 {
	eui[4] ^= 0x80
	return eui
}

// softGroups are those of a virtual device.
func (s *subject) softGroups() []enddevice.Group {
	if s.group == nil {
		return nil
	}
	d := s.group.spec
	g := enddevice.Group{DevAddr: enddevice.DevAddr(*d.DevAddr), NwkSKey: enddevice.Key(*d.NwkSKey), AppSKey: enddevice.Key(*d.AppSKey), Class: d.Class}
	if d.PingSlots.Periodicity != nil {
		g.Periodicity = *d.PingSlots.Periodicity
	}
	return []enddevice.Group{g}
}

// echoPort is where a device sends back what it got there.
const echoPort = 200

// echo is what a virtual device owes, oldest first. One goroutine, the
// device's, uses it.
type echo struct{ owed [][]byte }

// heard notes a downlink.
func (e *echo) heard(ev enddevice.Event) {
	if r, ok := ev.(enddevice.Received); ok && r.Port == echoPort {
		e.owed = append(e.owed, r.Payload)
	}
}

// next is the next payload, if one is owed.
func (e *echo) next() (d enddevice.Data, ok bool) {
	if len(e.owed) == 0 {
		return d, false
	}
	d = enddevice.Data{Port: echoPort, Payload: e.owed[0]}
	e.owed = e.owed[1:]
	return d, true
}
