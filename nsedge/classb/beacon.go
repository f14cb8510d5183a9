package classb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrBeacon is that bytes are no beacon; it is wrapped with the reason.
var ErrBeacon = errors.New("not a beacon")

// Beacon is what a beacon says (§13).
type Beacon struct {
	Time      time.Duration // of the period that begins, whole seconds
	Precision int           // 0 to 3: the time is exact to 10^(Precision-6) s
	// InfoDesc says what Info is; see Position and Identity.
	InfoDesc byte
	Info     [6]byte
	// NoInfo: a beacon was received whose gateway specific part is damaged.
	NoInfo bool
}

// Values of InfoDesc (table 77).
const (
	InfoPosition = 0 // of the gateway's first antenna; 1 and 2 are other antennas
	InfoIdentity = 3 // NetID and the number of the gateway
)

// fillers are the sizes of the two reserved fields: they bring each part to
// whole interleaver blocks (§13.2, and the frame contents in RP002).
func fillers(sf uint8) (front, back int, ok bool) {
	switch sf {
	case 8:
		return 0, 3, true
	case 9:
		return 1, 0, true
	case 10:
		return 2, 1, true
	case 11:
		return 3, 2, true
	case 12:
		return 4, 3, true
	}
	return 0, 0, false
}

// Parts of a beacon: Param and Time before the first CRC; InfoDesc and Info
// after it.
const (
	commonSize = 1 + 4
	infoSize   = 1 + 6
	crcSize    = 2
)

// Size is the length of a beacon of a spreading factor, 0 if there is none.
func Size(sf uint8) int {
	front, back, ok := fillers(sf)
	if !ok {
		return 0
	}
	return front + commonSize + crcSize + infoSize + back + crcSize
}

// Encode makes the bytes of a beacon. Spreading factors are 8 to 12.
func (b Beacon) Encode(sf uint8) ([]byte, error) {
	front, back, ok := fillers(sf)
	if !ok {
		return nil, fmt.Errorf("beacon at SF%d: SF8 to SF12 are possible", sf)
	}
	if b.Precision < 0 || b.Precision > 3 {
		return nil, fmt.Errorf("beacon of precision %d: 0 to 3 is possible", b.Precision)
	}
	out := append(make([]byte, front, Size(sf)), byte(b.Precision))
	out = binary.LittleEndian.AppendUint32(out, uint32(b.Time/time.Second))
	out = binary.LittleEndian.AppendUint16(out, crc(out))
	second := len(out)
	out = append(append(out, b.InfoDesc), b.Info[:]...)
	out = append(out, make([]byte, back)...)
	return binary.LittleEndian.AppendUint16(out, crc(out[second:])), nil
}

// Decode reads a beacon that was received near a moment, which resolves the 32
// bits of its time. The common part must be right. The error wraps
// [ErrBeacon].
func Decode(sf uint8, data []byte, near time.Duration) (b Beacon, err error) {
	front, _, ok := fillers(sf)
	if !ok || len(data) != Size(sf) {
		return b, fmt.Errorf("%w: %d bytes at SF%d, %d are wanted", ErrBeacon, len(data), sf, Size(sf))
	}
	end := front + commonSize
	if crc(data[:end]) != binary.LittleEndian.Uint16(data[end:]) {
		return b, fmt.Errorf("%w: the CRC of the time is wrong", ErrBeacon)
	}
	low := binary.LittleEndian.Uint32(data[front+1:])
	about := int64(near / time.Second)
	b.Time = time.Duration(about+int64(int32(low-uint32(about)))) * time.Second
	b.Precision = int(data[front] & 3)
	rest := data[end+crcSize:]
	b.InfoDesc = rest[0]
	copy(b.Info[:], rest[1:])
	tail := len(rest) - crcSize
	b.NoInfo = crc(rest[:tail]) != binary.LittleEndian.Uint16(rest[tail:])
	return b, nil
}

// SetPosition makes the gateway's position the beacon's information: degrees,
// north and east positive (§13.3.1).
func (b *Beacon) SetPosition(lat, lng float64) {
	b.InfoDesc = InfoPosition
	put := func(to []byte, v float64) {
		n := int32(math.Round(min(max(v*(1<<23), -1<<23), 1<<23-1)))
		to[0], to[1], to[2] = byte(n), byte(n>>8), byte(n>>16)
	}
	put(b.Info[:], lat/90)
	put(b.Info[3:], lng/180)
}

// Position is the gateway's position, false if the beacon doesn't have it.
func (b Beacon) Position() (lat, lng float64, ok bool) {
	if b.NoInfo || b.InfoDesc > 2 {
		return 0, 0, false
	}
	get := func(from []byte) float64 {
		n := int32(uint32(from[0])<<8|uint32(from[1])<<16|uint32(from[2])<<24) >> 8
		return float64(n) / (1 << 23)
	}
	return get(b.Info[:]) * 90, get(b.Info[3:]) * 180, true
}

// SetIdentity makes NetID (most significant byte first) and the gateway's
// number in it the beacon's information (§13.3.2).
func (b *Beacon) SetIdentity(netID [3]byte, gateway uint32) {
	b.InfoDesc = InfoIdentity
	b.Info = [6]byte{netID[2], netID[1], netID[0], byte(gateway), byte(gateway >> 8), byte(gateway >> 16)}
}

// crc is the CRC-16 of both parts (§13.2): polynomial 0x1021, initial value 0,
// most significant bit first.
func crc(data []byte) (c uint16) {
	for _, x := range data {
		c ^= uint16(x) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
	}
	return c
}
