package nsedge_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
)

// A device that listens all the time hears what it is sent between its
// uplinks, acknowledges it, and stays reachable in RX1.
func TestAClassCDeviceHearsClaimedDownlinks(t *testing.T) {
	for _, name := range []string{"EU868", "US915-2", "AS923-1", "IN865"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, name, func(w *world) {
				var mu sync.Mutex
				var heard []string
				d := w.device(1, func(c *enddevice.Config, dev *nsedge.Device) {
					c.Class, dev.Class, c.Interval = "C", "C", time.Minute
					c.Events = func(ev enddevice.Event) {
						if r, ok := ev.(enddevice.Received); ok && r.Payload != nil {
							mu.Lock()
							defer mu.Unlock()
							heard = append(heard, r.Window+" "+string(r.Payload))
						}
					}
				})
				confirmed := false
				w.answers(func(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
					if time.Until(req.Deadline) < time.Minute { // of an uplink
						return nil
					}
					confirmed = !confirmed
					return &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("now"), Confirmed: confirmed}
				})
				ctx, cancel := context.WithCancel(w.t.Context())
				var running sync.WaitGroup
				running.Go(func() { _ = d.Run(ctx) })
				time.Sleep(20 * time.Second)
				for range 6 {
					if err := w.edge.Answer(w.t.Context(), nsedge.Claim{Device: eui(1)}); err != nil {
						w.t.Fatal(err)
					}
					time.Sleep(23 * time.Second)
				}
				cancel()
				running.Wait()
				mu.Lock()
				defer mu.Unlock()
				if want := slices.Repeat([]string{"RXC now"}, 6); !slices.Equal(heard, want) {
					w.t.Errorf("the device heard %q", heard)
				}
				if n := w.notices(nsedge.CodeDownlinkAcked); n != 3 {
					w.t.Errorf("%d downlinks were acknowledged, want 3", n)
				}
				w.noErrors()
			})
		})
	}
}
