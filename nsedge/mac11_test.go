package nsedge

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gatewayd/radio"
)

func TestADRParamSetupReqIsSentUntilItIsAnswered(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode11(1, nil)
		n.update(func(d *Device) { d.ADRParam = &ADRParam{4, 3} })
		for range 2 {
			if o := n.ordered(frame{payload: []byte("x")}); !slices.Equal(o, []byte{0x0c, 0x43}) {
				t.Fatalf("FOpts % x", o)
			}
		}
		if o := n.ordered(frame{payload: []byte("x"), opts: []byte{0x0c}}); len(o) > 0 {
			t.Errorf("FOpts % x after the answer", o)
		}
		b.restart(b.store.afterPowerCut())
		if o := n.ordered(frame{payload: []byte("x")}); len(o) > 0 {
			t.Errorf("FOpts % x after a restart", o)
		}
		n.update(func(d *Device) { d.ADRParam = &defaultADRParam })
		if o := n.ordered(frame{payload: []byte("x")}); !slices.Equal(o, []byte{0x0c, 0x65}) {
			t.Errorf("FOpts % x: back to the default", o)
		}
	})
}

func TestRejoinParamSetupReqIsOfJoinedDevices(t *testing.T) {
	scenario(t, func(b *bench) {
		abp := b.abpNode11(2, func(d *Device) { d.RejoinParam = &RejoinParam{1, 2} })
		for range 2 {
			if o := abp.ordered(frame{payload: []byte("x")}); len(o) > 0 {
				t.Errorf("FOpts % x to a personalised device", o)
			}
		}
		n := b.joinedNode11(1, nil)
		n.update(func(d *Device) { d.RejoinParam = &RejoinParam{1, 2} })
		if o := n.ordered(frame{payload: []byte("x")}); !slices.Equal(o, []byte{0x0f, 0x12}) {
			t.Fatalf("FOpts % x", o)
		}
		if o := n.ordered(frame{payload: []byte("x"), opts: []byte{0x0f, 0}}); len(o) > 0 { // it has no clock
			t.Errorf("FOpts % x after the answer", o)
		}
	})
}

func TestCommandsOf11AreNotSentToDevicesOf10(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.ADRParam, d.RejoinParam = &ADRParam{1, 1}, &RejoinParam{1, 1} })
		for range 2 {
			if o := n.ordered(frame{payload: []byte("x")}); len(o) > 0 {
				t.Errorf("FOpts % x", o)
			}
		}
		var r *Refusal
		if err := b.edge.ForceRejoin(b.Context(), n.eui, 0); !errors.As(err, &r) || r.Code != CodeRejoinUnsupported {
			t.Errorf("ForceRejoin: %v", err)
		}
		if err := b.edge.ForceRejoin(b.Context(), radio.EUI64{5}, 0); !errors.As(err, &r) || r.Code != CodeDeviceUnknown {
			t.Errorf("ForceRejoin: %v", err)
		}
	})
}

func TestForceRejoinReqIsSentThreeTimesUnlessTheDeviceRejoins(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.joinedNode11(1, nil)
		b.must(b.edge.ForceRejoin(b.Context(), n.eui, 2))
		want := []byte{0x0e, 2<<4 | 5, 3} // type 2, DR5; Max_Retries 3: a number of 16 bits, low byte first (LoRaWAN 1.1 §5.14)
		for range maxForceTries {
			if o := n.ordered(frame{payload: []byte("x")}); !slices.Equal(o, want) {
				t.Fatalf("FOpts % x, want % x", o, want)
			}
		}
		b.take()
		if o := n.ordered(frame{payload: []byte("x")}); len(o) > 0 {
			t.Errorf("FOpts % x: a fourth time", o)
		}
		if m := wantNotice(t, b.take(), Warning, CodeMACNoAnswer); !strings.Contains(m.Message, "ForceRejoinReq") {
			t.Errorf("message %q", m.Message)
		}
		b.must(b.edge.ForceRejoin(b.Context(), n.eui, 2))
		n.ordered(frame{payload: []byte("x")})
		b.air.clear()
		n.rejoin(2)
		n.rekey()
		if o := n.ordered(frame{payload: []byte("x")}); len(o) > 0 {
			t.Errorf("FOpts % x after the rejoin", o)
		}
	})
}

func TestDeviceModeIndTellsTheClass(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode11(1, nil)
		now := func() bool {
			b.take()
			b.answer(Claim{Device: n.eui})
			req := one[*DownlinkRequest](t, b.take())
			b.air.clear()
			b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("now")})
			time.Sleep(4 * time.Second)
			return len(b.air.frames()) == 1
		}
		if o := n.ordered(frame{payload: []byte("x"), opts: []byte{0x20, 2}}); !slices.Equal(o, []byte{0x20, 2}) {
			t.Fatalf("FOpts % x, want DeviceModeConf", o)
		}
		if !now() {
			t.Error("a device that listens all the time got nothing")
		}
		b.restart(b.store.afterPowerCut())
		n.ordered(frame{payload: []byte("x")})
		if !now() {
			t.Error("after a power cut it is not known any more")
		}
		if o := n.ordered(frame{payload: []byte("x"), opts: []byte{0x20, 0}}); !slices.Equal(o, []byte{0x20, 0}) {
			t.Fatalf("FOpts % x, want DeviceModeConf", o)
		}
		if now() {
			t.Error("a device of class A was sent something at once")
		}
	})
}
