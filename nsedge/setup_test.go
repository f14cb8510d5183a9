package nsedge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// orders waits for the windows of an uplink and returns the FOpts of what was
// sent in them.
func (n *node) ordered(f frame) []byte {
	n.b.Helper()
	n.b.air.clear()
	n.send(f)
	time.Sleep(4 * time.Second)
	var out []byte
	for _, d := range n.b.air.frames() {
		out = append(out, fopts(n.decode(d))...)
	}
	return out
}

func (n *node) update(change func(*Device)) {
	n.b.Helper()
	if _, err := n.b.edge.UpdateDevice(n.b.Context(), n.eui, func(d *Device) error { change(d); return nil }); err != nil {
		n.b.Fatal(err)
	}
}

func TestARequestIsRepeatedThreeTimesAndThenRests(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.MaxDutyCycle = ptr(5) })
		n.send(frame{payload: []byte("x")})
		time.Sleep(4 * time.Second) // the first order is on the disk only after the uplink
		sent := 0
		for range 10 {
			if o := n.ordered(frame{payload: []byte("x")}); slices.Equal(o, []byte{0x04, 5}) {
				sent++
			} else if len(o) > 0 {
				t.Errorf("FOpts % x", o)
			}
		}
		if m := wantNotice(t, b.take(), Warning, CodeMACNoAnswer); !strings.Contains(m.Message, "DutyCycleReq") {
			t.Errorf("message %q", m.Message)
		}
		if sent != maxOrderTries-1 { // one went out with the first uplink
			t.Errorf("sent %d times more", sent)
		}
		time.Sleep(orderRest)
		n.send(frame{payload: []byte("x")})
		time.Sleep(4 * time.Second)
		if o := n.ordered(frame{payload: []byte("x")}); len(o) == 0 {
			t.Error("it was never asked again")
		}
	})
}

func TestWhatADeviceRefusesIsNotAskedAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		wish   func(*Device)
		order  []byte
		answer []byte
		words  string
	}{
		{"RX2 data rate", func(d *Device) { d.RX2DataRate = ptr(3) }, []byte{0x05, 3, 0xd2, 0xad, 0x84}, []byte{0x05, 0x05}, "RX2 data rate"},
		{"RX2 frequency", func(d *Device) { d.RX2Freq = 869_500_000 }, []byte{0x05, 0, 0xd8, 0xac, 0x84}, []byte{0x05, 0x06}, "frequency"},
		{"RX1 offset", func(d *Device) { d.RX1Offset = ptr(1) }, []byte{0x05, 0x10, 0xd2, 0xad, 0x84}, []byte{0x05, 0x03}, "offset"},
		{"DlChannel", func(d *Device) { d.DownlinkChannels = []DownlinkChannel{{0, 869_525_000}} }, []byte{0x0a, 0, 0xd2, 0xad, 0x84}, []byte{0x0a, 0x02}, "frequency"},
		{"DlChannel of none", func(d *Device) { d.DownlinkChannels = []DownlinkChannel{{2, 869_525_000}} }, []byte{0x0a, 2, 0xd2, 0xad, 0x84}, []byte{0x0a, 0x01}, "channel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			scenario(t, func(b *bench) {
				n := b.abpNode(1, nil)
				n.update(c.wish)
				if o := n.ordered(frame{payload: []byte("x")}); !slices.Equal(o, c.order) {
					t.Fatalf("FOpts % x, want % x", o, c.order)
				}
				b.take()
				for i := range 4 {
					var opts []byte
					if i == 0 {
						opts = c.answer
					}
					if o := n.ordered(frame{payload: []byte("x"), opts: opts}); len(o) > 0 {
						t.Errorf("FOpts % x after the refusal", o)
					}
				}
				if m := wantNotice(t, b.take(), Warning, CodeMACRefused); !strings.Contains(m.Message, c.words) {
					t.Errorf("message %q", m.Message)
				}
				b.restart(b.store.afterPowerCut())
				n.send(frame{payload: []byte("x")})
				time.Sleep(4 * time.Second)
				if o := n.ordered(frame{payload: []byte("x")}); len(o) > 0 {
					t.Errorf("FOpts % x after a restart", o)
				}
			})
		})
	}
}

func TestARefusedPowerOrDataRateIsApproached(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.ADR = ADR{Mode: "static", DataRate: ptr(5), TXPower: ptr(4)} })
		n.sf = 9 // DR3
		n.adr = true
		n.send(frame{payload: []byte("x")})
		time.Sleep(4 * time.Second)
		dr := func(o []byte) (int, int) {
			if len(o) != 5 || o[0] != byte(lorawan.LinkADRReq) {
				return -1, -1
			}
			return int(o[1] >> 4), int(o[1] & 15)
		}
		o := n.ordered(frame{payload: []byte("x"), opts: []byte{0x03, 0x05}}) // the data rate is refused
		if r, p := dr(o); r != 4 || p != 4 {
			t.Errorf("asked for DR%d, power %d; want DR4, power 4", r, p)
		}
		o = n.ordered(frame{payload: []byte("x"), opts: []byte{0x03, 0x03}}) // the power is refused
		if r, p := dr(o); r != 4 || p != 0 {
			t.Errorf("asked for DR%d, power %d; want DR4, power 0", r, p)
		}
		n.sf = 8
		if o = n.ordered(frame{payload: []byte("x"), opts: []byte{0x03, 0x07}}); len(o) > 0 {
			t.Errorf("FOpts % x: it has what it can have", o)
		}
	})
}

// A device that refuses everything is left alone in the end (TTS#7376).
func TestLinkADRReqIsNotSentForEver(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.ADR = ADR{Mode: "static", DataRate: ptr(5), TXPower: ptr(4)} })
		n.sf, n.adr = 12, true
		sent := 0
		var opts []byte
		for range 60 {
			o := n.ordered(frame{payload: []byte("x"), opts: opts})
			opts = nil
			if len(o) > 0 {
				sent++
				opts = []byte{0x03, 0x00}
			}
		}
		if sent == 0 || sent > maxNACKs+1 {
			t.Errorf("LinkADRReq was sent %d times", sent)
		}
	})
}

func TestAStickyAnswerIsNotTakenForTheNextRequestAndEndsWithADownlink(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.update(func(d *Device) { d.RX1Delay = 3 })
		if o := n.ordered(frame{payload: []byte("x")}); !slices.Equal(o, []byte{0x08, 3}) {
			t.Fatalf("FOpts % x", o)
		}
		n.send(frame{payload: []byte("x"), opts: []byte{0x08}})
		time.Sleep(6 * time.Second)
		n.update(func(d *Device) { d.RX1Delay = 5 })
		b.air.clear()
		u := n.send(frame{payload: []byte("x"), opts: []byte{0x08}}) // still the old answer
		time.Sleep(6 * time.Second)
		if d := n.onlyDownlink(); len(fopts(d)) > 0 || d.At != u.At.Add(3*time.Second) {
			t.Errorf("FOpts % x after %v: want a bare frame after 3 s", fopts(d), d.At.Sub(u.At))
		}
		u = n.send(frame{payload: []byte("x")})
		time.Sleep(6 * time.Second)
		if d := n.onlyDownlink(); !slices.Equal(fopts(d), []byte{0x08, 5}) || d.At != u.At.Add(3*time.Second) {
			t.Errorf("FOpts % x after %v", fopts(d), d.At.Sub(u.At))
		}
		for range 8 { // it does not hear us: the request is not answered, the old answer stays
			n.send(frame{payload: []byte("x"), opts: []byte{}})
			time.Sleep(6 * time.Second)
		}
		b.air.clear()
		for range 8 {
			n.send(frame{payload: []byte("x"), opts: []byte{0x08}})
			time.Sleep(6 * time.Second)
		}
		if sent := len(b.air.frames()); sent > maxEchoes {
			t.Errorf("%d bare frames to end a sticky answer", sent)
		}
	})
}

func TestAnAnswerIsUnderstoodAfterAPowerCut(t *testing.T) {
	for _, when := range []string{"before the answer", "after the answer"} {
		t.Run(when, func(t *testing.T) {
			scenario(t, func(b *bench) {
				n := b.abpNode(1, nil)
				n.update(func(d *Device) { d.RX1Delay = 3 })
				n.ordered(frame{payload: []byte("x")})
				if when == "after the answer" {
					n.send(frame{payload: []byte("x"), opts: []byte{0x08}})
					time.Sleep(6 * time.Second)
				}
				b.restart(b.store.afterPowerCut())
				u := n.send(frame{payload: []byte("x"), confirmed: true, opts: []byte{0x08}})
				time.Sleep(6 * time.Second)
				if d := n.onlyDownlink(); d.At != u.At.Add(3*time.Second) {
					t.Errorf("answered after %v, want 3 s", d.At.Sub(u.At))
				}
			})
		})
	}
}

func TestNothingIsSentWhileTheNewWindowsAreNotOnTheDisk(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.exchange()
		n.update(func(d *Device) { d.RX1Delay = 3 })
		n.ordered(frame{payload: []byte("x")})
		b.air.clear()
		b.store.mu.Lock()
		b.store.putTime = 3100 * time.Millisecond // RX1 is over by then
		b.store.mu.Unlock()
		u := n.send(frame{payload: []byte("x"), confirmed: true, opts: []byte{0x08}})
		time.Sleep(6 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(4*time.Second) {
			t.Errorf("answered after %v, want RX2 at 4 s", d.At.Sub(u.At))
		}
	})
}

func TestHandsOffDevicesAreAskedForNothingButAStatus(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) {
			d.MAC, d.MaxDutyCycle, d.RX2DataRate = MACHandsOff, ptr(3), ptr(3)
			d.ADR = ADR{Mode: "static", DataRate: ptr(0)}
		})
		n.adr = true
		for range 3 {
			if o := n.ordered(frame{payload: []byte("x")}); len(o) > 0 {
				t.Errorf("FOpts % x", o)
			}
		}
		n.update(func(d *Device) { d.RX1Delay = 2 }) // what it has by itself
		b.answer(StatusRequest{Device: n.eui})
		b.air.clear()
		u := n.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); !slices.Equal(fopts(d), []byte{0x06}) || d.At != u.At.Add(2*time.Second) {
			t.Errorf("FOpts % x after %v", fopts(d), d.At.Sub(u.At))
		}
		b.restart(b.store.afterPowerCut())
		u = n.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(2*time.Second) {
			t.Errorf("after a restart %v after the uplink", d.At.Sub(u.At))
		}
	})
}

func TestAnABPDeviceThatBeginsAgainHasItsFactorySettings(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.update(func(d *Device) { d.RX1Delay = 3 })
		n.ordered(frame{payload: []byte("x")})
		n.send(frame{payload: []byte("x"), opts: []byte{0x08}})
		time.Sleep(6 * time.Second)
		n.up = 0
		b.air.clear()
		u := n.send(frame{payload: []byte("again"), confirmed: true})
		time.Sleep(6 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(time.Second) {
			t.Errorf("answered after %v, want 1 s", d.At.Sub(u.At))
		}
		if o := n.ordered(frame{payload: []byte("x")}); !slices.Equal(o, []byte{0x08, 3}) {
			t.Errorf("FOpts % x: it should be set up again", o)
		}
	})
}

func TestTheRecordedRadioSettingsAreChecked(t *testing.T) {
	for _, doc := range []string{``, `{`, `{"v":2}`, `{"v":1,"set":{"rx1":"a"}}`} {
		if _, err := decodeRadio([]byte(doc)); err == nil {
			t.Errorf("%q was taken", doc)
		}
	}
}

func TestReferenceADRDecidesAsPublished(t *testing.T) {
	r := mustRegion(t, "EU868")
	floor := func(dr int) radio.DB {
		m, err := r.DataRate(dr)
		if err != nil {
			t.Fatal(err)
		}
		return snrFloor(m.(radio.LoRa))
	}
	window := func(best radio.DB, step uint32) (out []ADRSample) {
		for i := range uint32(ADRWindow) {
			out = append(out, ADRSample{Counter: i * step, SNR: -19})
		}
		out[7].SNR = best
		return out
	}
	for _, c := range []struct {
		in   ADRInput
		want ADRDecision
	}{
		// SF12 needs -20 dB: 8.5 + 20 - 10 = 18.5 dB, six steps: five rates and one of power.
		{ADRInput{Samples: window(8.5, 1), DataRate: 0, MaxDataRate: 5, MaxTXPower: 7, NbTrans: 1}, ADRDecision{5, 1, 1}},
		{ADRInput{Samples: window(-11, 1), DataRate: 0, MaxDataRate: 5, MaxTXPower: 7, NbTrans: 1}, ADRDecision{0, 0, 1}},
		// SF7 needs -7.5 dB: -5 + 7.5 - 10 = -7.5 dB, two steps up with the power.
		{ADRInput{Samples: window(-5, 1), DataRate: 5, TXPower: 5, MaxDataRate: 5, MaxTXPower: 7, NbTrans: 1}, ADRDecision{5, 3, 1}},
		{ADRInput{Samples: window(30, 1), DataRate: 5, MaxDataRate: 5, MaxTXPower: 2, NbTrans: 3}, ADRDecision{5, 2, 2}},
		// Half of the frames are lost.
		{ADRInput{Samples: window(-11, 2), DataRate: 0, MaxDataRate: 5, MaxTXPower: 7, NbTrans: 1}, ADRDecision{0, 0, 3}},
	} {
		c.in.Floor, c.in.Margin = floor, 10
		if got := ReferenceADR(c.in); got != c.want {
			t.Errorf("DR%d: %+v, want %+v", c.in.DataRate, got, c.want)
		}
	}
}
