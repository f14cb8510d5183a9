package nsedge

import "github.com/brocaar/lorawan"

// devStatusFields are those of DevStatusAns (LoRaWAN 1.0.4 §5.5).
type devStatusFields struct {
	Battery int // 0 external, 1-254 level, 255 unknown
	Margin  int // dB, of the DevStatusReq
}

func devStatusAns() macForm {
	return form("DevStatusAns", 2, func(p lorawan.DevStatusAnsPayload) any {
		return devStatusFields{int(p.Battery), int(p.Margin)}
	})
}

// status is how far a status_request has come.
type status struct {
	wanted bool // an AS waits for it
	asked  bool // DevStatusReq was on the air, the next uplink should answer
	tries  int
}

// maxStatusTries is how often DevStatusReq is sent before the AS is told that
// there is no answer.
const maxStatusTries = 3

// answerStatus takes a status_request: DevStatusReq goes out with the next
// downlink, or at once (ask.go).
func (e *Edge) answerStatus(a StatusRequest) error {
	d, err := e.live(a.Device, a.Gateway)
	if err != nil {
		return err
	}
	if d.spec.BlockDownlink {
		return refuse(CodeDownlinkBlocked, "device", "downlinks of device %v are blocked, so it can't be asked: clear block_downlink", a.Device)
	}
	if d.spec.Multicast {
		return refuse(CodeDownlinkNoWindow, "device", "%v is a multicast group: ask its devices", a.Device)
	}
	if d.session() == nil {
		return refuse(CodeDownlinkNoWindow, "device", "device %v has no session yet: ask again when it has joined", a.Device)
	}
	d.busy().status = status{wanted: true}
	e.askNow(d)
	return nil
}

func (e *Edge) devStatusDue(w *window) []byte {
	if w.dev.traffic == nil || !w.dev.status.wanted {
		return nil
	}
	return []byte{byte(lorawan.DevStatusReq)}
}

// devStatusSent notes that the request was on the air.
func (d *device) devStatusSent() {
	d.busy().status.asked = true
	d.status.tries++
}

func (e *Edge) devStatusAnswered(r *reception, s *session, b []byte) {
	var p lorawan.DevStatusAnsPayload
	if p.UnmarshalBinary(b) != nil {
		return // never: eachMAC saw to the length
	}
	if s.dev.traffic != nil {
		s.dev.status = status{}
	}
	m := e.meta(s.dev, s, r.hash, r.first.Gateway)
	e.publish(&StatusResponse{Meta: m, Battery: p.Battery, SNR: p.Margin, RXTime: r.first.Time})
	e.notice(Info, CodeStatusDelivered, m, "the device's status was delivered")
}

// devStatusMissing deals with an uplink that should have had the answer.
func (e *Edge) devStatusMissing(r *reception, s *session) {
	if s.dev.traffic == nil || !s.dev.status.asked {
		return
	}
	st := &s.dev.status
	st.asked = false
	if st.tries < maxStatusTries {
		return // it is sent again
	}
	tries := st.tries
	*st = status{}
	e.noticef(Error, CodeStatusNoAnswer, e.meta(s.dev, s, r.hash, r.first.Gateway), "the device did not answer DevStatusReq, %d times: it may not hear the gateway, or not know the command", tries)
}
