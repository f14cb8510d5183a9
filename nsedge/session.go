package nsedge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// session is a device's security context and its counters. It is owned by
// the one who owns the [Edge].
type session struct {
	dev  *device
	next *session // of the same DevAddr

	addr DevAddr
	keys
	gen byte // which session of the device: see generation in registry.go

	joined time.Time

	settings
	kept    *settings // with which it began: see joined
	orders  *orders   // nil: nothing was ever asked of the device
	lastDR  int8      // data rate of the last uplink, -1 is unknown
	adrBit  bool      // of the last uplink
	history []ADRSample

	counters
	down    uint32 // next FCntDown; NFCntDown of 1.1
	safe    uint32 // those below it are reserved on disk
	appDown uint32 // next AFCntDown of 1.1
	appSafe uint32

	unacked bool // the last downlink was confirmed and its ACK has not come
	repeats uint8
}

// counters is the part of a session that changes with the traffic: what the
// journal keeps.
type counters struct {
	up    uint32           // next expected FCntUp
	mark  uint32           // FCntDown that may have been used end below it
	last  [micSize]byte    // MIC of the last uplink, to tell a repeat
	first [2][micSize]byte // MICs of uplinks 0 and 1, to tell a restart from a replay; 0 if they were never heard, or lost
	seen  int64            // unix time of the last uplink, 0 for never

	// LoRaWAN 1.1 only.
	appMark uint32    // like mark, of AFCntDown
	conf    confirmed // with which ACKs are signed
}

// confirmed are counters of confirmed downlinks, 16 bits: the last, the one
// before, which the device may have heard instead, and the one that the last
// uplink acknowledged, which its repetitions do, too.
type confirmed [3]uint16

// sent notes another confirmed downlink.
func (c *confirmed) sent(counter uint32) { c[0], c[1] = uint16(counter), c[0] }

// Versions of a state: 2 is LoRaWAN 1.1's.
const (
	stateVersion   = 1
	stateVersion11 = 2
)

var errState = errors.New("not a session state of a known version")

// appendState encodes counters and generation: 20 to 35 bytes.
func (c *counters) appendState(b []byte, gen byte) []byte {
	v11 := c.appMark != 0 || c.conf != confirmed{}
	if v11 {
		b = append(b, stateVersion11, gen)
	} else {
		b = append(b, stateVersion, gen)
	}
	b = binary.AppendUvarint(b, uint64(c.up))
	b = binary.AppendUvarint(b, uint64(c.mark))
	if v11 {
		b = binary.AppendUvarint(b, uint64(c.appMark))
		for _, n := range c.conf {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	b = append(b, c.last[:]...)
	b = append(b, c.first[0][:]...)
	b = append(b, c.first[1][:]...)
	return binary.AppendVarint(b, c.seen)
}

// decodeState is the inverse of appendState.
func decodeState(b []byte) (c counters, gen byte, err error) {
	r := reader{b: b}
	version := r.byte()
	gen = r.byte()
	c.up = uint32(r.uvarint(1<<32 - 1))
	c.mark = uint32(r.uvarint(1<<32 - 1))
	if version == stateVersion11 {
		c.appMark = uint32(r.uvarint(1<<32 - 1))
		for i := range c.conf {
			c.conf[i] = uint16(r.uvarint(1<<16 - 1))
		}
	}
	r.bytes(c.last[:])
	r.bytes(c.first[0][:])
	r.bytes(c.first[1][:])
	c.seen = r.varint()
	if version != stateVersion && version != stateVersion11 || r.failed || len(r.b) > 0 {
		return counters{}, 0, fmt.Errorf("%w: %d bytes", errState, len(b))
	}
	return c, gen, nil
}

// Counters of the specification.
const (
	maxGap     = 16384 // MAX_FCNT_GAP of LoRaWAN 1.0.3; 1.0.4 has none
	maxRepeats = 15    // NbTrans is 15 at most
	reserve    = 64    // FCntDown values reserved at a time
	maxCounter = 1<<32 - 1
)

// verdict on an uplink's counter.
type verdict uint8

// Verdicts, best last.
const (
	badMIC   verdict = iota
	tooFar           // skips more than the strict policy allows
	replayed         // the MIC is right, the counter is used up
	repeated         // the last frame again, byte by byte
	restarted
	accepted
)

// judge finds the full counter of a frame and whether it may be accepted. It
// computes a MIC for each possible upper half, the likeliest first.
func (s *session) judge(f *dataUp) (verdict, uint32) {
	if s.dev.spec.CountersSize == 2 {
		return s.judgeShort(f)
	}
	next := uint64(s.up)
	forward := next&^0xffff | uint64(f.counter)
	if forward < next {
		forward += 1 << 16
	}
	if c := uint32(forward); forward < maxCounter && s.authentic(f, c) {
		return s.judgeNew(f, c, forward-next)
	}
	if forward >= 1<<16 {
		if c := uint32(forward - 1<<16); s.authentic(f, c) {
			return s.judgeOld(f, c)
		}
		if c := uint32(f.counter); forward >= 1<<17 && s.authentic(f, c) {
			return s.judgeOld(f, c)
		}
	}
	// Out of step by a turn of the low half: only the strict policy minds.
	if c := forward + 1<<16; c < maxCounter && s.dev.spec.Policy != PolicyStrict && s.authentic(f, uint32(c)) {
		return accepted, uint32(c)
	}
	return badMIC, 0
}

// judgeNew decides about a counter that is gap above the expected one. A frame
// that was heard before the device began again is no new one.
func (s *session) judgeNew(f *dataUp, c uint32, gap uint64) (verdict, uint32) {
	switch {
	case c < uint32(len(s.first)) && s.sameFrame(f, s.first[c]) && s.dev.spec.Policy != PolicyLab:
		return replayed, c
	case s.dev.spec.Policy == PolicyStrict && gap >= maxGap:
		return tooFar, c
	}
	return accepted, c
}

// judgeOld decides about a counter below the expected one.
func (s *session) judgeOld(f *dataUp, c uint32) (verdict, uint32) {
	switch {
	case c == s.up-1 && s.sameFrame(f, s.last):
		return repeated, c
	case s.dev.spec.Policy == PolicyLab, s.mayRestart(f, c):
		return restarted, c
	}
	return replayed, c
}

// judgeShort is judge for devices that count with 16 bits.
func (s *session) judgeShort(f *dataUp) (verdict, uint32) {
	c := uint32(f.counter)
	if !s.authentic(f, c) {
		return badMIC, 0
	}
	gap := f.counter - uint16(s.up)
	if s.up > 0 && gap >= 1<<15 {
		return s.judgeOld(f, c)
	}
	return s.judgeNew(f, c, uint64(gap))
}

// lost stands for the MIC of a frame that may have been heard before a power
// cut.
var lost = [micSize]byte{0xff, 0xff, 0xff, 0xff}

// mayRestart tells whether an ABP device, which forgets its counters without
// power, begins again with this frame. A first frame that was heard before is a
// replay all the same, and one that may have been heard before the power was
// cut can't be told from a replay.
func (s *session) mayRestart(f *dataUp, c uint32) bool {
	return s.dev.spec.Policy == PolicyRelaxed && s.dev.spec.Activation == ABP &&
		c < uint32(len(s.first)) && !s.sameFrame(f, s.first[c]) && s.first[c] != lost
}

// doubt marks what the last moments before the process began may have
// brought: frames at and above the counter may have been heard.
func (c *counters) doubt() {
	for i := range c.first {
		if uint32(i) >= c.up && c.first[i] == ([micSize]byte{}) {
			c.first[i] = lost
		}
	}
}

// take makes n the last counter.
func (c *counters) take(f *dataUp, n uint32, now time.Time) {
	c.up = n + 1
	c.last = f.mic
	if f.has(ctrlACK) {
		c.conf[2] = f.acked
	}
	if n < uint32(len(c.first)) {
		c.first[n] = f.mic
	}
	c.seen = now.Unix()
}

// reader decodes the store's records. After a failure it returns zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) byte() byte {
	var b [1]byte
	r.bytes(b[:])
	return b[0]
}

func (r *reader) bytes(to []byte) {
	if r.failed = r.failed || len(r.b) < len(to); !r.failed {
		r.b = r.b[copy(to, r.b):]
	}
}

func (r *reader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if r.failed = r.failed || n <= 0 || v > limit; r.failed {
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if r.failed = r.failed || n <= 0; r.failed {
		return 0
	}
	r.b = r.b[n:]
	return v
}

// link adds s to the sessions of its address, unlink removes it.
func (e *Edge) link(s *session) {
	if s.dev.spec.Multicast { // nobody sends with it
		return
	}
	s.next = e.byAddr[s.addr]
	e.byAddr[s.addr] = s
}

func (e *Edge) unlink(s *session) {
	if s == nil {
		return
	}
	for at, p := e.byAddr[s.addr], (*session)(nil); at != nil; p, at = at, at.next {
		if at != s {
			continue
		}
		switch {
		case p != nil:
			p.next = s.next
		case s.next != nil:
			e.byAddr[s.addr] = s.next
		default:
			delete(e.byAddr, s.addr)
		}
		s.next = nil
		return
	}
}

// sessions lists a device's sessions that may be in use.
func (d *device) sessions() []*session {
	if d.active == nil {
		return slices.Clone(d.pending)
	}
	return append([]*session{d.active}, d.pending...)
}
