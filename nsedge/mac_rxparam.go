package nsedge

import "github.com/brocaar/lorawan"

// unit of frequencies in MAC commands: 100 Hz.
const frequencyUnit = 100

// rxParamFields are those of RXParamSetupReq (LoRaWAN 1.0.4 §5.4).
type rxParamFields struct {
	DLsettings struct {
		RX1DRoffset int
		RX2DataRate int
	}
	Frequency int // in 100 Hz
}

func rxParamSetupReq() macForm {
	return form("RXParamSetupReq", 4, func(p lorawan.RXParamSetupReqPayload) any {
		var f rxParamFields
		f.DLsettings.RX1DRoffset, f.DLsettings.RX2DataRate = int(p.DLSettings.RX1DROffset), int(p.DLSettings.RX2DataRate)
		f.Frequency = int(p.Frequency / frequencyUnit)
		return f
	})
}

// rxParamStatus is that of RXParamSetupAns.
type rxParamStatus struct {
	Status struct{ RX1DRoffsetACK, RX2DataRateACK, ChannelACK bool }
}

func rxParamSetupAns() macForm {
	return form("RXParamSetupAns", 1, func(p lorawan.RXParamSetupAnsPayload) any {
		var f rxParamStatus
		f.Status.RX1DRoffsetACK, f.Status.RX2DataRateACK, f.Status.ChannelACK = p.RX1DROffsetACK, p.RX2DataRateACK, p.ChannelACK
		return f
	})
}

// rxTimingFields are those of RXTimingSetupReq (§5.7).
type rxTimingFields struct {
	Settings struct{ Del int } // seconds
}

func rxTimingSetupReq() macForm {
	return form("RXTimingSetupReq", 1, func(p lorawan.RXTimingSetupReqPayload) any {
		var f rxTimingFields
		f.Settings.Del = int(p.Delay)
		return f
	})
}
