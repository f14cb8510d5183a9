package nsedge

import (
	"slices"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// dlChannelFields are those of DlChannelReq (§5.10).
type dlChannelFields struct {
	ChIndex int
	Freq    int // in 100 Hz
}

func dlChannelReq() macForm {
	return form("DlChannelReq", 4, func(p lorawan.DLChannelReqPayload) any {
		return dlChannelFields{int(p.ChIndex), int(p.Freq / frequencyUnit)}
	})
}

// dlChannelStatus is that of DlChannelAns.
type dlChannelStatus struct {
	Status struct{ UplinkFrequencyExists, ChannelFrequencyOK bool }
}

func dlChannelAns() macForm {
	return form("DlChannelAns", 1, func(p lorawan.DLChannelAnsPayload) any {
		var f dlChannelStatus
		f.Status.UplinkFrequencyExists, f.Status.ChannelFrequencyOK = p.UplinkFrequencyExists, p.ChannelFrequencyOK
		return f
	})
}

// dlChannelSetup moves RX1 of a channel to where the device was registered to
// have it.
func dlChannelSetup() setup {
	return setup{
		cid: lorawan.DLChannelReq, urgent: true, sticky: true, windows: true,
		want: func(e *Edge, s *session) []byte {
			if !s.dev.spec.since("1.0.2") || e.cfg.Region.Group() > 0 {
				return nil
			}
			known := e.channelsOf(s)
			for _, c := range s.dev.spec.DownlinkChannels {
				if c.Index < len(known) && !slices.ContainsFunc(s.Down, func(d movedChannel) bool { return d.Index == c.Index && d.Down == c.Freq }) {
					return macBytes(lorawan.DLChannelReq, &lorawan.DLChannelReqPayload{ChIndex: uint8(c.Index), Freq: uint32(c.Freq)})
				}
			}
			return nil
		},
		answered: func(e *Edge, s *session, commands []byte, answers [][]byte) string {
			var p lorawan.DLChannelReqPayload
			var a lorawan.DLChannelAnsPayload
			if p.UnmarshalBinary(commands[1:]) != nil || a.UnmarshalBinary(answers[0]) != nil {
				return "the answer can't be decoded"
			}
			known, i := e.channelsOf(s), int(p.ChIndex)
			switch {
			case !a.UplinkFrequencyExists || i >= len(known):
				return "it has no such channel"
			case !a.ChannelFrequencyOK:
				return "it can't use the frequency"
			}
			s.Down = slices.DeleteFunc(slices.Clone(s.Down), func(m movedChannel) bool { return m.Index == i })
			s.Down = append(s.Down, movedChannel{Index: i, Up: known[i].Freq, Down: radioHertz(p.Freq)})
			return ""
		},
	}
}

// DownlinkChannel is where RX1 of a channel is: DlChannelReq.
type DownlinkChannel struct {
	Index int         `json:"index"`
	Freq  radio.Hertz `json:"freq"`
}

func radioHertz(f uint32) radio.Hertz { return radio.Hertz(f) }
