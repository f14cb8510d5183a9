package nsedge

import "github.com/brocaar/lorawan"

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
