// Package concentrator drives an SX1302 or SX1303 over SPI: from reset to
// reception, packets up with exact times, transmissions down to the
// microsecond. It knows nothing of LoRaWAN.
//
// A [Concentrator] owns its bus. [Concentrator.Run] is the one goroutine that
// touches it; everybody else speaks through the channels of
// [Concentrator.Uplinks] and [Concentrator.Reports] and the call
// [Concentrator.Schedule].
//
//	concentrator.go  the type, its channels and calls
//	run.go           the loop: poll, transmit, look after the clock
//	start.go         the start as a list of named steps    modems.go  the receiver's set-up
//	undo.go          a reset without the reset line        identity.go  EUI, model, what the log says of a start
//	mcu.go           the AGC's and arbiter's firmware      firmware.go  where it comes from    firmwarecheck.go  is it whole?
//	bus.go           SPI frames and their cost             shadow.go  the copy of the registers    group.go  frames that go together
//	receive.go       from receive buffer to Uplink         decode.go  the packets in it
//	clock.go         the counter, 64 bits of Instants      stamp.go   when a packet really ended
//	time.go          pulses and their seconds, quality     relation.go  the counter and GPS time
//	admit.go         what can be sent, and when            transmit.go  from Downlink to Report
//	modulate.go      a transmission's registers            gains.go   power settings
//	words.go         units to register words               config.go  what is soldered and wanted
//	companion.go     the SX1261, a command at a time       lbt.go      listen before talk
//	spectral.go      how loud a frequency is               survey.go  all the time, one after the other
//	health.go        is it still alive?                    stats.go   figures    errors.go  what callers branch on
//	calibrate.go     SX1255/57: image and carrier         i2c.go      a full-duplex board's amplifier
//	thermometer.go   the board's temperature               examine.go  a sick chip's doctor
//	finetime.go      SX1303: nanoseconds after the pulse  cancel.go   withdrawn transmissions    replace.go  one in the place of another
//	carrier.go       a carrier without modulation         trigger.go   by time, at once, on a pulse
//	place.go         channel plans                         dial.go    SPI and I2C over a socket (socket.go)
//
// # Time
//
// The chip counts 32 MHz ticks in 32 bits. A [radio.Instant] is that count
// divided by 32 and unrolled to 64 bits. The first Instant of a process is the
// chip's own count; after a restart of the chip Instants go on.
//
// # Policies
//
// Uplinks are dropped and counted when nobody takes them. Each accepted
// Downlink gives exactly one Report. The transmit queue has a bound and
// refuses what does not fit; nothing is ever overwritten. When Run returns,
// the chip is held in reset if the board can do that.
//
// The paper: docs/concentrator.md and, for the chip, Semtech's SX1302 data
// sheet; behaviour that no paper tells was recorded from the vendor's library
// (testdata/README.md).
package concentrator
