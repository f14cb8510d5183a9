package sx1302sim

import (
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// A board that the AGC is told to be a full-duplex one hears while it
// transmits; others don't.
func TestAFullDuplexBoardHearsWhileItTransmits(t *testing.T) {
	for _, x := range []struct {
		run  string
		down uint32
		want int
	}{
		{"start_cn490_sx1255_fdx", 505_300_000, 1},
		{"start_eu868_sx1257", 868_500_000, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			runs := golden(t)
			m := air.New(air.Config{})
			t.Cleanup(m.Close)
			p := newPlayer(t, runs[x.run], Config{Medium: m})
			for _, l := range runs[x.run].trace {
				if len(l) > 7 && l[:7] == "# step " && l[7] != '0' {
					break
				}
				if l[0] != '#' {
					p.line(l)
				}
			}
			p.chip.Trace(nil)
			h := host{t, p.chip}
			channel, _ := p.chip.listensAt(int(p.chip.file.get(reg.RXRadioSelect)&1), reg.RXFreq0MSBIF.Addr())
			up := air.Frame{Payload: []byte{1}, Freq: radio.Hertz(channel), Mod: radio.LoRa{SF: 9, Bandwidth: 125_000}}
			delay := h.settings(0, radio.LoRa{SF: 12, Bandwidth: 125_000, CodeRate: 1, Preamble: 8}, x.down, make([]byte, 50))
			h.at(0, uint32(m.Now()+counterStart)+10_000, delay)
			time.Sleep(100 * time.Millisecond)
			device := sender(t, m, "device")
			send(t, device, up, air.Immediately)
			time.Sleep(10 * time.Second)
			if got := len(h.fetch()); got != x.want {
				t.Errorf("%s: %d packets during the emission, want %d", x.run, got, x.want)
			}
			send(t, device, up, air.Immediately)
			time.Sleep(time.Second)
			if got := len(h.fetch()); got != 1 {
				t.Errorf("%s: %d packets after it, want 1", x.run, got)
			}
		})
	}
}
