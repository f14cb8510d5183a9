package nsedge

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"gatewayd/radio"
)

const (
	// ghostSpan is how far apart the ends of two copies in one gateway may
	// be: a near device is heard on several channels at once.
	ghostSpan = 20 * time.Millisecond
	// copySpan is how much later another gateway's copy may come. A device
	// does not send again within a second: it has to wait for RX1.
	copySpan = 500 * time.Millisecond
)

// fingerprint identifies the bytes of a frame.
type fingerprint [16]byte

// reception is one frame with all its copies.
type reception struct {
	hash     PacketHash
	first    radio.Uplink
	came     time.Time
	gateways []radio.EUI64 // the other ones that heard it
	ghost    bool          // a warning was given
	dev      *device       // nil until the MIC was right
	event    *UplinkEvent  // what was published, nil if nothing was
	win      *window       // nil if none was opened
	join     bool
	doubt    bool // the MIC was wrong, but a copy on another channel may be right

	linkCheck, deviceTime, pingInfo bool     // asked for by MAC commands
	confirm                         [][]byte // MAC commands that confirm what the device indicated
}

// heard remembers the frames of the last moments.
type heard struct {
	frames map[fingerprint]*reception
	order  []fingerprint // by time
}

func newHeard() heard { return heard{frames: map[fingerprint]*reception{}} }

// isGhost tells whether r is a ghost whose original comes now: in LoRaWAN 1.1
// the MIC is right on the device's channel only.
func (r *reception) isGhost(u *radio.Uplink) bool { return r.doubt && u.Freq != r.first.Freq }

// isCopy tells whether u is the same transmission as r.
func (r *reception) isCopy(u *radio.Uplink) bool {
	if u.Gateway == r.first.Gateway {
		return u.At.Sub(r.first.At).Abs() <= ghostSpan
	}
	return u.Time.Sub(r.first.Time).Abs() <= copySpan
}

// add remembers a frame and forgets old ones.
func (h *heard) add(f fingerprint, r *reception) {
	for len(h.order) > 0 {
		old := h.frames[h.order[0]]
		if old != nil && r.came.Sub(old.came) <= copySpan {
			break
		}
		if old != nil {
			delete(h.frames, h.order[0])
		}
		h.order = h.order[1:]
	}
	if _, again := h.frames[f]; !again {
		h.order = append(h.order, f)
	}
	h.frames[f] = r
}

// identify computes a frame's fingerprint.
func identify(phy []byte) fingerprint {
	sum := sha256.Sum256(phy)
	return fingerprint(sum[:])
}

// packetHash makes the identifier of a new transmission: other than its
// bytes, it never comes again.
func (e *Edge) packetHash(f fingerprint) PacketHash {
	e.frames++
	b := append(e.scratch[:0], e.salt[:]...)
	b = binary.BigEndian.AppendUint64(b, e.frames)
	b = append(b, f[:]...)
	sum := sha256.Sum256(b)
	e.scratch = b
	return PacketHash(sum[:])
}
