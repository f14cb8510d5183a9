package halconf

import (
	"fmt"
	"strings"
	"time"

	"gatewayd/concentrator"
	"gatewayd/radio"
)

const maxHertz = 1_000_000_000

func convert(r *reader) Conf {
	c := Conf{}
	cc := &c.Concentrator
	port(r, &c.Port)
	gain := 0.0
	get(r, "antenna_gain", &gain)
	c.AntennaGain = radio.DB(gain)
	public := false // as the forwarder takes a file that doesn't say
	get(r, "lorawan_public", &public)
	cc.PrivateNetwork = !public
	number(r, "clksrc", &cc.ClockSource, 0, 1)
	get(r, "full_duplex", &cc.FullDuplex)
	if f := r.object("fine_timestamp"); f != nil {
		cc.FineTimestamp = fineTimestamp(f)
	}
	for i := range cc.Radios {
		if o := r.object(fmt.Sprintf("radio_%d", i)); o != nil {
			cc.Radios[i] = rfChain(o)
		}
	}
	if all := r.object("chan_multiSF_All"); all != nil {
		cc.SpreadingFactors = spreadingFactors(all)
	}
	for i := range cc.Channels {
		if o := r.object(fmt.Sprintf("chan_multiSF_%d", i)); o != nil {
			cc.Channels[i] = channel(o)
		}
	}
	if o := r.object("chan_Lora_std"); o != nil {
		cc.Service = service(o)
	}
	if o := r.object("chan_FSK"); o != nil {
		cc.FSK = fsk(o)
	}
	if o := r.object("sx1261_conf"); o != nil {
		companion(o, &c)
	}
	return c
}

// companion is the SX1261. The forwarder uses it only if one of its two jobs
// is wanted.
func companion(r *reader, c *Conf) {
	s := &c.Concentrator.SX1261
	offset := 0.0
	get(r, "rssi_offset", &offset)
	s.RSSIOffset = radio.DB(offset)
	if o := r.object("spectral_scan"); o != nil {
		s.Survey = survey(o)
	}
	if o := r.object("lbt"); o != nil {
		if get(o, "enable", &s.LBT.Enable); !s.LBT.Enable {
			o.ignore()
		} else {
			target := -80.0
			get(o, "rssi_target", &target)
			s.LBT.Target = radio.DBm(target)
			for _, ch := range o.list("channels") {
				s.LBT.Channels = append(s.LBT.Channels, lbtChannel(ch))
			}
		}
	}
	path := ""
	if get(r, "spi_path", &path); s.LBT.Enable || s.Survey.Points > 0 {
		c.SX1261Port = path
	}
}

// survey is the spectral scan that the forwarder does in the background.
func survey(r *reader) concentrator.Survey {
	enable, pace := false, 10
	if get(r, "enable", &enable); !enable {
		r.ignore()
		return concentrator.Survey{}
	}
	s := concentrator.Survey{}
	if !number(r, "freq_start", &s.From, 1, maxHertz) && r.keys["freq_start"] == nil {
		r.fault("freq_start", "the first frequency in Hz")
	}
	if !number(r, "nb_chan", &s.Points, 1, 255) && r.keys["nb_chan"] == nil {
		r.fault("nb_chan", "how many channels of 200 kHz, 1 to 255")
	}
	number(r, "nb_scan", &s.Samples, 1, 65_535)
	number(r, "pace_s", &pace, 0, 1_000_000)
	s.Every = time.Duration(max(pace, 1)) * time.Second // 0 means 1 there
	return s
}

func lbtChannel(r *reader) concentrator.LBTChannel {
	c := concentrator.LBTChannel{Bandwidth: 125_000}
	if !number(r, "freq_hz", &c.Freq, 1, maxHertz) && r.keys["freq_hz"] == nil {
		r.fault("freq_hz", "the channel's centre in Hz")
	}
	number(r, "bandwidth", &c.Bandwidth, 125_000, 250_000)
	scan, hold := 128, 400
	if number(r, "scan_time_us", &scan, 0, 5000); scan != 128 && scan != 5000 {
		r.fault("scan_time_us", "128 or 5000")
	}
	number(r, "transmit_time_ms", &hold, 1, 65_535)
	c.ScanTime, c.MaxTransmit = time.Duration(scan)*time.Microsecond, time.Duration(hold)*time.Millisecond
	return c
}

// port is com_type and com_path.
func port(r *reader, to *string) {
	kind := "SPI"
	get(r, "com_type", &kind)
	get(r, "com_path", to)
	switch kind {
	case "SPI", "spi":
	case "USB", "usb":
		*to = "usb:" + *to
	default:
		r.fault("com_type", "SPI or USB")
	}
}

func fineTimestamp(r *reader) concentrator.FineTimestamp {
	enable, mode := false, "all_sf"
	if get(r, "enable", &enable); !enable {
		r.ignore()
		return concentrator.FineTimestampOff
	}
	get(r, "mode", &mode)
	switch strings.ToLower(mode) {
	case "all_sf":
		return concentrator.FineTimestampAllSF
	case "high_capacity":
		return concentrator.FineTimestampHighCapacity
	}
	r.fault("mode", "all_sf or high_capacity")
	return concentrator.FineTimestampOff
}

// rfChain is radio_0 or radio_1.
func rfChain(r *reader) concentrator.Radio {
	var c concentrator.Radio
	if get(r, "enable", &c.Enable); !c.Enable {
		r.ignore()
		return c
	}
	kind := "SX1250"
	get(r, "type", &kind)
	types := map[string]concentrator.RadioType{
		"SX1250": concentrator.SX1250, "SX1255": concentrator.SX1255, "SX1257": concentrator.SX1257,
	}
	t, ok := types[kind]
	if !ok {
		r.fault("type", "SX1250, SX1255 or SX1257")
	}
	c.Type = t
	if !number(r, "freq", &c.Freq, 1, maxHertz) && r.keys["freq"] == nil {
		r.fault("freq", "the centre frequency in Hz")
	}
	get(r, "single_input_mode", &c.SingleInput)
	offset := 0.0
	get(r, "rssi_offset", &offset)
	c.RSSIOffset = radio.DB(offset)
	if t := r.object("rssi_tcomp"); t != nil {
		for i, key := range []string{"coeff_a", "coeff_b", "coeff_c", "coeff_d", "coeff_e"} {
			get(t, key, &c.RSSITemperature[i])
		}
	}
	get(r, "tx_enable", &c.Transmit)
	number(r, "tx_freq_min", &c.TXMin, 0, maxHertz)
	number(r, "tx_freq_max", &c.TXMax, 0, maxHertz)
	for _, g := range r.list("tx_gain_lut") {
		c.Gains = append(c.Gains, powerSetting(g, c.Type))
	}
	if !c.Transmit {
		c.TXMin, c.TXMax, c.Gains = 0, 0, nil
	}
	return c
}

// powerSetting is one entry of tx_gain_lut. The forwarder reads other keys of
// it for an SX1250 than for an SX1255 or SX1257.
func powerSetting(r *reader, t concentrator.RadioType) concentrator.Gain {
	g := concentrator.Gain{}
	power, pa := 0.0, uint8(0)
	if !get(r, "rf_power", &power) && r.keys["rf_power"] == nil {
		r.fault("rf_power", "the power in dBm")
	}
	g.Power = radio.DBm(power)
	number(r, "pa_gain", &pa, 0, 3)
	if t == concentrator.SX1250 {
		g.PA = pa > 0
		number(r, "pwr_idx", &g.Index, 0, 22)
		return g
	}
	const onlyDAC = 3 // the one that the vendor's library supports, and its default
	g.PAGain, g.DAC = pa, onlyDAC
	number(r, "dig_gain", &g.Digital, 0, 3)
	number(r, "dac_gain", &g.DAC, 0, 3)
	number(r, "mix_gain", &g.Mixer, 0, 15)
	return g
}

func spreadingFactors(r *reader) (mask byte) {
	var list []int
	if !get(r, "spreading_factor_enable", &list) {
		return 0
	}
	for _, sf := range list {
		if sf < 5 || sf > 12 {
			r.fault("spreading_factor_enable", "a list of numbers from 5 to 12")
			return 0
		}
		mask |= 1 << (sf - 5)
	}
	if mask == 0 {
		r.fault("spreading_factor_enable", "at least one of 5 to 12")
	}
	return mask
}

// channel is what all receive channels have.
func channel(r *reader) concentrator.Channel {
	var c concentrator.Channel
	if get(r, "enable", &c.Enable); !c.Enable {
		r.ignore()
	}
	number(r, "radio", &c.Radio, 0, 1)
	number(r, "if", &c.IF, -maxHertz, maxHertz)
	return c
}

func service(r *reader) concentrator.Service {
	c := concentrator.Service{Channel: channel(r)}
	if !c.Enable {
		return c
	}
	c.Bandwidth, c.SF = 250_000, 7 // the vendor's defaults
	number(r, "bandwidth", &c.Bandwidth, 0, maxHertz)
	number(r, "spread_factor", &c.SF, 5, 12)
	get(r, "implicit_hdr", &c.Implicit)
	number(r, "implicit_payload_length", &c.ImplicitLength, 0, 255)
	number(r, "implicit_coderate", &c.ImplicitCodeRate, 0, 4)
	get(r, "implicit_crc_en", &c.ImplicitCRC)
	return c
}

func fsk(r *reader) concentrator.FSKChannel {
	c := concentrator.FSKChannel{Channel: channel(r)}
	if c.Enable {
		c.BitRate = 64_000 // the vendor's default
		number(r, "datarate", &c.BitRate, 500, 250_000)
		r.look("bandwidth")      // the modem's filter is fixed
		r.look("freq_deviation") // of transmissions, which state their own
	}
	return c
}

// ignore marks all keys as looked at: those of a part that is switched off.
func (r *reader) ignore() {
	for key := range r.keys {
		r.look(key)
	}
}
