package halconf

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatewayd/concentrator"
	"gatewayd/radio"
)

// conf is written as the forwarder's sample files are: comments of both
// kinds, a trailing comma, objects of no concern beside the one that counts.
const conf = `{
	"SX130x_conf": {
		"com_type": "SPI", "com_path": "/dev/spidev0.0",
		"lorawan_public": false,
		"clksrc": 1,
		"antenna_gain": 3, /* dBi */
		"full_duplex": false,
		"fine_timestamp": { "enable": true, "mode": "high_capacity" /* or all_sf */ },
		"radio_0": { "enable": false, "type": "nothing" },
		"radio_1": {
			"enable": true, "type": "SX1250", "single_input_mode": true,
			"freq": 471400000.0, "rssi_offset": -207.0,
			"rssi_tcomp": {"coeff_a": 1, "coeff_b": 2.5, "coeff_c": 20.41, "coeff_d": 2162.56, "coeff_e": 0},
			"tx_enable": true, "tx_freq_min": 500000000, "tx_freq_max": 510000000,
			"tx_gain_lut": [
				{"rf_power": -6, "pa_gain": 0, "pwr_idx": 0},
				{"rf_power": 27, "pa_gain": 1, "pwr_idx": 15},
			]
		},
		// the channels
		"chan_multiSF_All": {"spreading_factor_enable": [7, 8, 12]},
		"chan_multiSF_0": {"enable": true, "radio": 1, "if": -700000},
		"chan_multiSF_3": {"enable": false, "radio": 0, "if": 5},
		"chan_Lora_std": {"enable": true, "radio": 1, "if": 300000, "bandwidth": 500000, "spread_factor": 9,
			"implicit_hdr": true, "implicit_payload_length": 17, "implicit_crc_en": true, "implicit_coderate": 2},
		"chan_FSK": {"enable": true, "radio": 1, "if": 400000, "bandwidth": 125000, "datarate": 100000},
		"chan_FSQ": {}
	},
	"gateway_conf": {"gateway_ID": "AA555A0000000000"}
}`

func TestAForwardersFileBecomesTheDriversConfiguration(t *testing.T) {
	c, err := Parse([]byte(conf))
	if err != nil {
		t.Fatal(err)
	}
	want := concentrator.Config{
		ClockSource: 1, PrivateNetwork: true, FineTimestamp: concentrator.FineTimestampHighCapacity,
		SpreadingFactors: 1<<2 | 1<<3 | 1<<7,
		Service: concentrator.Service{
			Channel: concentrator.Channel{Enable: true, Radio: 1, IF: 300_000}, Bandwidth: 500_000, SF: 9,
			Implicit: true, ImplicitLength: 17, ImplicitCRC: true, ImplicitCodeRate: 2,
		},
		FSK: concentrator.FSKChannel{Channel: concentrator.Channel{Enable: true, Radio: 1, IF: 400_000}, BitRate: 100_000},
	}
	want.Radios[1] = concentrator.Radio{
		Enable: true, SingleInput: true, Freq: 471_400_000, RSSIOffset: -207,
		RSSITemperature: [5]float64{1, 2.5, 20.41, 2162.56, 0},
		Transmit:        true, TXMin: 500_000_000, TXMax: 510_000_000,
		Gains: []concentrator.Gain{{Power: -6}, {Power: 27, PA: true, Index: 15}},
	}
	want.Channels[0] = concentrator.Channel{Enable: true, Radio: 1, IF: -700_000}
	want.Channels[3] = concentrator.Channel{IF: 5}
	if !reflect.DeepEqual(c.Concentrator, want) {
		t.Errorf("got  %+v\nwant %+v", c.Concentrator, want)
	}
	if c.Port != "/dev/spidev0.0" || c.AntennaGain != 3 {
		t.Errorf("port %q, antenna gain %v", c.Port, c.AntennaGain)
	}
	if got := strings.Join(c.Ignored, " "); got != "SX130x_conf.chan_FSQ" {
		t.Errorf("ignored: %s", got)
	}
}

// What a file doesn't say is what the forwarder, or the library below it,
// then takes.
func TestDefaultsAreTheForwarders(t *testing.T) {
	c, err := Parse([]byte(`{"radio_0": {"enable": true, "freq": 867500000}, "com_type": "USB", "com_path": "/dev/ttyACM0",
		"chan_Lora_std": {"enable": true, "radio": 0, "if": 1}, "chan_FSK": {"enable": true, "radio": 0, "if": 2},
		"fine_timestamp": {"enable": false, "mode": "any"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := concentrator.Config{PrivateNetwork: true}
	want.Radios[0] = concentrator.Radio{Enable: true, Freq: 867_500_000}
	want.Service = concentrator.Service{Channel: concentrator.Channel{Enable: true, IF: 1}, Bandwidth: 250_000, SF: 7}
	want.FSK = concentrator.FSKChannel{Channel: concentrator.Channel{Enable: true, IF: 2}, BitRate: 64_000}
	if !reflect.DeepEqual(c.Concentrator, want) || c.Port != "usb:/dev/ttyACM0" {
		t.Errorf("%+v", c)
	}
	c, err = Parse([]byte(`{"radio_0": {}, "fine_timestamp": {"enable": true, "mode": "ALL_SF"}}`))
	if err != nil || c.Concentrator.FineTimestamp != concentrator.FineTimestampAllSF {
		t.Errorf("%+v, %v", c.Concentrator, err)
	}
}

func TestPowerSettingsOfAnSX1257(t *testing.T) {
	c, err := Parse([]byte(`{"radio_0": {"enable": true, "type": "SX1257", "freq": 867500000, "tx_enable": true, "tx_gain_lut": [
		{"rf_power": 12, "pa_gain": 2, "dig_gain": 1, "dac_gain": 2, "mix_gain": 10},
		{"rf_power": 13, "pa_gain": 3, "dig_gain": 0, "mix_gain": 11}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []concentrator.Gain{{Power: 12, PAGain: 2, Digital: 1, DAC: 2, Mixer: 10}, {Power: 13, PAGain: 3, DAC: 3, Mixer: 11}}
	if got := c.Concentrator.Radios[0].Gains; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestListenBeforeTalk(t *testing.T) {
	const text = `{"radio_0": {}, "sx1261_conf": {"spi_path": "/dev/spidev0.1", "rssi_offset": 20,
		"spectral_scan": {"enable": false, "freq_start": 922000000},
		"lbt": {"enable": true, "rssi_target": -70, "channels": [
			{"freq_hz": 922000000, "bandwidth": 125000, "scan_time_us": 5000, "transmit_time_ms": 4000},
			{"freq_hz": 922200000, "bandwidth": 250000, "scan_time_us": 128}]}}}`
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := concentrator.SX1261{RSSIOffset: 20, LBT: concentrator.LBT{Enable: true, Target: -70, Channels: []concentrator.LBTChannel{
		{Freq: 922_000_000, Bandwidth: 125_000, ScanTime: 5 * time.Millisecond, MaxTransmit: 4 * time.Second},
		{Freq: 922_200_000, Bandwidth: 250_000, ScanTime: 128 * time.Microsecond, MaxTransmit: 400 * time.Millisecond},
	}}}
	if !reflect.DeepEqual(c.Concentrator.SX1261, want) || c.SX1261Port != "/dev/spidev0.1" || len(c.Ignored) > 0 {
		t.Errorf("%+v", c)
	}
	if c, err = Parse([]byte(strings.Replace(text, `"lbt": {"enable": true`, `"lbt": {"enable": false`, 1))); err != nil || c.SX1261Port != "" || c.Concentrator.SX1261.LBT.Channels != nil {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = Parse([]byte(strings.Replace(text, `{"enable": false, "freq_start"`, `{"enable": true, "nb_chan": 8, "nb_scan": 1000, "pace_s": 0, "freq_start"`, 1)))
	if want := (concentrator.Survey{From: 922_000_000, Points: 8, Samples: 1000, Every: time.Second}); err != nil || c.Concentrator.SX1261.Survey != want {
		t.Errorf("%+v, %v", c.Concentrator.SX1261.Survey, err)
	}
	if _, err = Parse([]byte(strings.Replace(text, `{"enable": false, "freq_start"`, `{"enable": true, "freq_start"`, 1))); err == nil || !strings.Contains(err.Error(), "spectral_scan.nb_chan is missing") {
		t.Errorf("error %v", err)
	}
	if _, err = Parse([]byte(strings.Replace(text, `"scan_time_us": 128`, `"scan_time_us": 129`, 1))); err == nil || !strings.Contains(err.Error(), "SX130x_conf.sx1261_conf.lbt.channels[1].scan_time_us: 129 is not allowed: 128 or 5000") {
		t.Errorf("error %v", err)
	}
}

func TestEachFaultNamesKeyValueAndWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"clksrc": 1`, `"clksrc": 2`, "SX130x_conf.clksrc: 2 is not allowed: 0 to 1"},
		{`"clksrc": 1`, `"clksrc": 0.5`, "SX130x_conf.clksrc: 0.5 is not allowed"},
		{`"lorawan_public": false`, `"lorawan_public": "no"`, `SX130x_conf.lorawan_public: "no" is not allowed: a boolean is wanted`},
		{`"com_type": "SPI"`, `"com_type": "I2C"`, `SX130x_conf.com_type: "I2C" is not allowed: SPI or USB`},
		{`"high_capacity"`, `"some"`, `SX130x_conf.fine_timestamp.mode: "some" is not allowed: all_sf or high_capacity`},
		{`"type": "SX1250"`, `"type": "SX1276"`, `SX130x_conf.radio_1.type: "SX1276" is not allowed: SX1250, SX1255 or SX1257`},
		{`"freq": 471400000.0,`, ``, "SX130x_conf.radio_1.freq is missing: the centre frequency in Hz"},
		{`"pwr_idx": 15`, `"pwr_idx": 23`, "SX130x_conf.radio_1.tx_gain_lut[1].pwr_idx: 23 is not allowed: 0 to 22"},
		{`{"rf_power": -6, "pa_gain": 0, "pwr_idx": 0}`, `7`, "SX130x_conf.radio_1.tx_gain_lut[0]: 7 is not allowed: a JSON object is wanted"},
		{`"rf_power": -6`, `"power": -6`, "SX130x_conf.radio_1.tx_gain_lut[0].rf_power is missing"},
		{`[7, 8, 12]`, `[7, 13]`, "SX130x_conf.chan_multiSF_All.spreading_factor_enable: [7, 13] is not allowed: a list of numbers from 5 to 12"},
		{`"spread_factor": 9`, `"spread_factor": 4`, "SX130x_conf.chan_Lora_std.spread_factor: 4 is not allowed: 5 to 12"},
		{`"datarate": 100000`, `"datarate": 499`, "SX130x_conf.chan_FSK.datarate: 499 is not allowed: 500 to 250000"},
		{`"radio": 1, "if": -700000`, `"radio": 2, "if": -700000`, "SX130x_conf.chan_multiSF_0.radio: 2 is not allowed: 0 to 1"},
		{`"SX130x_conf"`, `"SX1301_conf"`, "no SX130x_conf object"},
		{`"rssi_tcomp": {`, `"rssi_tcomp": [{`, "line"},
	} {
		text := strings.Replace(conf, c.old, c.new, 1)
		if text == conf {
			t.Fatalf("%s is not in the sample", c.old)
		}
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.new, err, c.want)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "global_conf.json")
	if _, err := Load(path); err == nil {
		t.Error("a missing file loads")
	}
	if err := os.WriteFile(path, []byte(`{"SX130x_conf": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(path); err != nil || c.Concentrator.Radios[1].RSSIOffset != radio.DB(-207) {
		t.Errorf("%+v, %v", c, err)
	}
	if err := os.WriteFile(path, make([]byte, maxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "no configuration file") {
		t.Errorf("error %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(conf))
	f.Add([]byte(`{"radio_0":{"tx_gain_lut":[{}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err == nil && c.Concentrator.Service.Enable && c.Concentrator.Service.SF > 12 {
			t.Errorf("accepted: %+v", c)
		}
	})
}
