package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// Frame names a kind of frame that a fault hits.
type Frame string

// Kinds of frame. The zero value is all.
const (
	AnyFrame    Frame = ""
	JoinRequest Frame = "join-request"
	Rejoin      Frame = "rejoin-request"
	JoinAccept  Frame = "join-accept"
	Data        Frame = "data"
	Confirmed   Frame = "confirmed" // data that wants an acknowledgement
	Beacon      Frame = "beacon"    // of class B, for everyone
)

func frames() []Frame {
	return []Frame{AnyFrame, JoinRequest, Rejoin, JoinAccept, Data, Confirmed, Beacon}
}

// kindOf reads the MHDR; "?" is anything else.
func kindOf(payload []byte) Frame {
	if len(payload) == 0 {
		return "?"
	}
	switch lorawan.MType(payload[0] >> 5) {
	case lorawan.JoinRequest:
		return JoinRequest
	case lorawan.RejoinRequest:
		return Rejoin
	case lorawan.JoinAccept:
		return JoinAccept
	case lorawan.UnconfirmedDataUp, lorawan.UnconfirmedDataDown:
		return Data
	case lorawan.ConfirmedDataUp, lorawan.ConfirmedDataDown:
		return Confirmed
	default:
		return "?"
	}
}

// kindOfDownlink is kindOf where a beacon may be, which has no MHDR: nothing
// else of a gateway has an implicit header.
func kindOfDownlink(d radio.Downlink) Frame {
	if mod, ok := d.Mod.(radio.LoRa); ok && mod.Implicit {
		return Beacon
	}
	return kindOf(d.Payload)
}

func (f Frame) fits(k Frame) bool {
	return f == AnyFrame || f == k || f == Data && k == Confirmed
}

// devAddr of a data frame, most significant byte first.
func devAddr(payload []byte) (a [4]byte, ok bool) {
	if k := kindOf(payload); k != Data && k != Confirmed || len(payload) < 12 {
		return a, false
	}
	return [4]byte{payload[4], payload[3], payload[2], payload[1]}, true
}

// joinDevice is the DevEUI of a join-request or a rejoin-request (LoRaWAN 1.1
// §6.2.4).
func joinDevice(payload []byte) (eui radio.EUI64, ok bool) {
	var last int // byte of the DevEUI
	switch k, size := kindOf(payload), len(payload); {
	case k == JoinRequest && size == 23:
		last = 16
	case k == Rejoin && size == 19: // type 0 or 2
		last = 12
	case k == Rejoin && size == 24: // type 1
		last = 17
	default:
		return eui, false
	}
	for i := range eui {
		eui[i] = payload[last-i]
	}
	return eui, true
}

// join is when a device asked to join: a join-accept is encrypted and
// says nothing of whom it is for, but it starts 5 or 6 s after the request
// (RP002-1.0.4 section 2.2, JOIN_ACCEPT_DELAY1 and 2).
type join struct {
	device radio.EUI64
	at     radio.Instant
}

const (
	joinMemory = 64
	joinDelay1 = 5 * time.Second
	joinDelay2 = 6 * time.Second
)

// remember keeps what later downlinks have to be judged by.
func (l *Layer) remember(u radio.Uplink) {
	if kindOf(u.Payload) == Confirmed {
		if k, ok := l.book[l.deviceOf(u.Payload)]; ok {
			k.confirmed = binary.LittleEndian.Uint16(u.Payload[6:])
			l.book[l.deviceOf(u.Payload)] = k
		}
		return
	}
	eui, ok := joinDevice(u.Payload)
	if !ok {
		return
	}
	if len(l.joins) == joinMemory {
		l.joins = l.joins[1:]
	}
	l.joins = append(l.joins, join{eui, u.At})
}

// joining is the device that a join-accept is for; zero if that can't be told.
func (l *Layer) joining(at radio.Instant) radio.EUI64 {
	for i := len(l.joins) - 1; i >= 0; i-- {
		if d := at.Sub(l.joins[i].at); d == joinDelay1 || d == joinDelay2 {
			return l.joins[i].device
		}
	}
	return radio.EUI64{}
}

const micSize = 4

// spoil returns the frame with one bit of its MIC turned.
func spoil(payload []byte) []byte {
	out := append([]byte(nil), payload...)
	if len(out) > micSize {
		out[len(out)-1] ^= 0x01
	}
	return out
}

// cut leaves out the last n bytes, but one byte stays.
func cut(payload []byte, n int64) []byte {
	return payload[:min(len(payload), max(1, len(payload)-int(n)))]
}

// resign changes a data frame and signs it as its session does; what its
// FOpts are to be encrypted with follows from the session, too. A counter is in
// the frame with 16 bits; those above are taken as zero.
func resign(payload []byte, k Keys, change func(*lorawan.MACPayload)) ([]byte, error) {
	var phy lorawan.PHYPayload
	if err := phy.UnmarshalBinary(payload); err != nil {
		return nil, fmt.Errorf("read the frame: %w", err)
	}
	mac, ok := phy.MACPayload.(*lorawan.MACPayload)
	if !ok {
		return nil, fmt.Errorf("it is no data frame")
	}
	up := phy.MHDR.MType == lorawan.UnconfirmedDataUp || phy.MHDR.MType == lorawan.ConfirmedDataUp
	if k.V11 && up {
		return nil, errors.New("an uplink of LoRaWAN 1.1 can't be signed anew")
	}
	crypt := func() error { // and its inverse
		if !k.V11 {
			return nil
		}
		return phy.EncryptFOpts(lorawan.AES128Key(k.NwkSEncKey))
	}
	err := crypt()
	change(mac)
	if err = errors.Join(err, crypt()); err != nil {
		return nil, err
	}
	switch acked := uint32(k.confirmed); {
	case up:
		err = phy.SetUplinkDataMIC(lorawan.LoRaWAN1_0, 0, 0, 0, k.NwkSKey, k.NwkSKey)
	case !k.V11:
		err = phy.SetDownlinkDataMIC(lorawan.LoRaWAN1_0, 0, k.NwkSKey)
	case mac.FHDR.FCtrl.ACK:
		err = phy.SetDownlinkDataMIC(lorawan.LoRaWAN1_1, acked, k.SNwkSIntKey)
	default:
		err = phy.SetDownlinkDataMIC(lorawan.LoRaWAN1_1, 0, k.SNwkSIntKey)
	}
	if err != nil {
		return nil, err
	}
	return phy.MarshalBinary()
}

// maxFOpts is how many bytes of MAC commands fit beside a payload.
const maxFOpts = 15

// commanded returns a downlink with MAC commands in place of what it carried.
// In LoRaWAN 1.1 its port stays: that tells which counter it has.
func commanded(payload []byte, k Keys, f Fault) ([]byte, error) {
	var bad error
	out, err := changed(payload, k, func(m *lorawan.MACPayload) {
		m.FHDR.FOpts, m.FRMPayload = nil, nil
		if !k.V11 {
			m.FPort = nil
		}
		if f.Amount == 0 {
			m.FHDR.FOpts = []lorawan.Payload{&lorawan.DataPayload{Bytes: f.Commands}}
			return
		}
		sealed, err := lorawan.EncryptFRMPayload(k.NwkSKey, false, m.FHDR.DevAddr, m.FHDR.FCnt, f.Commands)
		port := uint8(0)
		m.FPort, m.FRMPayload, bad = &port, []lorawan.Payload{&lorawan.DataPayload{Bytes: sealed}}, err
	})
	return out, errors.Join(err, bad)
}

// renonce changes the DevNonce of a join-request and signs it.
func renonce(payload []byte, key [16]byte, by int64) ([]byte, error) {
	if len(payload) != 23 {
		return nil, fmt.Errorf("it is no join-request")
	}
	out := append([]byte(nil), payload...)
	nonce := out[17:19]
	binary.LittleEndian.PutUint16(nonce, uint16(int64(binary.LittleEndian.Uint16(nonce))+by))
	var phy lorawan.PHYPayload
	if err := phy.UnmarshalBinary(out); err != nil {
		return nil, err
	}
	if err := phy.SetUplinkJoinMIC(key); err != nil {
		return nil, err
	}
	return phy.MarshalBinary()
}
