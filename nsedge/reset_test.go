package nsedge

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAReplayedFrameIsNoNextOneAfterTheDeviceBeganAgain(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("0")})
		one := n.encode(frame{payload: []byte("1")})
		n.hear(one)
		n.up = 0
		n.send(frame{payload: []byte("again 0")})
		time.Sleep(3 * time.Second)
		if ups := all[*UplinkEvent](b.take()); len(ups) != 3 {
			t.Fatalf("%d uplinks, want 3", len(ups))
		}
		n.hear(one) // counter 1 is the next
		evs := b.take()
		wantNotice(t, evs, Error, CodeUplinkReplay)
		if len(all[*UplinkEvent](evs)) > 0 {
			t.Error("the replay was delivered")
		}
		n.up = 1
		n.send(frame{payload: []byte("again 1")})
		if ups := all[*UplinkEvent](b.take()); len(ups) != 1 || ups[0].Counter != 1 {
			t.Errorf("uplinks %v", ups)
		}
	})
}

func TestAFirstFrameThatAPowerCutMayHaveTakenIsNotHeardAgain(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		first := n.encode(frame{payload: []byte("0")})
		n.hear(first)
		cut := b.store.afterPowerCut() // before the sync of that frame
		cut.states = map[[8]byte][]byte{}
		b.restart(cut)
		n.send(frame{payload: []byte("1")})
		n.send(frame{payload: []byte("2")})
		b.take()
		time.Sleep(3 * time.Second)
		n.hear(first)
		m := wantNotice(t, b.take(), Error, CodeUplinkReplay)
		if !strings.Contains(m.Message, "reset") {
			t.Errorf("the refusal does not say what to press: %q", m.Message)
		}
		// The button.
		if err := b.edge.ResetDevice(b.Context(), n.eui); err != nil {
			t.Fatal(err)
		}
		n.up = 0
		n.send(frame{payload: []byte("new 0")})
		if ups := all[*UplinkEvent](b.take()); len(ups) != 1 || ups[0].Counter != 0 {
			t.Errorf("uplinks %v", ups)
		}
	})
}

func TestResettingADeviceGoesOnWithItsDownlinkCounters(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.Policy = PolicyStrict })
		for range 3 {
			n.exchange()
		}
		n.up = 0
		n.send(frame{payload: []byte("reflashed")})
		wantNotice(t, b.take(), Error, CodeUplinkReplay)
		if err := b.edge.ResetDevice(b.Context(), n.eui); err != nil {
			t.Fatal(err)
		}
		n.up = 0
		if c := n.exchange(); c != 3 {
			t.Errorf("downlink counter %d, want 3", c)
		}
		b.restart(b.store.afterPowerCut())
		if d, err := b.edge.Device(b.Context(), n.eui); err != nil || d.CounterUp != 0 && d.CounterUp != 1 {
			t.Errorf("counter_up %d, %v: the reset was forgotten", d.CounterUp, err)
		}
		if err := b.edge.ResetDevice(b.Context(), n.app); !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("unknown device: %v", err)
		}
	})
}

func TestDevNoncesFollowVersionAndPolicy(t *testing.T) {
	for _, c := range []struct {
		version string
		policy  Policy
		nonces  []uint16
		want    string // j: joins, x: refused
	}{
		{"1.0.3", PolicyRelaxed, []uint16{500, 40, 500, 41}, "jjxj"},
		{"1.0.4", PolicyRelaxed, []uint16{500, 40, 500, 501}, "jxxj"},
		{"1.0.4", PolicyStrict, []uint16{7, 8, 7, 6}, "jjxx"},
		{"1.0.4", PolicyLab, []uint16{7, 7, 3}, "jjj"},
		{"1.0.2", PolicyLab, []uint16{7, 7}, "jj"},
	} {
		t.Run(c.version+" "+string(c.policy), func(t *testing.T) {
			scenario(t, func(b *bench) {
				n := newNode(b, 1)
				d := n.otaa(KeysAtNS)
				d.Version, d.Policy = c.version, c.policy
				b.register(d)
				got := ""
				for _, nonce := range c.nonces {
					n.nonce = nonce
					b.air.clear()
					n.send2(n.joinRequest())
					evs := b.take()
					if len(b.air.frames()) == 1 {
						got += "j"
						continue
					}
					got += "x"
					if m := wantNotice(t, evs, Error, CodeJoinReplay); !strings.Contains(m.Message, "reset the device") {
						t.Errorf("the refusal does not say what to press: %q", m.Message)
					}
				}
				if got != c.want {
					t.Errorf("DevNonces %v: %s, want %s", c.nonces, got, c.want)
				}
				if err := b.edge.ResetDevice(b.Context(), n.eui); err != nil {
					t.Fatal(err)
				}
				b.air.clear()
				n.nonce = c.nonces[0]
				n.send2(n.joinRequest())
				if len(b.air.frames()) != 1 {
					t.Error("no join after the reset")
				}
			})
		})
	}
}

func TestTheLabPolicyTakesCountersAsTheyCome(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		d := n.otaa(KeysAtNS)
		d.Policy = PolicyLab
		b.register(d)
		n.join()
		b.take()
		for _, c := range []uint32{0, 5, 3, 30_000, 2} {
			n.send(frame{payload: []byte("x"), counter: ptr(c)})
			if up := one[*UplinkEvent](t, b.take()); up.Counter != c {
				t.Errorf("counter %d, want %d", up.Counter, c)
			}
			time.Sleep(3 * time.Second)
			b.take()
		}
	})
}

func TestStrictCounterAndPolicyAreTheSame(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		for _, c := range []struct {
			change func(*Device)
			policy Policy
			strict bool
		}{
			{func(*Device) {}, PolicyRelaxed, false},
			{func(d *Device) { d.StrictCounter = true }, PolicyStrict, true},
			{func(d *Device) { d.Org = "x" }, PolicyStrict, true},
			{func(d *Device) { d.StrictCounter = false }, PolicyRelaxed, false},
			{func(d *Device) { d.Policy = PolicyLab }, PolicyLab, false},
			{func(d *Device) { d.Policy = PolicyStrict }, PolicyStrict, true},
			{func(d *Device) { d.Policy = PolicyRelaxed }, PolicyRelaxed, false},
		} {
			d, err := b.edge.UpdateDevice(b.Context(), n.eui, func(d *Device) error { c.change(d); return nil })
			if err != nil || d.Policy != c.policy || d.StrictCounter != c.strict {
				t.Errorf("policy %s, strict_counter %v, %v; want %s, %v", d.Policy, d.StrictCounter, err, c.policy, c.strict)
			}
		}
	})
}
