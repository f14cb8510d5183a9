package nsedge

import "github.com/brocaar/lorawan"

// Commands of class B (LoRaWAN 1.0.4 §12). They are shown only.

type pingSlotInfoFields struct {
	PingSlotParam struct{ Periodicity int }
}

func pingSlotInfoReq() macForm {
	return form("PingSlotInfoReq", 1, func(p lorawan.PingSlotInfoReqPayload) any {
		var f pingSlotInfoFields
		f.PingSlotParam.Periodicity = int(p.Periodicity)
		return f
	})
}

type pingSlotChannelFields struct {
	Frequency int // in 100 Hz
	DR        int
}

func pingSlotChannelReq() macForm {
	return form("PingSlotChannelReq", 4, func(p lorawan.PingSlotChannelReqPayload) any {
		return pingSlotChannelFields{int(p.Frequency / frequencyUnit), int(p.DR)}
	})
}

type pingSlotChannelStatus struct {
	Status struct{ DataRateOK, ChannelFrequencyOK bool }
}

func pingSlotChannelAns() macForm {
	return form("PingSlotChannelAns", 1, func(p lorawan.PingSlotChannelAnsPayload) any {
		var f pingSlotChannelStatus
		f.Status.DataRateOK, f.Status.ChannelFrequencyOK = p.DataRateOK, p.ChannelFrequencyOK
		return f
	})
}

type beaconFreqFields struct {
	Frequency int // in 100 Hz
}

func beaconFreqReq() macForm {
	return form("BeaconFreqReq", 3, func(p lorawan.BeaconFreqReqPayload) any {
		return beaconFreqFields{int(p.Frequency / frequencyUnit)}
	})
}

type beaconFreqStatus struct {
	Status struct{ BeaconFrequencyOK bool }
}

func beaconFreqAns() macForm {
	return form("BeaconFreqAns", 1, func(p lorawan.BeaconFreqAnsPayload) any {
		var f beaconFreqStatus
		f.Status.BeaconFrequencyOK = p.BeaconFrequencyOK
		return f
	})
}
