package sx1302sim

import (
	"math"

	"gatewayd/concentrator/reg"
)

// The analogue side of SX1255/57 radios, as far as calibration can see it: a
// receiver whose two branches differ shows each signal again on the other
// side of its centre, and a transmitter with DC offsets leaks its carrier. Each
// of these is cancelled at one point of two correcting values and grows with
// the distance from it. The figures are those of the emulator on which the
// vendor's library was recorded; how they grow is assumed.

// blemish is an image or a leakage.
type blemish struct {
	x, y          float64 // where the correction cancels it
	before, after float64 // amplitude without correction, and at best
}

// left is the amplitude with a correction.
func (b blemish) left(x, y float64) float64 {
	whole := max(math.Hypot(b.x, b.y), 1)
	return b.after + (b.before-b.after)*math.Hypot(x-b.x, y-b.y)/whole
}

// Amplitudes, as the signal analyser counts them.
const (
	calSignal      = 0x8000 // the test tone
	calImageBefore = 0x0400
	calImageAfter  = 0x0040
	calNoise       = 0x0020
	calLeakage     = 0x0080
	calMixer       = 8  // mixer gain at which the transmitter's I offset is 0
	calQOffset     = -4 // and its Q offset there
)

// calImbalance is amplitude and phase by which the two receivers differ.
var calImbalance = [2][2]int8{{3, -5}, {-2, 4}}

// image is what receiver n adds to a signal of calSignal.
func (c *Chip) image(n int) blemish {
	bad := float64(c.faults.analog().Image[n])
	return blemish{float64(calImbalance[n][0]), float64(calImbalance[n][1]), max(calImageBefore, bad), calImageAfter + bad}
}

// leakage is the carrier of transmitter n with the gains that are set.
func (c *Chip) leakage(n int) blemish {
	gain := 0
	if r, ok := c.radios[n].dev.(*sx125x); ok {
		gain = int(r.regs[sx125xTXGain]&0x0F) - calMixer
	}
	return blemish{float64(gain), float64(calQOffset - gain>>1), calSignal, calLeakage + float64(c.faults.analog().Leakage[n])}
}

// tone is where receiver n finds the carrier of a transmitter, its own
// through the loopback or the other one's, in hertz from its centre; false if
// there is none.
func (c *Chip) tone(n int) (hz float64, ok bool) {
	rx, isRX := c.radios[n].dev.(*sx125x)
	if !isRX || !c.radios[n].on || rx.frequency() == 0 {
		return 0, false
	}
	from := 1 - n
	if rx.regs[sx125xClock]&sx125xLoopback != 0 {
		from = n
	}
	tx, isTX := c.radios[from].dev.(*sx125x)
	if !isTX || !c.radios[from].on || tx.regs[sx125xMode]&sx125xTransmits == 0 || c.faults.analog().NoTone[from] {
		return 0, false
	}
	return tx.word(sx125xFrfTX) - rx.frequency(), true
}

// analyser is the signal analyser: it correlates what a receiver gives with
// one frequency.
type analyser struct {
	until  int64 // tick at which the result is there; 0: it was not started
	result uint16
}

// analyserStep is the unit of its frequency, signed 8 bits: 32 MHz / 2048.
const analyserStep = 15625.0

// start reacts to the configuration register: a START that rises, under the
// host's control, measures for 1 to 8 ms.
func (a *analyser) start(c *Chip, old, v byte) {
	if reg.RadioFESigAnaCfgEn.Get(v) == 0 || reg.RadioFESigAnaCfgStart.Get(v) == 0 {
		a.until = 0
		return
	}
	if reg.RadioFESigAnaCfgStart.Get(old) == 1 || reg.RadioFESigAnaCfgForceHalCtrl.Get(v) == 0 || !c.clocked() {
		return
	}
	ticks := int64(ticksPerSecond/1000) << reg.RadioFESigAnaCfgDuration.Get(v)
	radio := int(1 - reg.RadioFESigAnaCfgRadioSel.Get(v))
	at := float64(int8(c.file.get(reg.RadioFESigAnaFreq))) * analyserStep
	a.until, a.result = c.now+ticks, c.correlate(radio, at, float64(ticks)/ticksPerSecond)
}

// correlate is the amplitude that receiver n has at a frequency.
func (c *Chip) correlate(n int, hz, seconds float64) uint16 {
	sum := float64(calNoise)
	if tone, ok := c.tone(n); ok {
		leak := c.leakage(n).left(signed(c.file.get(reg.TXRffeIFIOffset.Chain(n)), 8), signed(c.file.get(reg.TXRffeIFQOffset.Chain(n)), 8))
		amp, phi := [2]reg.Field{reg.RadioFEIQCompAmpCoeffRadioA, reg.RadioFEIQCompAmpCoeffRadioB}[n], [2]reg.Field{reg.RadioFEIQCompPhiCoeffRadioA, reg.RadioFEIQCompPhiCoeffRadioB}[n]
		image := c.image(n).left(signed(c.file.get(amp), 6), signed(c.file.get(phi), 6)) * leak / calSignal
		sum += leak*sinc((hz-tone)*seconds) + image*sinc((hz+tone)*seconds)
	}
	return uint16(min(sum, math.MaxUint16))
}

// refresh fills the registers that show the state.
func (a *analyser) refresh(c *Chip) {
	done := a.until != 0 && c.now >= a.until
	c.file.put(reg.RadioFESigAnaCfgValid, bit(done))
	c.file.put(reg.RadioFESigAnaCfgBusy, bit(a.until != 0 && !done))
	if done {
		c.file.put(reg.RadioFESigAnaAbsMSBCorrAbsOut, byte(a.result>>8))
		c.file.put(reg.RadioFESigAnaAbsLSBCorrAbsOut, byte(a.result))
	}
}

// sinc is the magnitude of sin(πx)/πx.
func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Abs(math.Sin(math.Pi*x) / (math.Pi * x))
}

// signed is a field of some bits in two's complement.
func signed(v byte, bits int) float64 {
	return float64(int8(v<<(8-bits)) >> (8 - bits))
}
