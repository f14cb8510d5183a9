package nsedge

import "github.com/brocaar/lorawan"

// newChannelFields are those of NewChannelReq (LoRaWAN 1.0.4 §5.6).
type newChannelFields struct {
	ChIndex int
	Freq    int // in 100 Hz
	DrRange struct{ MaxDR, MinDR int }
}

func newChannelReq() macForm {
	return form("NewChannelReq", 5, func(p lorawan.NewChannelReqPayload) any {
		f := newChannelFields{ChIndex: int(p.ChIndex), Freq: int(p.Freq / frequencyUnit)}
		f.DrRange.MaxDR, f.DrRange.MinDR = int(p.MaxDR), int(p.MinDR)
		return f
	})
}

// newChannelStatus is that of NewChannelAns.
type newChannelStatus struct {
	Status struct{ DataRateRangeOK, ChannelFrequencyOK bool }
}

func newChannelAns() macForm {
	return form("NewChannelAns", 1, func(p lorawan.NewChannelAnsPayload) any {
		var f newChannelStatus
		f.Status.DataRateRangeOK, f.Status.ChannelFrequencyOK = p.DataRateRangeOK, p.ChannelFrequencyOK
		return f
	})
}

// dlChannelFields are those of DlChannelReq (§5.10).
type dlChannelFields struct {
	ChIndex int
	Freq    int // in 100 Hz
}

func dlChannelReq() macForm {
	return form("DlChannelReq", 4, func(p lorawan.DLChannelReqPayload) any {
		return dlChannelFields{int(p.ChIndex), int(p.Freq / frequencyUnit)}
	})
}

// dlChannelStatus is that of DlChannelAns.
type dlChannelStatus struct {
	Status struct{ UplinkFrequencyExists, ChannelFrequencyOK bool }
}

func dlChannelAns() macForm {
	return form("DlChannelAns", 1, func(p lorawan.DLChannelAnsPayload) any {
		var f dlChannelStatus
		f.Status.UplinkFrequencyExists, f.Status.ChannelFrequencyOK = p.UplinkFrequencyExists, p.ChannelFrequencyOK
		return f
	})
}
