package nsedge

import (
	"slices"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/region"
)

// newChannelFields are those of NewChannelReq (LoRaWAN 1.0.4 §5.6).
type newChannelFields struct {
	ChIndex int
	Freq    int // in 100 Hz
	DrRange struct{ MaxDR, MinDR int }
}

func newChannelReq() macForm {
	return form("NewChannelReq", 5, func(p lorawan.NewChannelReqPayload) any {
		f := newChannelFields{ChIndex: int(p.ChIndex), Freq: int(p.Freq / frequencyUnit)}
		f.DrRange.MaxDR, f.DrRange.MinDR = int(p.MaxDR), int(p.MinDR)
		return f
	})
}

// newChannelStatus is that of NewChannelAns.
type newChannelStatus struct {
	Status struct{ DataRateRangeOK, ChannelFrequencyOK bool }
}

func newChannelAns() macForm {
	return form("NewChannelAns", 1, func(p lorawan.NewChannelAnsPayload) any {
		var f newChannelStatus
		f.Status.DataRateRangeOK, f.Status.ChannelFrequencyOK = p.DataRateRangeOK, p.ChannelFrequencyOK
		return f
	})
}

// newChannelSetup gives the device the gateway's channels for which the CFList
// of its join-accept had no room. Who made its own join-accept, or was
// personalised, has the channels that its maker wanted.
func newChannelSetup() setup {
	return setup{
		cid: lorawan.NewChannelReq,
		want: func(e *Edge, s *session) []byte {
			if s.gen < joinedGen || s.dev.spec.Encryption != KeysAtNS || e.cfg.Region.Group() > 0 {
				return nil
			}
			known := e.channelsOf(s)
			for _, f := range e.cfg.Region.Plan().MultiSF {
				if slices.ContainsFunc(known, func(c region.Channel) bool { return c.Freq == f }) {
					continue
				}
				index := 0
				for slices.ContainsFunc(known, func(c region.Channel) bool { return c.Index == index }) {
					index++
				}
				if index >= region.MaxChannels { // an AS gave it others
					return nil
				}
				return macBytes(lorawan.NewChannelReq, &lorawan.NewChannelReqPayload{
					ChIndex: uint8(index), Freq: uint32(f), MinDR: uint8(known[0].MinDR), MaxDR: uint8(known[0].MaxDR),
				})
			}
			return nil
		},
		answered: func(_ *Edge, s *session, commands []byte, answers [][]byte) string {
			var p lorawan.NewChannelReqPayload
			var a lorawan.NewChannelAnsPayload
			if p.UnmarshalBinary(commands[1:]) != nil || a.UnmarshalBinary(answers[0]) != nil {
				return "the answer can't be decoded"
			}
			switch {
			case !a.ChannelFrequencyOK:
				return "it can't use the frequency"
			case !a.DataRateRangeOK:
				return "it can't use the data rates"
			}
			s.Extra = slices.DeleteFunc(slices.Clone(s.Extra), func(c region.Channel) bool { return c.Index == int(p.ChIndex) })
			if p.Freq == 0 {
				return "" // it is taken away
			}
			s.Extra = append(s.Extra, region.Channel{Index: int(p.ChIndex), Freq: radioHertz(p.Freq), MinDR: int(p.MinDR), MaxDR: int(p.MaxDR)})
			return ""
		},
	}
}
