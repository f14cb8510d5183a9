package nsedge

import "github.com/brocaar/lorawan"

// adrParamFields are those of ADRParamSetupReq (LoRaWAN 1.1 §5.13).
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

// ADRParam are the exponents of ADRParamSetupReq: ADR_ACK_LIMIT and
// ADR_ACK_DELAY are 2^n uplinks.
type ADRParam struct {
	Limit int `json:"limit_exp"` // 0 to 15
	Delay int `json:"delay_exp"` // 0 to 15
}

// defaultADRParam are ADR_ACK_LIMIT 64 and ADR_ACK_DELAY 32 (RP002 §2.3).
var defaultADRParam = ADRParam{6, 5}

// adrParamSetup tells the device after how many uplinks without a downlink it
// is to ask for one.
func adrParamSetup() setup {
	return setup{
		cid: lorawan.ADRParamSetupReq, urgent: true,
		want: func(_ *Edge, s *session) []byte {
			wanted, has := s.dev.spec.ADRParam, defaultADRParam
			if s.ADRParam != nil {
				has = *s.ADRParam
			}
			if wanted == nil || !s.v11 || *wanted == has {
				return nil
			}
			return macBytes(lorawan.ADRParamSetupReq, &lorawan.ADRParamSetupReqPayload{
				ADRParam: lorawan.ADRParam{LimitExp: uint8(wanted.Limit), DelayExp: uint8(wanted.Delay)},
			})
		},
		answered: func(_ *Edge, s *session, commands []byte, _ [][]byte) string {
			s.ADRParam = &ADRParam{int(commands[1] >> 4), int(commands[1] & 15)}
			return "" // ADRParamSetupAns can't say no
		},
	}
}
