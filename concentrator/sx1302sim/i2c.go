package sx1302sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"periph.io/x/conn/v3/physic"
)

// ErrNoAcknowledge is the error of a transfer that no device answers.
var ErrNoAcknowledge = errors.New("no device acknowledges")

// I2CConfig says what is on the board's second bus. Its zero value is a
// reference board at 25 °C.
type I2CConfig struct {
	Thermometer uint16         // address, one of 0x38 to 0x3B; 0 is 0x39
	Celsius     func() float64 // the board's temperature, asked at each conversion; nil: 25 °C
	// Missing takes devices away, by address.
	Missing map[uint16]bool
	// Hang is how long each transfer is stretched by a device that holds the clock low.
	Hang time.Duration
}

// I2C is the second bus of a concentrator board: an STTS751 thermometer, and
// the AD5338R that sets the gain of a full-duplex board's transmit amplifier.
// It is a periph i2c.Bus; [I2C.Serve] makes it available on a socket. Its
// methods may be called from any goroutine.
type I2C struct {
	cfg I2CConfig

	mu          sync.Mutex
	thermometer stts751
	dac         ad5338r
}

// addressDAC is where the AD5338R of the CN490 reference design is.
const addressDAC = 0x0C

// NewI2C returns a bus whose devices have just been powered.
func NewI2C(cfg I2CConfig) (*I2C, error) {
	if cfg.Thermometer == 0 {
		cfg.Thermometer = 0x39
	}
	if cfg.Thermometer < 0x38 || cfg.Thermometer > 0x3B {
		return nil, fmt.Errorf("thermometer at 0x%02X: 0x38 to 0x3B are possible", cfg.Thermometer)
	}
	if cfg.Celsius == nil {
		cfg.Celsius = func() float64 { return 25 }
	}
	b := &I2C{cfg: cfg, thermometer: stts751{product: byte(cfg.Thermometer >> 1 & 1)}}
	b.thermometer.reset()
	b.dac.reset()
	return b, nil
}

// String implements conn.Resource.
func (b *I2C) String() string { return "sx1302sim/i2c" }

// SetSpeed implements i2c.Bus; bits take no time.
func (b *I2C) SetSpeed(physic.Frequency) error { return nil }

// Tx implements i2c.Bus: it writes w to a device and then, with a repeated
// start, reads r from it.
func (b *I2C) Tx(addr uint16, w, r []byte) error {
	if b.cfg.Hang > 0 {
		time.Sleep(b.cfg.Hang) //nolint:forbidigo // the device holds the clock, nothing can end that
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.cfg.Missing[addr]:
	case addr == b.cfg.Thermometer:
		return b.thermometer.transfer(b.cfg.Celsius, w, r)
	case addr == addressDAC:
		return b.dac.transfer(w, r)
	}
	return fmt.Errorf("I2C address 0x%02X: %w", addr, ErrNoAcknowledge)
}

// Serve makes the bus available on a stream socket, until ctx ends:
//
//	request:   N as 4 bytes, big-endian; N bytes: the address, how many bytes to
//	           read (0 to 255), and the bytes to write before that
//	response:  0, or 1 if no device acknowledged; as many bytes as were to be read
//
// A client that sends anything else is disconnected. Serve closes l.
func (b *I2C) Serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	return serveFrames(ctx, l, log, func(w, r []byte) ([]byte, error) {
		if len(w) < 2 || w[0] > 0x7F {
			return nil, fmt.Errorf("%w: I2C request of %d bytes; a 7-bit address and a number of bytes to read are wanted", errMalformed, len(w))
		}
		n := 1 + int(w[1])
		r = slices.Grow(r[:0], n)[:n]
		clear(r)
		if err := b.Tx(uint16(w[0]), w[2:], r[1:]); err != nil {
			r[0] = 1
			log.Debug("I2C transfer is not acknowledged", "err", err)
		}
		return r, nil
	})
}

// Volts is what output A of the AD5338R gives: 0 while it is powered down.
func (b *I2C) Volts() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dac.volts(0)
}

// stts751 is a thermometer (ST's STTS751 data sheet): a pointer, and
// registers of a byte. Of its functions the alarms are missing.
type stts751 struct {
	product byte
	pointer byte
	regs    [256]byte
	frozen  int16 // the last conversion, for standby
}

// Registers of the STTS751 that do something.
const (
	sttsHigh         = 0x00
	sttsStatus       = 0x01
	sttsLow          = 0x02
	sttsConfig       = 0x03
	sttsRate         = 0x04
	sttsOneShot      = 0x0F
	sttsProduct      = 0xFD
	sttsManufacturer = 0xFE
	sttsRevision     = 0xFF

	sttsStandby      = 1 << 6 // of the configuration
	manufacturerSTMi = 0x53
)

func (s *stts751) reset() {
	s.regs = [256]byte{
		sttsRate: 0x04, 0x05: 0x55, 0x07: 0x00, 0x20: 0x55, 0x21: 0x0A, 0x22: 0x80,
		sttsProduct: s.product, sttsManufacturer: manufacturerSTMi, sttsRevision: 0x01,
	}
	s.pointer = 0
}

func (s *stts751) transfer(celsius func() float64, w, r []byte) error {
	if len(w) > 0 {
		s.pointer = w[0]
	}
	if len(w) > 1 {
		s.write(celsius, s.pointer, w[1])
	}
	if len(w) > 2 {
		return fmt.Errorf("thermometer: write of %d bytes, a register takes one: %w", len(w)-1, ErrNoAcknowledge)
	}
	if len(r) > 0 && s.regs[sttsConfig]&sttsStandby == 0 {
		s.convert(celsius)
	}
	for i := range r {
		r[i] = s.regs[s.pointer+byte(i)]
	}
	return nil
}

func (s *stts751) write(celsius func() float64, a, v byte) {
	switch a {
	case sttsHigh, sttsStatus, sttsLow, sttsProduct, sttsManufacturer, sttsRevision: // read-only
	case sttsOneShot:
		s.convert(celsius)
	default:
		s.regs[a] = v
	}
}

// convert measures with the resolution of the configuration: 10, 11, 9 or 12
// bits, of which 8 are whole degrees.
func (s *stts751) convert(celsius func() float64) {
	bits := [4]int{10, 11, 9, 12}[s.regs[sttsConfig]>>2&3]
	step := math.Exp2(float64(8 - bits))
	t := math.Floor(celsius()/step) * step
	s.frozen = int16(min(max(t, -64), 127.9375) * 256)
	s.regs[sttsHigh], s.regs[sttsLow] = byte(s.frozen>>8), byte(s.frozen)
}

// ad5338r is a converter with two outputs (Analog Devices' AD5338R data
// sheet): three bytes are command and outputs, and ten bits of value, left
// aligned.
type ad5338r struct {
	input, output [2]uint16
	down          [2]bool
	reference     bool // of its own, 2.5 V
}

// Commands, in the upper half of the first byte. The lower half has a bit for
// output A and one for B.
const (
	dacNothing = iota
	dacWriteInput
	dacUpdate
	dacWriteUpdate
	dacPower
	dacMask
	dacReset
	dacReference

	dacFullScale = 5.0 // volts: twice the reference
)

func (d *ad5338r) reset() { *d = ad5338r{reference: true} }

func (d *ad5338r) transfer(w, r []byte) error {
	if len(w) == 0 || len(w) > 3 {
		return fmt.Errorf("DAC: write of %d bytes, command and two bytes of data are wanted: %w", len(w), ErrNoAcknowledge)
	}
	var data uint16
	for i, v := range w[1:] {
		data |= uint16(v) << (8 - 8*i)
	}
	if len(r) == 0 && (len(w) == 3 || w[0]>>4 == dacReset) {
		d.command(w[0]>>4, [2]bool{w[0]&1 != 0, w[0]&8 != 0}, data)
	}
	for i := range r { // a read shows the input of the output that was pointed at
		r[i] = byte(d.input[w[0]>>3&1] >> (8 - 8*(i&1)))
	}
	return nil
}

func (d *ad5338r) command(command byte, outputs [2]bool, data uint16) {
	switch command {
	case dacPower:
		d.down = [2]bool{data&3 != 0, data>>6&3 != 0}
	case dacReset:
		d.reset()
	case dacReference:
		d.reference = data&1 == 0
	case dacNothing, dacMask:
	}
	for i, chosen := range outputs {
		if !chosen {
			continue
		}
		if command == dacWriteInput || command == dacWriteUpdate {
			d.input[i] = data &^ 0x3F
		}
		if command == dacUpdate || command == dacWriteUpdate {
			d.output[i] = d.input[i]
		}
	}
}

func (d *ad5338r) volts(i int) float64 {
	if d.down[i] || !d.reference {
		return 0
	}
	return dacFullScale * float64(d.output[i]>>6) / 1024
}
