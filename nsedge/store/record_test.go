package store

import (
	"bytes"
	"testing"
)

func TestARecordReadsAsItWasWritten(t *testing.T) {
	s := salt{1, 2, 3}
	for _, want := range []record{
		{key: key(1), sequence: 1, value: []byte{}},
		{key: key(1 << 63), sequence: 1 << 63, value: bytes.Repeat([]byte{0xff}, MaxStateSize)},
		{key: key(3), sequence: 3, forget: true},
	} {
		b := want.append(nil, s)
		got, size, ok := parseRecord(append(b, 1, 2, 3), s)
		if !ok || size != len(b) || got.key != want.key || got.sequence != want.sequence ||
			got.forget != want.forget || !bytes.Equal(got.value, want.value) {
			t.Errorf("%+v reads as %+v, %d, %v", want, got, size, ok)
		}
		if _, _, ok := parseRecord(b, salt{1}); ok {
			t.Errorf("%+v is valid in another life", want)
		}
		for i := range b {
			if _, _, ok := parseRecord(b[:i], s); ok {
				t.Errorf("%+v is valid when cut at %d", want, i)
			}
			b[i] ^= 0x10
			if _, _, ok := parseRecord(b, s); ok {
				t.Errorf("%+v is valid with byte %d changed", want, i)
			}
			b[i] ^= 0x10
		}
	}
}

// Whatever a segment holds, what is read of it stands in it in that order.
func FuzzSegment(f *testing.F) {
	s := salt{9}
	b := header(s)
	f.Add(b)
	b = record{key: key(1), sequence: 1, value: []byte("a")}.append(b, s)
	b = record{key: key(2), sequence: 2, forget: true}.append(b, s)
	f.Add(b)
	f.Add(append(b, make([]byte, 100)...))
	f.Add(record{key: key(2), sequence: 7, value: make([]byte, 256)}.append(b, s))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _ := parseHeader(b)
		again := header(s)
		records := parseSegment(b)
		for _, r := range records {
			again = r.append(again, s)
		}
		if len(records) > 0 && !bytes.HasPrefix(b, again) {
			t.Errorf("%d records of %x", len(records), b)
		}
		for _, r := range next(5, records) {
			if r.sequence <= 5 {
				t.Errorf("a folded record is replayed: %+v", r)
			}
		}
	})
}
