package dataapi

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// patchDevice sets what the client gave; nested objects are merged. Clients
// send numbers and booleans as text too. Fields that are read-only, unknown or
// null are left alone, save that null clears adr.datarate, adr.tx_power,
// geolocation, adr_ack and rejoin.
func patchDevice(d *nsedge.Device, body fields) error {
	for _, name := range sortedKeys(body.m) {
		if !body.given(name) {
			clearField(d, name)
			continue
		}
		if err := setDeviceField(d, body, name); err != nil {
			return err
		}
	}
	return nil
}

// clearField is what null means.
func clearField(d *nsedge.Device, name string) {
	switch name {
	case "geolocation":
		d.Geolocation = nil
	case "adr_ack":
		d.ADRParam = nil
	case "rejoin":
		d.RejoinParam = nil
	}
}

func setDeviceField(d *nsedge.Device, body fields, name string) (err error) {
	switch name {
	case "dev_eui":
		err = setEUI(&d.DevEUI, body, name)
	case "app_eui", "join_eui":
		err = setEUI(&d.AppEUI, body, name)
	case "dev_addr":
		err = setDevAddr(d, body, name)
	case "app_key":
		err = setKey(&d.AppKey, body, name)
	case "nwk_key":
		err = setKey(&d.NwkKey, body, name)
	case "nwkskey":
		err = setKey(&d.NwkSKey, body, name)
	case "appskey":
		err = setKey(&d.AppSKey, body, name)
	case "activation":
		err = setWord(&d.Activation, body, name, nsedge.OTAA, nsedge.ABP)
	case "encryption":
		err = setWord(&d.Encryption, body, name, nsedge.KeysAtNS, nsedge.KeysAtApp)
	case "dev_class":
		err = setWord(&d.Class, body, name, "A", "B", "C")
	case "band":
		d.Band, err = textOrNumber(body, name)
	case "tags":
		d.Tags, err = textList(body, name)
	case "counters_size":
		err = setCountersSize(d, body, name)
	case "counter_up":
		err = setNumber(&d.CounterUp, body, name, 0, math.MaxUint32)
	case "counter_down":
		err = setNumber(&d.CounterDown, body, name, 0, math.MaxUint32)
	case "strict_counter":
		err = setBool(&d.StrictCounter, body, name)
	case "policy":
		err = setWord(&d.Policy, body, name, nsedge.PolicyStrict, nsedge.PolicyRelaxed, nsedge.PolicyLab)
	case "lorawan_version":
		err = setWord(&d.Version, body, name, "1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1", "1.1.0", "1.1.1")
	case "mac":
		err = setMAC(d, body, name)
	case "block_uplink":
		err = setBool(&d.BlockUplink, body, name)
	case "block_downlink":
		err = setBool(&d.BlockDownlink, body, name)
	case "adr", "rx1", "rx2", "geolocation":
		err = setDeviceObject(d, body, name)
	case "fnwksintkey", "snwksintkey", "nwksenckey", "counter_down_app", "adr_ack", "rejoin":
		err = setField11(d, body, name)
	default:
		err = setRadioField(d, body, name)
	}
	return err
}

func setDeviceObject(d *nsedge.Device, body fields, name string) error {
	o, err := body.object(name)
	if err != nil {
		return err
	}
	switch name {
	case "adr":
		return patchADR(&d.ADR, o)
	case "rx1":
		if err := setNumber(&d.RX1Delay, o, "delay", 0, 15); err != nil {
			return err
		}
		return setWindows(d, o, name)
	case "rx2":
		if err := setBool(&d.RX2Force, o, "force"); err != nil {
			return err
		}
		return setWindows(d, o, name)
	}
	p := nsedge.Position{}
	if d.Geolocation != nil {
		p = *d.Geolocation
	}
	for _, f := range []struct {
		name string
		most float64
		into *float64
	}{{"lat", 90, &p.Lat}, {"lng", 180, &p.Lng}} {
		if err := setFloat(f.into, o, f.name, f.most); err != nil {
			return err
		}
	}
	if err := setNumber(&p.Precision, o, "precision", 0, 1<<30); err != nil {
		return err
	}
	d.Geolocation = &p
	return nil
}

// patchADR: mode decides; enabled alone switches between off and on.
func patchADR(a *nsedge.ADR, o fields) error {
	if o.given("enabled") {
		var on bool
		if err := setBool(&on, o, "enabled"); err != nil {
			return err
		}
		switch {
		case !on:
			a.Mode = "off"
		case a.Mode == "" || a.Mode == "off":
			a.Mode = "on"
		}
	}
	if err := setWord(&a.Mode, o, "mode", "on", "off", "static"); err != nil {
		return err
	}
	for name, into := range map[string]**int{"datarate": &a.DataRate, "tx_power": &a.TXPower} {
		if !o.given(name) {
			if _, null := o.m[name]; null {
				*into = nil
			}
			continue
		}
		var v int
		if err := setNumber(&v, o, name, 0, 15); err != nil {
			return err
		}
		*into = &v
	}
	return nil
}

// setMAC: auto lets the network set the device's radio up.
func setMAC(d *nsedge.Device, o fields, name string) error {
	word := "auto"
	if d.MAC != "" {
		word = d.MAC
	}
	if err := setWord(&word, o, name, "auto", nsedge.MACHandsOff); err != nil {
		return err
	}
	if d.MAC = word; word == "auto" {
		d.MAC = ""
	}
	return nil
}

func setCountersSize(d *nsedge.Device, o fields, name string) error {
	var v int
	if err := setNumber(&v, o, name, 2, 4); err != nil || v == 3 {
		return badField(o.name(name), "%s; 2 and 4 are allowed", o.raw(name))
	}
	d.CountersSize = v
	return nil
}

func setEUI(into *radio.EUI64, o fields, name string) error {
	s, err := o.text(name)
	if err != nil {
		return err
	}
	e, err := radio.ParseEUI64(s)
	if err != nil {
		return badField(o.name(name), "%s; 16 hex digits are wanted", shown(s))
	}
	*into = e
	return nil
}

// setDevAddr takes "" for none, as exports write it.
func setDevAddr(d *nsedge.Device, o fields, name string) error {
	b, err := o.hex(name, 4)
	if err != nil || b == nil {
		return err
	}
	d.DevAddr = (*nsedge.DevAddr)(b)
	return nil
}

// setKey takes "" for none, as exports write it.
func setKey(into **nsedge.Key, o fields, name string) error {
	b, err := o.secret(name)
	if err != nil || b == nil {
		return err
	}
	*into = (*nsedge.Key)(b)
	return nil
}

// setWord takes one of the allowed words in any case; "" leaves it alone.
func setWord[T ~string](into *T, o fields, name string, allowed ...T) error {
	s, err := o.text(name)
	if err != nil || s == "" {
		return err
	}
	for _, w := range allowed {
		if strings.EqualFold(s, string(w)) {
			*into = w
			return nil
		}
	}
	var words []string
	for _, w := range allowed {
		words = append(words, string(w))
	}
	return badField(o.name(name), "%s; allowed are %s", shown(s), strings.Join(words, ", "))
}

// bare is a number or boolean, also where it came as text.
func (f fields) bare(name string) string {
	if s, ok := unquote(f.m[name]); ok {
		return strings.TrimSpace(s)
	}
	return string(f.m[name])
}

func setNumber[T int | uint32](into *T, o fields, name string, least, most int64) error {
	if !o.given(name) || o.bare(name) == "" {
		return nil
	}
	v, ok := wholeNumber(o.bare(name))
	if !ok || v < least || v > most {
		return badField(o.name(name), "%s; a whole number from %d to %d is allowed", o.raw(name), least, most)
	}
	*into = T(v)
	return nil
}

func number64(text string) (float64, error) { return strconv.ParseFloat(text, 64) }

// setFloat takes degrees from -most to most.
func setFloat(into *float64, o fields, name string, most float64) error {
	if !o.given(name) {
		return nil
	}
	v, err := number64(o.bare(name))
	if err != nil || !(math.Abs(v) <= most) {
		return badField(o.name(name), "%s; a number from -%g to %g is allowed", o.raw(name), most, most)
	}
	*into = v
	return nil
}

func setBool(into *bool, o fields, name string) error {
	if !o.given(name) {
		return nil
	}
	switch strings.ToLower(o.bare(name)) {
	case "true", "1":
		*into = true
	case "false", "0", "":
		*into = false
	default:
		return badField(o.name(name), "%s; true and false are allowed", o.raw(name))
	}
	return nil
}

func textOrNumber(o fields, name string) (string, error) {
	if raw := o.m[name]; raw[0] == '{' || raw[0] == '[' {
		return "", badField(o.name(name), "%s; a text is wanted", o.raw(name))
	}
	return o.bare(name), nil
}

// textList reads a list of texts, or one text with commas.
func textList(o fields, name string) ([]string, error) {
	var list []string
	if json.Unmarshal(o.m[name], &list) == nil {
		return slices.Clip(list), nil
	}
	s, err := o.text(name)
	if err != nil {
		return nil, badField(o.name(name), "%s; a list of texts is wanted", o.raw(name))
	}
	return parameters{name: {s}}.members(name), nil
}

// parsePathEUI reads the {id} of a path.
func parsePathEUI(id string) (radio.EUI64, error) {
	e, err := radio.ParseEUI64(id)
	if err != nil {
		return e, notFound("Device not found: %s is no DevEUI of 16 hex digits", shown(id))
	}
	return e, nil
}

// hexPart tells whether part stands in the hex form of b.
func hexPart(b []byte, part string) bool {
	return strings.Contains(hex.EncodeToString(b), strings.ToLower(part))
}
