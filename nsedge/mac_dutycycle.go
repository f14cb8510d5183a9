package nsedge

import "github.com/brocaar/lorawan"

// dutyCycleFields are those of DutyCycleReq (LoRaWAN 1.0.4 §5.3).
type dutyCycleFields struct{ MaxDCycle int }

func dutyCycleReq() macForm {
	return form("DutyCycleReq", 1, func(p lorawan.DutyCycleReqPayload) any { return dutyCycleFields{int(p.MaxDCycle)} })
}

// dutyCycleSetup gives the device the duty cycle that it was registered with.
func dutyCycleSetup() setup {
	return setup{
		cid: lorawan.DutyCycleReq, urgent: true,
		want: func(_ *Edge, s *session) []byte {
			if d := s.dev.spec.MaxDutyCycle; d != nil && *d != int(s.MaxDuty) {
				return macBytes(lorawan.DutyCycleReq, &lorawan.DutyCycleReqPayload{MaxDCycle: uint8(*d)})
			}
			return nil
		},
		answered: func(_ *Edge, s *session, commands []byte, _ [][]byte) string {
			s.MaxDuty = commands[1]
			return "" // DutyCycleAns can't say no
		},
	}
}
