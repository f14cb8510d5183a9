package nsedge

import (
	"math"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// linkCheckFields are those of LinkCheckAns (LoRaWAN 1.0.4 §5.1).
type linkCheckFields struct {
	Margin int // dB above the demodulation floor
	GwCnt  int
}

func linkCheckAns() macForm {
	return form("LinkCheckAns", 2, func(p lorawan.LinkCheckAnsPayload) any {
		return linkCheckFields{int(p.Margin), int(p.GwCnt)}
	})
}

// linkCheckDue answers a LinkCheckReq. Gateways are counted, not copies.
func (e *Edge) linkCheckDue(w *window) []byte {
	if w.r == nil || !w.r.linkCheck {
		return nil
	}
	return macBytes(lorawan.LinkCheckAns, &lorawan.LinkCheckAnsPayload{
		Margin: margin(w.up.SNR, w.up.Mod),
		GwCnt:  uint8(min(1+len(w.r.gateways), 255)),
	})
}

// margin is by how many dB an uplink was above the demodulation floor.
func margin(snr radio.DB, m radio.Modulation) uint8 {
	l, ok := m.(radio.LoRa)
	if !ok {
		return 0
	}
	return uint8(min(max(math.Floor(float64(snr-snrFloor(l))), 0), 254))
}

// snrFloor is the SNR at which a signal is just demodulated (SX1302 data sheet,
// table of SNR floors): SF7 -7.5 dB, 2.5 dB less each.
func snrFloor(l radio.LoRa) radio.DB { return -7.5 - 2.5*radio.DB(int(l.SF)-7) }
