package concentrator

import (
	"bytes"
	"encoding/binary"
)

// The receive buffer holds packets one after the other, each
//
//	A5 C0 | n | chain | rate | modem | offset (3) | payload (n) | tail (13) | 2m metric bytes | checksum
//
// with the tail's last byte being m. The checksum is the sum of all bytes
// before it, modulo 256.
const (
	syncFirst, syncSecond = 0xA5, 0xC0

	packetHead    = 9
	packetTail    = 13
	packetFixed   = packetHead + packetTail + 1
	packetLongest = packetFixed + 255 + 2*255
)

// Receive chains and modems.
const (
	serviceChain, fskChain = 8, 9
	serviceModem, fskModem = 16, 17
)

// packet is what the chip keeps of one received frame, undigested.
type packet struct {
	chain, modem byte
	sf, codeRate byte
	crcEnabled   bool // as the chip says; it need not know without a header
	hasCRC       bool
	crcError     bool
	syncError    bool
	headerError  bool
	timing       bool   // metrics are valid
	metrics      []int8 // of the time stamp, two for each symbol
	offset       int32  // frequency, 20 bits signed
	snr          int8   // quarter dB
	rssi, signal byte
	stamp        uint32 // ticks
	crc          uint16
	payload      []byte
}

// findings counts what was wrong with the bytes of the receive buffer.
type findings struct {
	skipped     int // bytes between packets
	badChecksum int
	invalid     int // chain, modem or rate that can't be
	mismatch    int // payload CRC wrong though the chip says it is good
	truncated   int
}

// decode takes whole packets from the front of buf and returns them with the
// bytes that it could not use yet: the beginning of a packet. With final, no
// more bytes will come, and such a beginning is skipped like any other
// rubbish. A damaged packet costs only itself: the search goes on one byte
// behind its start. implicitCRC tells
// that frames of the service modem have a CRC though no header says it.
func decode(buf []byte, final, implicitCRC bool) (packets []packet, rest []byte, f findings) {
	for {
		at := bytes.Index(buf, []byte{syncFirst, syncSecond})
		if at < 0 {
			keep := 0
			if !final && len(buf) > 0 && buf[len(buf)-1] == syncFirst {
				keep = 1
			}
			f.skipped += len(buf) - keep
			return packets, buf[len(buf)-keep:], f
		}
		f.skipped += at
		buf = buf[at:]
		size, whole := packetSize(buf)
		if !whole {
			if !final {
				return packets, buf, f
			}
			f.truncated++
			f.skipped++
			buf = buf[1:]
			continue
		}
		if checksum(buf[:size-1]) != buf[size-1] {
			f.badChecksum++
			f.skipped++
			buf = buf[1:]
			continue
		}
		p, ok := parse(buf[:size])
		p.hasCRC = p.crcEnabled || implicitCRC && p.modem == serviceModem
		switch {
		case !ok:
			f.invalid++
		case p.hasCRC && !p.crcError && p.modem != fskModem && len(p.payload) > 0 && payloadCRC(p.payload) != p.crc:
			f.mismatch++
		default:
			packets = append(packets, p)
		}
		buf = buf[size:]
	}
}

// packetSize returns the size of the packet that begins buf; whole is false
// when buf ends before it.
func packetSize(buf []byte) (size int, whole bool) {
	if len(buf) < packetFixed {
		return 0, false
	}
	n := int(buf[2])
	metrics := packetHead + n + packetTail - 1
	if metrics >= len(buf) {
		return 0, false
	}
	size = packetFixed + n + 2*int(buf[metrics])
	return size, size <= len(buf)
}

func checksum(b []byte) (sum byte) {
	for _, v := range b {
		sum += v
	}
	return sum
}

// parse reads the fields of one whole packet; false when they can't be.
func parse(b []byte) (packet, bool) {
	n := int(b[2])
	tail := b[packetHead+n:]
	p := packet{
		chain:       b[3],
		crcEnabled:  b[4]&1 != 0,
		codeRate:    b[4] >> 1 & 7,
		sf:          b[4] >> 4,
		modem:       b[5],
		offset:      int32(uint32(b[6])|uint32(b[7])<<8|uint32(b[8]&0x0F)<<16) << 12 >> 12,
		payload:     bytes.Clone(b[packetHead : packetHead+n]),
		crcError:    tail[0]&1 != 0,
		syncError:   tail[0]&4 != 0,
		headerError: tail[0]&8 != 0,
		snr:         int8(tail[1]),
		rssi:        tail[2],
		signal:      tail[3],
		stamp:       binary.LittleEndian.Uint32(tail[6:]),
		crc:         binary.LittleEndian.Uint16(tail[10:]),
		timing:      tail[0]&0x10 != 0,
	}
	for _, m := range tail[packetTail : packetTail+2*int(tail[packetTail-1])] {
		p.metrics = append(p.metrics, int8(m))
	}
	switch {
	case p.modem < serviceModem:
		return p, p.chain < serviceChain && p.codeRate > 0 && p.goodRate()
	case p.modem == serviceModem:
		return p, p.chain == serviceChain && p.goodRate() // rate 0 without header
	case p.modem == fskModem:
		return p, p.chain == fskChain
	}
	return p, false
}

func (p *packet) goodRate() bool {
	return p.sf >= 5 && p.sf <= 12 && p.codeRate <= 4
}
