package nsedge

import (
	"slices"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// settings are a device's radio parameters as far as the edge knows: those of
// its activation, changed by what it confirmed.
type settings struct {
	RXDelay  uint8            `json:"rx1,omitempty"`    // seconds; 0 is the region's
	Offset   uint8            `json:"offset,omitempty"` // RX1DROffset
	RX2DR    int8             `json:"rx2"`              // -1 is the region's
	RX2Freq  radio.Hertz      `json:"rx2f,omitempty"`   // 0 is the region's
	Dwell    *region.Dwell    `json:"dwell,omitempty"`  // nil is the region's after a reset
	MaxDuty  uint8            `json:"duty,omitempty"`   // of DutyCycleReq: 1/2^n of the time
	DataRate int8             `json:"dr"`               // of LinkADRReq; -1 is unknown
	TXPower  uint8            `json:"power,omitempty"`  // of LinkADRReq: 0 is the highest
	NbTrans  uint8            `json:"nb,omitempty"`     // of LinkADRReq; 0 is 1
	Masked   bool             `json:"masked,omitempty"` // it has the channels that it should have
	Extra    []region.Channel `json:"extra,omitempty"`  // of NewChannelReq
	Down     []movedChannel   `json:"moved,omitempty"`  // of DlChannelReq
	Ping     *pingSettings    `json:"ping,omitempty"`   // of class B; nil is nothing but what was registered

	// LoRaWAN 1.1 only; nil and "" are unknown, or as after an activation.
	ADRParam    *ADRParam    `json:"adrp,omitempty"`
	RejoinParam *RejoinParam `json:"rejoin,omitempty"`
	Mode        string       `json:"mode,omitempty"` // of DeviceModeInd: "A" or "C"
}

// movedChannel is a channel whose RX1 is on another frequency.
type movedChannel struct {
	Index int         `json:"index"`
	Up    radio.Hertz `json:"up"`
	Down  radio.Hertz `json:"down"`
}

// firstSettings are those after an activation.
func firstSettings(rxDelay uint8) settings {
	return settings{RXDelay: rxDelay, RX2DR: -1, DataRate: -1, Masked: true}
}

// forgetSettings is for a personalised device that began again: it is as it
// left the factory.
func (e *Edge) forgetSettings(s *session) {
	if s.gen >= joinedGen {
		return
	}
	delay := uint8(s.dev.spec.RX1Delay)
	if s.orders != nil { // it may have been set by a command
		delay = 0
		s.orders = &orders{dirty: true}
	}
	s.settings, s.history = firstSettings(delay), nil
}

// channelsOf lists the channels that a device is known to have, by index.
func (e *Edge) channelsOf(s *session) []region.Channel {
	known := e.cfg.Region.JoinChannels()
	if s.gen >= joinedGen && e.cfg.Region.CFList(region.Version{LoRaWAN: s.dev.spec.Version}) != nil {
		known = e.cfg.Region.Channels()
	}
	return append(slices.Clip(known), s.Extra...)
}

// regionOf is the gateway's region with the dwell times that the device
// assumes now.
func (e *Edge) regionOf(s *session) *region.Region {
	want := e.dwell
	if s != nil && s.Dwell != nil {
		want = *s.Dwell
	}
	if want == e.cfg.Region.Dwell() {
		return e.cfg.Region
	}
	if r := e.dwelling[want]; r != nil {
		return r
	}
	r, err := region.Lookup(e.cfg.Region.Short(), region.WithDwell(want))
	if err != nil { // never: the region was found by that name
		r = e.cfg.Region
	}
	e.dwelling[want] = r
	return r
}

// handsOff tells whether the edge leaves the device's radio alone.
func (d *Device) handsOff() bool { return d.MAC == MACHandsOff || d.Multicast }

// MACHandsOff is a [Device.MAC] that keeps the edge from asking anything of
// the device by MAC commands, but for a status that an AS wants.
const MACHandsOff = "hands-off"
