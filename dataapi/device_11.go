package dataapi

import (
	"math"
	"net/http"

	"gatewayd/nsedge"
)

// view11 is what devices of LoRaWAN 1.1 have besides; left out for others.
// nwkskey is then FNwkSIntKey, counter_down is NFCntDown.
type view11 struct {
	SNwkSIntKey    *string             `json:"snwksintkey,omitempty"`
	NwkSEncKey     *string             `json:"nwksenckey,omitempty"`
	CounterDownApp *uint32             `json:"counter_down_app,omitempty"` // AFCntDown
	ADRAck         *nsedge.ADRParam    `json:"adr_ack,omitempty"`
	Rejoin         *nsedge.RejoinParam `json:"rejoin,omitempty"`
}

func view11Of(d *nsedge.Device, secrets bool) view11 {
	v := view11{ADRAck: d.ADRParam, Rejoin: d.RejoinParam}
	if d.SNwkSIntKey != nil {
		v.CounterDownApp = &d.CounterDownApp
		if secrets {
			v.SNwkSIntKey, v.NwkSEncKey = keyText(d.SNwkSIntKey), keyText(d.NwkSEncKey)
		}
	}
	return v
}

// setField11 sets a field of view11; null takes adr_ack and rejoin away.
func setField11(d *nsedge.Device, body fields, name string) (err error) {
	switch name {
	case "fnwksintkey":
		err = setKey(&d.NwkSKey, body, name)
	case "snwksintkey":
		err = setKey(&d.SNwkSIntKey, body, name)
	case "nwksenckey":
		err = setKey(&d.NwkSEncKey, body, name)
	case "counter_down_app":
		err = setNumber(&d.CounterDownApp, body, name, 0, math.MaxUint32)
	case "adr_ack":
		p := nsedge.ADRParam{Limit: 6, Delay: 5}
		if d.ADRParam != nil {
			p = *d.ADRParam
		}
		if err = setExponents(body, name, map[string]*int{"limit_exp": &p.Limit, "delay_exp": &p.Delay}); err == nil {
			d.ADRParam = &p
		}
	case "rejoin":
		p := nsedge.RejoinParam{Time: 15, Count: 15}
		if d.RejoinParam != nil {
			p = *d.RejoinParam
		}
		if err = setExponents(body, name, map[string]*int{"time_n": &p.Time, "count_n": &p.Count}); err == nil {
			d.RejoinParam = &p
		}
	}
	return err
}

// setExponents sets numbers from 0 to 15 in an object.
func setExponents(body fields, name string, into map[string]*int) error {
	o, err := body.object(name)
	if err != nil {
		return err
	}
	for field, v := range into {
		if err := setNumber(v, o, field, 0, 15); err != nil {
			return err
		}
	}
	return nil
}

// decodeKeys11 reads the session keys of a join_response. LoRaWAN 1.1 has
// three of them, for a join-accept with OptNeg; 1.0 has nwkskey.
func decodeKeys11(r *nsedge.JoinResponse, params fields) error {
	v11 := params.given("fnwksintkey") || params.given("snwksintkey") || params.given("nwksenckey")
	if err := params.bools(map[string]*bool{"opt_neg": &v11}); err != nil {
		return err
	}
	if params.given("join_eui") {
		if err := setEUI(&r.JoinEUI, params, "join_eui"); err != nil {
			return err
		}
	}
	names := map[string]*[16]byte{"nwkskey": &r.NwkSKey}
	if v11 {
		r.OptNeg = true
		names = map[string]*[16]byte{"fnwksintkey": &r.NwkSKey, "snwksintkey": &r.SNwkSIntKey, "nwksenckey": &r.NwkSEncKey}
	}
	for _, name := range sortedKeys(names) {
		key, err := params.secret(name)
		switch {
		case err != nil:
			return err
		case key == nil && v11:
			return missingField("params."+name, "32 hex digits are wanted: a session of LoRaWAN 1.1 (opt_neg) has fnwksintkey, snwksintkey and nwksenckey")
		case key == nil:
			return missingField("params."+name, "32 hex digits are wanted")
		}
		*names[name] = [16]byte(key)
	}
	return nil
}

// rejoinDevice asks a device for a rejoin-request by ForceRejoinReq.
func (s *Server) rejoinDevice(c *call) (reply, error) {
	edge, d, err := s.act(c)
	if err != nil {
		return reply{}, err
	}
	body, err := c.body("rejoin")
	if err != nil {
		return reply{}, err
	}
	kind, _, err := body.int("type", 0, 2) // 0 if none is given
	if err != nil {
		return reply{}, err
	}
	if err := edge.ForceRejoin(c.Context(), d.DevEUI, int(kind)); err != nil {
		return reply{}, err
	}
	return reply{http.StatusAccepted, map[string]any{"rejoin": map[string]any{"dev_eui": d.DevEUI.String(), "type": kind}}}, nil
}
