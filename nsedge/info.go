package nsedge

import (
	"time"

	"github.com/brocaar/lorawan/gps"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// HostGPS is a Config.GPS that trusts the host clock.
func HostGPS(t time.Time) (time.Duration, bool) { return gps.Time(t).TimeSinceGPSEpoch(), true }

// gps is the GPS time of a moment on the host clock, 0 if it is unknown: by an
// uplink near it that the gateway stamped by satellite, else by Config.GPS.
func (e *Edge) gps(u *radio.Uplink, t time.Time) time.Duration {
	if u.GPSTime != 0 {
		return u.GPSTime + t.Sub(u.Time)
	}
	if e.cfg.GPS == nil {
		return 0
	}
	if d, ok := e.cfg.GPS(t); ok {
		return d
	}
	return 0
}

// uplinkInfo describes how u was received; arrived is when the edge got it.
func (e *Edge) uplinkInfo(u *radio.Uplink, arrived time.Time, dr int) RadioInfo {
	return RadioInfo{
		Freq: u.Freq, DataRate: dr, Mod: u.Mod, Size: len(u.Payload),
		Time: u.Time, GPSTime: e.gps(u, u.Time), Delay: max(arrived.Sub(u.Time), 0),
		Tmst: u.Tmst, IFChain: u.IFChain, RFChain: u.RFChain,
		CRC: u.CRC, RSSI: u.RSSI, SNR: u.SNR,
	}
}

// band is the region by the name that a device was registered with.
func (e *Edge) band(name string) *region.Region {
	if name == "" {
		return e.cfg.Region
	}
	r, ok := e.bands[name]
	if !ok {
		var err error
		if r, err = region.Lookup(name); err != nil { // was known when it was registered
			r = e.cfg.Region
		}
		e.bands[name] = r
	}
	return r
}

// dataRate is the index of an uplink's data rate, -1 if the region has none.
func (e *Edge) dataRate(u *radio.Uplink) int {
	dr, err := e.cfg.Region.DataRateOf(u.Mod, true)
	if err != nil {
		return -1
	}
	return dr
}
