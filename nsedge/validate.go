package nsedge

import (
	"slices"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// Bounds of what may be stored about a device.
const (
	maxTags    = 64
	maxTagSize = 256
)

// normalise fills in the defaults of a device, copies what the caller might
// change later, and checks every field.
func (e *Edge) normalise(d *Device) error {
	*d = d.clone()
	if d.Class == "" {
		d.Class = "A"
	}
	if d.CountersSize == 0 {
		d.CountersSize = 4
	}
	if d.Encryption == "" {
		d.Encryption = KeysAtNS
	}
	for _, check := range []func(*Device) error{e.checkIdentity, checkPolicy, checkKeys, e.checkRadio, e.checkMAC, e.checkPings, e.checkMulticast, checkLimits} {
		if err := check(d); err != nil {
			return err
		}
	}
	return nil
}

func (e *Edge) checkIdentity(d *Device) error {
	switch {
	case d.DevEUI == radio.EUI64{}:
		return invalid("dev_eui", "it is missing or 0: 16 hex digits are wanted, as printed on the device")
	case d.Activation != OTAA && d.Activation != ABP:
		return invalid("activation", "%q is not OTAA or ABP", d.Activation)
	case d.Encryption != KeysAtNS && d.Encryption != KeysAtApp:
		return invalid("encryption", "%q is not NS (keys here) or APP (keys at the application)", d.Encryption)
	case !slices.Contains([]string{"A", "B", "C"}, d.Class):
		return invalid("dev_class", "%q is not A, B or C", d.Class)
	}
	d.Activation, d.Encryption = intern(d.Activation, OTAA, ABP), intern(d.Encryption, KeysAtNS, KeysAtApp)
	d.Class = intern(d.Class, "A", "B", "C")
	return nil
}

func checkKeys(d *Device) error {
	session := d.DevAddr != nil && d.NwkSKey != nil
	switch {
	case d.Activation == ABP && d.DevAddr == nil:
		return invalid("dev_addr", "an ABP device needs it: 8 hex digits")
	case d.Activation == ABP && d.NwkSKey == nil:
		return invalid("nwkskey", "an ABP device needs it: 32 hex digits")
	case !session && (d.DevAddr != nil || d.NwkSKey != nil):
		return invalid("nwkskey", "a session needs dev_addr and nwkskey: give both or none")
	case (d.SNwkSIntKey == nil) != (d.NwkSEncKey == nil) || d.SNwkSIntKey != nil && !session:
		return invalid("snwksintkey", "a session of LoRaWAN 1.1 needs dev_addr, nwkskey (FNwkSIntKey), snwksintkey and nwksenckey: give all or none")
	case d.Activation == ABP && (d.Version == version11) != d.session11():
		return invalid("lorawan_version", "%s: an ABP device of LoRaWAN 1.1 has the session keys nwkskey (FNwkSIntKey), snwksintkey and nwksenckey, others have nwkskey only", d.Version)
	case d.Activation == OTAA && d.Encryption == KeysAtNS && d.Version == version11 && d.NwkKey == nil && !session:
		return invalid("nwk_key", "an OTAA device of LoRaWAN 1.1 with encryption NS needs it beside app_key: 32 hex digits")
	case d.Activation == OTAA && d.Encryption == KeysAtNS && d.AppKey == nil && !session:
		return invalid("app_key", "an OTAA device with encryption NS needs it: 32 hex digits. Use encryption APP if the application holds the key")
	}
	return nil
}

func (e *Edge) checkRadio(d *Device) error {
	if d.Band != "" {
		if _, err := region.Lookup(d.Band); err != nil {
			return invalid("band", "%v", err)
		}
	}
	if d.RX1Delay < 0 || d.RX1Delay > 15 {
		return invalid("rx1.delay", "%d s is not 0 (the region's default) to 15", d.RX1Delay)
	}
	switch a := d.ADR; {
	case a.Mode != "" && !slices.Contains([]string{"on", "off", "static"}, a.Mode):
		return invalid("adr.mode", "%q is not on, off or static", a.Mode)
	case a.DataRate != nil && (*a.DataRate < 0 || *a.DataRate > 15):
		return invalid("adr.datarate", "%d is not 0 to 15", *a.DataRate)
	case a.TXPower != nil && (*a.TXPower < 0 || *a.TXPower > 15):
		return invalid("adr.tx_power", "%d is not 0 to 15", *a.TXPower)
	}
	return nil
}

// checkMAC checks what the device is asked for by MAC commands.
func (e *Edge) checkMAC(d *Device) error {
	d.RX1Current = 0 // the session knows
	if d.MAC != "" && d.MAC != MACHandsOff {
		return invalid("mac", "%q is not %s, or empty", d.MAC, MACHandsOff)
	}
	d.MAC = intern(d.MAC, MACHandsOff)
	r := e.cfg.Region
	if o := d.RX1Offset; o != nil && (*o < 0 || *o > r.MaxRX1Offset()) {
		return invalid("rx1.offset", "%d is not 0 to %d, which is what %s allows", *o, r.MaxRX1Offset(), r)
	}
	if p := d.RX2DataRate; p != nil {
		if _, err := r.Downlink(*p); err != nil {
			return invalid("rx2.datarate", "%v", err)
		}
	}
	if f := d.RX2Freq; f != 0 {
		if _, ok := r.EIRP(f); !ok {
			return invalid("rx2.freq", "%d Hz is not where a gateway may send in %s", f, r)
		}
	}
	if p := d.MaxDutyCycle; p != nil && (*p < 0 || *p > 15) {
		return invalid("max_duty_cycle", "%d is not 0 (no limit) to 15 (1/32768 of the time)", *p)
	}
	if p := d.ADRParam; p != nil && (p.Limit < 0 || p.Limit > 15 || p.Delay < 0 || p.Delay > 15) {
		return invalid("adr_ack", "limit_exp %d, delay_exp %d: exponents are 0 to 15", p.Limit, p.Delay)
	}
	if p := d.RejoinParam; p != nil && (p.Time < 0 || p.Time > 15 || p.Count < 0 || p.Count > 15) {
		return invalid("rejoin", "time_n %d, count_n %d: exponents are 0 to 15", p.Time, p.Count)
	}
	if len(d.DownlinkChannels) > 16 {
		return invalid("downlink_channels", "%d of them, 16 are allowed", len(d.DownlinkChannels))
	}
	for _, c := range d.DownlinkChannels {
		if _, ok := r.EIRP(c.Freq); !ok || c.Index < 0 || c.Index > 15 {
			return invalid("downlink_channels", "channel %d at %d Hz: indices are 0 to 15, and a gateway must be allowed to send there in %s", c.Index, c.Freq, r)
		}
	}
	return nil
}

func checkLimits(d *Device) error {
	if d.CountersSize != 2 && d.CountersSize != 4 {
		return invalid("counters_size", "%d is not 2 or 4 (bytes)", d.CountersSize)
	}
	if d.CountersSize == 2 && d.CounterUp > 1<<16 {
		return invalid("counter_up", "%d does not fit counters_size 2: 65536 is the most", d.CounterUp)
	}
	if len(d.Tags) > maxTags {
		return invalid("tags", "%d tags, %d are allowed", len(d.Tags), maxTags)
	}
	for _, t := range d.Tags {
		if len(t) > maxTagSize {
			return invalid("tags", "a tag of %d bytes, %d are allowed", len(t), maxTagSize)
		}
	}
	if g := d.Geolocation; g != nil {
		switch {
		case !(g.Lat >= -90 && g.Lat <= 90):
			return invalid("geolocation.lat", "%v is not -90 to 90 degrees", g.Lat)
		case !(g.Lng >= -180 && g.Lng <= 180):
			return invalid("geolocation.lng", "%v is not -180 to 180 degrees", g.Lng)
		case g.Precision < 0:
			return invalid("geolocation.precision", "%d m is negative", g.Precision)
		}
	}
	return nil
}

func invalid(field, format string, args ...any) error {
	return refuse(CodeDeviceInvalid, field, format, args...)
}
