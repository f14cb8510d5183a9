package capture

import (
	"encoding/binary"
	"time"

	"gatewayd/radio"
)

// Blocks and options of pcapng (draft-ietf-opsawg-pcapng).
const (
	blockSection   = 0x0A0D0D0A
	blockInterface = 1
	blockPacket    = 6

	optionEnd       = 0
	optionComment   = 1
	optionName      = 2 // of an interface
	optionTick      = 9 // if_tsresol
	optionFlags     = 2 // of a packet
	byteOrderMagic  = 0x1A2B3C4D
	linkTypeLoRaTap = 270
	nanoseconds     = 9 // ticks are 10^-9 s

	inbound  = 1
	outbound = 2
)

// block frames a body: type, length, body, length again.
func block(kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	size := uint32(len(body) + 12)
	out := binary.LittleEndian.AppendUint32(nil, kind)
	out = binary.LittleEndian.AppendUint32(out, size)
	out = append(out, body...)
	return binary.LittleEndian.AppendUint32(out, size)
}

// option appends one with its padding.
func option(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func sectionHeader(comment string) []byte {
	body := binary.LittleEndian.AppendUint32(nil, byteOrderMagic)
	body = binary.LittleEndian.AppendUint16(body, 1)          // version 1.0
	body = binary.LittleEndian.AppendUint16(body, 0)          //
	body = binary.LittleEndian.AppendUint64(body, ^uint64(0)) // length: unknown
	if comment != "" {
		body = option(body, optionComment, []byte(comment))
	}
	body = option(body, optionEnd, nil)
	return block(blockSection, body)
}

func interfaceDescription(gateway radio.EUI64) []byte {
	body := binary.LittleEndian.AppendUint16(nil, linkTypeLoRaTap)
	body = binary.LittleEndian.AppendUint16(body, 0)
	body = binary.LittleEndian.AppendUint32(body, 0) // no snapshot limit
	body = option(body, optionName, []byte(gateway.String()))
	body = option(body, optionTick, []byte{nanoseconds})
	body = option(body, optionEnd, nil)
	return block(blockInterface, body)
}

func enhancedPacket(at time.Time, way uint32, header, payload []byte) []byte {
	ticks := uint64(at.UnixNano())
	size := uint32(len(header) + len(payload))
	body := binary.LittleEndian.AppendUint32(nil, 0) // interface
	body = binary.LittleEndian.AppendUint32(body, uint32(ticks>>32))
	body = binary.LittleEndian.AppendUint32(body, uint32(ticks))
	body = binary.LittleEndian.AppendUint32(body, size)
	body = binary.LittleEndian.AppendUint32(body, size)
	body = append(append(body, header...), payload...)
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	body = option(body, optionFlags, binary.LittleEndian.AppendUint32(nil, way))
	body = option(body, optionEnd, nil)
	return block(blockPacket, body)
}
