package classb_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"gatewayd/nsedge/classb"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "|", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of TS001-1.0.4 §13.4, tables 80 and 81. The second one is
// called SF12 there, but has the reserved fields of SF10.
func TestBeaconsAreThoseOfTheSpecification(t *testing.T) {
	info := [6]byte{0x01, 0x20, 0x00, 0x00, 0x81, 0x03}
	for _, c := range []struct {
		sf  uint8
		hex string
	}{
		{9, "00 00 | 00 00 02 CC | A2 7E | 00 | 01 20 00 | 00 81 03 | DE 55"},
		{10, "00 00 00 | 00 00 02 CC | A2 7E | 00 | 01 20 00 | 00 81 03 | 00 | 50 D4"},
	} {
		want := unhex(t, c.hex)
		b := classb.Beacon{Time: 0xCC02_0000 * time.Second, Info: info}
		got, err := b.Encode(c.sf)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("SF%d: % X, %v, want % X", c.sf, got, err, want)
		}
		back, err := classb.Decode(c.sf, want, b.Time+time.Second)
		if err != nil || back != b {
			t.Errorf("SF%d decoded: %+v, %v", c.sf, back, err)
		}
	}
}

// Sizes by spreading factor: RP002-1.0.3, beacon frame contents of EU868
// (SF9), IN865 (SF8), CN470 (SF10) and US915 (SF12).
func TestBeaconSizes(t *testing.T) {
	for sf, want := range map[uint8]int{7: 0, 8: 19, 9: 17, 10: 19, 11: 21, 12: 23, 13: 0} {
		if got := classb.Size(sf); got != want {
			t.Errorf("SF%d: %d bytes, want %d", sf, got, want)
		}
		b, err := classb.Beacon{}.Encode(sf)
		if (err == nil) != (want > 0) || len(b) != want {
			t.Errorf("SF%d: encoded %d bytes, %v", sf, len(b), err)
		}
	}
	if _, err := (classb.Beacon{Precision: 4}).Encode(9); err == nil {
		t.Error("precision 4 was encoded")
	}
}

func TestADamagedBeaconIsSeenByItsCRCs(t *testing.T) {
	b := classb.Beacon{Time: 1_450_000_000 / 128 * 128 * time.Second, Precision: 2}
	b.SetPosition(48.2, 16.37)
	good, err := b.Encode(10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		got, err := classb.Decode(10, bad, b.Time)
		switch common := i < 3+4+2; {
		case common && !errors.Is(err, classb.ErrBeacon):
			t.Errorf("byte %d of the common part: %v", i, err)
		case !common && (err != nil || !got.NoInfo || got.Time != b.Time || got.Precision != 2):
			t.Errorf("byte %d of the gateway's part: %+v, %v", i, got, err)
		}
	}
}

// §13.3.1: 24 bits each, a half turn is 2^23.
func TestPositions(t *testing.T) {
	for _, p := range [][2]float64{{0, 0}, {48.208, 16.373}, {-33.87, 151.21}, {90, 180}, {-90, -180}, {64.15, -21.94}} {
		var b classb.Beacon
		b.SetPosition(p[0], p[1])
		lat, lng, ok := b.Position()
		if !ok || math.Abs(lat-p[0]) > 90./(1<<23) || math.Abs(lng-p[1]) > 180./(1<<23) {
			t.Errorf("%v became %v, %v, %v", p, lat, lng, ok)
		}
	}
	var b classb.Beacon
	b.SetPosition(45, -90) // half of the range: 0x400000 and -0x400000
	if b.Info != [6]byte{0, 0, 0x40, 0, 0, 0xC0} {
		t.Errorf("45, -90 is % X", b.Info)
	}
	b.SetIdentity([3]byte{1, 2, 3}, 0x0A0B0C)
	if _, _, ok := b.Position(); ok || b.Info != [6]byte{3, 2, 1, 0x0C, 0x0B, 0x0A} || b.InfoDesc != 3 {
		t.Errorf("identity is % X, %d", b.Info, b.InfoDesc)
	}
}

// The times of brocaar's chirpstack-network-server (TestGetNextPingSlotAfter): number of slots per
// period 1, 2 and 128.
func TestPingSlotsAreThoseThatArePublished(t *testing.T) {
	for _, c := range []struct {
		after       time.Duration
		periodicity int
		want        time.Duration
	}{
		{0, 7, 74_300 * time.Millisecond},
		{2 * time.Minute, 7, 185_620 * time.Millisecond},
		{0, 6, 12_860 * time.Millisecond},
		{13 * time.Second, 6, 74_300 * time.Millisecond},
		{124 * time.Second, 0, 124_220 * time.Millisecond},
	} {
		if got := classb.NextPing(c.after, [4]byte{}, c.periodicity); got != c.want {
			t.Errorf("periodicity %d after %v: %v, want %v", c.periodicity, c.after, got, c.want)
		}
	}
}

// The offsets of The Things Stack, pkg/crypto (TestComputePingOffset); its
// ping periods 32 and 4096 are the periodicities 0 and 7.
func TestPingOffsetsAreThoseThatArePublished(t *testing.T) {
	for _, c := range []struct {
		beacon      time.Duration
		addr        [4]byte
		periodicity int
		want        int
	}{
		{0, [4]byte{}, 0, 6},
		{0xff42 * time.Second, [4]byte{0x00, 0x42, 0x00, 0xff}, 7, 3994},
	} {
		if got := classb.PingOffset(c.beacon, c.addr, c.periodicity); got != c.want {
			t.Errorf("%x at %v: %d, want %d", c.addr, c.beacon, got, c.want)
		}
	}
}

// Table 73 and §12.2: a period has 2^(7-periodicity) slots of a device, equally
// far apart, none in the reserved time or the guard.
func TestAPeriodHasItsNumberOfSlots(t *testing.T) {
	addr := [4]byte{0x26, 0x01, 0x12, 0x34}
	for periodicity := range classb.MaxPeriodicity + 1 {
		for n := range 20 {
			start := time.Duration(10_000_000+n) * classb.Period
			var slots []time.Duration
			for at := classb.NextPing(start, addr, periodicity); at < start+classb.Period; at = classb.NextPing(at+1, addr, periodicity) {
				slots = append(slots, at)
			}
			if len(slots) != 1<<(7-periodicity) {
				t.Fatalf("periodicity %d: %d slots", periodicity, len(slots))
			}
			if first, last := slots[0]-start, slots[len(slots)-1]-start; first < classb.Reserved || last >= classb.Period-classb.Guard {
				t.Errorf("periodicity %d: slots from %v to %v", periodicity, first, last)
			}
			for i := range slots[1:] {
				if d := slots[i+1] - slots[i]; d != time.Duration(classb.PingPeriod(periodicity))*classb.Slot {
					t.Errorf("periodicity %d: %v apart", periodicity, d)
				}
			}
			if again := classb.NextPing(slots[0], addr, periodicity); again != slots[0] {
				t.Errorf("at a slot's own start: %v, want %v", again, slots[0])
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, _ := classb.Beacon{Time: 128 * time.Second}.Encode(9)
	f.Add(uint8(9), good, int64(1))
	f.Fuzz(func(t *testing.T, sf uint8, data []byte, near int64) {
		b, err := classb.Decode(sf, data, time.Duration(near))
		if err != nil {
			return
		}
		if again, err := b.Encode(sf); err != nil || len(again) != len(data) {
			t.Errorf("%+v: %v", b, err)
		}
	})
}
