// Package reg is the register map of the SX1302/SX1303: every bit-field that
// the vendor names, a file per block, and what each byte reads after reset.
// It does no I/O; the driver and the emulator share it.
//
// Sources: Semtech's public register map (addresses, widths, names) and
// bytes.csv, the reset values recorded on the reference emulator.
package reg

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Addr is a byte address of the chip, 15 bits.
type Addr uint16

// Memories and buffers, which have no fields.
const (
	AGCMemory     Addr = 0x0000 // 8 KiB of AGC MCU program
	ARBMemory     Addr = 0x2000 // 8 KiB of arbiter MCU program
	MCUMemorySize      = 8192
	RXFIFO        Addr = 0x4000 // received packets; reading it pops
	RXFIFOSize         = 4096
	TXBuffer0     Addr = 0x5300 // payload of transmit chain 0
	TXBuffer1     Addr = 0x5500 // payload of transmit chain 1
	TXBufferSize       = 256
	chainStride        = 0x200
)

// Field is a bit-field: its literal shows the address, the position of its
// lowest bit and its width, so AGCCtrlHostProg = 0x5780_1_1 is bit 1 of
// 0x5780. No field crosses a byte; wider values are several fields.
type Field uint32

// Addr returns the byte that holds the field.
func (f Field) Addr() Addr { return Addr(f >> 8) }

// Shift returns the position of the lowest bit, 0 to 7.
func (f Field) Shift() uint { return uint(f>>4) & 7 }

// Width returns the number of bits, 1 to 8.
func (f Field) Width() uint { return uint(f) & 15 }

// Mask returns the field's bits within its byte.
func (f Field) Mask() byte { return byte((1<<f.Width() - 1) << f.Shift()) }

// Get extracts the field from its byte.
func (f Field) Get(b byte) byte { return (b & f.Mask()) >> f.Shift() }

// Set returns b with the field replaced by v; bits of v beyond the width are dropped.
func (f Field) Set(b, v byte) byte { return b&^f.Mask() | v<<f.Shift()&f.Mask() }

// Chain moves a field of the TX block to transmit chain n (0 or 1).
func (f Field) Chain(n int) Field { return f + Field(n)*chainStride<<8 }

// String shows the literal, e.g. 0x5780.1:1.
func (f Field) String() string { return fmt.Sprintf("0x%04X.%d:%d", f.Addr(), f.Shift(), f.Width()) }

// Byte describes one register byte.
type Byte struct {
	Reset    byte // value after reset
	Defined  byte // bits that exist
	ReadOnly byte // bits that the host can't write
}

//go:embed bytes.csv
var bytesCSV string

// Lookup returns the description of the register byte at a, false where
// there is none (memories, the FIFO and TX buffers are not registers).
func Lookup(a Addr) (Byte, bool) {
	b, ok := table()[a]
	return b, ok
}

// Each calls f for every register byte, in no particular order.
func Each(f func(Addr, Byte)) {
	for a, b := range table() {
		f(a, b)
	}
}

var table = sync.OnceValue(func() map[Addr]Byte {
	rows, err := csv.NewReader(strings.NewReader(bytesCSV)).ReadAll()
	if err != nil {
		panic(err) // embedded at build time, covered by a test
	}
	m := make(map[Addr]Byte, len(rows))
	for _, r := range rows[1:] {
		var v [4]uint64
		for i := range v {
			v[i], err = strconv.ParseUint(r[i], 0, 16)
			if err != nil {
				panic(err)
			}
		}
		m[Addr(v[0])] = Byte{Reset: byte(v[1]), Defined: byte(v[2]), ReadOnly: byte(v[3])}
	}
	return m
})
