// Package flight is the flight recorder: the last moments of a gateway in a
// bounded piece of memory, written to a file on demand or when something goes
// wrong, and played again against the simulated chip.
//
//	recorder.go   what is recorded, and where it is kept
//	tape.go       a bounded sequence of entries in memory
//	bus.go        SPI frames: the start of the chip, and the last ones
//	port.go       the SPI port that tells the recorder of each frame
//	redact.go     messages without their secrets
//	file.go       the file: JSON lines, compressed
//	faults.go     files of faults in the state folder
//	replay.go     a recording's SPI frames on the simulated chip
//	stimulus.go   what comes from outside of the chip, taken from the recording
//	compare.go    the first difference
//
// A recorder costs the driver one copy of each frame and no allocation. It
// sees neither keys nor tokens: messages are stripped of them first.
//
// The file's format and what a replay can tell: docs/recorder.md.
package flight
