package main

import (
	"testing"

	"gatewayd/board"
	"gatewayd/concentrator"
	"gatewayd/nsedge/region"
)

// Every region that can be configured fits on the two radios of every board:
// no choice of the configuration file fails later than when it is read.
func TestEveryRegionFitsOnTheRadios(t *testing.T) {
	hw, _, err := board.Emulate(board.Emulation{})
	if err != nil {
		t.Fatal(err)
	}
	defer hw.Close()
	for _, name := range region.Names() {
		t.Run(name, func(t *testing.T) {
			reg, err := region.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := radioConfig(hw, reg, nil)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Firmware = concentrator.EmulatedFirmware()
			if _, err := concentrator.New(hw.Port, cfg); err != nil {
				t.Error(err)
			}
			heard := 0
			for _, c := range cfg.Channels {
				if c.Enable {
					heard++
				}
			}
			if want := len(reg.Plan().MultiSF); heard != want {
				t.Errorf("%d channels, want %d", heard, want)
			}
		})
	}
}
