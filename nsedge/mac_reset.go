package nsedge

import "github.com/brocaar/lorawan"

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

// resetAnswer answers ResetInd (LoRaWAN 1.1 §5.2): a personalised device sends
// it after a reset, in all uplinks until it hears the answer. nil is none.
func (s *session) resetAnswer(b []byte) []byte {
	if !s.v11 || s.dev.spec.Activation != ABP || b[0]&15 < minorServed {
		return nil
	}
	return []byte{byte(lorawan.ResetConf), minorServed}
}

// resetIndicated takes the device to have its factory settings; its counters
// go on.
func (e *Edge) resetIndicated(s *session, b []byte) {
	if s.resetAnswer(b) != nil {
		e.forgetSettings(s)
	}
}
