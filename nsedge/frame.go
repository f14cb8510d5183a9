package nsedge

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/brocaar/lorawan"
)

// Why bytes are no uplink of LoRaWAN R1.
var (
	errMajor  = errors.New("not LoRaWAN R1")
	errLength = errors.New("impossible length")
	errPort0  = errors.New("MAC commands both in FOpts and in FRMPayload")
)

// dataUp is an uplink data frame, taken apart (LoRaWAN 1.0.4 §4). Its slices
// point into the frame.
type dataUp struct {
	mhdr    byte
	addr    DevAddr
	ctrl    byte
	counter uint16
	opts    []byte
	hasPort bool
	port    byte
	frm     []byte
	msg     []byte // everything that the MIC covers
	mic     [micSize]byte
	heard   heardAs
	acked   uint16 // counter of the downlink that it acknowledges, 1.1
}

// Bits of FCtrl.
const (
	ctrlADR       = 0x80
	ctrlADRACKReq = 0x40
	ctrlACK       = 0x20
	ctrlClassB    = 0x10
)

// messageType is the MType of a PHYPayload; short or foreign ones are errors.
func messageType(phy []byte) (lorawan.MType, error) {
	if len(phy) < 1+micSize {
		return 0, fmt.Errorf("%w: %d bytes", errLength, len(phy))
	}
	if phy[0]&0x03 != byte(lorawan.LoRaWANR1) {
		return 0, fmt.Errorf("%w: MHDR %#02x", errMajor, phy[0])
	}
	return lorawan.MType(phy[0] >> 5), nil
}

// parseDataUp takes a data uplink apart. It checks the form only.
func parseDataUp(phy []byte) (f dataUp, err error) {
	const header = 1 + 4 + 1 + 2 // MHDR, DevAddr, FCtrl, FCnt
	if len(phy) < header+micSize {
		return f, fmt.Errorf("%w: %d bytes, a data frame has 12 or more", errLength, len(phy))
	}
	end := len(phy) - micSize
	f = dataUp{
		mhdr:    phy[0],
		addr:    DevAddr{phy[4], phy[3], phy[2], phy[1]},
		ctrl:    phy[5],
		counter: binary.LittleEndian.Uint16(phy[6:]),
		msg:     phy[:end],
		mic:     [micSize]byte(phy[end:]),
	}
	opts := int(f.ctrl & 0x0f)
	if header+opts > end {
		return f, fmt.Errorf("%w: FOptsLen %d in a frame of %d bytes", errLength, opts, len(phy))
	}
	f.opts = phy[header : header+opts : header+opts]
	if rest := phy[header+opts : end : end]; len(rest) > 0 {
		f.hasPort, f.port, f.frm = true, rest[0], rest[1:]
	}
	if f.hasPort && f.port == 0 && opts > 0 {
		return f, errPort0
	}
	return f, nil
}

func (f *dataUp) has(bit byte) bool { return f.ctrl&bit != 0 }

func (f *dataUp) confirmed() bool { return lorawan.MType(f.mhdr>>5) == lorawan.ConfirmedDataUp }

// valid tells whether the MIC of LoRaWAN 1.0 is right with this counter.
func (f *dataUp) valid(key Key, counter uint32) bool {
	return dataMIC(key, true, f.addr, counter, f.msg) == f.mic
}

// info is the header as the events show it.
func (f *dataUp) info() FrameInfo {
	return FrameInfo{
		MType:     f.mhdr >> 5,
		Major:     f.mhdr & 3,
		Confirmed: f.confirmed(),
		ADR:       f.has(ctrlADR),
		ADRACKReq: f.has(ctrlADRACKReq),
		ACK:       f.has(ctrlACK),
		ClassB:    f.has(ctrlClassB),
	}
}

// crypt encrypts or decrypts an FRMPayload, which are the same; the argument
// is left as it is.
func crypt(key Key, uplink bool, addr DevAddr, counter uint32, frm []byte) []byte {
	// Room for the padding to whole blocks, which brocaar appends.
	buf := make([]byte, len(frm), len(frm)+16)
	copy(buf, frm)
	out, err := lorawan.EncryptFRMPayload(lorawan.AES128Key(key), uplink, lorawan.DevAddr(addr), counter, buf)
	if err != nil { // never: the key has 16 bytes
		panic(err)
	}
	return out
}
