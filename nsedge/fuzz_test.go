package nsedge

import (
	"context"
	"slices"
	"testing"
	"time"

	"gatewayd/radio"
)

// nullAir takes every frame and never reports.
type nullAir struct{ scheduled int }

func (*nullAir) Uplinks() <-chan radio.Uplink                     { return nil }
func (*nullAir) Reports() <-chan radio.Report                     { return nil }
func (*nullAir) Lead(radio.Downlink) time.Duration                { return lead }
func (a *nullAir) Schedule(context.Context, radio.Downlink) error { a.scheduled++; return nil }

// idleEdge is an edge that the test itself owns: no goroutine runs it.
func idleEdge(t testing.TB, s Store, publish func(Event)) *Edge {
	t.Helper()
	e, err := New(testConfig(t, s), &nullAir{}, publish)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A frame may be sealed before it is heard, as no fuzzer finds a good MIC.
func FuzzReceive(f *testing.F) {
	b := &bench{}
	n := newNode(b, 1)
	for _, fr := range []frame{{payload: []byte("x")}, {opts: []byte{2, 0x0d}, confirmed: true}, {port: ptr(uint8(0)), payload: []byte{6, 1, 2}}} {
		f.Add(n.encode(fr), true)
	}
	f.Add(n.joinRequest(), false)
	f.Add([]byte{0xc0, 1, 2, 3, 4, 5}, false)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, phy []byte, seal bool) {
		events := 0
		e := idleEdge(t, newStore(), func(ev Event) { events++; _ = ev.About() })
		n := newNode(b, 1)
		if err := e.CreateDevice(t.Context(), n.abp()); err != nil {
			t.Fatal(err)
		}
		otaa := newNode(b, 2)
		if err := e.CreateDevice(t.Context(), otaa.otaa(KeysAtNS)); err != nil {
			t.Fatal(err)
		}
		e.running = t.Context()
		if seal && len(phy) >= 12 { // reach what lies behind the MIC
			phy = slices.Clone(phy)
			copy(phy[1:5], []byte{n.addr[3], n.addr[2], n.addr[1], n.addr[0]})
			end := len(phy) - micSize
			mic := dataMIC(n.nwk, true, n.addr, uint32(phy[6])|uint32(phy[7])<<8, phy[:end])
			copy(phy[end:], mic[:])
		}
		now := time.Now()
		e.receive(radio.Uplink{Payload: phy, CRC: radio.GoodCRC, Time: now, Freq: 868_100_000, Mod: radio.LoRa{SF: 7, Bandwidth: 125_000}})
		e.expire(now.Add(time.Hour))
		e.expire(now.Add(2 * time.Hour))
		e.running = nil
		e.finishJobs()
		if len(e.windows) > 0 {
			t.Errorf("%d windows are left", len(e.windows))
		}
	})
}

func FuzzDecodeMAC(f *testing.F) {
	f.Add(true, []byte{6, 1, 2, 2})
	f.Add(false, []byte{3, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, uplink bool, b []byte) {
		cmds, err := decodeMAC(uplink, b)
		if err == nil && len(cmds) == 0 && len(b) > 0 {
			t.Errorf("% x vanished", b)
		}
	})
}
