// Package gnss brings absolute time into the house: from a satellite receiver
// on a serial line, and from the host's own clock as far as it can be trusted.
// It knows no concentrator; what pulse of the receiver a [Fix] belongs to is
// found out there.
//
// From the line up: [OpenTTY] opens the serial line, [Scanner] finds checked
// messages in its bytes (u-blox UBX and NMEA from any talker, mixed), [Decode]
// reads those that matter, and a [Receiver] makes one [Fix] of each second.
// Its Run owns the line; everything else is pure. [HostClock] asks the kernel
// whether the host's clock is kept by NTP.
//
// Paper: u-blox M8 receiver description (UBX-13003221) for UBX, NMEA 0183
// version 4.11 for sentences, IS-GPS-200 for GPS time. Subpackage gnsssim is
// the other end of the line.
package gnss

import "time"

// Epoch is the beginning of GPS time, which has no leap seconds.
var epoch = time.Date(1980, 1, 6, 0, 0, 0, 0, time.UTC)

// LeapSeconds is GPS time minus UTC from 2017-01-01 on. It is used where the
// receiver doesn't tell (NMEA has no word for it). IERS Bulletin C announces
// the next change half a year ahead; [Config.LeapSeconds] overrides it.
const LeapSeconds = 18

// ToUTC converts a time since the GPS epoch, with a known GPS-UTC.
func ToUTC(gps time.Duration, leap int) time.Time {
	return epoch.Add(gps - time.Duration(leap)*time.Second)
}

// FromUTC is the inverse of [ToUTC]. It is exact from 1980 to 2272.
func FromUTC(t time.Time, leap int) time.Duration {
	return t.Sub(epoch) + time.Duration(leap)*time.Second
}

// Fix names the second that began at the receiver's last pulse.
type Fix struct {
	At       time.Time     // when the message was complete, host clock with monotonic reading
	GPS      time.Duration // since the GPS epoch, whole seconds
	Leap     int           // GPS time minus UTC, seconds
	Accuracy time.Duration // as the receiver estimates it; 0 if it doesn't
	Source   string        // e.g. "NAV-TIMEGPS", "GNRMC"
}
