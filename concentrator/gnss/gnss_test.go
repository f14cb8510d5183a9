package gnss

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// The sentences are the examples of the u-blox 8 protocol description
// (UBX-13003221, sections 31.2.x), but for talkers and what is said.
const (
	rmc = "$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A,V*2D\r\n"
	gga = "$GPGGA,092725.00,4717.11399,N,00833.91590,E,1,08,1.01,499.6,M,48.0,M,,*5B\r\n"
	gns = "$GNGNS,103600.01,5114.51176,N,00012.29380,W,ANNN,07,1.18,111.5,45.6,,,V*00\r\n"
	zda = "$GPZDA,082710.00,16,09,2002,00,00*64\r\n"
	gsv = "$GPGSV,3,1,09,09,,,17,10,,,40,12,,,49,13,,,35,1*6F\r\n"
)

func all(t *testing.T, r io.Reader) (out []Message, s *Scanner) {
	t.Helper()
	s = NewScanner(r)
	for {
		m, err := s.Next()
		if errors.Is(err, io.EOF) {
			return out, s
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
}

func one(t *testing.T, b string) Report {
	t.Helper()
	list, _ := all(t, strings.NewReader(b))
	if len(list) != 1 {
		t.Fatalf("%d messages in %q", len(list), b)
	}
	r, ok := Decode(list[0])
	if !ok {
		t.Fatalf("%q says nothing", b)
	}
	return r
}

// again gives a sentence its checksum.
func again(s string) string {
	body, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(s), "$"), "*")
	return string(EncodeNMEA(body))
}

func TestTheSentencesOfTheReceiversDescription(t *testing.T) {
	r := one(t, again(rmc))
	if want := time.Date(2002, 12, 9, 8, 35, 59, 0, time.UTC); !r.UTC.Equal(want) || r.Fix != FixGood {
		t.Errorf("RMC: %+v, want %v", r, want)
	}
	if p := r.Position; p == nil || math.Abs(p.Latitude-(47+17.11437/60)) > 1e-9 || math.Abs(p.Longitude-(8+33.91522/60)) > 1e-9 {
		t.Errorf("RMC: %v", p)
	}
	r = one(t, gga)
	if r.Fix != FixGood || r.Satellites != 8 || r.Position.Altitude != 499.6 || !r.UTC.IsZero() {
		t.Errorf("GGA: %+v", r)
	}
	r = one(t, again(gns))
	if r.Fix != FixGood || r.Satellites != 7 || r.Position.Longitude > -0.2 {
		t.Errorf("GNS: %+v %v", r, r.Position)
	}
	r = one(t, zda)
	if want := time.Date(2002, 9, 16, 8, 27, 10, 0, time.UTC); !r.UTC.Equal(want) || r.Fix != FixUnknown {
		t.Errorf("ZDA: %+v", r)
	}
	list, _ := all(t, strings.NewReader(again(gsv)))
	if _, ok := Decode(list[0]); ok {
		t.Error("GSV says something")
	}
}

// HATs ship receivers of many makes: the first two letters don't matter.
func TestAnyTalkerIsUnderstood(t *testing.T) {
	for _, talker := range []string{"GP", "GN", "GL", "GA", "GB", "BD", "GQ", "GI"} {
		r := one(t, again(strings.Replace(rmc, "GP", talker, 1)))
		if r.UTC.IsZero() || r.Source != talker+"RMC" {
			t.Errorf("%s: %+v", talker, r)
		}
	}
}

func TestWithoutAFixThereIsNoTime(t *testing.T) {
	for _, s := range []string{
		"GPRMC,083559.00,V,,,,,,,091202,,,N",
		"GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,E",
		"GPGGA,092725.00,4717.11399,N,00833.91590,E,0,00,1.01,499.6,M,48.0,M,,",
		"GNGNS,103600.01,5114.51176,N,00012.29380,W,NNNN,07,1.18,111.5,45.6,,",
	} {
		if r := one(t, string(EncodeNMEA(s))); r.Fix != FixNone || !r.UTC.IsZero() || r.Position != nil {
			t.Errorf("%s: %+v", s, r)
		}
	}
}

func TestImpossibleSentencesSayNothing(t *testing.T) {
	for _, s := range []string{
		"GPRMC,083559.00,A,4717.1,N,00833.9,E,0,0,310202,,,A", // 31 February
		"GPRMC,246000.00,A,4717.1,N,00833.9,E,0,0,091202,,,A",
		"GPRMC,235960.00,A,4717.1,N,00833.9,E,0,0,311216,,,A", // the leap second itself
		"GPRMC,0835,A,4717.1,N,00833.9,E,0,0,091202,,,A",
		"GPRMC,083559.-1,A,4717.1,N,00833.9,E,0,0,091202,,,A",
		"GPRMC,083559.00,A",
		"GPZDA,082710.00,16,09,1979,00,00",
		"GPZDA,082710.00,x,09,2002,00,00",
		"GPGGA,092725.00",
		"GNGNS,1",
		"PUBX,04,1",
	} {
		list, _ := all(t, bytes.NewReader(EncodeNMEA(s)))
		if r, ok := Decode(list[0]); ok {
			t.Errorf("%s: %+v", s, r)
		}
	}
	r := one(t, string(EncodeNMEA("GPRMC,083559.00,A,9117.1,N,00833.9,E,0,0,091202,,,A")))
	if r.Position != nil {
		t.Errorf("91 degrees north: %v", r.Position)
	}
}

func timeGPS(tow uint32, ftow int32, week int16, leap int8, valid byte) []byte {
	p := []byte{byte(tow), byte(tow >> 8), byte(tow >> 16), byte(tow >> 24), byte(ftow), byte(ftow >> 8), byte(ftow >> 16), byte(ftow >> 24),
		byte(week), byte(week >> 8), byte(leap), valid, 25, 0, 0, 0}
	return EncodeUBX(1, 0x20, p)
}

// UBX-NAV-TIMEGPS: (iTOW * 1e-3) + (fTOW * 1e-9) of the week.
func TestTheTimeOfUBX(t *testing.T) {
	r := one(t, string(timeGPS(258000000, -37, 2288, 18, 7)))
	want := 2288*week + 258000*time.Second - 37
	if r.GPS != want || *r.Leap != 18 || r.Accuracy != 25 || r.Fix != FixGood {
		t.Errorf("%+v, want %v", r, want)
	}
	for valid := range byte(8) {
		r := one(t, string(timeGPS(1000, 0, 2288, 18, valid)))
		if (r.GPS != 0) != (valid&3 == 3) || (r.Leap != nil) != (valid&4 != 0) {
			t.Errorf("valid %03b: %+v", valid, r)
		}
	}
	if r := one(t, string(timeGPS(1000, 0, -1, 18, 7))); r.GPS != 0 {
		t.Errorf("week -1: %+v", r)
	}
}

func TestTheCalendarOfUBX(t *testing.T) {
	utc := make([]byte, 20)
	copy(utc, []byte{0, 0, 0, 0, 30, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xE8, 0x07, 2, 29, 23, 59, 58, 7})
	r := one(t, string(EncodeUBX(1, 0x21, utc)))
	if want := time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC).Add(-1); !r.UTC.Equal(want) || r.Accuracy != 30 || r.Fix != FixGood {
		t.Errorf("NAV-TIMEUTC: %+v", r)
	}
	utc[19] = 3
	if r := one(t, string(EncodeUBX(1, 0x21, utc))); !r.UTC.IsZero() || r.Fix != FixNone {
		t.Errorf("NAV-TIMEUTC not valid: %+v", r)
	}
	pvt := make([]byte, 92)
	copy(pvt[4:], []byte{0xE8, 0x07, 2, 29, 23, 59, 58, 7})
	pvt[20], pvt[21], pvt[23] = 3, 1, 11
	copy(pvt[24:], []byte{0x00, 0xCA, 0x9A, 0x3B, 0x00, 0x36, 0x65, 0xC4, 0, 0, 0, 0, 0x10, 0x27, 0, 0}) // 100 E, 100 S, 10 m
	r = one(t, string(EncodeUBX(1, 7, pvt)))
	if p := r.Position; r.UTC.IsZero() || r.Satellites != 11 || p.Longitude != 100 || p.Latitude != -100 || p.Altitude != 10 {
		t.Errorf("NAV-PVT: %+v %v", r, p)
	}
	if got := r.Position.String(); got != "100.000000 S 100.000000 E, 10 m" {
		t.Error(got)
	}
	pvt[11], pvt[21] = 3, 0
	if r := one(t, string(EncodeUBX(1, 7, pvt))); !r.UTC.IsZero() || r.Fix != FixNone || r.Position != nil {
		t.Errorf("NAV-PVT without a fix: %+v", r)
	}
}

func stream() string {
	return gga + string(timeGPS(258000000, 0, 2288, 18, 7)) + zda + again(rmc) + string(timeGPS(258001000, 0, 2288, 18, 7))
}

func TestMessagesAreFoundHoweverTheyArrive(t *testing.T) {
	for _, r := range []io.Reader{
		strings.NewReader(stream()), iotest.OneByteReader(strings.NewReader(stream())), iotest.HalfReader(strings.NewReader(stream())),
		iotest.DataErrReader(strings.NewReader(stream())),
	} {
		list, s := all(t, r)
		if len(list) != 5 || s.Damaged() != 0 {
			t.Errorf("%d messages, %d damaged", len(list), s.Damaged())
		}
	}
}

// A byte lost, added or changed anywhere costs the message it is in, or the
// two whose border it takes away.
func TestDamageCostsTheDamagedMessageOnly(t *testing.T) {
	whole := stream()
	for i := range whole {
		for _, s := range []string{
			whole[:i] + whole[i+1:],
			whole[:i] + string([]byte{whole[i] ^ 0x15}) + whole[i+1:],
			whole[:i] + "$" + whole[i:], whole[:i] + "\xB5" + whole[i:], whole[:i] + "\xB5\x62" + whole[i:], whole[:i] + "\x00\xFF" + whole[i:],
		} {
			// Something follows, as it does on a line.
			list, _ := all(t, strings.NewReader(s+strings.Repeat(zda, 30)))
			if len(list) < 30+5-2 {
				t.Fatalf("byte %d: %d messages", i, len(list))
			}
		}
	}
}

func TestAFloodOfNothingTakesNoMemory(t *testing.T) {
	for _, b := range []string{"$", "\xB5\x62\x01\x20\xFF\x03", "\xB5", "$GPGGA", "\x00"} {
		s := NewScanner(strings.NewReader(strings.Repeat(b, 100_000/len(b)) + zda))
		for {
			if _, err := s.Next(); err != nil {
				break
			}
			if cap(s.buf) > 8192 {
				t.Fatalf("%q: %d bytes are kept", b, cap(s.buf))
			}
		}
	}
}

func TestAReaderThatGivesNothingIsAnError(t *testing.T) {
	s := NewScanner(iotest.ErrReader(nil))
	if _, err := s.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

// The vendor's packet forwarder sends these 16 bytes (loragw_gps.c).
func TestTheSetUpIsTheReferences(t *testing.T) {
	want := []byte{0xB5, 0x62, 0x06, 0x01, 0x08, 0x00, 0x01, 0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x32, 0x94}
	if got := EnableTimeGPS(); !bytes.Equal(got, want) {
		t.Errorf("% X, want % X", got, want)
	}
}

// 1700000000 is GPS second 1384035218 (tables/gps_time).
func TestUTCAndGPSTime(t *testing.T) {
	utc := time.Unix(1700000000, 5).UTC()
	gps := 1384035218*time.Second + 5
	if got := FromUTC(utc, LeapSeconds); got != gps {
		t.Errorf("%v, want %v", got, gps)
	}
	if got := ToUTC(gps, LeapSeconds); !got.Equal(utc) {
		t.Errorf("%v, want %v", got, utc)
	}
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte(stream()), uint8(7))
	f.Add([]byte("$GPRMC,,V,,,,,,,,,,N*53\r\n\xB5\x62\x01\x20\x00\x00"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		s := NewScanner(&pieces{b, int(size)%64 + 1})
		for {
			m, err := s.Next()
			if err != nil {
				break
			}
			// What is found has the form that was found.
			frame := EncodeUBX(m.Class, m.ID, m.Payload)
			if m.Sentence != "" {
				frame = EncodeNMEA(m.Sentence)
				frame = frame[:len(frame)-4] // the checksum may be in small letters
			}
			if !bytes.Contains(b, frame) {
				t.Fatalf("%q is not in %q", frame, b)
			}
			r, ok := Decode(m)
			if p := r.Position; ok && p != nil && (math.IsNaN(p.Latitude) || math.IsNaN(p.Longitude)) {
				t.Fatalf("%q: %v", m.Sentence, p)
			}
		}
		if cap(s.buf) > 8192 {
			t.Fatalf("%d bytes are kept", cap(s.buf))
		}
	})
}

// pieces is a reader that gives n bytes at a time.
type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b[:min(p.n, len(p.b))])
	p.b = p.b[n:]
	return n, nil
}
