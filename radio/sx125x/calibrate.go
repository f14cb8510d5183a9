package sx125x

import (
	"context"
	"fmt"
	"time"

	"gatewayd/radio"
)

// Tone is the offset of the test tone by which receivers and transmitters are
// calibrated.
const Tone radio.Hertz = 250_000

// Times that analog blocks get to settle before they are measured.
const (
	settleImage   = 10 * time.Millisecond
	settleLeakage = time.Millisecond
)

// Gains of the transmitter that makes the test tone.
const (
	toneDAC           = 3
	toneMixer         = 15
	toneMixerLoopback = 10
)

// ImageTest prepares the measurement of rx's image: it receives at f, and tx
// transmits a tone [Tone] above. With tx == rx the tone goes through the
// radio's own loopback.
func ImageTest(ctx context.Context, rx, tx *Radio, f radio.Hertz) error {
	if err := rx.tune(RegFrfRX, f); err != nil {
		return err
	}
	if err := tx.tune(RegFrfTX, f+Tone); err != nil {
		return err
	}
	if err := rx.write(setting{RegRXBW, 7<<5 | 6<<2}, setting{RegRXPLLBW, 0}); err != nil {
		return err
	}
	if err := tx.write(setting{RegTXBW, 0}, setting{RegTXDACBW, 5}); err != nil {
		return err
	}
	var err error
	if rx == tx {
		err = tx.write(setting{RegTXGain, toneDAC<<4 | toneMixerLoopback}, setting{RegClkSelect, clkOut | clkLoopback}, setting{RegMode, modeBoth})
	} else {
		if err = tx.write(setting{RegTXGain, toneDAC<<4 | toneMixer}); err == nil {
			err = rx.write(setting{RegMode, modeReceive})
		}
		if err == nil {
			err = tx.write(setting{RegMode, modeTransmit})
		}
	}
	if err != nil {
		return err
	}
	return locked(ctx, rx, tx, settleImage)
}

// LeakageTest prepares the measurement of the carrier that the transmitter
// leaks at f and the two gains: it is received by the radio's own loopback,
// [Tone] below.
func (r *Radio) LeakageTest(ctx context.Context, f radio.Hertz, dac, mixer uint8) error {
	if err := r.tune(RegFrfRX, f-Tone); err != nil {
		return err
	}
	if err := r.tune(RegFrfTX, f); err != nil {
		return err
	}
	err := r.write(setting{RegRXBW, 7<<5 | 6<<2}, setting{RegRXPLLBW, 0}, setting{RegTXBW, 0}, setting{RegTXDACBW, 5},
		setting{RegClkSelect, clkOut | clkDAC}, setting{RegTXGain, dac<<4 | mixer},
		setting{RegClkSelect, clkOut | clkDAC | clkLoopback}, setting{RegMode, modeBoth})
	if err != nil {
		return err
	}
	return locked(ctx, r, r, settleLeakage)
}

// locked waits and then checks both PLLs.
func locked(ctx context.Context, rx, tx *Radio, settle time.Duration) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	for _, p := range []struct {
		name string
		r    *Radio
		bit  byte
	}{{"receiver", rx, lockRX}, {"transmitter", tx, lockTX}} {
		status, err := p.r.Read(RegModeStatus)
		if err != nil {
			return err
		}
		if status&p.bit == 0 {
			return fmt.Errorf("%w: %s, mode status 0x%02X after %v: check the radio's crystal and supply", ErrLock, p.name, status, settle)
		}
	}
	return nil
}
