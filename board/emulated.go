package board

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// defaultTransfer is what one transfer costs beside its bits: a system call
// and the chip select of a Raspberry Pi.
const defaultTransfer = 30 * time.Microsecond

// EmulatedName is the name of the simulated board. [Lookup] doesn't know it:
// it is chosen by the driver, not by what is soldered.
const EmulatedName = "emulated"

// emulated is a board like the vendor's reference design, with a simulated
// chip on it.
func emulated() (Board, error) {
	b, err := Lookup("semtech-corecell")
	b.Name = EmulatedName
	b.Title = "simulated SX1302 with its antenna in a simulated medium"
	b.Sources, b.Notes = []string{"package sx1302sim"}, nil
	b.SPI, b.SX1261, b.I2C = "", "", ""
	b.Reset, b.PowerEnable, b.SX1261Reset = 0, 0, 0
	b.Thermometers = nil
	b.GNSS = GNSS{}
	return b, err
}

// Emulation says how the simulated chip behaves. Its zero value is an SX1302
// on a bus of 8 MHz in a medium of its own.
type Emulation struct {
	EUI    radio.EUI64 // zero: 00 16 c0 ff fe 00 00 01
	Model  sx1302sim.Model
	Radio  sx1302sim.RadioKind // both radios
	RSSI   radio.DB            // the board's RSSI offset; 0: the emulated board's
	Timing *sx1302sim.Timing   // nil: 8 MHz, 30 µs per transfer
	Start  uint32              // the chip's 32 MHz counter at the beginning
	Medium *air.Medium         // nil: a new one, closed with the hardware
	Seed   uint64              // of the new medium's chance
	Place  air.StationConfig   // path loss or position of the antenna
	Faults *sx1302sim.Faults
	PPM    float64        // by which the chip's crystal is fast
	PPS    *sx1302sim.PPS // pulses of a satellite receiver
	Lax    bool           // tolerate what the real chip would not
	Log    *slog.Logger
	// I2C is what is on the board's second bus; nil: a thermometer at 25 °C and
	// a full-duplex board's amplifier.
	I2C *sx1302sim.I2C
}

// emulatedEUI is the default: Semtech's prefix, and a middle that no product
// of theirs has.
func emulatedEUI() radio.EUI64 { return radio.EUI64{0x00, 0x16, 0xC0, 0xFF, 0xFE, 0x00, 0x00, 0x01} }

// Emulate makes a medium and a chip in it. The caller may use the chip beside
// the hardware: to serve it on a socket, or to make it misbehave.
func Emulate(e Emulation) (*Hardware, *sx1302sim.Chip, error) {
	if e.EUI == (radio.EUI64{}) {
		e.EUI = emulatedEUI()
	}
	b, err := emulated()
	if err != nil {
		return nil, nil, err
	}
	timing := sx1302sim.Timing{Hz: int(b.SPIHz), PerTransfer: defaultTransfer}
	if e.Timing != nil {
		timing = *e.Timing
	}
	var closers []func() error
	if e.Medium == nil {
		e.Medium = air.New(air.Config{Seed: e.Seed})
		closers = append(closers, func() error { e.Medium.Close(); return nil })
	}
	if e.RSSI == 0 {
		e.RSSI = radio.DB(b.Bands[0].RSSIOffset)
	}
	if e.I2C == nil {
		bus, err := sx1302sim.NewI2C(sx1302sim.I2CConfig{})
		if err != nil {
			return nil, nil, fmt.Errorf("simulated I2C bus: %w", err)
		}
		e.I2C = bus
	}
	chip, err := sx1302sim.New(sx1302sim.Config{
		EUI: e.EUI, Model: e.Model, Radios: [2]sx1302sim.RadioKind{e.Radio, e.Radio},
		Medium: e.Medium, Station: e.Place, Timing: timing, CounterStart: e.Start, RSSIOffset: radio.DBm(e.RSSI),
		PPM: e.PPM, PPS: e.PPS, Faults: e.Faults, Lax: e.Lax, Log: e.Log,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("simulated chip: %w", err)
	}
	closers = append(closers, func() error { chip.Close(); return nil })
	return &Hardware{
		Board:  b,
		Port:   chip.Port(),
		SX1261: chip.SX1261Port(),
		I2C:    e.I2C,
		Medium: e.Medium,
		Reset: func(context.Context) error {
			chip.SetReset(true)
			chip.SetReset(false)
			return nil
		},
		Hold:    func() error { chip.SetReset(true); return nil },
		closers: closers,
	}, chip, nil
}
