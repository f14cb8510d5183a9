package nsedge

import (
	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

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

// rxParamSetup gives the device the RX1 offset and the RX2 that it was
// registered with.
func rxParamSetup() setup {
	return setup{
		cid: lorawan.RXParamSetupReq, urgent: true, sticky: true, windows: true,
		want: func(e *Edge, s *session) []byte {
			freq, dr := e.rx2Of(s)
			wantFreq, wantDR, offset := freq, dr, int(s.Offset)
			spec := s.dev.spec
			if spec.RX2Freq != 0 {
				wantFreq = spec.RX2Freq
			}
			if spec.RX2DataRate != nil {
				wantDR = *spec.RX2DataRate
			}
			if spec.RX1Offset != nil {
				offset = *spec.RX1Offset
			}
			if wantFreq == freq && wantDR == dr && offset == int(s.Offset) {
				return nil
			}
			return macBytes(lorawan.RXParamSetupReq, &lorawan.RXParamSetupReqPayload{
				Frequency: uint32(wantFreq), DLSettings: lorawan.DLSettings{RX2DataRate: uint8(wantDR), RX1DROffset: uint8(offset)},
			})
		},
		answered: func(_ *Edge, s *session, commands []byte, answers [][]byte) string {
			var p lorawan.RXParamSetupReqPayload
			var a lorawan.RXParamSetupAnsPayload
			if p.UnmarshalBinary(commands[1:]) != nil || a.UnmarshalBinary(answers[0]) != nil {
				return "the answer can't be decoded"
			}
			switch {
			case !a.ChannelACK:
				return "it can't use the frequency"
			case !a.RX2DataRateACK:
				return "it can't use the RX2 data rate"
			case !a.RX1DROffsetACK:
				return "it can't use the RX1 offset"
			}
			s.RX2Freq, s.RX2DR, s.Offset = radio.Hertz(p.Frequency), int8(p.DLSettings.RX2DataRate), p.DLSettings.RX1DROffset
			return ""
		},
	}
}

// rx2Of is where the device has its RX2 now.
func (e *Edge) rx2Of(s *session) (radio.Hertz, int) {
	freq, dr := e.cfg.Region.RX2()
	if s.gen < joinedGen {
		freq, dr = e.cfg.Region.PersonalisedRX2()
	}
	if s.RX2Freq != 0 {
		freq = s.RX2Freq
	}
	if s.RX2DR >= 0 {
		dr = int(s.RX2DR)
	}
	return freq, dr
}
