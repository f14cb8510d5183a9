package dataapi

import (
	"math"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// locator estimates where devices are: between the gateways that hear them,
// nearer to those that hear them well. It knows one device's last receptions
// by each gateway. Only [Server.Run] uses it.
type locator struct {
	position func(radio.EUI64) (p Position, ok bool) // of a gateway; nil: no estimates
	heard    map[radio.EUI64]map[radio.EUI64]reception
}

// reception is how a gateway heard a device.
type reception struct {
	at     Position
	signal float64 // dBm, the part below the noise taken off
	when   time.Time
}

// Bounds of what a locator remembers.
const (
	mostLocated = 4096             // devices
	mostHearing = 16               // gateways of a device
	heardFor    = 10 * time.Minute // a device may move
)

// The path loss of a car's trip through town and country: 128.95 dB at 1 km,
// and 23.2 dB more for ten times the distance (Petäjäjärvi et al., "On the
// coverage of LPWANs", ITST 2015, table III); devices are taken to send at 14 dBm.
const (
	lossAtKilometre = 128.95
	lossPerDecade   = 23.2
	sentDBm         = 14
)

// locate takes a reception into account. It returns the device's position for
// the first copy of a frame, nil where none can be told.
func (l *locator) locate(up *nsedge.UplinkEvent) *nsedge.Location {
	if l.position == nil {
		return nil
	}
	at, ok := l.position(up.Gateway)
	if !ok {
		return nil
	}
	by := l.heard[up.Device]
	if by == nil {
		if by = map[radio.EUI64]reception{}; l.heard == nil {
			l.heard = map[radio.EUI64]map[radio.EUI64]reception{}
		}
		makeRoom(l.heard, mostLocated)
		l.heard[up.Device] = by
	}
	now := time.Now()
	for gateway, r := range by {
		if now.Sub(r.when) > heardFor {
			delete(by, gateway)
		}
	}
	makeRoom(by, mostHearing)
	by[up.Gateway] = reception{at, float64(up.Radio.RSSI) + math.Min(0, float64(up.Radio.SNR)), now}
	if up.Duplicate {
		return nil
	}
	m := up.Meta
	m.Time = now
	return &nsedge.Location{Meta: m, Solutions: []nsedge.Solution{estimate(by)}}
}

// estimate weighs the gateways' positions with the signal's amplitude. Its
// quality is their number, its precision the weighted distance to them.
func estimate(by map[radio.EUI64]reception) nsedge.Solution {
	var lat, lng, distance, total float64
	var first *Position
	for _, r := range by {
		if first == nil {
			first = &r.at
		}
		w := math.Pow(10, r.signal/20)
		total += w
		lat += w * r.at.Lat
		lng += w * math.Remainder(r.at.Lng-first.Lng, 360) // the date line may lie between them
		distance += w * metres(r.signal)
	}
	return nsedge.Solution{
		Lat: lat / total, Lng: math.Remainder(first.Lng+lng/total, 360),
		Precision: int(math.Round(distance / total)), Quality: len(by), Method: "simple:moving",
	}
}

// metres is how far away a device probably is.
func metres(signal float64) float64 {
	return min(max(1000*math.Pow(10, (sentDBm-signal-lossAtKilometre)/lossPerDecade), 10), 50_000)
}

// makeRoom drops any entries of a map that has reached its bound.
func makeRoom[K comparable, V any](m map[K]V, most int) {
	for k := range m {
		if len(m) < most {
			return
		}
		delete(m, k)
	}
}
