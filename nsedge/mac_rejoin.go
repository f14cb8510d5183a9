package nsedge

import "github.com/brocaar/lorawan"

// Commands of LoRaWAN 1.1 about versions, keys and joins; and the class of
// 1.1's DeviceMode. They are shown only.

type minorVersion struct{ Minor int }

type deviceVersion struct {
	Version minorVersion `json:"Dev_LoRaWAN_version"`
}

type serverVersion struct {
	Version minorVersion `json:"Serv_LoRaWAN_version"`
}

func resetInd() macForm {
	return form("ResetInd", 1, func(p lorawan.ResetIndPayload) any {
		return deviceVersion{minorVersion{int(p.DevLoRaWANVersion.Minor)}}
	})
}

func resetConf() macForm {
	return form("ResetConf", 1, func(p lorawan.ResetConfPayload) any {
		return serverVersion{minorVersion{int(p.ServLoRaWANVersion.Minor)}}
	})
}

func rekeyInd() macForm {
	return form("RekeyInd", 1, func(p lorawan.RekeyIndPayload) any {
		return deviceVersion{minorVersion{int(p.DevLoRaWANVersion.Minor)}}
	})
}

func rekeyConf() macForm {
	return form("RekeyConf", 1, func(p lorawan.RekeyConfPayload) any {
		return serverVersion{minorVersion{int(p.ServLoRaWANVersion.Minor)}}
	})
}

// forceRejoinFields are those of ForceRejoinReq (§5.13).
type forceRejoinFields struct {
	Period     int
	MaxRetries int `json:"Max_Retries"`
	RejoinType int
	DR         int
}

func forceRejoinReq() macForm {
	return form("ForceRejoinReq", 2, func(p lorawan.ForceRejoinReqPayload) any {
		return forceRejoinFields{int(p.Period), int(p.MaxRetries), int(p.RejoinType), int(p.DR)}
	})
}

// rejoinParamFields are those of RejoinParamSetupReq (§5.14).
type rejoinParamFields struct{ MaxTimeN, MaxCountN int }

func rejoinParamSetupReq() macForm {
	return form("RejoinParamSetupReq", 1, func(p lorawan.RejoinParamSetupReqPayload) any {
		return rejoinParamFields{int(p.MaxTimeN), int(p.MaxCountN)}
	})
}

type rejoinParamStatus struct{ Status struct{ TimeOK bool } }

func rejoinParamSetupAns() macForm {
	return form("RejoinParamSetupAns", 1, func(p lorawan.RejoinParamSetupAnsPayload) any {
		var f rejoinParamStatus
		f.Status.TimeOK = p.TimeOK
		return f
	})
}

type deviceModeFields struct{ Class int }

func deviceMode(name string) macForm {
	return form(name, 1, func(p lorawan.DeviceModeIndPayload) any { return deviceModeFields{int(p.Class)} })
}
