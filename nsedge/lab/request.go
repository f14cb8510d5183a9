package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/brocaar/lorawan"
)

// Request is what a MAC command of a script says: the fields of all commands,
// of which each has some.
type Request struct {
	DataRate  *uint8  `json:"datarate"` // LinkADRReq, RXParamSetupReq; 15 is "as it is" in the first
	Power     *uint8  `json:"power"`    // index; 15 is "as it is"
	Mask      *uint16 `json:"mask"`     // channels by bit; all without it
	Cntl      uint8   `json:"cntl"`     // ChMaskCntl
	NbTrans   uint8   `json:"nbtrans"`  // 0 is "as it is"
	MaxDuty   uint8   `json:"max_duty_cycle"`
	RX1Offset uint8   `json:"rx1_offset"`
	Freq      float64 `json:"freq"` // MHz
	Index     uint8   `json:"index"`
	MinDR     uint8   `json:"min_datarate"`
	MaxDR     uint8   `json:"max_datarate"`
	Delay     uint8   `json:"delay"` // s
	DwellUp   bool    `json:"dwell_up"`
	DwellDown bool    `json:"dwell_down"`
	EIRP      uint8   `json:"eirp"` // index of TxParamSetupReq
}

const asItIs = 15 // of data rate and power in LinkADRReq

// requests are the commands that can be named, as they are made.
func requests() map[string]func(Request) (lorawan.CID, lorawan.MACCommandPayload) {
	return map[string]func(Request) (lorawan.CID, lorawan.MACCommandPayload){
		"LinkADRReq": func(f Request) (lorawan.CID, lorawan.MACCommandPayload) {
			p := &lorawan.LinkADRReqPayload{DataRate: asItIs, TXPower: asItIs, Redundancy: lorawan.Redundancy{ChMaskCntl: f.Cntl, NbRep: f.NbTrans}}
			if f.DataRate != nil {
				p.DataRate = *f.DataRate
			}
			if f.Power != nil {
				p.TXPower = *f.Power
			}
			for i := range p.ChMask {
				p.ChMask[i] = f.Mask == nil || *f.Mask&(1<<i) != 0
			}
			return lorawan.LinkADRReq, p
		},
		"DutyCycleReq": func(f Request) (lorawan.CID, lorawan.MACCommandPayload) {
			return lorawan.DutyCycleReq, &lorawan.DutyCycleReqPayload{MaxDCycle: f.MaxDuty}
		},
		"RXParamSetupReq": func(f Request) (lorawan.CID, lorawan.MACCommandPayload) {
			rate := uint8(0)
			if f.DataRate != nil {
				rate = *f.DataRate
			}
			return lorawan.RXParamSetupReq, &lorawan.RXParamSetupReqPayload{Frequency: f.hertz(), DLSettings: lorawan.DLSettings{RX2DataRate: rate, RX1DROffset: f.RX1Offset}}
		},
		"DevStatusReq": func(Request) (lorawan.CID, lorawan.MACCommandPayload) { return lorawan.DevStatusReq, nil },
		"NewChannelReq": func(f Request) (lorawan.CID, lorawan.MACCommandPayload) {
			return lorawan.NewChannelReq, &lorawan.NewChannelReqPayload{ChIndex: f.Index, Freq: f.hertz(), MinDR: f.MinDR, MaxDR: f.MaxDR}
		},
		"RXTimingSetupReq": func(f Request) (lorawan.CID, lorawan.MACCommandPayload) {
			return lorawan.RXTimingSetupReq, &lorawan.RXTimingSetupReqPayload{Delay: f.Delay}
		},
		"TxParamSetupReq": func(f Request) (lorawan.CID, lorawan.MACCommandPayload) {
			p := &lorawan.TXParamSetupReqPayload{MaxEIRP: f.EIRP}
			if f.DwellUp {
				p.UplinkDwellTime = lorawan.DwellTime400ms
			}
			if f.DwellDown {
				p.DownlinkDwelltime = lorawan.DwellTime400ms
			}
			return lorawan.TXParamSetupReq, p
		},
		"DlChannelReq": func(f Request) (lorawan.CID, lorawan.MACCommandPayload) {
			return lorawan.DLChannelReq, &lorawan.DLChannelReqPayload{ChIndex: f.Index, Freq: f.hertz()}
		},
	}
}

func (f Request) hertz() uint32 { return uint32(f.Freq*1e6 + 0.5) }

// Bytes are those of a command, by its name in the specification. The error
// wraps [ErrFault].
func (f Request) Bytes(command string) ([]byte, error) {
	build, ok := requests()[command]
	if !ok {
		return nil, fmt.Errorf("%w: command is %q; there are %s, or give the bytes as hex", ErrFault, command, strings.Join(slices.Sorted(maps.Keys(requests())), ", "))
	}
	cid, payload := build(f)
	b, err := lorawan.MACCommand{CID: cid, Payload: payload}.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFault, command, err)
	}
	return b, nil
}
