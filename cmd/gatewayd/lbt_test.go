package main

import (
	"errors"
	"log/slog"
	"testing"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/concentrator"
	"gatewayd/nsedge/region"
)

func TestListenBeforeTalkFollowsRegionAndConfiguration(t *testing.T) {
	hw, _, err := board.Emulate(board.Emulation{})
	if err != nil {
		t.Fatal(err)
	}
	defer hw.Close()
	without := &board.Hardware{}
	for _, x := range []struct {
		region, lbt  string
		driver       string
		hw           *board.Hardware
		port, listen bool
		err          error
	}{
		{"KR920", config.LBTAuto, config.DriverEmulated, hw, true, true, nil},
		{"KR920", config.LBTAuto, config.DriverSX1302, without, false, false, nil},
		{"KR920", config.LBTOff, config.DriverSX1302, hw, true, false, nil},
		{"AS923", config.LBTOn, config.DriverSX1302, hw, true, true, nil},
		{"AS923", config.LBTOn, config.DriverSX1302, without, false, false, errNoSX1261},
		{"EU868", config.LBTAuto, config.DriverSX1302, hw, true, false, nil},
		{"EU868", config.LBTAuto, config.DriverEmulated, hw, false, false, nil},
	} {
		reg, err := region.Lookup(x.region)
		if err != nil {
			t.Fatal(err)
		}
		d := &daemon{region: reg, log: slog.New(slog.DiscardHandler)}
		d.cfg.Concentrator.LBT, d.cfg.Concentrator.Driver = x.lbt, x.driver
		var rc concentrator.Config
		err = d.listenBeforeTalk(&rc, x.hw)
		if (rc.SX1261.Port != nil) != x.port || rc.SX1261.LBT.Enable != x.listen || !errors.Is(err, x.err) {
			t.Errorf("%+v: port %t, LBT %t, %v", x, rc.SX1261.Port != nil, rc.SX1261.LBT.Enable, err)
		}
	}
}

// Without an SX1261 the spectrum can't be measured; all else works.
func TestASurveyNeedsAnSX1261(t *testing.T) {
	hw, _, err := board.Emulate(board.Emulation{})
	if err != nil {
		t.Fatal(err)
	}
	defer hw.Close()
	reg, err := region.Lookup("EU868")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		hw     *board.Hardware
		points int
	}{{hw, 3}, {&board.Hardware{}, 0}} {
		d := &daemon{region: reg, log: slog.New(slog.DiscardHandler)}
		d.cfg.Concentrator.LBT, d.cfg.Concentrator.Driver = config.LBTAuto, config.DriverEmulated
		rc := concentrator.Config{SX1261: concentrator.SX1261{Survey: concentrator.Survey{From: 867_100_000, Points: 3}}}
		if err := d.listenBeforeTalk(&rc, x.hw); err != nil || rc.SX1261.Survey.Points != x.points || (rc.SX1261.Port != nil) != (x.points > 0) {
			t.Errorf("%+v, %v", rc.SX1261, err)
		}
	}
}
