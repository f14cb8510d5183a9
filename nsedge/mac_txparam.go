package nsedge

import (
	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/region"
)

// txParamFields are those of TxParamSetupReq (LoRaWAN 1.0.4 §5.8).
type txParamFields struct {
	EIRPDwellTime struct {
		DownlinkDwellTime int
		UplinkDwellTime   int
		MaxEIRP           int // coded: 5 is 16 dBm
	} `json:"EIRP_DwellTime"`
}

func txParamSetupReq() macForm {
	return form("TxParamSetupReq", 1, func(p lorawan.TXParamSetupReqPayload) any {
		var f txParamFields
		f.EIRPDwellTime.DownlinkDwellTime = int(p.DownlinkDwelltime)
		f.EIRPDwellTime.UplinkDwellTime = int(p.UplinkDwellTime)
		f.EIRPDwellTime.MaxEIRP = int(p.MaxEIRP)
		return f
	})
}

// txParamSetup tells the device the dwell times of the gateway's region where
// they are not those that it assumes after its reset (AU915, AS923).
func txParamSetup() setup {
	return setup{
		cid: lorawan.TXParamSetupReq, urgent: true, sticky: true, windows: true,
		want: func(e *Edge, s *session) []byte {
			want := e.cfg.Region.Dwell()
			now := e.regionOf(s).Dwell()
			if now == want || !e.cfg.Region.HasTXParamSetup() || !s.dev.spec.since("1.0.2") {
				return nil
			}
			p := &lorawan.TXParamSetupReqPayload{MaxEIRP: codedEIRP(float64(e.cfg.Region.MaxEIRP()))}
			if want.Uplink {
				p.UplinkDwellTime = lorawan.DwellTime400ms
			}
			if want.Downlink {
				p.DownlinkDwelltime = lorawan.DwellTime400ms
			}
			return macBytes(lorawan.TXParamSetupReq, p)
		},
		answered: func(_ *Edge, s *session, commands []byte, _ [][]byte) string {
			var p lorawan.TXParamSetupReqPayload
			if err := p.UnmarshalBinary(commands[1:2]); err != nil {
				return err.Error()
			}
			s.Dwell = &region.Dwell{Uplink: p.UplinkDwellTime == lorawan.DwellTime400ms, Downlink: p.DownlinkDwelltime == lorawan.DwellTime400ms}
			return ""
		},
	}
}

// codedEIRP is the code of the highest power that is not above eirp, dBm
// (LoRaWAN 1.0.4 §5.8, table 15).
func codedEIRP(eirp float64) uint8 {
	for code := uint8(15); code > 0; code-- {
		if p, err := lorawan.GetTXParamSetupEIRP(code); err == nil && float64(p) <= eirp {
			return code
		}
	}
	return 0
}
