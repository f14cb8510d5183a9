package nsedge

import (
	"context"
	"fmt"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// forceRejoinFields are those of ForceRejoinReq (LoRaWAN 1.1 §5.14).
type forceRejoinFields struct {
	Period     int
	MaxRetries int `json:"Max_Retries"`
	RejoinType int
	DR         int
}

func forceRejoinReq() macForm {
	return form("ForceRejoinReq", 2, func(p lorawan.ForceRejoinReqPayload) any {
		return forceRejoinFields{int(p.Period), int(p.MaxRetries), int(p.RejoinType), int(p.DR)}
	})
}

// forced is a rejoin that was asked for.
type forced struct {
	wanted bool
	kind   lorawan.JoinType
	tries  int // how often ForceRejoinReq was on the air
	asked  bool
}

const (
	maxForceTries = 3
	forceRetries  = 3 // Max_Retries: of the rejoin-request, by the device
	forcePeriod   = 0 // of these: 32 s, and a random part
)

// ForceRejoin asks a device of LoRaWAN 1.1 for a rejoin-request with the next
// downlink: type 0 gives it a new session and resets its radio, type 2 gives
// it new keys and a new address and leaves the radio as it is. A *[Refusal]
// says why that is not possible.
func (e *Edge) ForceRejoin(ctx context.Context, eui radio.EUI64, kind int) error {
	var err error
	if ctxErr := e.do(ctx, func() { err = e.forceRejoin(eui, kind) }); ctxErr != nil {
		err = ctxErr
	}
	if err != nil {
		return fmt.Errorf("force a rejoin of device %v: %w", eui, err)
	}
	return nil
}

func (e *Edge) forceRejoin(eui radio.EUI64, kind int) error {
	d, err := e.live(eui, nil)
	if err != nil {
		return err
	}
	s := d.session()
	switch {
	case kind != int(lorawan.RejoinRequestType0) && kind != int(lorawan.RejoinRequestType2):
		return refuse(CodeDeviceInvalid, "type", "%d: a device can be asked for a rejoin-request of type 0 (session and radio) or 2 (keys and address)", kind)
	case s == nil || !s.v11 || d.spec.Activation != OTAA:
		return refuse(CodeRejoinUnsupported, "device", "device %v has no joined session of LoRaWAN 1.1: only such a device can rejoin", eui)
	case d.spec.BlockDownlink:
		return refuse(CodeDownlinkBlocked, "device", "downlinks of device %v are blocked, so it can't be asked: clear block_downlink", eui)
	}
	d.busy().force = forced{wanted: true, kind: lorawan.JoinType(kind)}
	e.askNow(d)
	return nil
}

func (e *Edge) forceRejoinDue(w *window) []byte {
	if w.dev.traffic == nil || !w.dev.force.wanted || !w.s.v11 {
		return nil
	}
	dr := max(w.dr, 0)
	return macBytes(lorawan.ForceRejoinReq, &lorawan.ForceRejoinReqPayload{
		Period: forcePeriod, MaxRetries: forceRetries, RejoinType: uint8(w.dev.force.kind), DR: uint8(dr),
	})
}

// forceRejoinSent notes that the command was on the air.
func (d *device) forceRejoinSent() {
	d.busy().force.asked = true
	d.force.tries++
}

// forceRejoinMissing deals with an uplink before which the device should have
// sent a rejoin-request.
func (e *Edge) forceRejoinMissing(r *reception, s *session) {
	if s.dev.traffic == nil || !s.dev.force.asked {
		return
	}
	f := &s.dev.force
	f.asked = false
	if f.tries < maxForceTries {
		return // it is sent again
	}
	*f = forced{}
	e.noticef(Warning, CodeMACNoAnswer, e.meta(s.dev, s, r.hash, r.first.Gateway),
		"the device did not send a rejoin-request after ForceRejoinReq, %d times: it may not hear the gateway, or not know the command", maxForceTries)
}
