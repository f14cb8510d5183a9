package nsedge

import "github.com/brocaar/lorawan"

type deviceModeFields struct{ Class int }

func deviceMode(name string) macForm {
	return form(name, 1, func(p lorawan.DeviceModeIndPayload) any { return deviceModeFields{int(p.Class)} })
}

// classByMode is the class that DeviceModeInd means (LoRaWAN 1.1 §18.1); ""
// is a reserved one.
func classByMode(b []byte) string {
	switch lorawan.DeviceModeClass(b[0]) {
	case lorawan.DeviceModeClassA:
		return "A"
	case lorawan.DeviceModeClassC:
		return "C"
	}
	return ""
}

// modeAnswer answers DeviceModeInd; nil is no answer.
func (s *session) modeAnswer(b []byte) []byte {
	if !s.v11 || classByMode(b) == "" {
		return nil
	}
	return []byte{byte(lorawan.DeviceModeConf), b[0]}
}

// modeIndicated notes whether the device listens all the time from now on.
func (e *Edge) modeIndicated(s *session, b []byte) {
	if s.modeAnswer(b) == nil || s.Mode == classByMode(b) {
		return
	}
	s.Mode = classByMode(b)
	s.ordering().dirty = true
	e.saveSettings(s)
}
