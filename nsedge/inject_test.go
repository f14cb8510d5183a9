package nsedge

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// inject answers the downlink_request of an uplink with MAC commands and
// returns the FOpts of what was sent in its windows.
func (n *node) inject(f frame, commands ...byte) []byte {
	n.b.Helper()
	n.b.air.clear()
	n.b.take()
	n.send(f)
	req := one[*DownlinkRequest](n.b.T, n.b.take())
	n.b.answer(DownlinkResponse{PacketHash: req.PacketHash, MAC: commands})
	time.Sleep(4 * time.Second)
	var out []byte
	for _, d := range n.b.air.frames() {
		out = append(out, fopts(n.decode(d))...)
	}
	return out
}

func TestAnApplicationsMACCommandsAreSentUntilTheyAreAnswered(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.MAC = MACHandsOff })
		want := []byte{0x08, 0x03, 0x04, 0x05} // RXTimingSetupReq, DutyCycleReq
		if o := n.inject(frame{payload: []byte("x")}, want...); !slices.Equal(o, want) {
			t.Fatalf("FOpts % x, want % x", o, want)
		}
		names := one[*DownlinkEvent](t, b.take()).Frame.MACCommands
		if len(names) != 2 || names[0].Name != "RXTimingSetupReq" || names[1].Name != "DutyCycleReq" {
			t.Errorf("commands %+v", names)
		}
		b.restart(b.store.afterPowerCut())
		if o := n.ordered(frame{payload: []byte("x")}); !slices.Equal(o, want) {
			t.Errorf("FOpts % x after a power cut without an answer, want % x", o, want)
		}
		b.take()
		b.air.clear()
		u := n.send(frame{payload: []byte("x"), opts: []byte{0x08, 0x04}, confirmed: true})
		time.Sleep(5 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(3*time.Second) || len(fopts(d)) > 0 {
			t.Errorf("after the answer FOpts % x, %v after the uplink", fopts(d), d.At.Sub(u.At))
		}
		evs := b.take()
		if m := wantNotice(t, evs, Info, CodeMACAccepted); !strings.Contains(m.Message, "RXTimingSetupReq") {
			t.Errorf("message %q", m.Message)
		}
	})
}

// RXTimingSetupAns comes in each uplink until a downlink is heard: a second
// request waits for the end of that.
func TestAnInjectedCommandWaitsForTheEndOfAStickyAnswer(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.MAC = MACHandsOff })
		n.inject(frame{payload: []byte("x")}, 0x08, 0x03)
		if o := n.inject(frame{payload: []byte("x"), opts: []byte{0x08}}, 0x08, 0x02); len(o) > 0 {
			t.Errorf("FOpts % x beside the answer to the first", o)
		}
		if o := n.ordered(frame{payload: []byte("x")}); !slices.Equal(o, []byte{0x08, 0x02}) {
			t.Errorf("FOpts % x after it", o)
		}
	})
}

func TestARefusalOfAnInjectedCommandBarsNobody(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		link := []byte{0x03, 0xff, 0x07, 0x00, 0x01} // DR15, power 15: as they are
		if o := n.inject(frame{payload: []byte("x")}, link...); !slices.Equal(o, link) {
			t.Fatalf("FOpts % x", o)
		}
		b.take()
		if o := n.inject(frame{payload: []byte("x"), opts: []byte{0x03, 0x06}}, link...); !slices.Equal(o, link) {
			t.Errorf("FOpts % x after a refusal", o)
		}
		n.ordered(frame{payload: []byte("x"), opts: []byte{0x03, 0x07}})
		evs := b.take()
		wantNotice(t, evs, Info, CodeMACAccepted)
		b.must(b.edge.do(b.Context(), func() {
			if s := b.edge.byEUI[n.eui].session(); s.DataRate == unchanged || s.TXPower == unchanged {
				t.Errorf("DR%d, power %d", s.DataRate, s.TXPower)
			}
		}))
	})
}

func TestMACCommandsThatCanNotBeInjectedAreRefused(t *testing.T) {
	for words, commands := range map[string][]byte{
		"1 to 15":             {},
		"16 bytes":            make([]byte, 16),
		"unknown":             {0x04, 0x01, 0x7f},
		"cut short":           {0x08},
		"status_request":      {0x06},
		"/rejoin":             {0x0e, 0, 0},
		"allowed are RXTimin": {0x02, 1, 1}, // LinkCheckAns
		"LoRaWAN 1.1":         {0x0c, 0x55},
		"does not have it":    {0x09, 0x00}, // TxParamSetupReq in EU868
		"0 to 15":             {0x07, 16, 0x18, 0x4f, 0x84, 0x50},
		"take another":        {0x07, 0, 0x18, 0x4f, 0x84, 0x50},
		"twice":               {0x04, 1, 0x04, 2},
	} {
		scenario(t, func(b *bench) {
			n := b.abpNode(1, nil)
			n.send(frame{payload: []byte("x")})
			req := one[*DownlinkRequest](t, b.take())
			r := b.refused(DownlinkResponse{PacketHash: req.PacketHash, MAC: commands}, CodeDownlinkMAC)
			if !strings.Contains(r.Message, words) {
				t.Errorf("% x: %q, want %q", commands, r.Message, words)
			}
			time.Sleep(4 * time.Second)
			if fs := b.air.frames(); len(fs) > 0 {
				t.Errorf("% x was sent", commands)
			}
		})
	}
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.inject(frame{payload: []byte("x")}, 0x04, 0x01)
		n.send(frame{})
		req := one[*DownlinkRequest](t, b.take())
		if r := b.refused(DownlinkResponse{PacketHash: req.PacketHash, MAC: []byte{0x04, 0x02}}, CodeDownlinkMAC); !strings.Contains(r.Message, "on its way") {
			t.Errorf("%q", r.Message)
		}
	})
}
