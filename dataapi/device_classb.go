package dataapi

import (
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// classBView is what a device or group is in class B, and what makes a device
// a multicast group; what is not so is left out.
type classBView struct {
	Multicast bool      `json:"multicast,omitempty"`
	Repeat    int       `json:"repeat,omitempty"`
	PingSlot  *pingView `json:"ping_slot,omitempty"`
}

type pingView struct {
	Periodicity *int   `json:"periodicity,omitempty"`
	Freq        uint32 `json:"freq,omitempty"` // Hz
	DataRate    *int   `json:"datarate,omitempty"`
}

func viewClassB(d *nsedge.Device) classBView {
	v := classBView{Multicast: d.Multicast, Repeat: d.Repeat}
	if p := d.PingSlots; p != (nsedge.PingSlots{}) {
		v.PingSlot = &pingView{p.Periodicity, uint32(p.Freq), p.DataRate}
	}
	return v
}

// setClassBField sets a field of classBView; others are left alone.
func setClassBField(d *nsedge.Device, body fields, name string) error {
	switch name {
	case "multicast":
		return setBool(&d.Multicast, body, name)
	case "repeat":
		return setNumber(&d.Repeat, body, name, 0, 3)
	case "ping_slot":
		o, err := body.object(name)
		if err != nil {
			return err
		}
		return setPingSlot(&d.PingSlots, o)
	}
	return nil
}

func setPingSlot(p *nsedge.PingSlots, o fields) error {
	if err := setOptional(&p.Periodicity, o, "periodicity", 7); err != nil {
		return err
	}
	if err := setOptional(&p.DataRate, o, "datarate", 15); err != nil {
		return err
	}
	freq := uint32(p.Freq)
	err := setNumber(&freq, o, "freq", 0, 1<<32-1)
	p.Freq = radio.Hertz(freq)
	return err
}

// beaconView is what class B is at a gateway.
type beaconView struct {
	Mode       string   `json:"mode"` // auto, on, off
	Active     bool     `json:"active"`
	Why        string   `json:"why,omitempty"` // not active
	TimeSource string   `json:"time_source"`   // none, host, satellites
	TimeError  float64  `json:"time_error"`    // s
	Precision  int      `json:"precision"`     // of the beacons: 10^(precision-6) s
	Sent       uint64   `json:"sent"`
	Missed     uint64   `json:"missed"`
	LastBeacon *float64 `json:"last_beacon"` // unix time
}

func viewBeacons(s *nsedge.ClassBState) *beaconView {
	if s == nil {
		return nil
	}
	v := &beaconView{
		Mode: string(s.Mode), Active: s.Active, Why: s.Why, TimeSource: s.Time.Source.String(), TimeError: s.Time.Error.Seconds(),
		Precision: s.Precision, Sent: s.Sent, Missed: s.Missed,
	}
	if !s.Last.IsZero() {
		v.LastBeacon = new(float64(s.Last.UnixNano()/int64(time.Microsecond)) / 1e6)
	}
	return v
}
