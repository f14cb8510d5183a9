package nsedge

import (
	"github.com/brocaar/lorawan"
	"slices"

	"gatewayd/radio"
)

// Commands of class B (TS001-1.0.4 §14).

type pingSlotInfoFields struct {
	PingSlotParam struct{ Periodicity int }
}

func pingSlotInfoReq() macForm {
	return form("PingSlotInfoReq", 1, func(p lorawan.PingSlotInfoReqPayload) any {
		var f pingSlotInfoFields
		f.PingSlotParam.Periodicity = int(p.Periodicity)
		return f
	})
}

type pingSlotChannelFields struct {
	Frequency int // in 100 Hz
	DR        int
}

func pingSlotChannelReq() macForm {
	return form("PingSlotChannelReq", 4, func(p lorawan.PingSlotChannelReqPayload) any {
		return pingSlotChannelFields{int(p.Frequency / frequencyUnit), int(p.DR)}
	})
}

type pingSlotChannelStatus struct {
	Status struct{ DataRateOK, ChannelFrequencyOK bool }
}

func pingSlotChannelAns() macForm {
	return form("PingSlotChannelAns", 1, func(p lorawan.PingSlotChannelAnsPayload) any {
		var f pingSlotChannelStatus
		f.Status.DataRateOK, f.Status.ChannelFrequencyOK = p.DataRateOK, p.ChannelFrequencyOK
		return f
	})
}

type beaconFreqFields struct {
	Frequency int // in 100 Hz
}

func beaconFreqReq() macForm {
	return form("BeaconFreqReq", 3, func(p lorawan.BeaconFreqReqPayload) any {
		return beaconFreqFields{int(p.Frequency / frequencyUnit)}
	})
}

type beaconFreqStatus struct {
	Status struct{ BeaconFrequencyOK bool }
}

func beaconFreqAns() macForm {
	return form("BeaconFreqAns", 1, func(p lorawan.BeaconFreqAnsPayload) any {
		var f beaconFreqStatus
		f.Status.BeaconFrequencyOK = p.BeaconFrequencyOK
		return f
	})
}

// pingSlotInfoDue answers a PingSlotInfoReq of a device that is registered
// with class B; others are left without, and stay in class A (TS001-1.0.4 §14.1).
func pingSlotInfoDue(w *window) []byte {
	if w.r == nil || !w.r.pingInfo || w.dev.spec.Class != "B" {
		return nil
	}
	return []byte{byte(lorawan.PingSlotInfoAns)}
}

// pingSlotChannelSetup moves the ping slots to where they were registered.
func pingSlotChannelSetup() setup {
	return setup{
		cid: lorawan.PingSlotChannelReq, urgent: true, sticky: true, windows: true,
		want: func(e *Edge, s *session) []byte {
			spec, p := s.dev.spec.PingSlots, s.pings()
			if s.dev.spec.Class != "B" || spec.Freq == 0 && spec.DataRate == nil {
				return nil
			}
			_, dr := e.pingChannel(s, 0)
			freq, wantDR := p.Freq, dr
			if spec.Freq != 0 {
				freq = spec.Freq
			}
			if spec.DataRate != nil {
				wantDR = *spec.DataRate
			}
			if freq == p.Freq && wantDR == dr {
				return nil
			}
			return macBytes(lorawan.PingSlotChannelReq, &lorawan.PingSlotChannelReqPayload{Frequency: uint32(freq), DR: uint8(wantDR)})
		},
		answered: func(_ *Edge, s *session, commands []byte, answers [][]byte) string {
			var p lorawan.PingSlotChannelReqPayload
			var a lorawan.PingSlotChannelAnsPayload
			if p.UnmarshalBinary(commands[1:]) != nil || a.UnmarshalBinary(answers[0]) != nil {
				return "the answer can't be decoded"
			}
			switch {
			case !a.ChannelFrequencyOK:
				return "it can't use the frequency"
			case !a.DataRateOK:
				return "it can't use the data rate"
			}
			now := s.pings()
			now.Freq, now.DR = radio.Hertz(p.Frequency), int8(p.DR)
			s.Ping = &now
			return ""
		},
	}
}

// beaconFreqSetup tells class B devices where the gateway has its beacons.
func beaconFreqSetup() setup {
	return setup{
		cid: lorawan.BeaconFreqReq, urgent: true,
		want: func(e *Edge, s *session) []byte {
			if s.dev.spec.Class != "B" || e.cfg.ClassB == ClassBOff || !slices.ContainsFunc(e.gateways, func(g *gateway) bool { return g.Clock != nil }) || s.pings().Beacon == e.cfg.BeaconFreq {
				return nil
			}
			return macBytes(lorawan.BeaconFreqReq, &lorawan.BeaconFreqReqPayload{Frequency: uint32(e.cfg.BeaconFreq)})
		},
		answered: func(_ *Edge, s *session, commands []byte, answers [][]byte) string {
			var p lorawan.BeaconFreqReqPayload
			var a lorawan.BeaconFreqAnsPayload
			if p.UnmarshalBinary(commands[1:]) != nil || a.UnmarshalBinary(answers[0]) != nil {
				return "the answer can't be decoded"
			}
			if !a.BeaconFrequencyOK {
				return "it can't use the frequency"
			}
			now := s.pings()
			now.Beacon = radio.Hertz(p.Frequency)
			s.Ping = &now
			return ""
		},
	}
}

// cidBeaconTiming is BeaconTimingReq and its answer of LoRaWAN 1.0.2 and
// before. Since 1.0.3 it is deprecated for DeviceTimeReq, which tells more: it is
// shown, not answered.
const cidBeaconTiming lorawan.CID = 0x12

type beaconTimingFields struct {
	Delay   int // in 30 ms
	Channel int
}

func beaconTimingAns() macForm {
	return macForm{name: "BeaconTimingAns", size: 3, show: func(b []byte) (any, error) {
		return beaconTimingFields{int(b[0]) | int(b[1])<<8, int(b[2])}, nil
	}}
}
