package enddevice

import (
	"testing"

	"gatewayd/nsedge/region"
	"gatewayd/radio/air"
)

// Whatever MAC commands a network sends, the device still has a channel to
// send on and windows to listen in, and its answers can be sent.
func FuzzMACCommands(f *testing.F) {
	for _, seed := range []string{
		"\x03\x52\x01\x00\x01\x03\xff\x00\x00\x70", "\x05\x21\xd2\xad\x84", "\x06\x06", "\x07\x03\x18\x4f\x84\x50",
		"\x08\x05", "\x09\x35", "\x0a\x00\x18\x4f\x84", "\x04\x0f", "\x02\x01\x02", "\x0d\x01\x02\x03\x04\x05", "\x7f",
	} {
		for i := range 4 {
			f.Add(byte(i), []byte(seed))
		}
	}
	names := []string{"EU868", "US915-2", "AS923-1", "CN470-1"}
	f.Fuzz(func(t *testing.T, which byte, options []byte) {
		r, err := region.Lookup(names[int(which)%len(names)])
		if err != nil {
			t.Fatal(err)
		}
		m := air.New(air.Config{})
		defer m.Close()
		d, err := New(Config{Region: r, ABP: &Session{}, DataRate: 2}, m)
		if err != nil {
			t.Fatal(err)
		}
		d.obey(commands(options), 0)
		if !usable(d.st.Channels, d.st.DataRate) {
			t.Fatalf("%x: no channel for DR%d in %+v", options, d.st.DataRate, d.st.Channels)
		}
		if _, err := d.region.TXPower(d.st.TXPower); err != nil {
			t.Errorf("%x: %v", options, err)
		}
		for _, c := range d.st.Channels {
			if !c.Enabled || d.st.DataRate < c.MinDR || d.st.DataRate > c.MaxDR {
				continue
			}
			if _, err := d.windows(air.Transmission{Frame: air.Frame{Freq: c.Freq}}, c, d.st.DataRate, 1, 2); err != nil {
				t.Errorf("%x: uplink on %d with DR%d: %v", options, c.Freq, d.st.DataRate, err)
			}
		}
		for n := 0; len(d.answers) > 0 && n < 300; n++ {
			if len(d.options(nil, maxOptions)) > maxOptions {
				t.Errorf("%x: FOpts too long", options)
			}
			d.dropSticky()
		}
		if len(d.answers) > 0 {
			t.Errorf("%x: %d answers never fit", options, len(d.answers))
		}
	})
}
