package sx1302sim

// packet is a received packet as it lies in the receive buffer.
type packet struct {
	chain, modem byte // 0-7 multi-SF, 8 service, 9 FSK; 0-15, 16, 17
	sf, rate     byte // 0 for FSK
	crc          bool
	offset       int32 // 20 bits signed
	payload      []byte
	bad          bool // payload CRC error
	snr          int8 // quarters of a dB
	rssi, signal byte // of the channel, of the signal alone
	stamp        uint32
	timing       bool   // metrics are valid
	metrics      []int8 // of the stamp
	sum          uint16 // CRC-16 as received
}

// Layout of a packet around its payload.
const (
	packetSync0  = 0xA5
	packetSync1  = 0xC0
	packetHeader = 9
	packetTail   = 14
	flagCRCError = 1 << 0
	flagTiming   = 1 << 4
)

// encode returns the packet's bytes in the receive buffer.
func (p *packet) encode() []byte {
	b := make([]byte, 0, packetHeader+len(p.payload)+packetTail+len(p.metrics))
	b = append(b, packetSync0, packetSync1, byte(len(p.payload)), p.chain, p.sf<<4|p.rate<<1|bit(p.crc), p.modem,
		byte(p.offset), byte(p.offset>>8), byte(p.offset>>16)&0x0F)
	b = append(b, p.payload...)
	flags := byte(0)
	if p.bad {
		flags |= flagCRCError
	}
	if p.timing {
		flags |= flagTiming
	}
	b = append(b, flags, byte(p.snr), p.rssi, p.signal, 0, 0,
		byte(p.stamp), byte(p.stamp>>8), byte(p.stamp>>16), byte(p.stamp>>24),
		byte(p.sum), byte(p.sum>>8), byte(len(p.metrics)/2))
	for _, m := range p.metrics {
		b = append(b, byte(m))
	}
	var sum byte
	for _, v := range b {
		sum += v
	}
	return append(b, sum)
}

// crc16 is the LoRa payload CRC as the chip shows it: the remainder of the
// message itself, without appended zeros, modulo x^16+x^12+x^5+1.
func crc16(b []byte) uint16 {
	var r uint16
	for _, v := range b {
		for i := 7; i >= 0; i-- {
			carry := r >> 15
			r = r<<1 | uint16(v>>i&1)
			if carry == 1 {
				r ^= 0x1021
			}
		}
	}
	return r
}
