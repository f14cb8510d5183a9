package dataapi

import (
	"context"
	"net/http"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// insight is an [Edge] that tells what goes on with a device; *nsedge.Edge is
// one.
type insight interface {
	State(ctx context.Context, eui radio.EUI64) (nsedge.DeviceState, error)
	Explain(ctx context.Context, eui radio.EUI64) (nsedge.Explanation, error)
	ResetDevice(ctx context.Context, eui radio.EUI64) error
	ForceRejoin(ctx context.Context, eui radio.EUI64, kind int) error
}

// insightRoutes are what is known of a device beside its registration.
func (s *Server) insightRoutes() []route {
	return []route{
		{"/devices/{id}/state", "devices", methods{http.MethodGet: s.getState}},
		{"/devices/{id}/explain", "devices", methods{http.MethodGet: s.getExplanation}},
		{"/devices/{id}/reset", "", methods{http.MethodPost: s.resetDevice}},
		{"/devices/{id}/rejoin", "", methods{http.MethodPost: s.rejoinDevice}},
	}
}

// look finds the device of the path, if the key may know of it.
func (s *Server) look(c *call) (insight, nsedge.Device, error) {
	edge, eui, err := s.one(c)
	if err != nil {
		return nil, nsedge.Device{}, err
	}
	d, err := c.device(edge, eui)
	if err != nil {
		return nil, d, err
	}
	in, ok := edge.(insight)
	if !ok {
		return nil, d, &problem{http.StatusNotImplemented, codeServerError, "", "this network server tells nothing but what was registered"}
	}
	return in, d, nil
}

// sessionView is a session; frequencies in Hz, durations in seconds.
type sessionView struct {
	DevAddr        string        `json:"dev_addr"`
	Version        string        `json:"lorawan"` // 1.0 or 1.1
	Joined         *int64        `json:"joined"`
	LastUplink     *int64        `json:"last_uplink"`
	CounterUp      uint32        `json:"counter_up"`
	CounterDown    uint32        `json:"counter_down"`
	CounterDownApp *uint32       `json:"counter_down_app,omitempty"`
	RX1            rx1State      `json:"rx1"`
	RX2            rx2State      `json:"rx2"`
	DataRate       *int          `json:"datarate"`
	TXPower        int           `json:"tx_power"`
	NbTrans        int           `json:"nb_trans"`
	MaxDutyCycle   int           `json:"max_duty_cycle"`
	ADR            bool          `json:"adr"`
	Channels       []heldChannel `json:"channels"`
	Samples        []sampleView  `json:"snr"`
	ClassB         *classBState  `json:"class_b"`
}

// classBState is what a device of class B has told, or what was registered.
type classBState struct {
	Active      bool   `json:"active"`
	Told        bool   `json:"told"`
	Periodicity int    `json:"periodicity"`
	Freq        uint32 `json:"freq"` // Hz
	DataRate    *int   `json:"datarate"`
}

type rx1State struct {
	Delay  float64 `json:"delay"`
	Offset int     `json:"offset"`
}

type rx2State struct {
	Freq     uint32 `json:"freq"`
	DataRate int    `json:"datarate"`
}

type heldChannel struct {
	Index int    `json:"index"`
	Freq  uint32 `json:"freq"`
	Down  uint32 `json:"freq_down,omitempty"`
	MinDR int    `json:"min_datarate"`
	MaxDR int    `json:"max_datarate"`
}

type sampleView struct {
	Counter uint32  `json:"counter_up"`
	SNR     float64 `json:"snr"`
}

type joinView struct {
	Time    float64 `json:"time"`
	Level   string  `json:"level"`
	Code    string  `json:"code"`
	Message string  `json:"message"`
}

func (s *Server) getState(c *call) (reply, error) {
	edge, d, err := s.look(c)
	if err != nil {
		return reply{}, err
	}
	st, err := edge.State(c.Context(), d.DevEUI)
	if err != nil {
		return reply{}, err
	}
	joins := []joinView{}
	for _, j := range st.Joins {
		joins = append(joins, joinView{unixSeconds(j.Time), j.Level.String(), j.Code, j.Message})
	}
	return reply{http.StatusOK, map[string]any{"state": map[string]any{
		"dev_eui": st.Device.String(), "session": viewSession(st.Session), "pending": viewSession(st.Pending), "joins": joins,
		"mac": map[string][]string{"asked": listed(st.Asked), "resting": listed(st.Resting)},
	}}}, nil
}

func listed(l []string) []string { return append([]string{}, l...) }

func unixSeconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func viewSession(s *nsedge.SessionState) *sessionView {
	if s == nil {
		return nil
	}
	v := &sessionView{
		DevAddr: s.DevAddr.String(), Version: "1.0", Joined: unixOrNull(s.Joined), LastUplink: unixOrNull(s.LastUplink),
		CounterUp: s.CounterUp, CounterDown: s.CounterDown,
		RX1: rx1State{s.RX1Delay.Seconds(), s.RX1Offset}, RX2: rx2State{uint32(s.RX2Freq), s.RX2DataRate},
		TXPower: s.TXPower, NbTrans: s.NbTrans, MaxDutyCycle: s.MaxDuty, ADR: s.ADR, Channels: []heldChannel{}, Samples: []sampleView{},
	}
	if s.LoRaWAN11 {
		v.Version, v.CounterDownApp = "1.1", &s.CounterDownApp
	}
	if s.DataRate >= 0 {
		v.DataRate = &s.DataRate
	}
	if b := s.ClassB; b != nil {
		v.ClassB = &classBState{Active: b.Active, Told: b.Told, Periodicity: b.Periodicity, Freq: uint32(b.Freq)}
		if b.DataRate >= 0 {
			v.ClassB.DataRate = &b.DataRate
		}
	}
	for _, ch := range s.Channels {
		v.Channels = append(v.Channels, heldChannel{ch.Index, uint32(ch.Freq), uint32(ch.Down), ch.MinDR, ch.MaxDR})
	}
	for _, x := range s.Samples {
		v.Samples = append(v.Samples, sampleView{x.Counter, float64(x.SNR)})
	}
	return v
}

// windowView is a receive window, and why it can't be used.
type windowView struct {
	Name     string   `json:"name"`
	Gateway  string   `json:"gateway"`
	Start    float64  `json:"start"`
	Deadline float64  `json:"deadline"`
	Freq     uint32   `json:"freq"`
	DataRate int      `json:"datarate"`
	Power    float64  `json:"power"`
	MaxSize  int      `json:"max_size"`
	Why      string   `json:"why"`
	FreeAt   *float64 `json:"free_at"`
}

// dutyView is the duty cycle of a sub-band; durations in seconds.
type dutyView struct {
	Gateway string  `json:"gateway"`
	Band    string  `json:"band"`
	From    uint32  `json:"from"`
	To      uint32  `json:"to"`
	Used    float64 `json:"used"`
	Allowed float64 `json:"allowed"`
	FreeAt  float64 `json:"free_at"`
	Probe   float64 `json:"probe"`
}

func (s *Server) getExplanation(c *call) (reply, error) {
	edge, d, err := s.look(c)
	if err != nil {
		return reply{}, err
	}
	x, err := edge.Explain(c.Context(), d.DevEUI)
	if err != nil {
		return reply{}, err
	}
	windows, duty := []windowView{}, []dutyView{}
	for _, w := range x.Windows {
		v := windowView{Name: w.Name, Gateway: w.Gateway.String(), Start: unixSeconds(w.Start), Deadline: unixSeconds(w.Deadline), Freq: uint32(w.Freq), DataRate: w.DataRate,
			Power: float64(w.Power), MaxSize: w.MaxSize, Why: w.Why}
		if !w.FreeAt.IsZero() {
			at := unixSeconds(w.FreeAt)
			v.FreeAt = &at
		}
		windows = append(windows, v)
	}
	for _, u := range x.Duty {
		duty = append(duty, dutyView{u.Gateway.String(), u.Band, uint32(u.From), uint32(u.To), u.Used.Seconds(), u.Allowed.Seconds(), unixSeconds(u.FreeAt), u.ProbeTime.Seconds()})
	}
	return reply{http.StatusOK, map[string]any{"explanation": map[string]any{
		"dev_eui": x.Device.String(), "time": unixSeconds(x.Now), "summary": x.Summary, "windows": windows, "duty": duty,
		"mac": map[string][]string{"asked": listed(x.Asked), "resting": listed(x.Resting)},
	}}}, nil
}

// act is look for what takes the right to change the device, not that to
// create one.
func (s *Server) act(c *call) (insight, nsedge.Device, error) {
	edge, d, err := s.look(c)
	if err == nil && !c.key.May("devices", update, d.DevEUI.String()) {
		err = &problem{http.StatusForbidden, codeForbidden, "access_token", "access_token: this key lacks the right to update devices"}
	}
	return edge, d, err
}

func (s *Server) resetDevice(c *call) (reply, error) {
	edge, d, err := s.act(c)
	if err != nil {
		return reply{}, err
	}
	if err := edge.ResetDevice(c.Context(), d.DevEUI); err != nil {
		return reply{}, err
	}
	plain, err := s.theEdge()
	if err != nil {
		return reply{}, err
	}
	if d, err = plain.Device(c.Context(), d.DevEUI); err != nil {
		return reply{}, err
	}
	return s.deviceReply(c, http.StatusOK, &d), nil
}
