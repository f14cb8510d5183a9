package flight

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// blockSize is the unit in which a tape forgets.
const blockSize = 64 << 10

// Layout of an entry in a block: its length, kind, times, repetitions, and the
// length of the first of its two pieces of data.
const (
	atKind  = 4
	atTime  = 5
	atLast  = 13
	atCount = 21
	atFirst = 25
	atData  = 27
)

// cell is an entry of a tape: n times the same, from a time to a last one, ns
// of the recorder's clock. Its data belong to the tape.
type cell struct {
	kind     byte
	at, last int64
	n        uint32
	out, in  []byte
}

// tape keeps entries in blocks; when there are more than most blocks, the
// oldest one goes, and forget is told of what was in it.
type tape struct {
	most   int
	blocks [][]byte
	free   []byte // a block to use again
	newest int    // where the last entry begins in the last block; -1: there is none
	forget func(cell)
}

func newTape(size int, forget func(cell)) *tape {
	return &tape{most: max(size/blockSize, 1), newest: -1, forget: forget}
}

// clear forgets everything, and keeps the memory of one block.
func (t *tape) clear() {
	if len(t.blocks) > 0 {
		t.free = t.blocks[0]
	}
	clear(t.blocks)
	t.blocks, t.newest = t.blocks[:0], -1
}

// full tells whether the next entry of so many bytes would make it forget.
func (t *tape) full(data int) bool {
	n := len(t.blocks)
	return n == t.most && len(t.blocks[n-1])+atData+data > blockSize
}

// add appends an entry; what doesn't fit into a block is cut.
func (t *tape) add(kind byte, at int64, out, in []byte) {
	out = out[:min(len(out), blockSize/4)]
	in = in[:min(len(in), blockSize/4)]
	size := atData + len(out) + len(in)
	if n := len(t.blocks); n == 0 || len(t.blocks[n-1])+size > blockSize {
		t.advance()
	}
	b := &t.blocks[len(t.blocks)-1]
	t.newest = len(*b)
	var head [atData]byte
	binary.LittleEndian.PutUint32(head[:], uint32(size))
	head[atKind] = kind
	binary.LittleEndian.PutUint64(head[atTime:], uint64(at))
	binary.LittleEndian.PutUint64(head[atLast:], uint64(at))
	binary.LittleEndian.PutUint32(head[atCount:], 1)
	binary.LittleEndian.PutUint16(head[atFirst:], uint16(len(out)))
	*b = append(append(append(*b, head[:]...), out...), in...)
}

// repeat counts an entry that is the same as the last one; false if it is not.
func (t *tape) repeat(kind byte, at int64, out, in []byte) bool {
	if t.newest < 0 {
		return false
	}
	b := t.blocks[len(t.blocks)-1][t.newest:]
	if b[atKind] != kind || len(b) != atData+len(out)+len(in) || !bytes.Equal(b[atData:atData+len(out)], out) || !bytes.Equal(b[atData+len(out):], in) {
		return false
	}
	binary.LittleEndian.PutUint64(b[atLast:], uint64(at))
	binary.LittleEndian.PutUint32(b[atCount:], binary.LittleEndian.Uint32(b[atCount:])+1)
	return true
}

// advance makes room for another block.
func (t *tape) advance() {
	if len(t.blocks) == t.most {
		oldest := t.blocks[0]
		if t.forget != nil {
			for c := range cells(oldest) {
				t.forget(c)
			}
		}
		t.blocks = t.blocks[:copy(t.blocks, t.blocks[1:])]
		t.free = oldest
	}
	b := t.free
	if t.free = nil; b == nil {
		b = make([]byte, 0, blockSize)
	}
	t.blocks = append(t.blocks, b[:0])
}

// all are the entries, oldest first.
func (t *tape) all() iter.Seq[cell] {
	return func(yield func(cell) bool) {
		for _, b := range t.blocks {
			for c := range cells(b) {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// copied is a tape that nobody changes any more.
func (t *tape) copied() *tape {
	c := &tape{most: t.most, newest: -1}
	for _, b := range t.blocks {
		c.blocks = append(c.blocks, bytes.Clone(b))
	}
	return c
}

func cells(b []byte) iter.Seq[cell] {
	return func(yield func(cell) bool) {
		for len(b) > 0 {
			e := b[:binary.LittleEndian.Uint32(b)]
			b = b[len(e):]
			first := atData + int(binary.LittleEndian.Uint16(e[atFirst:]))
			if !yield(cell{
				kind: e[atKind], at: int64(binary.LittleEndian.Uint64(e[atTime:])), last: int64(binary.LittleEndian.Uint64(e[atLast:])),
				n: binary.LittleEndian.Uint32(e[atCount:]), out: e[atData:first], in: e[first:],
			}) {
				return
			}
		}
	}
}
