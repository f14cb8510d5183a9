package gnss

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// UBX classes and messages.
const (
	classNAV   = 0x01
	idPVT      = 0x07
	idTimeGPS  = 0x20
	idTimeUTC  = 0x21
	classCFG   = 0x06
	idCFGMsg   = 0x01
	week       = 7 * 24 * time.Hour
	nearSecond = time.Millisecond // how far a navigation epoch is off its second at most
)

// Position is where the receiver's antenna is.
type Position struct {
	Latitude, Longitude float64 // degrees, north and east positive
	Altitude            float64 // metres above mean sea level
}

// Fixed tells whether a message vouches for what it says.
type Fixed uint8

// States of a fix.
const (
	FixUnknown Fixed = iota // the message doesn't tell
	FixNone
	FixGood
)

// String is unknown, none or good.
func (f Fixed) String() string {
	switch f {
	case FixNone:
		return "none"
	case FixGood:
		return "good"
	}
	return "unknown"
}

// Report is what one message says. Fields it doesn't speak of are zero.
type Report struct {
	Source     string
	GPS        time.Duration // since the GPS epoch
	UTC        time.Time
	Leap       *int // GPS time minus UTC
	Accuracy   time.Duration
	Fix        Fixed
	Position   *Position
	Satellites int
}

// Decode reads a message; ok is false for those that say nothing of time,
// position or fix, and for those that contradict their own form.
func Decode(m Message) (r Report, ok bool) {
	if m.Sentence != "" {
		return decodeNMEA(m.Sentence)
	}
	if m.Class != classNAV {
		return r, false
	}
	p := m.Payload
	switch {
	case m.ID == idTimeGPS && len(p) == 16:
		return decodeTimeGPS(p), true
	case m.ID == idTimeUTC && len(p) == 20:
		r = Report{Source: "NAV-TIMEUTC", Fix: FixNone, Accuracy: nanoseconds(p[4:])}
		if p[19]&7 == 7 { // time of week, week, UTC
			r.Fix = FixGood
			r.UTC, ok = calendar(p[12:], int32(binary.LittleEndian.Uint32(p[8:])))
			return r, ok
		}
		return r, true
	case m.ID == idPVT && len(p) >= 84:
		return decodePVT(p)
	}
	return r, false
}

// decodeTimeGPS: UBX-NAV-TIMEGPS.
func decodeTimeGPS(p []byte) Report {
	r := Report{Source: "NAV-TIMEGPS", Fix: FixNone}
	valid := p[11]
	if valid&4 != 0 {
		leap := int(int8(p[10]))
		r.Leap = &leap
	}
	weeks := int16(binary.LittleEndian.Uint16(p[8:]))
	if valid&3 != 3 || weeks < 0 {
		return r
	}
	r.Fix = FixGood
	r.GPS = time.Duration(weeks)*week +
		time.Duration(binary.LittleEndian.Uint32(p))*time.Millisecond +
		time.Duration(int32(binary.LittleEndian.Uint32(p[4:])))
	r.Accuracy = nanoseconds(p[12:])
	return r
}

// decodePVT: UBX-NAV-PVT.
func decodePVT(p []byte) (r Report, ok bool) {
	r = Report{Source: "NAV-PVT", Fix: FixNone, Satellites: int(p[23])}
	if p[21]&1 != 0 && p[20] >= 2 && p[20] <= 4 { // gnssFixOK; 2D, 3D, with dead reckoning
		r.Fix = FixGood
		degrees := func(at int) float64 { return float64(int32(binary.LittleEndian.Uint32(p[at:]))) * 1e-7 }
		r.Position = &Position{degrees(28), degrees(24), float64(int32(binary.LittleEndian.Uint32(p[36:]))) / 1000}
	}
	if p[11]&7 != 7 { // date, time, fully resolved
		return r, true
	}
	r.Accuracy = nanoseconds(p[12:])
	r.UTC, ok = calendar(p[4:], int32(binary.LittleEndian.Uint32(p[16:])))
	return r, ok
}

// calendar reads year (2 bytes), month, day, hour, minute, second.
func calendar(p []byte, nano int32) (time.Time, bool) {
	return date(int(binary.LittleEndian.Uint16(p)), int(p[2]), int(p[3]), int(p[4]), int(p[5]), int(p[6]), int(nano))
}

// date refuses what is no date, and the leap second itself (second 60): for
// that one second there is no Fix.
func date(year, month, day, hour, minute, second, nano int) (time.Time, bool) {
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	same := t.Day() == day && int(t.Month()) == month && t.Hour() == hour && t.Minute() == minute && t.Second() == second
	if !same || year < 1980 || year > 2200 {
		return time.Time{}, false
	}
	return t.Add(time.Duration(nano)), true
}

func nanoseconds(p []byte) time.Duration { return time.Duration(binary.LittleEndian.Uint32(p)) }

// decodeNMEA reads RMC, ZDA, GGA and GNS of any talker (the first two
// letters: GP, GN, GL, GA, BD, …).
func decodeNMEA(sentence string) (r Report, ok bool) {
	f := fields(strings.Split(sentence, ","))
	if len(f[0]) != 5 {
		return r, false
	}
	r.Source = f[0]
	switch f[0][2:] {
	case "RMC":
		return r, f.rmc(&r)
	case "ZDA":
		return r, f.zda(&r)
	case "GGA":
		return r, f.gga(&r)
	case "GNS":
		return r, f.gns(&r)
	}
	return r, false
}

// fields are those of a sentence; one that is not there is empty.
type fields []string

func (f fields) at(i int) string {
	if i < len(f) {
		return f[i]
	}
	return ""
}

// rmc: time, status, position, speed, course, date ddmmyy, magnetic
// variation, mode (since 2.3). Its year has two digits: 2000 to 2099.
func (f fields) rmc(r *Report) bool {
	r.Fix = FixNone
	if f.at(2) != "A" || strings.ContainsAny(f.at(12), "NEMS") { // none, estimated, manual, simulated
		return true
	}
	r.Fix = FixGood
	d := f.at(9)
	day, ok1 := digits(d, 0)
	month, ok2 := digits(d, 2)
	year, ok3 := digits(d, 4)
	if !ok1 || !ok2 || !ok3 || len(d) != 6 {
		return false
	}
	r.Position = f.position(3)
	return f.clock(r, 2000+year, month, day)
}

// zda: time, day, month, year. It doesn't say whether there is a fix.
func (f fields) zda(r *Report) bool {
	day, err1 := strconv.Atoi(f.at(2))
	month, err2 := strconv.Atoi(f.at(3))
	year, err3 := strconv.Atoi(f.at(4))
	if err1 != nil || err2 != nil || err3 != nil {
		return false
	}
	return f.clock(r, year, month, day)
}

// gga: time, position, quality (0 none, 6 estimated, 7 manual, 8 simulated),
// satellites, dilution, altitude.
func (f fields) gga(r *Report) bool {
	q, err := strconv.Atoi(f.at(6))
	if err != nil || q < 0 || q > 9 {
		return false
	}
	r.Fix = FixNone
	r.Satellites, _ = strconv.Atoi(f.at(7))
	if q == 0 || q >= 6 && q <= 8 {
		return true
	}
	r.Fix, r.Position = FixGood, f.position(2)
	f.altitude(r, 9)
	return true
}

// gns: time, position, a mode letter per system, satellites, dilution, altitude.
func (f fields) gns(r *Report) bool {
	if f.at(6) == "" {
		return false
	}
	r.Fix = FixNone
	r.Satellites, _ = strconv.Atoi(f.at(7))
	if strings.Trim(f.at(6), "NEMS") == "" {
		return true
	}
	r.Fix, r.Position = FixGood, f.position(2)
	f.altitude(r, 9)
	return true
}

func (f fields) altitude(r *Report, i int) {
	if a, err := strconv.ParseFloat(f.at(i), 64); err == nil && r.Position != nil {
		r.Position.Altitude = a
	}
}

// clock reads field 1, hhmmss[.sss].
func (f fields) clock(r *Report, year, month, day int) bool {
	whole, fraction, _ := strings.Cut(f.at(1), ".")
	hour, ok1 := digits(whole, 0)
	minute, ok2 := digits(whole, 2)
	second, ok3 := digits(whole, 4)
	if !ok1 || !ok2 || !ok3 || len(whole) != 6 || len(fraction) > 9 {
		return false
	}
	nano, err := strconv.Atoi((fraction + "000000000")[:9])
	if err != nil || nano < 0 {
		return false
	}
	t, ok := date(year, month, day, hour, minute, second, nano)
	r.UTC = t
	return ok
}

// position reads four fields: ddmm.mmm, N or S, dddmm.mmm, E or W.
func (f fields) position(i int) *Position {
	lat, ok1 := angle(f.at(i), f.at(i+1), "N", "S", 90)
	lon, ok2 := angle(f.at(i+2), f.at(i+3), "E", "W", 180)
	if !ok1 || !ok2 {
		return nil
	}
	return &Position{Latitude: lat, Longitude: lon}
}

func angle(s, side, plus, minus string, limit float64) (float64, bool) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= 18000) || side != plus && side != minus {
		return 0, false
	}
	whole := float64(int(v / 100))
	v = whole + (v-100*whole)/60
	if side == minus {
		v = -v
	}
	return v, v >= -limit && v <= limit
}

// digits reads two decimal digits.
func digits(s string, i int) (int, bool) {
	if len(s) < i+2 || s[i] < '0' || s[i] > '9' || s[i+1] < '0' || s[i+1] > '9' {
		return 0, false
	}
	return int(s[i]-'0')*10 + int(s[i+1]-'0'), true
}

// String is e.g. "52.123456 N 13.123456 E, 35 m".
func (p Position) String() string {
	ns, ew := 'N', 'E'
	if p.Latitude < 0 {
		ns, p.Latitude = 'S', -p.Latitude
	}
	if p.Longitude < 0 {
		ew, p.Longitude = 'W', -p.Longitude
	}
	return fmt.Sprintf("%.6f %c %.6f %c, %.0f m", p.Latitude, ns, p.Longitude, ew, p.Altitude)
}
