// Package board knows what is soldered: which port the concentrator is on,
// which lines reset and power it, its radios, its gain tables, how its signal
// strengths are corrected, where its thermometer and its GNSS receiver are.
//
// A [Board] is data, a TOML file each in the folder boards; a user's own file
// is of the same form and may change anything. [Lookup] finds either, and
// [Board.Open] makes a [Hardware] of it: an opened SPI port and the calls
// that pulse and hold the reset line. [Emulate] makes the same of a simulated
// chip whose antenna is in a simulated medium. Nothing above this package
// can tell the two apart.
//
//	board.go     what a board is            file.go    its file, read and written
//	hardware.go  a board that was opened    usb.go     one behind a microcontroller
//	reset.go     the order of the lines     gpio.go    the lines
//	emulated.go  the simulated board        boardspage_test.go makes docs/boards.md
//
// Lines are driven through the kernel's GPIO character device, never sysfs;
// the chip is found by its label, never by its number, which differs between
// kernels (raspberrypi/linux#6144).
package board

import (
	"fmt"
	"slices"
	"strings"

	"periph.io/x/conn/v3/physic"

	"gatewayd/concentrator"
	"gatewayd/radio"
)

// Pin is a line of the Raspberry Pi's header by its BCM number. 0 is none:
// GPIO0 belongs to the HAT's identification EEPROM.
type Pin int

// String is e.g. "GPIO23".
func (p Pin) String() string {
	if p == 0 {
		return "none"
	}
	return fmt.Sprintf("GPIO%d", int(p))
}

// Board is what is soldered. Its fields are facts, not settings; as keys of a
// file they have the meanings that are told here.
type Board struct {
	Name    string   `toml:"-"`       // as in concentrator.board; the file's name without .toml
	Title   string   `toml:"title"`   // for people
	Sources []string `toml:"sources"` // where the facts are from
	Notes   []string `toml:"notes"`   // what a person should know

	Chip  string `toml:"chip"`   // for people: SX1302 or SX1303
	SPI   string `toml:"spi"`    // device node of the concentrator, or "usb:" and a tty
	SPIHz int64  `toml:"spi_hz"` // its clock, 100 000 to 10 000 000

	Reset       Pin    `toml:"reset"`        // active high
	PowerEnable Pin    `toml:"power_enable"` // active high
	SX1261Reset Pin    `toml:"sx1261_reset"` // active low; the radio for listen before talk
	SX1261      string `toml:"sx1261_spi"`   // where that radio is, if it is fitted
	DACReset    Pin    `toml:"dac_reset"`    // active low; a full-duplex board's converter
	GNSSReset   Pin    `toml:"gnss_reset"`   // not driven; it is named so that nothing else uses it

	Radio       string `toml:"radio"`        // both radios: SX1250, SX1255 or SX1257
	ClockSource int    `toml:"clock_source"` // the radio whose oscillator clocks the chip, 0 or 1
	FullDuplex  bool   `toml:"full_duplex"`  // it receives while it transmits

	SX1261Offset float64 `toml:"sx1261_rssi_offset"` // dB

	I2C          string   `toml:"i2c"`          // the bus of the thermometer
	Thermometers []uint16 `toml:"thermometers"` // addresses of an STTS751, the likeliest first; it need not be fitted
	GNSS         GNSS     `toml:"gnss"`

	Bands []Band `toml:"band"`
}

// GNSS is the satellite receiver on the board.
type GNSS struct {
	Kind   string `toml:"kind"` // "", UBlox or NMEA
	Device string `toml:"device"`
}

// Kinds of satellite receivers. Those that only speak NMEA are not written to.
const (
	UBlox = "u-blox"
	NMEA  = "NMEA"
)

// Band is what depends on the version of a board that was bought: how its
// radios are fed, and what was measured.
type Band struct {
	Names           []string   `toml:"names"`            // regions by their short names, without sub-bands
	SingleInput     bool       `toml:"single_input"`     // SX1250: only one side of the differential input is fed
	RSSIOffset      float64    `toml:"rssi_offset"`      // dB
	RSSITemperature [5]float64 `toml:"rssi_temperature"` // coefficients of t^4 .. 1, divided by 65536

	// Radio B has the same, unless these say otherwise.
	RSSIOffsetB      *float64    `toml:"rssi_offset_b"`
	RSSITemperatureB *[5]float64 `toml:"rssi_temperature_b"`

	Unordered bool   `toml:"unordered"` // the settings don't rise with the power, and that is no slip
	Gains     []Gain `toml:"gains"`
}

// Gain is one transmit power setting: PA and Index of an SX1250, PA, DAC,
// Mixer and Digital of an SX1255 or SX1257.
type Gain struct {
	DBm     float64 `toml:"dbm"` // at the antenna connector
	PA      uint8   `toml:"pa"`
	Index   uint8   `toml:"index"`
	DAC     uint8   `toml:"dac"`
	Mixer   uint8   `toml:"mixer"`
	Digital uint8   `toml:"digital"`
}

// Lines lists the lines that opening the board drives, for people, e.g.
// "GPIO17 (reset)".
func (b Board) Lines() []string {
	var list []string
	for _, l := range b.lines() {
		if l.pin != 0 && l.key != "gnss_reset" {
			list = append(list, fmt.Sprintf("%v (%s)", l.pin, l.key))
		}
	}
	return list
}

// SPIClock is SPIHz as a frequency.
func (b Board) SPIClock() physic.Frequency { return physic.Frequency(b.SPIHz) * physic.Hertz }

// Band finds what goes for a region, by its short name with or without the
// number of a sub-band. Without an entry of its own a region gets the board's
// first one, and known is false.
func (b Board) Band(region string) (band Band, known bool) {
	name, _, _ := strings.Cut(region, "-")
	for _, x := range b.Bands {
		if slices.ContainsFunc(x.Names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return x, true
		}
	}
	if len(b.Bands) == 0 {
		return Band{}, false // no board that was read is like this
	}
	return b.Bands[0], false
}

// Radios are the front ends for a region, radio A with the gain table; what
// depends on its channels (centre frequencies, allowed carriers) is zero.
func (b Board) Radios(region string) (radios [2]concentrator.Radio, known bool) {
	band, known := b.Band(region)
	r := concentrator.Radio{
		Enable:          true,
		Type:            radioTypes()[b.Radio],
		SingleInput:     band.SingleInput,
		RSSIOffset:      radio.DB(band.RSSIOffset),
		RSSITemperature: band.RSSITemperature,
	}
	radios[0], radios[1] = r, r
	radios[0].Transmit = true
	radios[0].Gains = band.settings(r.Type)
	if band.RSSIOffsetB != nil {
		radios[1].RSSIOffset = radio.DB(*band.RSSIOffsetB)
	}
	if band.RSSITemperatureB != nil {
		radios[1].RSSITemperature = *band.RSSITemperatureB
	}
	return radios, known
}

func radioTypes() map[string]concentrator.RadioType {
	m := map[string]concentrator.RadioType{}
	for _, t := range []concentrator.RadioType{concentrator.SX1250, concentrator.SX1255, concentrator.SX1257} {
		m[t.String()] = t
	}
	return m
}

// settings are the band's gains in the driver's words.
func (b Band) settings(t concentrator.RadioType) []concentrator.Gain {
	gains := make([]concentrator.Gain, len(b.Gains))
	for i, g := range b.Gains {
		gains[i] = concentrator.Gain{Power: radio.DBm(g.DBm), Digital: g.Digital}
		if t == concentrator.SX1250 {
			gains[i].PA, gains[i].Index = g.PA > 0, g.Index
		} else {
			gains[i].PAGain, gains[i].DAC, gains[i].Mixer = g.PA, g.DAC, g.Mixer
		}
	}
	return gains
}
