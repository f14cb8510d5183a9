package concentrator

import (
	"errors"
	"fmt"
)

// What callers branch on; they are wrapped with the action and figures.
// The reasons why a Downlink is not transmitted are in package radio.
var (
	ErrConfig          = errors.New("concentrator configuration")
	ErrNoChip          = errors.New("no SX1302 answers")
	ErrNotReset        = errors.New("the chip was not reset")
	ErrFirmware        = errors.New("MCU firmware")
	ErrMCU             = errors.New("the chip's microcontroller doesn't answer as it should")
	ErrCalibration     = errors.New("radio calibration failed")
	ErrStalled         = errors.New("the chip has stalled")
	ErrCounter         = errors.New("the chip's counter is not plausible")
	ErrTransfer        = errors.New("SPI transfer failed")
	ErrRunning         = errors.New("the concentrator runs already")
	ErrQueueFull       = errors.New("transmit queue is full")
	ErrUnknownDownlink = errors.New("no such downlink is on its way")
	ErrNotStarted      = errors.New("the transmitter did not start")
	ErrSX1261          = errors.New("the SX1261 doesn't do as it should")
	ErrScanAborted     = errors.New("the spectral scan was aborted")
	ErrNoPulse         = errors.New("no pulse per second")
	ErrTransmitter     = errors.New("the transmitter stopped early or did not end")
)

// configError names a field, its value and what is allowed.
func configError(field string, value any, allowed string) error {
	return fmt.Errorf("%w: %s = %v: %s", ErrConfig, field, value, allowed)
}
