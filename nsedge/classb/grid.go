package classb

import (
	"crypto/aes"
	"encoding/binary"
	"time"
)

// The beacon period and its parts (§12.1, table 73).
const (
	Period   = 128 * time.Second       // from beacon to beacon
	Reserved = 2120 * time.Millisecond // for the beacon, at the begin of a period
	Guard    = 3 * time.Second         // at the end of a period, no slot begins in it
	Slot     = 30 * time.Millisecond   // ping slots begin on multiples of it
	Slots    = 4096                    // in a period

	// BeaconDelay is TBeaconDelay: a beacon starts that long after its time
	// (§13.5).
	BeaconDelay = 1500 * time.Microsecond
	// Beaconless is how long a device goes on without beacons (§11).
	Beaconless = 2 * time.Hour
	// MaxPeriodicity is the greatest PingSlotPeriodicity: one slot a period.
	// 0 is a slot almost every second.
	MaxPeriodicity = 7
)

// Start is the beginning of the beacon period that a moment is in.
func Start(gps time.Duration) time.Duration { return gps - gps%Period }

// Count is the number of the beacon period that a moment is in: what channels
// hop by.
func Count(gps time.Duration) int64 { return int64(gps / Period) }

// PingPeriod is the distance of a device's slots for a periodicity of 0 to 7,
// in slots.
func PingPeriod(periodicity int) int { return 1 << (5 + periodicity) }

// PingOffset is the first slot of a device in the period that begins at start
// (§12.2): the address (most significant byte first) and the time, encrypted
// with a key of zeros.
func PingOffset(start time.Duration, addr [4]byte, periodicity int) int {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		panic(err) // never: the key has 16 bytes
	}
	var b [16]byte
	binary.LittleEndian.PutUint32(b[:], uint32(start/time.Second))
	binary.LittleEndian.PutUint32(b[4:], binary.BigEndian.Uint32(addr[:]))
	block.Encrypt(b[:], b[:])
	return int(binary.LittleEndian.Uint16(b[:])) % PingPeriod(periodicity)
}

// NextPing is the start of a device's first slot at or after a moment.
func NextPing(from time.Duration, addr [4]byte, periodicity int) time.Duration {
	distance := time.Duration(PingPeriod(periodicity)) * Slot
	for start := Start(from); ; start += Period {
		first := start + Reserved + time.Duration(PingOffset(start, addr, periodicity))*Slot
		n := max((from-first+distance-1)/distance, 0)
		if at := first + n*distance; at < start+Reserved+Slots*Slot {
			return at
		}
	}
}
