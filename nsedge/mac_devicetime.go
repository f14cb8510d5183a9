package nsedge

import (
	"time"

	"github.com/brocaar/lorawan"
)

// deviceTimeFields are those of DeviceTimeAns (LoRaWAN 1.0.4 §5.9).
type deviceTimeFields struct {
	Seconds    int64 // since the GPS epoch
	Fractional int   // of a second, in 1/256
}

func deviceTimeAns() macForm {
	return form("DeviceTimeAns", 5, func(p lorawan.DeviceTimeAnsPayload) any {
		t := p.TimeSinceGPSEpoch
		return deviceTimeFields{int64(t / time.Second), int(t % time.Second * 256 / time.Second)}
	})
}

// deviceTimeDue answers a DeviceTimeReq with the time at the end of the
// uplink, unless the clock is not trusted: no answer is better than a wrong
// one.
func (e *Edge) deviceTimeDue(w *window) []byte {
	if w.r == nil || !w.r.deviceTime {
		return nil
	}
	t := e.gps(&w.up, w.up.Time)
	if t == 0 {
		return nil
	}
	return macBytes(lorawan.DeviceTimeAns, &lorawan.DeviceTimeAnsPayload{TimeSinceGPSEpoch: t})
}
