package board

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
	"periph.io/x/host/v3/sysfs"

	"gatewayd/concentrator"
	"gatewayd/radio/air"
)

// Hardware is a board that was opened: what the concentrator's driver needs,
// and nothing it could use to tell a soldered chip from a simulated one.
type Hardware struct {
	Board Board
	Port  spi.PortCloser

	// Reset powers the chip and pulses its reset line; Hold leaves it in
	// reset. Both are nil where no reset line is within reach, as behind a
	// unix socket.
	Reset func(context.Context) error
	Hold  func() error

	// Temperature of the board in degrees Celsius; it returns at once. Nil
	// where no thermometer is within reach.
	Temperature func() (float64, error)

	// Via is what is between this host and the chip besides wires, for people;
	// "" if nothing is.
	Via string

	// SX1261 is the chip select of the radio for listen before talk; nil where
	// there is none.
	SX1261 spi.PortCloser

	// I2C is the bus of the thermometer and of a full-duplex board's
	// amplifier; nil where it is not within reach.
	I2C i2c.Bus

	// Medium is where a simulated chip's antenna is; nil for a real one.
	Medium *air.Medium

	closers []func() error // called last to first
}

// Close holds the chip in reset and gives port and lines back.
func (h *Hardware) Close() error {
	var errs []error
	if h.Hold != nil {
		errs = append(errs, h.Hold())
	}
	for i := len(h.closers) - 1; i >= 0; i-- {
		errs = append(errs, h.closers[i]())
	}
	return errors.Join(errs...)
}

// Options override facts of the board.
type Options struct {
	SPI    string       // "" is the board's; "/dev/spidevB.C", "usb:/dev/ttyACM0" or "unix:PATH"
	SPIHz  int64        // 0 is the board's
	SX1261 string       // "": none; "/dev/spidevB.C" or "unix:PATH"
	I2C    string       // "": the board's, if it is there; "off"; "/dev/i2c-N" or "unix:PATH"
	Log    *slog.Logger // nil: silent
}

// Open opens ports and lines. It transfers nothing yet, but with a USB card's
// microcontroller.
func (b Board) Open(o Options) (*Hardware, error) {
	hw, err := b.openChip(o)
	if err != nil {
		return nil, err
	}
	if o.SX1261 != "" {
		if err := hw.openSX1261(o.SX1261); err != nil {
			return nil, errors.Join(fmt.Errorf("SX1261: %w", err), hw.Close())
		}
	}
	if err := hw.openI2COf(o); err != nil {
		return nil, errors.Join(err, hw.Close())
	}
	return hw, nil
}

// openI2COf opens the bus that was chosen, else the board's. The latter need
// not be there: it only serves the thermometer, but on a full-duplex board.
func (h *Hardware) openI2COf(o Options) error {
	path := o.I2C
	if path == "" && strings.HasPrefix(h.Board.SPI, "/dev/") {
		path = h.Board.I2C
	}
	if path == "" || path == "off" {
		return nil
	}
	err := h.openI2C(path)
	if err != nil && o.I2C == "" && !h.Board.FullDuplex {
		if o.Log != nil {
			o.Log.Warn("no thermometer: RSSI is corrected for 25 °C", "err", err)
		}
		return nil
	}
	return err
}

// openI2C opens the bus of the thermometer and of a full-duplex board's
// amplifier.
func (h *Hardware) openI2C(path string) error {
	if strings.HasPrefix(path, "unix:") {
		bus, err := concentrator.DialI2C(path)
		if err != nil {
			return fmt.Errorf("%w; start the emulator that serves it, e.g. gatewayd sim --i2c-socket %s", err, strings.TrimPrefix(path, "unix:"))
		}
		h.I2C = bus
		h.closers = append(h.closers, bus.Close)
		return nil
	}
	n, err := strconv.Atoi(strings.TrimPrefix(path, "/dev/i2c-"))
	if err != nil {
		return fmt.Errorf("I2C bus %q: /dev/i2c-N or unix:PATH is wanted", path)
	}
	bus, err := sysfs.NewI2C(n)
	if err != nil {
		return fmt.Errorf("I2C bus %s: %w; enable it (dtparam=i2c_arm=on in config.txt) and let this user be of the group i2c", path, err)
	}
	h.I2C = bus
	h.closers = append(h.closers, bus.Close)
	return nil
}

func (h *Hardware) openSX1261(path string) (err error) {
	if strings.HasPrefix(path, "unix:") {
		h.SX1261, err = concentrator.DialSPI(path)
	} else {
		h.SX1261, err = openSPI(path, h.Board.SPIClock())
	}
	if err == nil {
		h.closers = append(h.closers, h.SX1261.Close)
	}
	return err
}

// openChip opens what the concentrator itself needs.
func (b Board) openChip(o Options) (*Hardware, error) {
	if o.SPI != "" {
		b.SPI = o.SPI
	}
	if o.SPIHz != 0 {
		b.SPIHz = o.SPIHz
	}
	if strings.HasPrefix(b.SPI, "unix:") {
		port, err := concentrator.DialSPI(b.SPI)
		if err != nil {
			return nil, fmt.Errorf("%w; start the emulator that serves it, e.g. gatewayd sim --spi-socket %s", err, strings.TrimPrefix(b.SPI, "unix:"))
		}
		return &Hardware{Board: b, Port: port, closers: []func() error{port.Close}}, nil
	}
	if b.USB() {
		return b.openUSB(o.Log)
	}
	port, err := openSPI(b.SPI, b.SPIClock())
	if err != nil {
		return nil, err
	}
	lines, err := openHeader()
	if err != nil {
		return nil, errors.Join(err, port.Close())
	}
	return &Hardware{
		Board:   b,
		Port:    port,
		Reset:   func(ctx context.Context) error { return b.reset(ctx, lines) },
		Hold:    func() error { return b.hold(lines) },
		closers: []func() error{port.Close, lines.Close},
	}, nil
}

// openSPI opens a device node of the form /dev/spidevBUS.CS.
func openSPI(node string, clock physic.Frequency) (spi.PortCloser, error) {
	bus, chipSelect, err := spiNode(node)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(node); err != nil {
		return nil, fmt.Errorf("SPI port: %w; %s", err, spiHint(err))
	}
	port, err := sysfs.NewSPI(bus, chipSelect)
	if err != nil {
		return nil, fmt.Errorf("SPI port %s: %w; %s", node, err, spiHint(err))
	}
	if err := port.LimitSpeed(clock); err != nil {
		return nil, errors.Join(fmt.Errorf("SPI port %s at %v: %w", node, clock, err), port.Close())
	}
	return port, nil
}

// spiNode takes a device node apart.
func spiNode(node string) (bus, chipSelect int, err error) {
	b, cs, ok := strings.Cut(strings.TrimPrefix(node, "/dev/spidev"), ".")
	bus, err1 := strconv.Atoi(b)
	chipSelect, err2 := strconv.Atoi(cs)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("SPI port %q: /dev/spidevBUS.CS is wanted, usb:/dev/ttyACM0, or unix:PATH", node)
	}
	return bus, chipSelect, nil
}

// spiHint is the next step after a port that can't be opened.
func spiHint(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "add the user to the group spi"
	}
	return "put dtparam=spi=on into config.txt and restart the Pi, or choose another concentrator.spi or board"
}
