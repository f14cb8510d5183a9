package concentrator

import (
	"context"
	"fmt"
)

// A full-duplex board sets the gain of its transmit amplifier with a voltage,
// made by an AD5338R digital to analog converter on I2C. Commands and
// voltage are those recorded from the vendor's library for its CN490
// reference design.
const dacAddress = 0x0C

// dacCommands put the converter to work and its output to 0 V and then to
// 2.51 V: 10 bits of 5 V, left aligned. The library sets 2.51 V before each
// transmission; it stays so, and nothing on the transmit path waits for I2C.
var dacCommands = []struct {
	what string
	data []byte
}{
	{"reset", []byte{0x69, 0x00}}, // its second data byte is not acknowledged
	{"power up", []byte{0x40, 0x00, 0x00}},
	{"switch its reference on", []byte{0x70, 0x00, 0x00}},
	{"set 0 V", []byte{0x39, 0x00, 0x00}},
	{"set 2.51 V", []byte{0x39, 0x80, 0x80}},
}

// amplifierGain sets the gain of a full-duplex board's transmit amplifier.
func (d *driver) amplifierGain(context.Context) error {
	for _, c := range dacCommands {
		if err := d.cfg.I2C.Tx(dacAddress, c.data, nil); err != nil {
			return fmt.Errorf("DAC at 0x%02X, %s: %w: check the I2C bus setting and that the board is a full-duplex one", dacAddress, c.what, err)
		}
	}
	return nil
}
