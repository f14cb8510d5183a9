package nsedge

import "github.com/brocaar/lorawan"

// linkADRFields are those of LinkADRReq (LoRaWAN 1.0.4 §5.2).
type linkADRFields struct {
	Rate struct {
		DataRate int
		TXPower  int
	} `json:"DataRate_TXPower"`
	ChMask     int
	Redundancy struct {
		ChMaskCntl int
		NbTrans    int
	}
}

func linkADRReq() macForm {
	return form("LinkADRReq", 4, func(p lorawan.LinkADRReqPayload) any {
		var f linkADRFields
		f.Rate.DataRate, f.Rate.TXPower = int(p.DataRate), int(p.TXPower)
		for i, on := range p.ChMask {
			if on {
				f.ChMask |= 1 << i
			}
		}
		f.Redundancy.ChMaskCntl, f.Redundancy.NbTrans = int(p.Redundancy.ChMaskCntl), int(p.Redundancy.NbRep)
		return f
	})
}

// linkADRStatus is that of LinkADRAns.
type linkADRStatus struct {
	Status struct{ PowerACK, DataRateACK, ChannelMaskACK bool }
}

func linkADRAns() macForm {
	return form("LinkADRAns", 1, func(p lorawan.LinkADRAnsPayload) any {
		var f linkADRStatus
		f.Status.PowerACK, f.Status.DataRateACK, f.Status.ChannelMaskACK = p.PowerACK, p.DataRateACK, p.ChannelMaskACK
		return f
	})
}

// linkADRSetup does adaptive data rate and the channel masks of regions with
// fixed channels.
func linkADRSetup() setup {
	return setup{cid: lorawan.LinkADRReq, urgent: true, want: linkADRWanted, answered: linkADRAnswered}
}

// linkADRWanted asks for what the device's ADR mode decides, and for the mask
// where the join-accept could not carry it.
func linkADRWanted(e *Edge, s *session) []byte {
	dr, power, nb := int(s.lastDR), int(s.TXPower), max(int(s.NbTrans), 1)
	if dr < 0 {
		return nil // its data rate is not one of the region
	}
	wantDR, wantPower, wantNb := dr, power, nb
	if s.adrBit { // else the device minds its own data rate (LoRaWAN 1.0.4 §4.3.1.1)
		wantDR, wantPower, wantNb = e.adrDecision(s, dr, power, nb)
	}
	if s.Masked && wantDR == dr && wantPower == power && wantNb == nb {
		return nil
	}
	var out []byte
	for _, m := range e.masks(s) {
		out = append(out, macBytes(lorawan.LinkADRReq, &lorawan.LinkADRReqPayload{
			DataRate: uint8(wantDR), TXPower: uint8(wantPower), ChMask: m.bits,
			Redundancy: lorawan.Redundancy{ChMaskCntl: m.cntl, NbRep: uint8(wantNb)},
		})...)
	}
	return out
}

type chMask struct {
	cntl uint8
	bits lorawan.ChMask
}

// masks leave a device with the gateway's channels (RP002 §2.5.5, §2.6.5,
// §2.8.5 and so on).
func (e *Edge) masks(s *session) []chMask {
	r := e.cfg.Region
	if r.Group() == 0 {
		var m chMask
		known := e.channelsOf(s)
		if s.gen < joinedGen || s.learnt().plainMask == 0 {
			m.cntl = 6 // all channels that the device has
		}
		for _, c := range known {
			m.bits[c.Index] = true
		}
		return []chMask{m}
	}
	first := (r.Group() - 1) * 8
	own := chMask{cntl: uint8(first / 16)}
	for i := range 8 {
		own.bits[first%16+i] = true
	}
	if s.Masked && s.gen >= joinedGen {
		return []chMask{own}
	}
	if cntl, ok := r.MaskOff(); ok {
		off := chMask{cntl: cntl}
		off.bits[r.Group()-1] = r.HasWideChannels() // all narrow channels off, this wide one on
		return []chMask{off, own}
	}
	var all []chMask // CN470: six blocks of 16
	for block := range uint8(6) {
		if block != own.cntl {
			all = append(all, chMask{cntl: block})
		}
	}
	return append(all, own)
}

// unchanged is a data rate or power of LinkADRReq that leaves the device's as
// it is (LoRaWAN 1.0.4 §5.2); only an AS asks for it.
const unchanged = 15

// linkADRAnswered takes the answers, one for each command of the block: all or
// nothing was done.
func linkADRAnswered(_ *Edge, s *session, commands []byte, answers [][]byte) string {
	var p lorawan.LinkADRReqPayload
	if p.UnmarshalBinary(commands[len(commands)-4:]) != nil {
		return "the request can't be decoded"
	}
	all := byte(0x07)
	for _, a := range answers {
		all &= a[0]
	}
	if all == 0x07 {
		if p.DataRate != unchanged {
			s.DataRate = int8(p.DataRate)
		}
		if p.TXPower != unchanged {
			s.TXPower = p.TXPower
		}
		s.NbTrans, s.Masked = p.Redundancy.NbRep, true
		s.history = nil // heard with another power
		return ""
	}
	l := s.learnt()
	l.nacks++
	switch {
	case all&0x04 == 0: // PowerACK
		l.powers |= 1 << p.TXPower
		return "it can't use the power"
	case all&0x02 == 0: // DataRateACK
		l.rates |= 1 << p.DataRate
		return "it can't use the data rate"
	}
	l.plainMask++
	return "it can't use the channel mask"
}
