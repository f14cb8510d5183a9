package concentrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/i2c"
)

// Boards have an STTS751 thermometer on I2C, at one of three addresses. It is
// read by a goroutine of its own, slowly: temperature only corrects RSSI, and
// I2C may hang. Registers and set-up are those of the data sheet, and as
// recorded.
const (
	thermometerPace = 10 * time.Second

	regCelsius      = 0x00 // whole degrees, signed
	regCelsiusLow   = 0x02 // and 1/256
	regConfig       = 0x03
	regRate         = 0x04
	regProduct      = 0xFD // 0 or 1
	regManufacturer = 0xFE
	regRevision     = 0xFF

	manufacturerST = 0x53
	configure12Bit = 0x8C // no event output
	rateOnceASec   = 0x04
)

// thermometers are the addresses, in the reference's order.
var thermometers = []uint16{0x39, 0x3B, 0x38}

var errNoThermometer = errors.New("no STTS751 thermometer at 0x39, 0x3B or 0x38")

// thermometer is the last reading, and whether somebody is at it.
type thermometer struct {
	celsius atomic.Pointer[float64] // nil: none
	busy    atomic.Bool
}

// watch reads until ctx ends. One that hangs in I2C is left alone, and
// nobody else begins then.
func (h *thermometer) watch(ctx context.Context, bus i2c.Bus, log *slog.Logger) {
	if !h.busy.CompareAndSwap(false, true) {
		return
	}
	defer h.busy.Store(false)
	var address uint16
	warned := false
	for {
		err := error(nil)
		if address == 0 {
			address, err = findThermometer(bus)
		}
		if err == nil {
			err = h.read(bus, address)
		}
		if err != nil {
			address = 0
			h.celsius.Store(nil)
			if !warned {
				log.Warn("no board temperature: RSSI is corrected for 25 °C", "err", err)
				warned = true
			}
		}
		if pause(ctx, thermometerPace) != nil {
			return
		}
	}
}

// findThermometer sets up the one that answers.
func findThermometer(bus i2c.Bus) (uint16, error) {
	for _, a := range thermometers {
		var id [3]byte
		for i, r := range []byte{regProduct, regManufacturer, regRevision} {
			if err := bus.Tx(a, []byte{r}, id[i:i+1]); err != nil {
				break
			}
		}
		if id[0] > 1 || id[1] != manufacturerST {
			continue
		}
		for _, w := range [][]byte{{regConfig, configure12Bit}, {regRate, rateOnceASec}} {
			if err := bus.Tx(a, w, nil); err != nil {
				return 0, fmt.Errorf("thermometer at 0x%02X: %w", a, err)
			}
		}
		return a, nil
	}
	return 0, errNoThermometer
}

// read takes a reading.
func (h *thermometer) read(bus i2c.Bus, a uint16) error {
	var low, high [1]byte
	if err := errors.Join(bus.Tx(a, []byte{regCelsiusLow}, low[:]), bus.Tx(a, []byte{regCelsius}, high[:])); err != nil {
		return fmt.Errorf("thermometer at 0x%02X: %w", a, err)
	}
	t := float64(int8(high[0])) + float64(low[0])/256
	h.celsius.Store(&t)
	return nil
}

// temperature is the board's in degrees Celsius; known is false where 25 is
// assumed.
func (c *Concentrator) temperature() (celsius float64, known bool) {
	if c.cfg.Temperature != nil {
		if t, err := c.cfg.Temperature(); err == nil {
			return t, true
		}
	}
	if t := c.thermometer.celsius.Load(); t != nil {
		return *t, true
	}
	return defaultCelsius, false
}
