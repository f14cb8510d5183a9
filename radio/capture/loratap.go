package capture

import (
	"encoding/binary"
	"math"

	"gatewayd/radio"
)

// Sizes of the header in versions 1 and 0, bytes.
const (
	headerSize  = 35
	headerSize0 = 15
)

// Flags of LoRaTap version 1, from the lowest bit.
const (
	flagFSK = 1 << iota
	flagInverted
	flagImplicit
	flagCRCGood
	flagCRCBad
	flagNoCRC
)

const unknownRSSI = 255

// header is what LoRaTap says of a frame
// (https://github.com/eriknl/LoRaTap, version 1).
type header struct {
	freq     radio.Hertz
	mod      radio.Modulation
	crc      radio.CRC
	rssi     uint8
	snr      int8 // in quarters of a dB
	gateway  radio.EUI64
	tmst     uint32
	ifChain  uint8
	rfChain  uint8
	downlink bool
}

func uplinkHeader(u radio.Uplink) []byte {
	return header{
		freq: u.Freq, mod: u.Mod, crc: u.CRC, rssi: packetRSSI(u.RSSI, u.SNR), snr: int8(clamp(float64(u.SNR)*4, -128, 127)),
		gateway: u.Gateway, tmst: u.Tmst, ifChain: uint8(u.IFChain), rfChain: uint8(u.RFChain),
	}.bytes()
}

func downlinkHeader(d radio.Downlink, r radio.Report, gateway radio.EUI64) []byte {
	h := header{freq: d.Freq, mod: d.Mod, crc: radio.GoodCRC, rssi: unknownRSSI, gateway: gateway, tmst: uint32(r.Started), downlink: true}
	if m, ok := d.Mod.(radio.LoRa); ok && m.NoCRC {
		h.crc = radio.NoCRC
	}
	return h.bytes()
}

// packetRSSI codes a level: -139 dBm is 0, in steps of a dB, or of a quarter
// where the SNR is negative.
func packetRSSI(level radio.DBm, snr radio.DB) uint8 {
	steps := float64(level) + 139
	if snr < 0 {
		steps *= 4
	}
	return uint8(clamp(steps, 0, unknownRSSI-1))
}

func clamp(v, low, high float64) float64 { return math.Max(low, math.Min(high, math.Round(v))) }

const bandwidthStep = 125_000

func (h header) bytes() []byte {
	b := make([]byte, headerSize)
	b[0] = 1 // version
	binary.BigEndian.PutUint16(b[2:], headerSize)
	binary.BigEndian.PutUint32(b[4:], uint32(h.freq))
	b[10], b[11], b[12], b[13] = h.rssi, unknownRSSI, unknownRSSI, byte(h.snr)
	copy(b[15:], h.gateway[:])
	binary.BigEndian.PutUint32(b[23:], h.tmst)
	var flags byte
	switch m := h.mod.(type) {
	case radio.LoRa:
		b[8], b[9] = byte(m.Bandwidth/bandwidthStep), m.SF
		b[14] = m.Sync
		if m.Sync == 0 {
			b[14] = radio.PublicSync
		}
		if m.InvertIQ {
			flags |= flagInverted
		}
		if m.Implicit {
			flags |= flagImplicit
		}
		b[28] = 4 + m.Rate()
	case radio.FSK:
		flags |= flagFSK
		binary.BigEndian.PutUint16(b[29:], uint16(min(m.BitRate, math.MaxUint16)))
	}
	flags |= map[radio.CRC]byte{radio.GoodCRC: flagCRCGood, radio.BadCRC: flagCRCBad, radio.NoCRC: flagNoCRC}[h.crc]
	b[27] = flags
	b[31], b[32] = h.ifChain, h.rfChain
	return b
}
