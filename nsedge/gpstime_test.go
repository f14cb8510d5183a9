package nsedge

import (
	"slices"
	"testing"
	"time"
)

// A gateway that knows the time by satellite is believed, whatever the host's
// clock says: in the device's answer and in what the application is told.
func TestTheGatewaysSatelliteTimeWins(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		scenarioWith(t, func(c *Config) {
			c.GPS = func(time.Time) (time.Duration, bool) { return 12345 * time.Second, trusted }
		}, func(b *bench) {
			const gps = 1_384_035_218*time.Second + 750*time.Millisecond
			n := b.abpNode(1, nil)
			u := n.uplink(n.encode(frame{opts: []byte{0x0d}}))
			u.GPSTime = gps
			b.air.up <- u
			time.Sleep(4 * time.Second)
			want := uint32(gps / time.Second)
			if o := fopts(n.onlyDownlink()); !slices.Equal(o, []byte{0x0d, byte(want), byte(want >> 8), byte(want >> 16), byte(want >> 24), 192}) {
				t.Errorf("DeviceTimeAns % x, want %08x", o, want)
			}
			evs := b.take()
			if got := one[*UplinkEvent](t, evs).Radio.GPSTime; got != gps {
				t.Errorf("the uplink's GPS time is %v, want %v", got, gps)
			}
			if got := one[*DownlinkEvent](t, evs).Radio.GPSTime; got != gps+time.Second {
				t.Errorf("the downlink's GPS time is %v, want %v", got, gps+time.Second)
			}
		})
	}
}
