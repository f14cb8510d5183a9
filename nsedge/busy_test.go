package nsedge

import (
	"testing"
	"time"

	"gatewayd/radio"
)

// Listen before talk: what finds its channel in use has a code of its own, and
// RX2.
func TestABusyChannelIsTold(t *testing.T) {
	scenario(t, func(b *bench) {
		busy := true
		b.air.fail = func(d radio.Downlink) error {
			if busy || d.Freq == 868_100_000 {
				return radio.ErrChannelBusy
			}
			return nil
		}
		n := b.abpNode(1, nil)
		for range 2 {
			n.send(frame{payload: []byte("x")})
			b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
			time.Sleep(4 * time.Second)
			evs := b.take()
			wantNotice(t, evs, Error, CodeDownlinkBusy)
			if sent := len(all[*DownlinkEvent](evs)) == 1; sent == busy {
				t.Errorf("busy in both windows: %v, sent: %v", busy, sent)
			}
			busy = false
		}
	})
}
