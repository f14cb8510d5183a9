package sx1261

import (
	"encoding/binary"
	"fmt"
	"time"

	"gatewayd/radio"
)

// Levels is the number of classes of a histogram.
const Levels = 33

// levelStep is the width of a class in dB.
const levelStep = 4

// Level is the lower bound of class i as this radio reads it: 0, -4 ... -124
// dBm. The last class has none: it counts what is below -124.
func Level(i int) radio.DBm { return radio.DBm(-levelStep * min(i, Levels-2)) }

// SpectrumTime is how long n samples take.
func SpectrumTime(n uint16) time.Duration { return time.Duration(n) * samplePeriod }

// spectrumArgs is how many argument bytes the vendor's library sends. It
// leaves all but three of them to chance; here they are zero.
const spectrumArgs = 9

// Spectrum measures the tuned frequency n times.
func Spectrum(n uint16) Request {
	args := make([]byte, spectrumArgs)
	args[0], args[1], args[2] = byte(n>>8), byte(n), samplePeriodCode
	return Request{Op: ScanSpectrum, Args: args, Wait: SpectrumTime(n)}
}

// ScanState is what a spectral scan does.
type ScanState byte

// States of a spectral scan.
const (
	NoScan      ScanState = 0x00
	ScanRuns    ScanState = 0x0F
	ScanAborted ScanState = 0xF0
	ScanDone    ScanState = 0xFF
)

// AskState asks for the state of the scan; see [ParseState].
func AskState() Request { return read(regScanState, 1) }

// ParseState reads the answer to [AskState].
func ParseState(answer []byte) (ScanState, error) {
	b, err := registers(answer, 1)
	if err != nil {
		return NoScan, err
	}
	switch s := ScanState(b[0]); s {
	case NoScan, ScanRuns, ScanAborted, ScanDone:
		return s, nil
	}
	return NoScan, fmt.Errorf("%w: scan state 0x%02X", ErrAnswer, b[0])
}

// AskResults asks for the histogram; see [ParseResults].
func AskResults() Request { return read(regResults, 2*Levels) }

// ParseResults reads the answer to [AskResults]: how many samples were in
// each class of [Level].
func ParseResults(answer []byte) (counts [Levels]uint16, err error) {
	b, err := registers(answer, 2*Levels)
	if err != nil {
		return counts, err
	}
	for i := range counts {
		counts[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return counts, nil
}
