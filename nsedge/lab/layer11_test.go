package lab

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

var keys11 = Keys{DevAddr: keys.DevAddr, V11: true, NwkSKey: [16]byte{7}, SNwkSIntKey: [16]byte{8}, NwkSEncKey: [16]byte{10}, Root: [16]byte{9}}

// open11 checks a downlink of LoRaWAN 1.1 as its device does, and decrypts its
// MAC commands. acked is the counter of the uplink that an ACK is for.
func open11(t *testing.T, payload []byte, acked uint32) (*lorawan.MACPayload, []byte) {
	t.Helper()
	var phy lorawan.PHYPayload
	if err := phy.UnmarshalBinary(payload); err != nil {
		t.Fatal(err)
	}
	if ok, err := phy.ValidateDownlinkDataMIC(lorawan.LoRaWAN1_1, acked, keys11.SNwkSIntKey); err != nil || !ok {
		t.Errorf("the MIC is wrong (%v)", err)
	}
	if err := phy.EncryptFOpts(keys11.NwkSEncKey); err != nil { // decrypts
		t.Fatal(err)
	}
	mac := phy.MACPayload.(*lorawan.MACPayload)
	var opts []byte
	for _, o := range mac.FHDR.FOpts {
		opts = append(opts, o.(*lorawan.DataPayload).Bytes...)
	}
	return mac, opts
}

// A frame of LoRaWAN 1.1 is signed anew with its own key, its acknowledgement
// with the counter of the uplink, and its MAC commands are encrypted anew.
func TestFramesOfLoRaWAN11AreSignedAnew(t *testing.T) {
	run(t, func(r *rig) {
		r.layer.Know(eui, keys11)
		r.hear(radio.Uplink{Payload: r.frame(true, 77, true, false), CRC: radio.GoodCRC})
		frame := func(ack bool) radio.Downlink {
			d, port := r.down(), uint8(1)
			phy := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.UnconfirmedDataDown}, MACPayload: &lorawan.MACPayload{
				FHDR:  lorawan.FHDR{DevAddr: keys.DevAddr, FCnt: 5, FCtrl: lorawan.FCtrl{ACK: ack}, FOpts: []lorawan.Payload{&lorawan.DataPayload{Bytes: []byte{6}}}},
				FPort: &port, FRMPayload: []lorawan.Payload{&lorawan.DataPayload{Bytes: []byte("hello")}},
			}}
			if err := errors.Join(phy.EncryptFOpts(keys11.NwkSEncKey), phy.SetDownlinkDataMIC(lorawan.LoRaWAN1_1, 0, keys11.SNwkSIntKey)); err != nil {
				t.Fatal(err)
			}
			var err error
			if d.Payload, err = phy.MarshalBinary(); err != nil {
				t.Fatal(err)
			}
			return d
		}
		fault := func(f Fault) {
			t.Helper()
			f.Device, f.Direction = eui, Down
			if _, err := r.layer.Arm(f); err != nil {
				t.Fatal(err)
			}
		}
		fault(Fault{Kind: Counter, Amount: 3})
		sent, _ := r.send(frame(true))
		if mac, opts := open11(t, sent[0].Payload, 77); mac.FHDR.FCnt != 8 || !bytes.Equal(opts, []byte{6}) {
			t.Errorf("another counter: %d with % x", mac.FHDR.FCnt, opts)
		}
		fault(Fault{Kind: Ack})
		sent, _ = r.send(frame(true))
		if mac, _ := open11(t, sent[0].Payload, 0); mac.FHDR.FCtrl.ACK {
			t.Error("it acknowledges")
		}
		fault(Fault{Kind: Commands, Commands: []byte{8, 3}})
		sent, _ = r.send(frame(false))
		if mac, opts := open11(t, sent[0].Payload, 0); mac.FPort == nil || *mac.FPort != 1 || !bytes.Equal(opts, []byte{8, 3}) {
			t.Errorf("commands: % x on %v", opts, mac.FPort)
		}
		for _, f := range []Fault{{Kind: Counter, Device: eui, Amount: 1}, {Kind: Commands, Device: eui, Amount: 1, Commands: []byte{6}}} {
			if _, err := r.layer.Arm(f); !errors.Is(err, ErrFault) {
				t.Errorf("%s: %v", f.Kind, err)
			}
		}
	})
}

// A join-accept that answers a rejoin-request is that device's, and a beacon
// nobody's.
func TestRejoinsAndBeaconsAreKnown(t *testing.T) {
	le := slices.Clone(eui[:])
	slices.Reverse(le)
	type02 := slices.Concat([]byte{0xC0, 2, 0, 0, 0}, le, []byte{0, 0, 1, 2, 3, 4})
	type1 := slices.Concat([]byte{0xC0, 1}, make([]byte, 8), le, []byte{0, 0, 1, 2, 3, 4})
	run(t, func(r *rig) {
		for _, rejoin := range [][]byte{type02, type1} {
			r.arm(Fault{Kind: MIC, Device: eui, Frame: JoinAccept})
			r.hear(radio.Uplink{At: 1_000_000, Payload: rejoin, CRC: radio.GoodCRC})
			d := r.down()
			d.At, d.Payload = 6_000_000, append([]byte{0x20}, make([]byte, 16)...)
			if sent, _ := r.send(d); bytes.Equal(sent[0].Payload, d.Payload) {
				t.Errorf("% x: the join-accept was not hit", rejoin)
			}
		}
		r.arm(Fault{Kind: Drop, Frame: Beacon})
		beacon := r.down()
		beacon.Payload, beacon.Mod = make([]byte, 17), radio.LoRa{SF: 9, Bandwidth: 125_000, Implicit: true, NoCRC: true}
		if sent, rep := r.send(beacon); len(sent) != 0 || rep.Err != nil {
			t.Errorf("a dropped beacon: %v, %v", sent, rep.Err)
		}
		if sent, _ := r.send(beacon); len(sent) != 1 {
			t.Error("the next one was dropped, too")
		}
	})
}

// A downlink that the air refuses is no hit: the fault waits for the next one.
func TestARefusedDownlinkUsesNoFaultUp(t *testing.T) {
	run(t, func(r *rig) {
		r.arm(Fault{Kind: Frequency, Device: eui, Amount: 1000})
		d := r.down()
		r.air.refuse = radio.ErrTooLate
		if err := r.layer.Schedule(r.Context(), d); !errors.Is(err, radio.ErrTooLate) {
			t.Fatal(err)
		}
		r.air.refuse = nil
		if sent, _ := r.send(d); sent[0].Freq != d.Freq+1000 {
			t.Errorf("sent on %d Hz", sent[0].Freq)
		}
	})
}
