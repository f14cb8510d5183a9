package nsedge_test

import (
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
)

// Devices that listen between their uplinks are asked for their status there,
// but for those of 1.0.4, and tell it with the next uplink.
func TestSoftwareDevicesAreAskedBetweenTheirUplinks(t *testing.T) {
	for _, c := range []struct{ class, version, window string }{
		{"B", "1.0.3", "ping"}, {"C", "1.0.2", "RXC"}, {"C", "1.1", "RXC"}, {"B", "1.0.4", "RX1"}, {"C", "1.0.4", "RX1"},
	} {
		t.Run(c.class+" "+c.version, func(t *testing.T) {
			inClassBWorld(t, "EU868", func(w *classBWorld) {
				asked := map[string]int{}
				change := func(cfg *enddevice.Config) {
					cfg.Version, cfg.Battery = c.version, 33
					told := cfg.Events
					cfg.Events = func(ev enddevice.Event) {
						told(ev)
						if r, ok := ev.(enddevice.Received); ok && len(r.Commands) == 1 && r.Commands[0].Payload == nil {
							w.mu.Lock()
							defer w.mu.Unlock()
							asked[r.Window]++
						}
					}
				}
				var d *enddevice.Device
				if c.class == "B" {
					d = w.classB(1, 3, change)
				} else {
					d = w.device(1, func(cfg *enddevice.Config, dev *nsedge.Device) {
						if c.version == "1.1" {
							of11(cfg, dev)
						}
						cfg.Class, dev.Class, cfg.Interval = "C", "C", 10*time.Minute
						cfg.Events = func(ev enddevice.Event) { w.told(1, ev) }
						change(cfg)
					})
				}
				defer w.run(d)()
				time.Sleep(45 * time.Minute)
				w.mu.Lock()
				clear(asked) // PingSlotInfoAns looks the same
				if c.class == "C" {
					w.addrs[d.State().DevAddr] = always
				}
				w.mu.Unlock()
				if err := w.edge.Answer(w.t.Context(), nsedge.StatusRequest{Device: eui(1)}); err != nil {
					w.t.Fatal(err)
				}
				time.Sleep(35 * time.Minute)
				w.mu.Lock()
				defer w.mu.Unlock()
				if len(asked) != 1 || asked[c.window] != 1 {
					w.t.Errorf("asked %v, want once in %s", asked, c.window)
				}
				told := 0
				for _, ev := range w.events {
					if s, ok := ev.(*nsedge.StatusResponse); ok && s.Battery == 33 {
						told++
					}
				}
				if told != 1 {
					w.t.Errorf("%d answers", told)
				}
			})
		})
	}
}
