package store

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
)

// Sizes in bytes; the layout is in the package documentation.
const (
	headerSize   = 20
	recordHead   = 18 // length, key, sequence
	recordExtra  = recordHead + 4
	forgotten    = 0xffff // in the place of the length
	MaxStateSize = 256    // of a value given to Append
)

var (
	magic = [8]byte{'g', 'w', 'd', 'j', 'r', 'n', 'l', '1'}
	order = binary.BigEndian
	crc   = crc32.MakeTable(crc32.Castagnoli)
)

// salt tells the lives of a segment apart.
type salt [8]byte

func newSalt() salt {
	var s salt
	_, _ = rand.Read(s[:]) // never fails, see crypto/rand
	return s
}

// header is the first headerSize bytes of a segment.
func header(s salt) []byte {
	b := append(magic[:len(magic):len(magic)], s[:]...)
	return order.AppendUint32(b, crc32.Checksum(b, crc))
}

// parseHeader returns the salt of a segment; ok is false if there is none,
// which is what a power cut during the change of salts leaves.
func parseHeader(b []byte) (s salt, ok bool) {
	if len(b) < headerSize || !bytes.Equal(b[:8], magic[:]) ||
		order.Uint32(b[16:]) != crc32.Checksum(b[:16], crc) {
		return s, false
	}
	copy(s[:], b[8:])
	return s, true
}

// record is one change of one state.
type record struct {
	key      [8]byte
	sequence uint64
	value    []byte
	forget   bool
}

// append appends the record as it stands in the journal.
func (r record) append(b []byte, s salt) []byte {
	start := len(b)
	length := uint16(len(r.value))
	if r.forget {
		length = forgotten
	}
	b = order.AppendUint16(b, length)
	b = append(b, r.key[:]...)
	b = order.AppendUint64(b, r.sequence)
	b = append(b, r.value...)
	return order.AppendUint32(b, checksum(s, b[start:]))
}

func checksum(s salt, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(s[:], crc), crc, b)
}

// parseRecord reads the record at the start of b, whose value then points
// into b, and its size. ok is false if there is no whole record with the salt.
func parseRecord(b []byte, s salt) (r record, size int, ok bool) {
	if len(b) < recordExtra {
		return r, 0, false
	}
	n := int(order.Uint16(b))
	if n == forgotten {
		r.forget, n = true, 0
	}
	if n > MaxStateSize || len(b) < recordExtra+n {
		return r, 0, false
	}
	body := recordHead + n
	if order.Uint32(b[body:]) != checksum(s, b[:body]) {
		return r, 0, false
	}
	copy(r.key[:], b[2:])
	r.sequence = order.Uint64(b[10:])
	r.value = b[recordHead:body:body]
	return r, body + 4, r.sequence != 0
}

// parseSegment returns the records of a segment up to the first that isn't
// whole; none if there is no header.
func parseSegment(b []byte) []record {
	s, ok := parseHeader(b)
	if !ok {
		return nil
	}
	var records []record
	for b = b[headerSize:]; ; {
		r, size, ok := parseRecord(b, s)
		if !ok {
			return records
		}
		records = append(records, r)
		b = b[size:]
	}
}
