package bridge

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes are those that the vendor's library writes to the tty for the
// same purposes (recorded), with identifiers of our own.
func TestRequestsHaveTheVendorsBytes(t *testing.T) {
	spi := func(list ...Request) func([]byte) []byte {
		return func(b []byte) []byte {
			for _, r := range list {
				b = r.Append(b)
			}
			return b
		}
	}
	args := func(a ...byte) func([]byte) []byte { return func(b []byte) []byte { return append(b, a...) } }
	for _, c := range []struct {
		name    string
		order   Order
		payload func([]byte) []byte
		want    string
	}{
		{"ping", Ping, args(), "07 0000 00"},
		{"status", GetStatus, args(), "07 0000 01"},
		{"bootloader", Boot, args(), "07 0000 02"},
		{"card power on", WritePin, args(0, 1, 1), "07 0003 04 00 01 01"},
		{"SX1261 reset", WritePin, args(0, 8, 0), "07 0003 04 00 08 00"},
		{"read the version", MultipleSPI, spi(Request{Kind: ReadWrite, Data: []byte{0, 0x56, 0x06, 0, 0}}), "07 000a 05 00 01 00 0005 00 56 06 00 00"},
		{"write a register", MultipleSPI, spi(Request{Kind: ReadWrite, Data: []byte{0, 0xD6, 0x02, 0x03}}), "07 0009 05 00 01 00 0004 00 d6 02 03"},
		{"command to radio A", MultipleSPI, spi(Request{Kind: ReadWrite, Data: []byte{1, 0xC0, 0}}), "07 0008 05 00 01 00 0003 01 c0 00"},
		{"command to the SX1261", MultipleSPI, spi(Request{Kind: ReadWrite, Target: SX1261, Data: []byte{0x80, 0}}), "07 0007 05 00 01 01 0002 80 00"},
		{
			"two changes of bits", MultipleSPI,
			spi(Request{Kind: Modify, Register: 0x5200, Mask: 0x0E, Value: 0x04}, Request{Number: 1, Kind: Modify, Register: 0x5201, Mask: 0xFF, Value: 0x5A}),
			"07 000c 05 00 02 5200 0e 04 01 02 5201 ff 5a",
		},
	} {
		b := c.payload(Header{}.Append(nil))
		Header{ID: 7, Size: len(b) - HeaderSize, Order: c.order}.Append(b[:0])
		if want := unhex(t, c.want); !bytes.Equal(b, want) {
			t.Errorf("%s: % x, want % x", c.name, b, want)
		}
	}
}

// The bytes follow what the firmware 01.00.00 sends.
func TestAnswersAreUnderstood(t *testing.T) {
	i, err := ParseInfo(unhex(t, "0102030405060708090a0b0c 5630312e30302e3030"))
	if err != nil || i.Version != "V01.00.00" || i.UniqueID[11] != 12 {
		t.Errorf("%+v, %v", i, err)
	}
	s, err := ParseStatus(unhex(t, "00010002 09c4"))
	if err != nil || s.Uptime != 65538*time.Millisecond || s.Celsius != 25 || s.NoTemp {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := ParseStatus(unhex(t, "00000000 fbff")); err != nil || s.Celsius != -10.25 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := ParseStatus(unhex(t, "00000000 ffff")); err != nil || !s.NoTemp {
		t.Errorf("no sensor: %+v, %v", s, err)
	}
	b := unhex(t, "00 01 00 0002 aabb  01 02 00 11 22  02 02 01  03 01 03 0000  04 07 02")
	want := []Answer{
		{0, ReadWrite, Done, []byte{0xAA, 0xBB}},
		{1, Modify, Done, []byte{0x11, 0x22}},
		{2, Modify, Failed, []byte{}},
		{3, ReadWrite, StaysBusy, []byte{}},
		{4, 7, NotAllowed, []byte{}},
	}
	for _, w := range want {
		a, rest, err := NextAnswer(b)
		if err != nil || !reflect.DeepEqual(a, w) {
			t.Errorf("%+v, %v; want %+v", a, err, w)
		}
		b = rest
	}
	if len(b) != 0 {
		t.Errorf("% x is left", b)
	}
}

func TestAnswersThatAreCutOffAreErrors(t *testing.T) {
	whole := unhex(t, "00 01 00 0002 aabb")
	for n := range whole {
		if _, _, err := NextAnswer(whole[:n]); !errors.Is(err, ErrAnswer) {
			t.Errorf("% x: %v", whole[:n], err)
		}
	}
	if _, _, err := NextAnswer(unhex(t, "00 02 00 11")); !errors.Is(err, ErrAnswer) {
		t.Error(err)
	}
	if _, err := ParseInfo(make([]byte, PingSize-1)); !errors.Is(err, ErrAnswer) {
		t.Error(err)
	}
	if _, err := ParseStatus(make([]byte, StatusSize+1)); !errors.Is(err, ErrAnswer) {
		t.Error(err)
	}
}

// FuzzAnswers: any answers are taken apart to their last byte or refused, and
// put together again they are the same bytes.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00\x02\xaa\xbb\x01\x02\x00\x11\x22"))
	f.Add([]byte("\x02\x02\x01\x03\x01\x03\x00\x00\x04\x07\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		for rest := b; len(rest) > 0; {
			a, next, err := NextAnswer(rest)
			if err != nil {
				again = append(again, rest...)
				break
			}
			again = a.Append(again)
			rest = next
		}
		if !bytes.Equal(again, b) {
			t.Errorf("% x became % x", b, again)
		}
	})
}

// FuzzRequests: the same for requests.
func FuzzRequests(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00\x05\x00\x56\x06\x00\x00\x01\x02\x52\x00\x0e\x04"))
	f.Add([]byte("\x00\x01\x01\x00\x00\x05\x09"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		for rest := b; len(rest) > 0; {
			r, next, ok := NextRequest(rest)
			if !ok {
				again = append(again, rest...)
				break
			}
			if r.Kind == ReadWrite || r.Kind == Modify {
				again = r.Append(again)
			} else {
				again = append(again, r.Number, byte(r.Kind))
			}
			rest = next
		}
		if !bytes.Equal(again, b) {
			t.Errorf("% x became % x", b, again)
		}
	})
}
