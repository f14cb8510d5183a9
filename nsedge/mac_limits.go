package nsedge

import "github.com/brocaar/lorawan"

// dutyCycleFields are those of DutyCycleReq (LoRaWAN 1.0.4 §5.3).
type dutyCycleFields struct{ MaxDCycle int }

func dutyCycleReq() macForm {
	return form("DutyCycleReq", 1, func(p lorawan.DutyCycleReqPayload) any { return dutyCycleFields{int(p.MaxDCycle)} })
}

// txParamFields are those of TxParamSetupReq (§5.8).
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

// adrParamFields are those of ADRParamSetupReq (LoRaWAN 1.1 §5.12).
type adrParamFields struct {
	ADRparam struct {
		LimitExp int `json:"Limit_exp"`
		DelayExp int `json:"Delay_exp"`
	}
}

func adrParamSetupReq() macForm {
	return form("ADRParamSetupReq", 1, func(p lorawan.ADRParamSetupReqPayload) any {
		var f adrParamFields
		f.ADRparam.LimitExp, f.ADRparam.DelayExp = int(p.ADRParam.LimitExp), int(p.ADRParam.DelayExp)
		return f
	})
}
