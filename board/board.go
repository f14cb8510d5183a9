// Package board knows what is soldered: which port the concentrator is on,
// which lines reset and power it, its radios, its gain table, how its signal
// strengths are corrected, where its thermometer and its GNSS receiver are.
//
// A [Board] is data, one file each; [Lookup] finds it by name and
// [Board.Open] makes a [Hardware] of it: an opened SPI port and the calls
// that pulse and hold the reset line. [Emulate] makes the same of a simulated
// chip whose antenna is in a simulated medium. Nothing above this package
// can tell the two apart.
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

// Board is what is soldered. Its fields are facts, not settings.
type Board struct {
	Name   string // as in concentrator.board
	Title  string // for people
	Source string // where the facts are from

	SPI      string // device node of the concentrator, or "usb:" and a tty
	SPIClock physic.Frequency

	Reset       Pin // active high
	PowerEnable Pin // active high
	SX1261Reset Pin // active low; the radio for listen-before-talk
	GNSSReset   Pin

	// Radios are the front ends with their gain tables; what depends on the
	// region (centre frequencies, allowed carriers) is zero.
	Radios      [2]concentrator.Radio
	ClockSource int // the radio whose oscillator clocks the chip

	Thermometers []uint16 // I2C addresses to look for an STTS751 at
	GNSS         GNSS
}

// GNSS is the satellite receiver on the board.
type GNSS struct {
	Kind   string // "", UBlox or NMEA
	Device string
}

// Kinds of satellite receivers. Those that only speak NMEA are not written to.
const (
	UBlox = "u-blox"
	NMEA  = "NMEA"
)

// all lists the boards in the order in which they are offered.
func all() []Board {
	return []Board{
		semtechCoreCell(),
		semtechUSB(),
		rak2287(),
		rak5146(),
		waveshare(),
		seeedWM1302(),
	}
}

// Names lists the names that [Lookup] knows, sorted.
func Names() []string {
	var names []string
	for _, b := range all() {
		names = append(names, b.Name)
	}
	slices.Sort(names)
	return names
}

// Lookup finds a board by name, in any case. The error lists all names.
func Lookup(name string) (Board, error) {
	for _, b := range all() {
		if strings.EqualFold(b.Name, name) {
			return b, nil
		}
	}
	return Board{}, fmt.Errorf("no board named %q; known: %s", name, strings.Join(Names(), ", "))
}

// sx1250Pair is what nearly every SX1302 board has: two SX1250, transmission
// on radio 0. The offset and the coefficients are those of the vendor's
// configuration files for 868 and 915 MHz.
func sx1250Pair(singleInput bool, gains []concentrator.Gain) [2]concentrator.Radio {
	r := concentrator.Radio{
		Enable:          true,
		Type:            concentrator.SX1250,
		SingleInput:     singleInput,
		RSSIOffset:      -215.4,
		RSSITemperature: [5]float64{0, 0, 20.41, 2162.56, 0},
	}
	tx := r
	tx.Transmit = true
	tx.Gains = gains
	return [2]concentrator.Radio{tx, r}
}
