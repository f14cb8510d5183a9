package lab

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// The bytes follow from the tables of LoRaWAN 1.0.4 §5.2 to §5.10.
func TestCommandsAreEncodedAsTheSpecificationSays(t *testing.T) {
	rate, power, mask := uint8(3), uint8(1), uint16(0x8005)
	for want, c := range map[string]struct {
		command string
		Request
	}{
		"0331058001":   {"LinkADRReq", Request{DataRate: &rate, Power: &power, Mask: &mask, NbTrans: 1}},
		"03ffffff60":   {"LinkADRReq", Request{Cntl: 6}},
		"040c":         {"DutyCycleReq", Request{MaxDuty: 12}},
		"0523d2ad84":   {"RXParamSetupReq", Request{RX1Offset: 2, DataRate: &rate, Freq: 869.525}},
		"06":           {"DevStatusReq", Request{}},
		"0707184f8450": {"NewChannelReq", Request{Index: 7, Freq: 867.1, MaxDR: 5}},
		"0805":         {"RXTimingSetupReq", Request{Delay: 5}},
		"0915":         {"TxParamSetupReq", Request{DwellUp: true, EIRP: 5}},
		"0a01287684":   {"DlChannelReq", Request{Index: 1, Freq: 868.1}},
	} {
		got, err := c.Bytes(c.command)
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s %+v: %x, %v, want %s", c.command, c.Request, got, err, want)
		}
	}
	if _, err := (Request{}).Bytes("TeleportReq"); !errors.Is(err, ErrFault) {
		t.Error(err)
	}
}

func TestADownlinkCarriesTheCommandsOfAScript(t *testing.T) {
	for amount, check := range map[int64]func(t *testing.T, m *lorawan.MACPayload, phy lorawan.PHYPayload){
		0: func(t *testing.T, m *lorawan.MACPayload, _ lorawan.PHYPayload) {
			want(t, m.FPort == nil && len(m.FHDR.FOpts) == 1 && bytes.Equal(m.FHDR.FOpts[0].(*lorawan.DataPayload).Bytes, []byte{6}), true)
		},
		1: func(t *testing.T, m *lorawan.MACPayload, phy lorawan.PHYPayload) {
			want(t, m.FPort != nil && *m.FPort == 0 && len(m.FHDR.FOpts) == 0, true)
			if err := phy.DecryptFRMPayload(keys.NwkSKey); err != nil {
				t.Fatal(err)
			}
			want(t, m.FRMPayload[0].(*lorawan.MACCommand).CID, lorawan.DevStatusReq)
		},
	} {
		run(t, func(r *rig) {
			r.T = t
			r.arm(Fault{Kind: Commands, Device: eui, Amount: amount, Commands: []byte{6}})
			sent, _ := r.send(r.down())
			mac, ok := micOK(t, sent[0].Payload, false)
			want(t, ok, true)
			var phy lorawan.PHYPayload
			if err := phy.UnmarshalBinary(sent[0].Payload); err != nil {
				t.Fatal(err)
			}
			if amount == 1 {
				mac = phy.MACPayload.(*lorawan.MACPayload)
			}
			check(t, mac, phy)
		})
	}
}

func TestADownlinkGoesOutInRX2Instead(t *testing.T) {
	run(t, func(r *rig) {
		r.T = t
		slow := radio.LoRa{SF: 12, Bandwidth: 125_000, InvertIQ: true, NoCRC: true}
		r.arm(Fault{Kind: RX2, Device: eui, Amount: second, Freq: 869_525_000, Mod: slow})
		d := r.down()
		sent, _ := r.send(d)
		want(t, sent[0].At, d.At+1_000_000)
		want(t, sent[0].Freq, 869_525_000)
		want(t, sent[0].Mod, radio.Modulation(slow))
	})
}

func TestAFaultSaysWhatItLacks(t *testing.T) {
	l := New(Config{Air: newFakeAir()})
	l.Know(eui, keys)
	for _, f := range []Fault{
		{Kind: Commands, Device: eui},
		{Kind: Commands, Device: eui, Commands: make([]byte, 16)},
		{Kind: Drop, Commands: []byte{6}},
		{Kind: RX2, Amount: second},
	} {
		if _, err := l.Arm(f); !errors.Is(err, ErrFault) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}
