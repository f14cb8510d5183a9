package config

import (
	"testing"

	"gatewayd/nsedge/region"
)

func TestTheDwellTimeIsTheConfiguredOne(t *testing.T) {
	for value, want := range map[string]region.Dwell{
		DwellAuto: {Uplink: true, Downlink: true}, // AS923-1 after a reset, RP002
		DwellNone: {}, DwellUplink: {Uplink: true}, DwellDownlink: {Downlink: true}, DwellBoth: {Uplink: true, Downlink: true},
	} {
		r, err := Region{Name: "AS923-1", DwellTime: value}.Lookup()
		if err != nil || r.Dwell() != want {
			t.Errorf("%s: %+v, %v", value, r.Dwell(), err)
		}
	}
}
