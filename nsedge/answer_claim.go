package nsedge

import (
	"strings"
	"time"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// claimLife is how long a claim may be answered.
const claimLife = 10 * time.Minute

// live finds a device that an AS names, and checks that the gateway that it
// may insist on is there.
func (e *Edge) live(eui radio.EUI64, gateway *radio.EUI64) (*device, error) {
	d := e.byEUI[eui]
	if d == nil {
		return nil, refuse(CodeDeviceUnknown, "device", "device %v is not registered", eui)
	}
	if gateway == nil || e.cfg.Gateway == (radio.EUI64{}) {
		return d, nil
	}
	if g := e.gateway(*gateway); g != nil && !g.gone {
		return d, nil
	}
	return nil, refuse(CodeGatewayNotLive, "gateway", "gateway %v is not live, %s: leave gateway out", *gateway, e.liveOnes())
}

// liveOnes tells people which gateways are there.
func (e *Edge) liveOnes() string {
	var names []string
	for _, g := range e.gateways {
		if !g.gone {
			names = append(names, g.EUI.String())
		}
	}
	if len(names) > 1 {
		return strings.Join(names, ", ") + " are"
	}
	return strings.Join(names, "") + " is"
}

// pingless says why a gateway that is insisted on can't be used for the ping
// slots of a device; "" if it can, or if the device waits for no ping slot.
func (e *Edge) pingless(d *device, eui *radio.EUI64) string {
	if eui == nil || d.spec.Class != "B" || !e.anytime(d) && !d.spec.Multicast {
		return ""
	}
	if g := e.gateway(*eui); g != nil && !g.pings() {
		return g.beacons.Why
	}
	return ""
}

// answerClaim takes a downlink_claim: the AS gets a downlink_request at once,
// and its answer is kept for the window after the next uplink.
func (e *Edge) answerClaim(a Claim) error {
	d, err := e.live(a.Device, a.Gateway)
	if err != nil {
		return err
	}
	switch {
	case d.spec.BlockDownlink:
		return refuse(CodeDownlinkBlocked, "device", "downlinks of device %v are blocked: clear block_downlink", a.Device)
	case d.session() == nil:
		return refuse(CodeDownlinkNoWindow, "device", "device %v has no session yet: claim again when it has joined", a.Device)
	}
	if why := e.pingless(d, a.Gateway); why != "" {
		return refuse(CodeGatewayNotLive, "gateway", "gateway %v serves no ping slots: %s. Leave gateway out", *a.Gateway, why)
	}
	if e.anytime(d) || d.spec.Multicast {
		return e.claimRXC(d, a.Gateway)
	}
	var f fingerprint
	copy(f[:], a.Device[:])
	w := &window{hash: e.packetHash(f), kind: claimWindow, insist: a.Gateway, dev: d, up: d.busy().lastUp, announced: d.session().nextApp(), index: -1}
	e.windows[w.hash] = w
	e.arm(w, time.Now().Add(claimLife))
	w.state = beforeRX2
	// The next uplink's data rate is unknown: RX2's is always possible.
	_, dr := e.cfg.Region.RX2()
	now := time.Now()
	e.publish(&DownlinkRequest{
		Meta: e.meta(d, d.session(), w.hash, e.insisted(a.Gateway)), TXTime: now, Deadline: now.Add(claimLife),
		Counter: w.announced, MaxSize: max(e.cfg.Region.MaxPayload(dr, region.Version{})-maxFOpts, 0),
	})
	return nil
}
