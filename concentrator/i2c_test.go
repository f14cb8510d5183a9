package concentrator

import (
	"errors"
	"fmt"
	"sync"

	"periph.io/x/conn/v3/physic"
)

// i2cBus is a board's I2C bus with an STTS751 and the DAC of a full-duplex
// board, or without them.
type i2cBus struct {
	mu          sync.Mutex
	thermometer uint16 // address, 0 for none
	registers   [256]byte
	fails       bool
	hangs       chan struct{} // transfers wait for it, if it is not nil
	log         []string
}

var errNoAnswer = errors.New("no such device or address")

func (b *i2cBus) String() string                  { return "I2C of the test" }
func (b *i2cBus) SetSpeed(physic.Frequency) error { return nil }

func (b *i2cBus) Tx(addr uint16, w, r []byte) error {
	b.mu.Lock()
	hangs := b.hangs
	b.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails || addr != b.thermometer && addr != dacAddress {
		b.log = append(b.log, fmt.Sprintf("I nak 0x%02x", addr))
		return errNoAnswer
	}
	if len(r) > 0 {
		r[0] = b.registers[w[0]]
		b.log = append(b.log, fmt.Sprintf("I R 0x%02x reg=0x%02x -> %x", addr, w[0], r))
		return nil
	}
	b.log = append(b.log, fmt.Sprintf("I W 0x%02x reg=0x%02x %x", addr, w[0], w[1:]))
	return nil
}

// show makes the thermometer read a temperature, in steps of 1/16 °C.
func (b *i2cBus) show(celsius float64) {
	v := int16(celsius * 256)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.registers[0xFE] = 0x53
	b.registers[0x00], b.registers[0x02] = byte(v>>8), byte(v)
}

func newThermometer(addr uint16, celsius float64) *i2cBus {
	b := &i2cBus{thermometer: addr}
	b.show(celsius)
	return b
}
