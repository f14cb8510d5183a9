package nsedge

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatewayd/radio"
)

func TestItIsExplainedWhyADeviceHasNotJoined(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		why := func(want string) {
			t.Helper()
			x, err := b.edge.Explain(b.Context(), n.eui)
			if b.must(err); !strings.Contains(x.Summary, want) {
				t.Errorf("%q, want %q", x.Summary, want)
			}
		}
		why("no join-request of it was heard")
		n.appKey[3] ^= 1
		n.hear(n.joinRequest())
		time.Sleep(10 * time.Second)
		why(CodeJoinMIC)
		n.appKey[3] ^= 1
		b.air.refuse = func(radio.Downlink) error { return radio.ErrCollision }
		n.hear(n.joinRequest())
		time.Sleep(10 * time.Second)
		st, err := b.edge.State(b.Context(), n.eui)
		b.must(err)
		if len(st.Joins) != 2 || st.Joins[0].Code != CodeJoinMIC || st.Joins[1].Code != CodeJoinFailed || st.Joins[1].Time.IsZero() {
			t.Errorf("joins %+v", st.Joins)
		}
		for range 2 * joinNotes {
			n.hear(n.joinRequest())
			time.Sleep(10 * time.Second)
		}
		if st, err = b.edge.State(b.Context(), n.eui); err != nil || len(st.Joins) != joinNotes {
			t.Errorf("%d notes, %v", len(st.Joins), err)
		}
	})
}

func TestTheStateOfADeviceIsShown(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.RX1Delay = 3 })
		for range 3 {
			n.send(frame{payload: []byte("x")})
			b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
			time.Sleep(5 * time.Second)
		}
		st, err := b.edge.State(b.Context(), n.eui)
		b.must(err)
		s := st.Session
		if s == nil || st.Pending != nil || s.DevAddr != n.addr || s.CounterUp != 3 || s.CounterDown != 3 || s.RX1Delay != 3*time.Second ||
			s.RX2Freq != 869_525_000 || s.RX2DataRate != 0 || s.DataRate != 5 || s.NbTrans != 1 || !s.Joined.IsZero() || time.Since(s.LastUplink) > 10*time.Second {
			t.Errorf("%+v", s)
		}
		// RP002: EU868 begins with three channels, DR0 to DR5.
		if len(s.Channels) != 3 || s.Channels[1] != (ChannelState{Index: 1, Freq: 868_300_000, MaxDR: 5}) {
			t.Errorf("channels %+v", s.Channels)
		}
		if _, err := b.edge.UpdateDevice(b.Context(), n.eui, func(d *Device) error { d.RX1Delay = 5; return nil }); err != nil {
			t.Fatal(err)
		}
		n.send(frame{payload: []byte("x")})
		if st, err = b.edge.State(b.Context(), n.eui); err != nil || len(st.Asked) != 1 || st.Asked[0] != "RXTimingSetupReq, sent 0 times" {
			t.Errorf("%v, %v", st.Asked, err)
		}
		if _, err := b.edge.State(b.Context(), radio.EUI64{9}); !errors.Is(err, ErrUnknownDevice) {
			t.Error(err)
		}
	})
}
