package nsedge

import "github.com/brocaar/lorawan"

// minorVersion is a field of RekeyInd and ResetInd and of their answers.
type minorVersion struct{ Minor int }

type deviceVersion struct {
	Version minorVersion `json:"Dev_LoRaWAN_version"`
}

type serverVersion struct {
	Version minorVersion `json:"Serv_LoRaWAN_version"`
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

// minorServed is the 1 of LoRaWAN 1.1.
const minorServed = 1

// rekeyAnswer answers RekeyInd (LoRaWAN 1.1 §5.11): a device sends it in all
// uplinks of a joined session until it hears the answer. nil is none.
func (s *session) rekeyAnswer(b []byte) []byte {
	if !s.v11 || s.dev.spec.Activation != OTAA || b[0]&15 < minorServed {
		return nil
	}
	return []byte{byte(lorawan.RekeyConf), minorServed}
}
