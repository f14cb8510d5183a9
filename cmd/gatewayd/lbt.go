package main

import (
	"errors"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/concentrator"
)

// errNoSX1261 is what lbt = "on" without the radio for it gets.
var errNoSX1261 = errors.New("concentrator.lbt = \"on\": an SX1261 does the listening; set concentrator.sx1261_spi, or lbt = \"auto\"")

// listenBeforeTalk gives the driver the board's SX1261 and says whether to
// listen before transmissions. An emulated SX1261 is left alone unless it is
// needed, here or for spectral scans in the background; a real one is there
// for spectral scans that are asked for, too.
func (d *daemon) listenBeforeTalk(rc *concentrator.Config, hw *board.Hardware) error {
	mode := d.cfg.Concentrator.LBT
	wanted := mode == config.LBTOn || mode != config.LBTOff && (d.region.ListenBeforeTalk() || rc.SX1261.LBT.Enable)
	rc.SX1261.LBT.Enable = wanted && hw.SX1261 != nil
	switch {
	case hw.SX1261 != nil && (wanted || rc.SX1261.Survey.Points > 0 || !d.cfg.Emulated()):
		rc.SX1261.Port = hw.SX1261
	case wanted && mode == config.LBTOn:
		return errNoSX1261
	case wanted:
		d.log.Warn("listen before talk is demanded, but there is no SX1261 (concentrator.sx1261_spi): transmissions go out without", "region", d.region.Short())
	}
	if rc.SX1261.Port == nil && rc.SX1261.Survey.Points > 0 {
		d.log.Warn("spectral scans are configured, but there is no SX1261 (concentrator.sx1261_spi): the spectrum is not measured")
		rc.SX1261.Survey = concentrator.Survey{}
	}
	return nil
}
