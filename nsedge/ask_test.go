package nsedge

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// inAnyClass runs f with a device of class B and with one of class C that was
// heard and may be sent something at any time.
func inAnyClass(t *testing.T, change func(*Device), f func(b *bench, n *node, class string)) {
	for _, class := range []string{"B", "C"} {
		t.Run("class "+class, func(t *testing.T) {
			underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
				if class == "B" {
					f(b, b.inB(1, 0, change), class)
					return
				}
				n := b.abpNode(1, func(d *Device) { d.Class = "C"; change(d) })
				n.send(frame{payload: []byte("hello")})
				time.Sleep(4 * time.Second)
				b.air.clear()
				b.take()
				f(b, n, class)
			})
		})
	}
}

// between are the FOpts of all that was sent since the last call, without an
// uplink before: each without a port.
func (n *node) between(wait time.Duration) (out []string) {
	n.b.Helper()
	time.Sleep(wait)
	_, others := n.b.split()
	for _, d := range others {
		r := n.decode(d)
		if r.mac.FPort != nil {
			n.b.Errorf("a frame on port %d", *r.mac.FPort)
		}
		out = append(out, fmt.Sprintf("% x", fopts(r)))
	}
	n.b.air.clear()
	return out
}

// up sends an uplink and returns the FOpts of what answers it.
func (n *node) answered(opts ...byte) (out []string) {
	n.b.Helper()
	u := n.send(frame{classB: true, payload: []byte("x"), opts: opts})
	time.Sleep(4 * time.Second)
	_, others := n.b.split()
	for _, d := range others {
		if after := d.At.Sub(u.At); after != time.Second && after != 2*time.Second {
			n.b.Errorf("a frame %v after the uplink", after)
		}
		out = append(out, fmt.Sprintf("% x", fopts(n.decode(d))))
	}
	n.b.air.clear()
	return out
}

func wantFrames(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: frames with %q, want %q", when, got, want)
	}
}

// A request goes out at once, once; the other two tries follow uplinks.
func TestAStatusIsAskedForBetweenUplinks(t *testing.T) {
	for _, version := range []string{"1.0.0", "1.0.3", "1.0.4"} {
		t.Run(version, func(t *testing.T) {
			inAnyClass(t, func(d *Device) { d.Version = version }, func(b *bench, n *node, _ string) {
				t := b.T
				b.answer(StatusRequest{Device: n.eui})
				tries := []string{"06", "06"}
				if version == version104 { // TS001-1.0.4 §9.3.1, §15
					tries = append(tries, "06")
					wantFrames(t, "at once", n.between(time.Hour))
				} else {
					wantFrames(t, "at once", n.between(time.Hour), "06")
				}
				for _, want := range tries {
					wantFrames(t, "after an uplink", n.answered(), want)
					wantFrames(t, "later", n.between(time.Minute))
				}
				b.take()
				wantFrames(t, "after the last try", n.answered())
				wantNotice(t, b.take(), Error, CodeStatusNoAnswer)
				b.answer(StatusRequest{Device: n.eui})
				n.between(time.Minute)
				n.answered(0x06, 100, 7)
				if s := one[*StatusResponse](t, b.take()); s.Battery != 100 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// An application's MAC commands go at once, too, also to a device that the edge
// leaves alone; answers that come again need RX1 or RX2 to end.
func TestInjectedCommandsGoBetweenUplinks(t *testing.T) {
	inAnyClass(t, func(d *Device) { d.MAC = MACHandsOff }, func(b *bench, n *node, _ string) {
		t := b.T
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, MAC: []byte{0x08, 0x03}}) // RXTimingSetupReq
		wantFrames(t, "at once", n.between(time.Minute), "08 03")
		n.send(frame{classB: true, payload: []byte("x"), opts: []byte{0x08}})
		wantNotice(t, b.take(), Info, CodeMACAccepted)
		n.between(time.Minute)
		n.send(frame{classB: true, payload: []byte("x"), opts: []byte{0x08}}) // again
		wantFrames(t, "to end the answer", n.between(time.Minute), "")
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("data")})
		time.Sleep(5 * time.Second)
		if d := n.onlyOther(); string(d.payload) != "data" || len(d.mac.FHDR.FOpts) > 0 {
			t.Errorf("%q with %v", d.payload, d.mac.FHDR.FOpts)
		}
	})
}

// What goes with RX1 is not sent again after RX2, and what is sent to the
// device after a request leaves it time to answer.
func TestARequestIsSentOnce(t *testing.T) {
	inAnyClass(t, func(*Device) {}, func(b *bench, n *node, _ string) {
		t := b.T
		n.send(frame{classB: true, payload: []byte("x")})
		b.answer(StatusRequest{Device: n.eui})
		b.answer(StatusRequest{Device: n.eui})
		wantFrames(t, "with RX1", n.between(time.Hour), "06")
		b.answer(StatusRequest{Device: n.eui})
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("data")})
		time.Sleep(time.Minute)
		_, others := b.split()
		if len(others) != 2 {
			t.Fatalf("%d frames", len(others))
		}
		if gap := others[1].At.Sub(others[0].At); gap < classCWait {
			t.Errorf("the next frame came %v after the request", gap)
		}
	})
}

// Until the device has told that its ping slots or RXC moved, or not, nothing
// is sent there; and PingSlotChannelReq never goes in a ping slot.
func TestNothingIsSentWhereADeviceMayHaveMovedFrom(t *testing.T) {
	// To 868.3 MHz, DR5: PingSlotChannelReq and RXParamSetupReq, and the answers.
	requests := map[string][]byte{"B": {0x11, 0xf8, 0x7d, 0x84, 5}, "C": {0x05, 5, 0xf8, 0x7d, 0x84}}
	answers := map[string][]byte{"B": {0x11, 3}, "C": {0x05, 7}}
	inAnyClass(t, func(d *Device) { d.MAC = MACHandsOff }, func(b *bench, n *node, class string) {
		t, request := b.T, fmt.Sprintf("% x", requests[class])
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, MAC: requests[class]})
		if class == "B" {
			wantFrames(t, "at once", n.between(time.Minute))
			wantFrames(t, "after an uplink", n.answered(), request)
		} else {
			wantFrames(t, "at once", n.between(time.Minute), request)
		}
		x, err := b.edge.Explain(b.Context(), n.eui)
		if err != nil || !strings.Contains(x.Summary, "asked to move") {
			t.Errorf("%+v, %v", x, err)
		}
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("kept")})
		wantFrames(t, "meanwhile", n.between(time.Hour))
		n.send(frame{classB: true, payload: []byte("x"), opts: answers[class]})
		time.Sleep(4 * time.Second)
		if d := n.onlyOther(); string(d.payload) != "kept" {
			t.Errorf("%q after the answer", d.payload)
		}
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("there")})
		time.Sleep(10 * time.Second)
		if d := n.onlyOther(); string(d.payload) != "there" || d.Freq != 868_300_000 {
			t.Errorf("%q on %d Hz", d.payload, d.Freq)
		}
	})
}
