package dataapi

import (
	"encoding/json"
	"slices"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// radioView is what a device is asked for by MAC commands; what is not asked
// for is left out.
type radioView struct {
	MaxDutyCycle     *int                     `json:"max_duty_cycle,omitempty"`
	DownlinkChannels []nsedge.DownlinkChannel `json:"downlink_channels,omitempty"`
}

func viewRadio(d *nsedge.Device) radioView {
	return radioView{d.MaxDutyCycle, d.DownlinkChannels}
}

// setRadioField sets a field of radioView or classBView; others are left alone.
func setRadioField(d *nsedge.Device, body fields, name string) (err error) {
	switch name {
	case "max_duty_cycle":
		err = setOptional(&d.MaxDutyCycle, body, name, 15)
	case "downlink_channels":
		var list []nsedge.DownlinkChannel
		if json.Unmarshal(body.m[name], &list) != nil {
			return badField(body.name(name), "%s; a list of {index, freq} is wanted, freq in Hz", body.raw(name))
		}
		d.DownlinkChannels = slices.Clip(list)
	default:
		err = setClassBField(d, body, name)
	}
	return err
}

// setWindows sets what rx1 and rx2 have besides delay and force.
func setWindows(d *nsedge.Device, o fields, name string) error {
	if name == "rx1" {
		return setOptional(&d.RX1Offset, o, "offset", 7)
	}
	if err := setOptional(&d.RX2DataRate, o, "datarate", 15); err != nil {
		return err
	}
	freq := uint32(d.RX2Freq)
	err := setNumber(&freq, o, "freq", 0, 1<<32-1)
	d.RX2Freq = radio.Hertz(freq)
	return err
}

// setOptional sets a number from 0 on; null is none.
func setOptional(into **int, o fields, name string, most int64) error {
	if !o.given(name) {
		if _, null := o.m[name]; null {
			*into = nil
		}
		return nil
	}
	if o.bare(name) == "" {
		return nil
	}
	var v int
	if err := setNumber(&v, o, name, 0, most); err != nil {
		return err
	}
	*into = &v
	return nil
}
