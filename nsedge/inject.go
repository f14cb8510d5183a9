package nsedge

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/region"
)

// answerMAC takes a downlink_response with MAC commands: they become orders
// like the edge's own, so they are on the disk before they are on the air, are
// repeated until they are answered, and what the device says is told. The
// window stays open for an answer with a payload.
func (e *Edge) answerMAC(w *window, a *DownlinkResponse) error {
	s := w.s
	if s == nil {
		s = w.dev.session()
	}
	switch {
	case w.kind == joinWindow:
		return refuse(CodeDownlinkUnknown, "packet_hash", "it belongs to a join_request: answer that with a join_response")
	case w.dev.spec.BlockDownlink:
		return refuse(CodeDownlinkBlocked, "", "downlinks of device %v are blocked: clear block_downlink", w.dev.spec.DevEUI)
	case w.dev.spec.Multicast:
		return refuse(CodeDownlinkMAC, "payload", "%v is a multicast group, which gets no MAC commands: tell its devices", w.dev.spec.DevEUI)
	case len(a.Encrypted) > 0:
		return refuse(CodeDownlinkMAC, "encrypted_payload", "MAC commands are encrypted by the network server: give payload")
	case a.Confirmed || a.Counter != nil || a.Pending:
		return refuse(CodeDownlinkMAC, "port", "MAC commands (port 0) go with the next frame: leave confirmed, pending and counter_down out")
	case s == nil:
		return refuse(CodeDownlinkMAC, "device", "device %v has no session yet: send MAC commands when it has joined", w.dev.spec.DevEUI)
	}
	list, err := e.injected(s, a.MAC)
	if err != nil {
		return err
	}
	o := s.ordering()
	for _, x := range list {
		if old := o.find(lorawan.CID(x.CID)); old != nil {
			o.drop(old) // it never was on the air
		}
		o.open = append(o.open, x)
	}
	o.dirty = true
	e.saveSettings(s)
	e.notice(Info, CodeDownlinkReceived, e.meta(w.dev, s, w.hash, w.up.Gateway), "MAC commands were obtained from the application: they go with the next frame that has room")
	return nil
}

// injected makes orders of an application's MAC commands.
func (e *Edge) injected(s *session, commands []byte) ([]*order, error) {
	if len(commands) == 0 || len(commands) > maxFOpts {
		return nil, refuse(CodeDownlinkMAC, "payload", "%d bytes of MAC commands: 1 to %d are allowed", len(commands), maxFOpts)
	}
	var out []*order
	err := eachMAC(false, commands, func(cid lorawan.CID, f macForm, b []byte) error {
		if err := e.mayInject(s, cid, f, b); err != nil {
			return err
		}
		command := append([]byte{byte(cid)}, b...)
		last := len(out) - 1
		if last >= 0 && out[last].CID == plainCID(cid) && cid == lorawan.LinkADRReq {
			out[last].Bytes = append(out[last].Bytes, command...) // a block
			return nil
		}
		if slices.ContainsFunc(out, func(x *order) bool { return x.CID == plainCID(cid) }) {
			return errTwice
		}
		out = append(out, &order{CID: plainCID(cid), Bytes: command, App: true, urgent: true})
		return nil
	})
	if err != nil {
		return nil, refuse(CodeDownlinkMAC, "payload", "%v", err)
	}
	return out, nil
}

var errTwice = errors.New("it is there twice: the answers could not be told apart. Send it again after the answer")

// mayInject tells why a command can't be injected now.
func (e *Edge) mayInject(s *session, cid lorawan.CID, f macForm, b []byte) error {
	if _, err := f.show(b); err != nil {
		return err
	}
	all := setups()
	i := slices.IndexFunc(all, func(x setup) bool { return x.cid == cid })
	channel := cid == lorawan.NewChannelReq || cid == lorawan.DLChannelReq
	switch {
	case cid == lorawan.DevStatusReq:
		return errors.New("a status_request asks for that")
	case cid == lorawan.ForceRejoinReq:
		return errors.New("POST /devices/{dev_eui}/rejoin asks for that")
	case i < 0:
		var names []string
		for _, x := range all {
			names = append(names, macTables[false][x.cid].name)
		}
		return fmt.Errorf("it is the network server's own; allowed are %s", strings.Join(names, ", "))
	case !s.v11 && (cid == lorawan.ADRParamSetupReq || cid == lorawan.RejoinParamSetupReq):
		return errors.New("the session is not one of LoRaWAN 1.1, which alone has it")
	case cid == lorawan.TXParamSetupReq && !e.cfg.Region.HasTXParamSetup():
		return fmt.Errorf("%s does not have it", e.cfg.Region)
	case channel && e.cfg.Region.Group() > 0:
		return fmt.Errorf("the channels of %s are fixed", e.cfg.Region)
	case channel && b[0] >= region.MaxChannels:
		return fmt.Errorf("channel %d: 0 to %d is allowed", b[0], region.MaxChannels-1)
	case cid == lorawan.NewChannelReq && int(b[0]) < len(e.channelsOf(s))-len(s.Extra):
		return fmt.Errorf("channel %d is one of those that the region or the join-accept gave: take another", b[0])
	}
	if old := s.orders.find(cid); old != nil && old.Tries > 0 {
		return fmt.Errorf("one is on its way (sent %d times): send yours after the device's answer, or after %d uplinks without", old.Tries, maxOrderTries)
	}
	return nil
}

// dueNow tells whether an order may go into the next downlink: it is on the
// disk, and the device does not repeat the answer to the one before.
func (s *session) dueNow(set *setup, x *order) bool {
	return x.saved && (!x.App || !set.sticky || !s.orders.last[set.cid])
}
