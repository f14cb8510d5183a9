// Package bridge reaches a concentrator through the microcontroller of a USB
// card: an STM32 that shows up as /dev/ttyACM0 and turns messages into
// chip-select frames, levels of pins and a temperature.
//
//	wire.go       the messages: header, orders, SPI requests and answers; both directions, no I/O
//	port.go       Port: an spi.Port whose frames travel in messages; one exchange at a time, each with a deadline
//	sx1261.go     the port of the SX1261 beside it
//	card.go       power, reset and temperature of the card
//	tty_linux.go  the card's tty, which one program has at a time
//
// A [Port] connects when it is opened, and anew after a failure: it waits
// until the line is silent, which also makes the microcontroller forget half
// a request, and asks for the firmware's version. Answers carry the
// identifier of their request; those that come late are skipped.
//
// # Messages
//
// A request is a header and a payload; the answer is a header with the same
// identifier, order + 0x40, and a payload. The order 0xFF as an answer says
// that the request was not understood. Numbers are big-endian.
//
//	header      identifier 1, payload size 2, order 1
//	0 ping      -> unique identifier 12, version 9 ("V01.00.00")
//	1 status    -> milliseconds since its start 4, temperature in 1/100 °C 2 (-1: no sensor)
//	2 boot      -> -; it then runs its USB bootloader
//	3 restart   kind 1 (0) -> result 1; it then restarts: power off, chip in reset
//	4 pin       port 1 (0 = A), pin 1, level 1 -> result 1
//	5 SPI       any number of the following, at most 4194 bytes
//
//	read-write  number 1, kind 1 (1), target 1 (0 SX1302, 1 SX1261), size 2, bytes out
//	            -> number, kind, result 1, size 2, bytes in
//	modify      number 1, kind 1 (2), register 2, mask 1, value 1
//	            -> number, kind, result 1, value before 1, value after 1
//
// Results are 0 (done), 1 (failed), 2 (not allowed) and 3 (the SX1261 stays
// busy). Where the result isn't 0 a read-write is answered with size 0, and a
// modify with its first three bytes only.
//
// Sources: the behaviour of the vendor's library (Lora-net/sx1302_hal 2.1.0)
// on a tty, and of the firmware 01.00.00 that comes with it. Not checked with
// a card.
package bridge
