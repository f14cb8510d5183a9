package nsedge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/brocaar/lorawan"
)

// macForm is how one MAC command looks in one direction.
type macForm struct {
	name string
	size int // of the payload, bytes
	// show decodes a payload to the fields of the specification, by its names.
	show func(payload []byte) (any, error)
}

// macForms lists the commands of a direction by CID; the files mac_….go
// describe them, and handle those that the edge takes part in.
type macForms map[lorawan.CID]macForm

func uplinkMAC() macForms {
	return macForms{
		lorawan.ResetInd:            resetInd(),
		lorawan.LinkCheckReq:        bare("LinkCheckReq"),
		lorawan.LinkADRAns:          linkADRAns(),
		lorawan.DutyCycleAns:        bare("DutyCycleAns"),
		lorawan.RXParamSetupAns:     rxParamSetupAns(),
		lorawan.DevStatusAns:        devStatusAns(),
		lorawan.NewChannelAns:       newChannelAns(),
		lorawan.RXTimingSetupAns:    bare("RXTimingSetupAns"),
		lorawan.TXParamSetupAns:     bare("TxParamSetupAns"),
		lorawan.DLChannelAns:        dlChannelAns(),
		lorawan.RekeyInd:            rekeyInd(),
		lorawan.ADRParamSetupAns:    bare("ADRParamSetupAns"),
		lorawan.DeviceTimeReq:       bare("DeviceTimeReq"),
		lorawan.RejoinParamSetupAns: rejoinParamSetupAns(),
		lorawan.PingSlotInfoReq:     pingSlotInfoReq(),
		lorawan.PingSlotChannelAns:  pingSlotChannelAns(),
		lorawan.BeaconFreqAns:       beaconFreqAns(),
		cidBeaconTiming:             bare("BeaconTimingReq"),
		lorawan.DeviceModeInd:       deviceMode("DeviceModeInd"),
	}
}

func downlinkMAC() macForms {
	return macForms{
		lorawan.ResetConf:           resetConf(),
		lorawan.LinkCheckAns:        linkCheckAns(),
		lorawan.LinkADRReq:          linkADRReq(),
		lorawan.DutyCycleReq:        dutyCycleReq(),
		lorawan.RXParamSetupReq:     rxParamSetupReq(),
		lorawan.DevStatusReq:        bare("DevStatusReq"),
		lorawan.NewChannelReq:       newChannelReq(),
		lorawan.RXTimingSetupReq:    rxTimingSetupReq(),
		lorawan.TXParamSetupReq:     txParamSetupReq(),
		lorawan.DLChannelReq:        dlChannelReq(),
		lorawan.RekeyConf:           rekeyConf(),
		lorawan.ADRParamSetupReq:    adrParamSetupReq(),
		lorawan.DeviceTimeAns:       deviceTimeAns(),
		lorawan.ForceRejoinReq:      forceRejoinReq(),
		lorawan.RejoinParamSetupReq: rejoinParamSetupReq(),
		lorawan.PingSlotInfoAns:     bare("PingSlotInfoAns"),
		lorawan.PingSlotChannelReq:  pingSlotChannelReq(),
		lorawan.BeaconFreqReq:       beaconFreqReq(),
		cidBeaconTiming:             beaconTimingAns(),
		lorawan.DeviceModeConf:      deviceMode("DeviceModeConf"),
	}
}

// macTables are read only.
var macTables = map[bool]macForms{true: uplinkMAC(), false: downlinkMAC()}

// nothing is the value of a command without a payload.
type nothing struct{}

func bare(name string) macForm {
	return macForm{name: name, show: func([]byte) (any, error) { return nothing{}, nil }}
}

// form builds a macForm on a payload type of brocaar/lorawan.
func form[P any, PP interface {
	*P
	UnmarshalBinary([]byte) error
}](name string, size int, show func(P) any) macForm {
	return macForm{name: name, size: size, show: func(b []byte) (any, error) {
		var p P
		if err := PP(&p).UnmarshalBinary(b); err != nil {
			return nil, err
		}
		return show(p), nil
	}}
}

// eachMAC calls f for each command; b is its payload. A command that is
// unknown or cut short ends the list: its length can't be known.
func eachMAC(uplink bool, commands []byte, f func(cid lorawan.CID, form macForm, b []byte) error) error {
	for len(commands) > 0 {
		cid := lorawan.CID(commands[0])
		form, ok := macTables[uplink][cid]
		if !ok {
			return fmt.Errorf("command %#02x is unknown, %d bytes are left", byte(cid), len(commands))
		}
		if len(commands) < 1+form.size {
			return fmt.Errorf("%s is cut short: %d of %d bytes", form.name, len(commands)-1, form.size)
		}
		if err := f(cid, form, commands[1:1+form.size]); err != nil {
			return fmt.Errorf("%s: %w", form.name, err)
		}
		commands = commands[1+form.size:]
	}
	return nil
}

// decodeMAC lists commands as the events show them; after an error it returns
// those before.
func decodeMAC(uplink bool, commands []byte) (out []MACCommand, err error) {
	err = eachMAC(uplink, commands, func(_ lorawan.CID, form macForm, b []byte) error {
		v, err := form.show(b)
		if err == nil {
			out = append(out, MACCommand{Name: form.name, Value: v})
		}
		return err
	})
	return out, err
}

// maxFOpts is how many bytes of MAC commands fit beside a payload.
const maxFOpts = 15

// noteRequests notes for the window what an uplink asks for.
func (e *Edge) noteRequests(r *reception, s *session, commands []byte) {
	_ = eachMAC(true, commands, func(cid lorawan.CID, _ macForm, b []byte) error { // errors were published
		switch cid {
		case lorawan.LinkCheckReq:
			r.linkCheck = true
		case lorawan.DeviceTimeReq:
			r.deviceTime = true
		case lorawan.PingSlotInfoReq:
			r.pingInfo = true
		case lorawan.RekeyInd:
			r.confirm = append(r.confirm, s.rekeyAnswer(b))
		case lorawan.ResetInd:
			r.confirm = append(r.confirm, s.resetAnswer(b))
		case lorawan.DeviceModeInd:
			r.confirm = append(r.confirm, s.modeAnswer(b))
		}
		return nil
	})
}

// handleMAC lets each command of a new uplink act.
func (e *Edge) handleMAC(r *reception, s *session, commands []byte) {
	e.noteRequests(r, s, commands)
	answered := false
	var answers map[lorawan.CID][][]byte
	_ = eachMAC(true, commands, func(cid lorawan.CID, form macForm, b []byte) error {
		switch {
		case cid == lorawan.ResetInd:
			e.resetIndicated(s, b)
		case cid == lorawan.DeviceModeInd:
			e.modeIndicated(s, b)
		case cid == lorawan.DevStatusAns:
			answered = true
			e.devStatusAnswered(r, s, b)
		case strings.HasSuffix(form.name, "Ans"):
			if answers == nil {
				answers = map[lorawan.CID][][]byte{}
			}
			answers[cid] = append(answers[cid], b)
		}
		return nil
	})
	if !answered {
		e.devStatusMissing(r, s)
	}
	e.forceRejoinMissing(r, s)
	e.settle(r, s, answers)
	e.review(s, r.came)
}

// macDue composes the commands that go into the next downlink, answers
// first: at most room bytes.
func (e *Edge) macDue(w *window, room int) []byte {
	out := e.answersDue(w, room)
	for _, x := range w.s.ordersDue() {
		if len(out)+len(x.Bytes) <= room {
			out = append(out, x.Bytes...)
		}
	}
	return out
}

// answersDue are the commands that the device or an AS asked for.
func (e *Edge) answersDue(w *window, room int) []byte {
	var out []byte
	due := [][]byte{e.linkCheckDue(w), e.deviceTimeDue(w), pingSlotInfoDue(w), e.devStatusDue(w), e.forceRejoinDue(w)}
	if w.r != nil {
		due = append(slices.Clip(w.r.confirm), due...)
	}
	for _, c := range due {
		if len(out)+len(c) <= room {
			out = append(out, c...)
		}
	}
	return out
}

// macBytes encodes one command.
func macBytes(cid lorawan.CID, p lorawan.MACCommandPayload) []byte {
	b, err := lorawan.MACCommand{CID: cid, Payload: p}.MarshalBinary()
	if err != nil { // only for fields out of range, which the edge never makes
		return nil
	}
	return b
}
