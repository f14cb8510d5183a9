// Package sx1302sim is an SX1302 or SX1303 concentrator seen from its pins: a
// periph spi.Port below, an antenna in the simulated air above. A driver
// can't tell it from the chip, and neither can the vendor's own programs
// (through [Chip.Serve], [Chip.ServeSX1261] and [Chip.ServeUSB]).
//
//	spi.go        frames on the bus, the port       radio.go, sx1250.go, sx125x.go  the radios behind it
//	registers.go  what a register byte does         counter.go, pps.go              the 32 MHz counter, its crystal, pulses per second
//	mcu.go        program memory, load, start       agc.go, calibration.go, arb.go  what the firmware answers
//	receive.go    channels, modems, demodulators    fifo.go, packet.go, delay.go    the receive buffer, its packets, their stamps
//	transmit.go   triggers, states, the way out     modulator.go                    registers back into a frame
//	sx1261.go     the companion radio, its port     scan.go, ears.go                what it hears, what that means for the AGC
//	faults.go     misbehaviour on demand            socket.go, trace.go             the chip-select socket, bus traces
//	analog.go     what a calibration measures           capture.go              the RAM for samples
//	i2c.go        the board's thermometer and amplifier
//	usb.go        a USB card's microcontroller in front of the chip
//
// # What is exact
//
// The counter is Config.CounterStart plus 32 ticks per microsecond of air
// time, so a transmission triggered for counter value t is on the air at t
// minus CounterStart/32 to the microsecond, and the stamp in the receive buffer,
// corrected as the chip requires, names the end of the frame. A trigger set a
// tick too late fires 2^32 ticks (134.2 s) later, as on the chip. Config.PPM makes
// the crystal, and with it counter and triggers, fast or slow against the air.
//
// # What is strict
//
// Registers that don't exist, bits that can't be written, transfers
// that are too long, reads of more bytes than the receive buffer holds, radios
// addressed while the AGC owns them and the like are violations: counted,
// given to Config.Violation, and returned from the transfer unless Config.Lax.
//
// # What is not modelled
//
// Execution of MCU instructions (the firmware's answers are known, its code
// isn't run), analogue behaviour beyond what a calibration sees (gains, crystal drift with temperature),
// low-level receiver settings (correlator thresholds, timing loops), what is captured (noise only).
//
// Sources: Semtech's SX1302 data sheet and public register map; behaviour
// recorded from the vendor's library (testdata/README.md). A radio gives the
// clock: without one the MCUs and counters stand still, while registers,
// which have the bus clock, can be read and written.
package sx1302sim
