package flight_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"gatewayd/cmd/gatewayd/flight"
)

const megabyte = 1 << 20

// short is a start, two exchanges, some quiet, and the end.
func short(t *testing.T) *flight.Recording {
	t.Helper()
	return recorded(t, megabyte, func(r *rig) {
		r.exchange([]byte("first"))
		time.Sleep(40 * time.Second)
		r.exchange(bytes.Repeat([]byte{0xA5}, 50))
	})
}

func TestAReplayOfAnUndisturbedRunHasNoDifference(t *testing.T) {
	rec := short(t)
	res := replayed(t, rec, 0)
	if res.Difference != nil || res.Lost != 0 || res.Failed != 0 || res.Frames < 10_000 {
		t.Errorf("%+v", res)
	}
	if !strings.Contains(rec.Summary(), "2 heard") {
		t.Error(rec.Summary())
	}
}

// Frames that the memory has no room for leave a gap, and the rest is replayed
// all the same.
func TestAReplayGoesOnBehindAGap(t *testing.T) {
	rec := recorded(t, 3*64<<10, func(r *rig) {
		for n := range 400 {
			r.exchange(bytes.Repeat([]byte{byte(n)}, 1+n%200))
		}
	})
	res := replayed(t, rec, 0)
	if res.Difference != nil {
		t.Error(res.Difference)
	}
	if res.Lost < 1000 || res.Frames < 1000 {
		t.Errorf("%d frames lost, %d replayed", res.Lost, res.Frames)
	}
}

// bytesOf finds the n-th entry that begins with some bytes.
func bytesOf(t *testing.T, rec *flight.Recording, n int, out ...byte) int {
	t.Helper()
	for i, e := range rec.Entries {
		if e.Type == "spi" && bytes.HasPrefix(e.Out, out) {
			if n--; n == 0 {
				return i
			}
		}
	}
	t.Fatalf("no frame %x", out)
	return 0
}

// A byte that is turned is the first difference, and it is named.
func TestATurnedByteIsFound(t *testing.T) {
	rec := short(t)
	for _, c := range []struct {
		name  string
		entry int  // that is changed
		out   bool // what was written, rather than read
		at    int  // the byte
		later bool // the difference is in what is read later
		want  string
	}{
		{"version", bytesOf(t, rec, 1, 0, 0x56, 0x05), false, 1, false, "0x5606 (CommonVersion)"},
		{"transmitter", bytesOf(t, rec, 1, 0, 0x52, 0x11), false, 0, false, "0x5211 (TXFsmStatusTX)"},
		{"counter", bytesOf(t, rec, 9, 0, 0x61, 0x05), false, 1, false, "0x6105 (TimestampMsb2)"},
		{"receive buffer", bytesOf(t, rec, 2, 0, 0x40, 0x00), false, 12, false, "receive buffer has the sum"},
		{"begin of a packet", bytesOf(t, rec, 1, 0, 0x40, 0x00), false, 0, false, "where a packet begins with A5C0"},
		{"firmware", bytesOf(t, rec, 1, 0, 0x80, 0x00), true, 500, true, "0x01F1 (AGCMemory)"},
		{"address", bytesOf(t, rec, 1, 0, 0xD2, 0x65), true, 1, false, "the simulated chip refuses: "},
		{"target", bytesOf(t, rec, 1, 0, 0xD2, 0x65), true, 0, false, "the simulated chip refuses: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			turned := &flight.Recording{Header: rec.Header, Entries: slices.Clone(rec.Entries)}
			e := &turned.Entries[c.entry]
			if c.out {
				e.Out = slices.Clone(e.Out)
				e.Out[c.at] ^= 0x20
			} else {
				e.In = slices.Clone(e.In)
				e.In[c.at] ^= 0x20
			}
			d := replayed(t, turned, flight.DefaultDrift).Difference
			if d == nil {
				t.Fatal("no difference")
			}
			if d.Line != c.entry+2 && !c.later || d.At != time.Duration(turned.Entries[d.Line-2].NS) || !strings.Contains(d.String(), c.want) {
				t.Errorf("%v; want one in line %d with %q", d, c.entry+2, c.want)
			}
		})
	}
}
