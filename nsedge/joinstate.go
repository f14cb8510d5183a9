package nsedge

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// joinState is what must outlive a power cut about a device's joins. It is
// durable before a join-accept is on the air.
type joinState struct {
	joins uint32 // how many, for the generation of the next session
	nonce uint32 // the last JoinNonce used; 24 bits
	standing
	nonces nonces // DevNonces used

	// Of rejoin-requests, see rejoin.go.
	rejoin1   uint32 // the lowest RJcount1 that may come next
	rejoin0   uint32 // the lowest RJcount0 that may come next
	rejoin0In byte   // in the session of this generation; in others that is 0
}

// standing are the joined sessions that a device may be in: the one in use,
// unless that was registered, and those that wait for their first uplink,
// oldest first. A single one waits.
type standing struct {
	sessions   []joined
	registered bool // the one in use was registered: all of sessions wait
}

// has tells whether one of the sessions has this generation.
func (st *standing) has(gen byte) bool {
	return slices.ContainsFunc(st.sessions, func(s joined) bool { return s.gen == gen })
}

// joined is a session made by a join.
type joined struct {
	gen  byte
	addr DevAddr
	keys
	rxDelay uint8
	offset  uint8
	rx2DR   int8
	at      int64     // unix time
	keep    *settings // of the session before, if it goes on with its radio: a rejoin of type 2
}

// Bits that tell what a stored session has.
const (
	hasAppSKey = 1 << iota
	hasKeys11
	hasSettings
)

// maxJoinNonce is the last JoinNonce: they have 24 bits and never repeat.
const maxJoinNonce = 1<<24 - 1

const joinStateVersion = 1

// allWait is set in the number of stored sessions where the one in use is not
// among them, as it was registered.
const allWait = 0x80

var errJoinState = errors.New("not a join state of a known version")

// encode is the join state as it is stored.
func (j *joinState) encode() []byte {
	b := []byte{joinStateVersion}
	b = binary.AppendUvarint(b, uint64(j.joins))
	b = binary.AppendUvarint(b, uint64(j.nonce))
	n := byte(len(j.sessions))
	if j.registered {
		n |= allWait
	}
	b = append(b, n)
	for _, s := range j.sessions {
		b = s.append(b)
	}
	return j.appendRejoins(j.nonces.append(b))
}

func (s *joined) append(b []byte) []byte {
	has := byte(0)
	if s.hasApp {
		has |= hasAppSKey
	}
	if s.v11 {
		has |= hasKeys11
	}
	if s.keep != nil {
		has |= hasSettings
	}
	b = append(b, s.gen, has, s.rxDelay, s.offset, byte(s.rx2DR))
	b = append(b, s.addr[:]...)
	b = append(b, s.nwkSKey[:]...)
	if s.hasApp {
		b = append(b, s.appSKey[:]...)
	}
	if s.v11 {
		b = append(append(b, s.sIntKey[:]...), s.encKey[:]...)
	}
	b = binary.AppendVarint(b, s.at)
	if s.keep != nil {
		raw, err := json.Marshal(s.keep)
		if err != nil { // never: there is nothing in it that JSON lacks
			panic(err)
		}
		b = append(binary.AppendUvarint(b, uint64(len(raw))), raw...)
	}
	return b
}

// decodeJoinState is the inverse of encode; nil is the state before the first
// join.
func decodeJoinState(b []byte) (joinState, error) {
	if b == nil {
		return joinState{}, nil
	}
	r := reader{b: b}
	version := r.byte()
	j := joinState{joins: uint32(r.uvarint(1<<32 - 1)), nonce: uint32(r.uvarint(maxJoinNonce))}
	n := r.byte()
	j.registered = n&allWait != 0
	n &^= allWait
	r.failed = r.failed || version != joinStateVersion || n > 1+maxPending || n > maxPending && j.registered
	for range n {
		if r.failed {
			break
		}
		j.sessions = append(j.sessions, r.joined())
	}
	j.nonces = r.nonces()
	if !r.failed && len(r.b) > 0 {
		r.rejoins(&j)
	}
	if r.failed || len(r.b) > 0 {
		return joinState{}, fmt.Errorf("%w: %d bytes", errJoinState, len(b))
	}
	return j, nil
}

func (r *reader) joined() (s joined) {
	s.gen = r.byte()
	has := r.byte()
	s.rxDelay, s.offset, s.rx2DR = r.byte(), r.byte(), int8(r.byte())
	r.bytes(s.addr[:])
	r.bytes(s.nwkSKey[:])
	s.keys = keys10(s.nwkSKey)
	if s.hasApp = has&hasAppSKey != 0; s.hasApp {
		r.bytes(s.appSKey[:])
	}
	if s.v11 = has&hasKeys11 != 0; s.v11 {
		r.bytes(s.sIntKey[:])
		r.bytes(s.encKey[:])
	}
	s.at = r.varint()
	if has&hasSettings != 0 {
		raw := make([]byte, r.uvarint(uint64(len(r.b))))
		r.bytes(raw)
		s.keep = &settings{}
		r.failed = r.failed || json.Unmarshal(raw, s.keep) != nil
	}
	r.failed = r.failed || has >= hasSettings<<1
	return s
}

// nonces is a set of DevNonces as runs, in order: one run for a device that
// counts (LoRaWAN 1.0.4), one a join for a device that draws lots (before).
type nonces []run

type run struct{ first, last uint16 }

// has tells whether n was used.
func (ns nonces) has(n uint16) bool {
	i, found := ns.search(n)
	return found || i > 0 && ns[i-1].last >= n
}

func (ns nonces) search(n uint16) (int, bool) {
	return slices.BinarySearchFunc(ns, n, func(r run, n uint16) int { return int(r.first) - int(n) })
}

// add puts n in, which isn't in yet.
func (ns nonces) add(n uint16) nonces {
	i, _ := ns.search(n)
	earlier := ns[:i]
	after := i > 0 && int(earlier[len(earlier)-1].last)+1 == int(n)
	before := i < len(ns) && int(ns[i].first)-1 == int(n)
	switch {
	case after && before:
		ns[i-1].last = ns[i].last
		return slices.Delete(ns, i, i+1)
	case after:
		ns[i-1].last = n
	case before:
		ns[i].first = n
	default:
		return slices.Insert(ns, i, run{n, n})
	}
	return ns
}

func (ns nonces) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(ns)))
	end := 0 // what the next run's start counts from
	for _, r := range ns {
		b = binary.AppendUvarint(b, uint64(int(r.first)-end))
		b = binary.AppendUvarint(b, uint64(r.last-r.first))
		end = int(r.last)
	}
	return b
}

func (r *reader) nonces() nonces {
	n := int(r.uvarint(1 << 15))
	if n > len(r.b) { // a run takes two bytes: don't trust the length
		r.failed = true
		return nil
	}
	ns := make(nonces, 0, n)
	end := uint64(0)
	for range n {
		first := end + r.uvarint(1<<16-1)
		last := first + r.uvarint(1<<16-1)
		r.failed = r.failed || last > 1<<16-1 || len(ns) > 0 && first < end+2
		if r.failed {
			return nil
		}
		ns = append(ns, run{uint16(first), uint16(last)})
		end = last
	}
	return ns
}
