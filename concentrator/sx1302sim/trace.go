package sx1302sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"gatewayd/concentrator/reg"
)

// longData is the number of bytes up to which a trace shows them all.
const longData = 64

// Trace writes one line for each further transfer to w, nil to end it:
//
//	W sx1302 0x5643 00                       write, data in hex
//	R sx1302 0x5606 -> 10                    read, data after the dummy byte
//	W sx1302 0x0000 len=1024 sha256=...      data longer than 64 bytes
//	W radioA op=0x98 d7db                    SX1250 command
//	R radioA op=0xc0 00 -> 22                bytes after the opcode: sent, received
//	R radioB reg=0x07 -> 21                  SX1255/57 register
//
// Traces of the vendor's library in testdata have this format. w is called
// during transfers and must not call the chip.
func (c *Chip) Trace(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trace = w
}

// writeTrace writes the line of one transfer.
func (c *Chip) writeTrace(w, r []byte) {
	var err error
	switch target := w[0]; {
	case target == targetChip && len(w) > writeHeader:
		err = traceChip(c.trace, w, r)
	case (target == targetRadioA || target == targetRadioB) && len(w) > 1:
		i := int(target - targetRadioA)
		name := [2]string{"radioA", "radioB"}[i]
		if c.radios[i].what == SX1250 {
			err = traceCommand(c.trace, name, w[1], w[2:], r[2:])
		} else {
			err = traceRegister(c.trace, name, w[1], w[2:], r[2:])
		}
	default:
		_, err = fmt.Fprintf(c.trace, "# malformed %x\n", w)
	}
	if err != nil {
		c.log.Warn("bus trace ends: write failed", "err", err)
		c.trace = nil
	}
}

func traceChip(out io.Writer, w, r []byte) error {
	a := reg.Addr(w[1]&^writeFlag)<<8 | reg.Addr(w[2])
	if w[1]&writeFlag != 0 {
		_, err := fmt.Fprintf(out, "W sx1302 0x%04x %s\n", uint(a), traceData(w[writeHeader:]))
		return err
	}
	_, err := fmt.Fprintf(out, "R sx1302 0x%04x -> %s\n", uint(a), traceData(r[readHeader:]))
	return err
}

func traceCommand(out io.Writer, name string, op byte, w, r []byte) error {
	var err error
	switch op {
	case opGetStatus, opGetDeviceErrors, opReadRegister, opReadBuffer, opGetIRQStatus, opGetRXBuffer, opGetPacketStatus, opGetRSSIInst:
		_, err = fmt.Fprintf(out, "R %s op=0x%02x %s -> %s\n", name, op, traceData(w), traceData(r))
	default:
		s := ""
		if len(w) > 0 {
			s = " " + traceData(w)
		}
		_, err = fmt.Fprintf(out, "W %s op=0x%02x%s\n", name, op, s)
	}
	return err
}

func traceRegister(out io.Writer, name string, a byte, w, r []byte) error {
	var err error
	if a&sx125xWrite != 0 {
		_, err = fmt.Fprintf(out, "W %s reg=0x%02x %s\n", name, a&^sx125xWrite, traceData(w))
	} else {
		_, err = fmt.Fprintf(out, "R %s reg=0x%02x -> %s\n", name, a, traceData(r))
	}
	return err
}

// traceData is hex, or length and hash where that would be too long.
func traceData(b []byte) string {
	if len(b) > longData {
		return fmt.Sprintf("len=%d sha256=%x", len(b), sha256.Sum256(b))
	}
	return hex.EncodeToString(b)
}
