package sx1302sim

import (
	"encoding/binary"
	"math/rand/v2"

	"gatewayd/concentrator/reg"
)

// captureSamples is the size of the capture RAM: samples of 32 bits, I and Q.
const captureSamples = 4096

// capturePage is the page, register 0x5600, in which the MCUs' addresses show
// the capture RAM.
const capturePage = 1

// capture is the capture RAM, which keeps samples from inside the chip. The
// samples here are a receiver's noise, whatever the source.
type capture struct {
	memory [4 * captureSamples]byte
	until  int64 // tick at which it is full; 0: it was not started
}

// start reacts to the configuration register: a START that rises fills the
// memory, a sample each (period + 1) ticks.
func (r *capture) start(c *Chip, old, v byte) {
	if reg.CaptureCfgEnable.Get(v) == 0 || reg.CaptureCfgCapturestart.Get(v) == 0 {
		r.until = 0
		return
	}
	if reg.CaptureCfgCapturestart.Get(old) == 1 {
		return
	}
	period := int64(c.file.word(reg.CapturePeriod1Captureperiod, reg.CapturePeriod0Captureperiod)) + 1
	r.until = c.now + captureSamples*period
	noise := rand.New(rand.NewPCG(uint64(r.until), 1302)) //nolint:gosec // noise, the same at each run
	for i := 0; i < len(r.memory); i += 2 {
		binary.LittleEndian.PutUint16(r.memory[i:], uint16(int16(noise.NormFloat64()*30)<<4)) // 12 bits
	}
}

// refresh fills the registers that show how far it is.
func (r *capture) refresh(c *Chip) {
	done := r.until != 0 && c.now >= r.until
	c.file.put(reg.CaptureStatusCapcomplete, bit(done))
	last := 0
	if done {
		last = captureSamples - 1
	}
	c.file.put(reg.CaptureLastRamAddr0Lastramaddr, byte(last))
	c.file.put(reg.CaptureLastRamAddr1Lastramaddr, byte(last>>8))
}
