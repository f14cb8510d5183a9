// Package config is gatewayd's one configuration file: what can be set, what
// each key means when it is not set, and what is wrong with a file.
//
// [Load] reads a TOML file strictly: an unknown key is as much a fault as a
// value that is not allowed. All faults of a file are found in one go and
// come back as [Faults], each with its line. [Config.Print] writes the
// effective configuration with the meaning of each key; what it writes loads
// again to the same values.
package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"gatewayd/board"
	"gatewayd/radio"
)

// DefaultPath is where the file is looked for when none is named.
const DefaultPath = "/etc/gatewayd/gatewayd.toml"

// Values of concentrator.driver.
const (
	DriverSX1302   = "sx1302"
	DriverEmulated = "emulated"
)

// Values of concentrator.lbt.
const (
	LBTAuto = "auto"
	LBTOn   = "on"
	LBTOff  = "off"
)

// Values of region.dwell_time.
const (
	DwellAuto     = "auto"
	DwellNone     = "none"
	DwellUplink   = "uplink"
	DwellDownlink = "downlink"
	DwellBoth     = "both"
)

// Values of network.class_b beside off.
const (
	ClassBAuto = "auto"
	ClassBOn   = "on"
)

// DefaultAir is where the simulated medium of an emulated concentrator
// listens when air.listen is not set.
const DefaultAir = "127.0.0.1:7707"

// Off switches a listener off.
const Off = "off"

// Config is the whole file. The comments are printed by [Config.Print].
type Config struct {
	Concentrator Concentrator `toml:"concentrator" comment:"The radio."`
	Air          Air          `toml:"air" comment:"The simulated radio medium of an emulated concentrator."`
	DataAPI      DataAPI      `toml:"dataapi" comment:"The Data API and the Management API."`
	Region       Region       `toml:"region" comment:"Regional parameters."`
	Network      Network      `toml:"network" comment:"The LoRaWAN network."`
	Gateway      Gateway      `toml:"gateway" comment:"This gateway."`
	State        State        `toml:"state" comment:"What must survive a power cut."`
	Firmware     Firmware     `toml:"firmware" comment:"The vendor's firmware for the concentrator's processors."`
	Lab          Lab          `toml:"lab" comment:"The test bench for devices."`
	Recorder     Recorder     `toml:"recorder" comment:"The flight recorder: the last moments of this gateway, in memory."`
	Log          Log          `toml:"log" comment:"The daemon's own log, on standard error."`
}

// Concentrator says which chip is driven and how it is reached.
type Concentrator struct {
	Driver string `toml:"driver" comment:"sx1302: the chip on a board; emulated: a simulated chip, no hardware needed."`
	Board  string `toml:"board" comment:"What is soldered: pins, radios, gain tables. A name that \"gatewayd board list\" knows, or the absolute path of a board file."`
	SPI    string `toml:"spi" comment:"/dev/spidevBUS.CS, usb:/dev/ttyACM0 for a USB card, or unix:PATH for a chip emulator (gatewayd sim). Empty: the board's."`
	Conf   string `toml:"sx130x_conf" comment:"A packet forwarder's global_conf.json: its radios, channels and gain tables instead of the board's and the region's. Empty: none."`
	I2C    string `toml:"i2c" comment:"/dev/i2c-N, or unix:PATH, of the thermometer, and of the transmit amplifier's gain on full-duplex boards; or off. Empty: the board's, off where spi is not a device of the board."`
	SX1261 string `toml:"sx1261_spi" comment:"/dev/spidevBUS.CS or unix:PATH of the SX1261, the radio for listen before talk. Empty: none."`
	LBT    string `toml:"lbt" comment:"Listen before talk: auto (if there is an SX1261 and the region or sx130x_conf wants it), on or off."`
	SPIHz  int    `toml:"spi_hz" comment:"SPI clock in Hz, 100000 to 10000000. 0: the board's."`

	GPS         string `toml:"gps" comment:"Serial line of the satellite receiver, e.g. /dev/ttyAMA0, or off. Empty: the board's, off where spi is not a device of the board."`
	LeapSeconds int    `toml:"leap_seconds" comment:"GPS time minus UTC. 0: what the receiver says, else 18 (since 2017)."`
}

// Lab is the bench; see docs/lab.md.
type Lab struct {
	Enabled bool `toml:"enabled" comment:"Let administrators plant faults, send raw frames and capture the air. For laboratories: it can break a network."`

	MarkerTX     int `toml:"marker_tx" comment:"GPIO line that is high while a downlink is on the air, for an oscilloscope. 0: none."`
	MarkerRX     int `toml:"marker_rx" comment:"GPIO line with a pulse when a frame was received. 0: none."`
	MarkerWindow int `toml:"marker_window" comment:"GPIO line with a pulse when RX1 begins, and when RX2 does. 0: none."`
}

// Markers are the GPIO lines of markers that are wanted.
func (l Lab) Markers() (pins []board.Pin) {
	for _, n := range []int{l.MarkerTX, l.MarkerRX, l.MarkerWindow} {
		if n != 0 {
			pins = append(pins, board.Pin(n))
		}
	}
	return pins
}

// Recorder is the flight recorder; see docs/recorder.md.
type Recorder struct {
	Size int `toml:"size_mib" comment:"MiB of memory for the last frames on SPI and on the air, decisions of the network server and API messages; written to the state folder when something fails. 0: off."`
}

// MaxRecorder bounds recorder.size_mib.
const MaxRecorder = 256

// Air is the air protocol's listener.
type Air struct {
	Listen string `toml:"listen" comment:"HOST:PORT, unix:PATH or off. Empty: 127.0.0.1:7707 with the emulated driver, else off."`
}

// DataAPI is the HTTP listener.
type DataAPI struct {
	Listen  string `toml:"listen" comment:"HOST:PORT. Keep it on loopback until keys and TLS are set up."`
	TLS     string `toml:"tls" comment:"auto (files if there is tls_cert, off on loopback, else self), off, files, self (own authority, made at the first start) or acme."`
	TLSCert string `toml:"tls_cert" comment:"PEM file with the certificate chain, read anew when it changes."`
	TLSKey  string `toml:"tls_key" comment:"PEM file with its private key."`
	Names   string `toml:"tls_names" comment:"Names and addresses of this gateway, comma separated: more than it finds itself for self, all of them for acme."`
	Email   string `toml:"acme_email" comment:"Whom the ACME authority warns. May be empty."`
	ACMEURL string `toml:"acme_url" comment:"Directory of the ACME authority. Empty: Let's Encrypt."`
	Origins string `toml:"origins" comment:"Other sites whose pages may call with a token, comma separated, e.g. https://example.org; * is all."`

	HistorySize int    `toml:"history_mib" comment:"MiB of memory for the history."`
	HistoryFile string `toml:"history_file" comment:"Where the history outlasts a restart: it takes twice history_mib on the disk. Empty: in memory only."`

	MaxRequests    int `toml:"max_requests" comment:"Requests a second from one address or with one key; four times as many at once."`
	MaxConnections int `toml:"max_connections" comment:"Connections to the Data API."`
	MaxMessage     int `toml:"max_message" comment:"Bytes of a message from an application."`
	MaxRate        int `toml:"max_rate" comment:"Messages a second that are read from an application; the rest waits."`
}

// Region names the regional parameters.
type Region struct {
	Name      string `toml:"name" comment:"EU868, US915-2 (sub-band 2), AU915-1, AS923-1, IN865, KR920, RU864, CN470, EU433 or the specification's long names."`
	DutyCycle bool   `toml:"duty_cycle" comment:"Obey the region's duty cycle. false is for a test bench behind a cable."`
	DwellTime string `toml:"dwell_time" comment:"Where a transmission may last 400 ms at most (AS923, AU915): auto (as devices assume after a reset), none, uplink, downlink or both. Devices are told what differs."`
}

// Network identifies the LoRaWAN network.
type Network struct {
	NetID      string `toml:"net_id" comment:"6 hex digits. 000000 and 000001 are for private networks."`
	ClassB     string `toml:"class_b" comment:"Beacons of class B: auto (while time comes from a satellite receiver), on (also by a host clock that NTP steers) or off."`
	BeaconFreq int    `toml:"beacon_freq" comment:"Hz, where beacons are sent instead of the region's channel; class B devices are told. 0: the region's."`
	ID         string `toml:"id" comment:"8 or 32 hex digits: meta.network in the Data API. Empty: made at the first start and kept."`
}

// Gateway describes the gateway itself.
type Gateway struct {
	EUI         string  `toml:"eui" comment:"16 hex digits. Empty: the chip's own."`
	AntennaGain float64 `toml:"antenna_gain" comment:"dB, cable losses taken off: what the transmitter stays below the power that the region allows."`
	Latitude    float64 `toml:"latitude" comment:"Degrees, north is positive. 0 and 0: unknown."`
	Longitude   float64 `toml:"longitude" comment:"Degrees, east is positive."`
	Altitude    int     `toml:"altitude" comment:"Metres."`
}

// State is the folder of sessions, counters and keys.
type State struct {
	Dir string `toml:"dir" comment:"Folder of devices, sessions, counters and API keys. Only one daemon at a time uses it."`
}

// Firmware is the folder of the vendor's images.
type Firmware struct {
	Dir string `toml:"dir" comment:"Folder of the images. \"gatewayd firmware import PATH\" fills it. Not read by the emulated driver."`
}

// Log is the daemon's log.
type Log struct {
	Level  string `toml:"level" comment:"debug, info, warn or error."`
	Format string `toml:"format" comment:"text or json."`
}

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Concentrator: Concentrator{Driver: DriverSX1302, Board: "semtech-corecell", LBT: LBTAuto},
		DataAPI:      DataAPI{Listen: "127.0.0.1:8080", TLS: TLSAuto, HistorySize: 32, MaxRequests: 500, MaxConnections: 4096, MaxMessage: 64 << 10, MaxRate: 500},
		Region:       Region{Name: "EU868", DutyCycle: true, DwellTime: DwellAuto},
		Network:      Network{NetID: "000000", ClassB: ClassBAuto},
		State:        State{Dir: "/var/lib/gatewayd"},
		Firmware:     Firmware{Dir: "/usr/lib/gatewayd/firmware"},
		Recorder:     Recorder{Size: 2},
		Log:          Log{Level: "info", Format: "text"},
	}
}

// Emulated tells whether the concentrator is the simulated one.
func (c Config) Emulated() bool { return c.Concentrator.Driver == DriverEmulated }

// AirListen is where the air protocol is served, "" for nowhere.
func (c Config) AirListen() string {
	switch {
	case c.Air.Listen == Off || !c.Emulated():
		return ""
	case c.Air.Listen == "":
		return DefaultAir
	}
	return c.Air.Listen
}

// GatewayEUI is gateway.eui, nil where the chip's own is to be used.
func (c Config) GatewayEUI() *radio.EUI64 {
	if c.Gateway.EUI == "" {
		return nil
	}
	eui, err := radio.ParseEUI64(c.Gateway.EUI)
	if err != nil {
		return nil // Load has refused it
	}
	return &eui
}

// NetID is network.net_id.
func (c Config) NetID() (id [3]byte) {
	b, err := hexBytes(c.Network.NetID, len(id))
	if err == nil {
		copy(id[:], b)
	}
	return id
}

// Print writes the effective configuration as TOML, each key with its
// meaning.
func (c Config) Print(w io.Writer) error {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	_, err := io.WriteString(w, strings.TrimSpace(b.String())+"\n")
	return err
}
