package nsedge

import "github.com/brocaar/lorawan"

// rejoinParamFields are those of RejoinParamSetupReq (LoRaWAN 1.1 §5.15).
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

// RejoinParam are the exponents of RejoinParamSetupReq: the device sends a
// rejoin-request of type 0 at least every 2^(Time+10) s and 2^(Count+4) uplinks.
type RejoinParam struct {
	Time  int `json:"time_n"`  // 0 to 15
	Count int `json:"count_n"` // 0 to 15
}

// rejoinParamSetup makes the device renew its session now and then.
func rejoinParamSetup() setup {
	return setup{
		cid: lorawan.RejoinParamSetupReq, urgent: true,
		want: func(_ *Edge, s *session) []byte {
			wanted := s.dev.spec.RejoinParam
			if wanted == nil || !s.v11 || s.dev.spec.Activation != OTAA || same(wanted, s.RejoinParam) {
				return nil
			}
			return macBytes(lorawan.RejoinParamSetupReq, &lorawan.RejoinParamSetupReqPayload{MaxTimeN: uint8(wanted.Time), MaxCountN: uint8(wanted.Count)})
		},
		answered: func(_ *Edge, s *session, commands []byte, _ [][]byte) string {
			s.RejoinParam = &RejoinParam{int(commands[1] >> 4), int(commands[1] & 15)}
			return "" // without TimeOK the device has no clock: it counts uplinks
		},
	}
}
