package nsedge

import "github.com/brocaar/lorawan"

// linkADRFields are those of LinkADRReq (LoRaWAN 1.0.4 §5.2).
type linkADRFields struct {
	Rate struct {
		DataRate int
		TXPower  int
	} `json:"DataRate_TXPower"`
	ChMask     int
	Redundancy struct {
		ChMaskCntl int
		NbTrans    int
	}
}

func linkADRReq() macForm {
	return form("LinkADRReq", 4, func(p lorawan.LinkADRReqPayload) any {
		var f linkADRFields
		f.Rate.DataRate, f.Rate.TXPower = int(p.DataRate), int(p.TXPower)
		for i, on := range p.ChMask {
			if on {
				f.ChMask |= 1 << i
			}
		}
		f.Redundancy.ChMaskCntl, f.Redundancy.NbTrans = int(p.Redundancy.ChMaskCntl), int(p.Redundancy.NbRep)
		return f
	})
}

// linkADRStatus is that of LinkADRAns.
type linkADRStatus struct {
	Status struct{ PowerACK, DataRateACK, ChannelMaskACK bool }
}

func linkADRAns() macForm {
	return form("LinkADRAns", 1, func(p lorawan.LinkADRAnsPayload) any {
		var f linkADRStatus
		f.Status.PowerACK, f.Status.DataRateACK, f.Status.ChannelMaskACK = p.PowerACK, p.DataRateACK, p.ChannelMaskACK
		return f
	})
}
