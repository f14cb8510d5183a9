package nsedge

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio"
)

var farEUI = radio.EUI64{0, 0x16, 0xc0, 1, 0xf1, 0x50, 0, 2}

// severalGateways runs f with an edge of two gateways, whose counters have
// nothing to do with each other.
func severalGateways(t *testing.T, f func(b *bench, far *fakeAir)) {
	t.Helper()
	var far *fakeAir
	scenarioOn(t, func(_ *bench) {
		far = newAir()
		far.zero = far.zero.Add(-77 * time.Second)
	}, func(cfg *Config) {
		cfg.Others = []Gateway{{EUI: farEUI, Air: far}}
	}, func(b *bench) { f(b, far) })
}

// heardFar lets the other gateway hear what the local one did.
func heardFar(far *fakeAir, u radio.Uplink, rssi radio.DBm) radio.Uplink {
	u.Gateway, u.RSSI, u.At = radio.EUI64{}, rssi, far.instant(u.Time)
	far.up <- u
	synctest.Wait()
	return u
}

func TestTheGatewayThatHearsADeviceBestAnswersIt(t *testing.T) {
	for _, c := range []struct {
		name string
		rssi radio.DBm // of the far one; -60 is the local one's
		far  bool
	}{{"the far one", -50, true}, {"the local one", -70, false}} {
		t.Run(c.name, func(t *testing.T) {
			severalGateways(t, func(b *bench, far *fakeAir) {
				n := b.abpNode(1, nil)
				u := n.send(frame{payload: []byte("x")})
				v := heardFar(far, u, c.rssi)
				best, other, at, eui := b.air, far, u.At, gatewayEUI
				if c.far {
					best, other, at, eui = far, b.air, v.At, farEUI
				}
				b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
				time.Sleep(4 * time.Second)
				if fs := best.frames(); len(fs) != 1 || len(other.frames()) != 0 || fs[0].At != at.Add(time.Second) || string(n.decode(fs[0]).payload) != "y" {
					t.Fatalf("sent %v and %v", best.frames(), other.frames())
				}
				evs := b.take()
				if ev := one[*DownlinkEvent](t, evs); ev.Gateway != eui {
					t.Errorf("the event names gateway %v", ev.Gateway)
				}
				ups := all[*UplinkEvent](evs)
				if len(ups) != 2 || ups[0].Duplicate || !ups[1].Duplicate || ups[1].Gateway != farEUI || ups[1].Radio.RSSI != c.rssi || ups[1].PacketHash != ups[0].PacketHash {
					t.Errorf("uplinks %+v", ups)
				}
				if len(all[*DownlinkRequest](evs)) != 1 {
					t.Error("not one downlink_request")
				}
			})
		})
	}
}

// A gateway can't send for whatever reason: the next best one does, in the
// same window.
func TestABusyGatewayLeavesTheWindowToTheNextOne(t *testing.T) {
	for _, why := range []error{radio.ErrCollision, radio.ErrTooLate, radio.ErrStopped, radio.ErrFrequency} {
		t.Run(why.Error(), func(t *testing.T) {
			severalGateways(t, func(b *bench, far *fakeAir) {
				n := b.abpNode(1, nil)
				far.refuse = func(radio.Downlink) error { return why }
				u := n.send(frame{payload: []byte("x"), confirmed: true})
				heardFar(far, u, -50)
				b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
				time.Sleep(4 * time.Second)
				if d := n.onlyDownlink(); d.At != u.At.Add(time.Second) || !d.mac.FHDR.FCtrl.ACK || string(d.payload) != "y" {
					t.Errorf("%v after the uplink: %+v", d.At.Sub(u.At), d.mac.FHDR)
				}
				if ev := one[*DownlinkEvent](t, b.take()); ev.Gateway != gatewayEUI {
					t.Errorf("the event names gateway %v", ev.Gateway)
				}
				// Both refuse: the AS is told of both.
				b.air.refuse = far.refuse
				heardFar(far, n.send(frame{payload: []byte("x")}), -50)
				err := b.edge.Answer(b.Context(), DownlinkResponse{Device: n.eui, Payload: []byte("y")})
				if err == nil || !errors.Is(why, radio.ErrTooLate) && strings.Count(err.Error(), why.Error()) != 4 {
					t.Errorf("refused with %v", err)
				}
			})
		})
	}
}

func TestEachGatewayHasItsOwnDutyCycle(t *testing.T) {
	severalGateways(t, func(b *bench, far *fakeAir) {
		n := b.abpNode(1, nil)
		n.sf = 12 // RX1 at 1 %: 36 s an hour
		send := func() {
			heardFar(far, n.send(frame{payload: []byte("x")}), -50)
			if err := b.edge.Answer(b.Context(), DownlinkResponse{Device: n.eui, Payload: make([]byte, 51)}); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Second)
		}
		for range 40 {
			send()
		}
		rx1 := func(a *fakeAir) (count int) {
			for _, d := range a.frames() {
				if d.Freq == n.freq {
					count++
				}
			}
			return count
		}
		if local, other := rx1(b.air), rx1(far); local != 12 || other != 12 || len(b.air.frames())+len(far.frames()) != 40 {
			t.Errorf("%d and %d sent in RX1, of %d", local, other, len(b.air.frames())+len(far.frames()))
		}
		x, err := b.edge.Explain(b.Context(), n.eui)
		b.must(err)
		used := map[radio.EUI64]bool{}
		for _, u := range x.Duty {
			if u.Used > u.Allowed {
				t.Errorf("%+v", u)
			}
			used[u.Gateway] = used[u.Gateway] || u.Used > 0
		}
		if !used[gatewayEUI] || !used[farEUI] {
			t.Errorf("used by %v", used)
		}
		// The ledgers outlast a restart, each its own.
		b.must(b.edge.do(b.Context(), func() {
			b.must(b.edge.putDuty(b.edge.dutyRecords(dutyWhole)))
			for _, g := range b.edge.gateways {
				g.ledger = newLedger(b.edge.cfg.Region.SubBands())
			}
			b.must(b.edge.loadDuty())
		}))
		after, err := b.edge.Duty(b.Context())
		b.must(err)
		for i, u := range after {
			if u.Gateway != x.Duty[i].Gateway || u.Used < x.Duty[i].Used || u.Used > x.Duty[i].Used+50*time.Millisecond {
				t.Errorf("%+v, was %+v", u, x.Duty[i])
			}
		}
	})
}

func TestAnExplanationNamesTheGateways(t *testing.T) {
	severalGateways(t, func(b *bench, far *fakeAir) {
		n := b.abpNode(1, nil)
		heardFar(far, n.send(frame{payload: []byte("x")}), -50)
		x, err := b.edge.Explain(b.Context(), n.eui)
		b.must(err)
		if len(x.Windows) != 4 || x.Windows[0].Gateway != farEUI || x.Windows[1].Gateway != gatewayEUI || x.Windows[1].Name != "RX1" || x.Windows[2].Name != "RX2" {
			t.Fatalf("windows %+v", x.Windows)
		}
		if !strings.HasPrefix(x.Summary, "RX1 by gateway "+farEUI.String()+" at ") {
			t.Errorf("summary %q", x.Summary)
		}
		close(far.up)
		synctest.Wait()
		if x, err = b.edge.Explain(b.Context(), n.eui); err != nil || x.Windows[0].Why != errGone.Error() || !strings.HasPrefix(x.Summary, "RX1 by gateway "+gatewayEUI.String()) {
			t.Errorf("%v: %q, %+v", err, x.Summary, x.Windows)
		}
	})
}

// What stands by in one gateway is replaced there, not sent by another as
// well.
func TestAnAnswerTakesThePlaceOfTheAcknowledgementInItsGateway(t *testing.T) {
	severalGateways(t, func(b *bench, far *fakeAir) {
		n := b.abpNode(1, nil)
		u := n.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(950 * time.Millisecond) // the local one has the ACK
		heardFar(far, u, -50)
		b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); len(far.frames()) != 0 || string(d.payload) != "y" || !d.mac.FHDR.FCtrl.ACK || d.At != u.At.Add(time.Second) {
			t.Errorf("%q, and %d by the far one", d.payload, len(far.frames()))
		}
	})
}

// A frame that one gateway reports as not sent goes out by another, the same
// bytes; RX1 still if there is time.
func TestAnotherGatewaySendsWhatOneFailedToSend(t *testing.T) {
	severalGateways(t, func(b *bench, far *fakeAir) {
		n := b.abpNode(1, nil)
		far.fail = func(radio.Downlink) error { return radio.ErrStopped }
		u := n.send(frame{payload: []byte("x")})
		heardFar(far, u, -50)
		b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
		b.must(b.edge.do(b.Context(), func() {})) // scheduled
		far.reports <- radio.Report{ID: b.edge.lastID, Err: radio.ErrStopped}
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(time.Second) || d.mac.FHDR.FCnt != 0 {
			t.Errorf("%v after the uplink, counter %d", d.At.Sub(u.At), d.mac.FHDR.FCnt)
		}
		evs := b.take()
		if m := wantNotice(t, evs, Error, CodeDownlinkFailed); !strings.Contains(m.Message, "by gateway "+farEUI.String()) || !strings.Contains(m.Message, "sent in RX1 by gateway "+gatewayEUI.String()) {
			t.Errorf("%q", m.Message)
		}
		one[*DownlinkEvent](t, evs)
	})
}

func TestAGatewayThatGoesIsNotAskedAnyMore(t *testing.T) {
	for _, c := range []string{"the far one", "the local one"} {
		t.Run(c, func(t *testing.T) {
			severalGateways(t, func(b *bench, far *fakeAir) {
				n := b.abpNode(1, nil)
				dying, other, eui, rssi := far, b.air, farEUI, radio.DBm(-50)
				if c == "the local one" {
					dying, other, eui, rssi = b.air, far, gatewayEUI, -70
				}
				// One frame is in it, whose fate nobody tells: it is not sent twice.
				heardFar(far, n.send(frame{payload: []byte("x")}), rssi)
				b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
				close(dying.up)
				time.Sleep(900 * time.Millisecond)
				if m := wantNotice(t, b.take(), Error, CodeDownlinkFailed); m.Gateway != eui {
					t.Errorf("gateway %v", m.Gateway)
				}
				time.Sleep(3 * time.Second)
				if len(dying.frames()) != 1 || len(other.frames()) != 0 {
					t.Fatalf("%d and %d sent", len(dying.frames()), len(other.frames()))
				}
				r := b.refused(Claim{Device: n.eui, Gateway: &eui}, CodeGatewayNotLive)
				if !strings.Contains(r.Message, "is live") && !strings.Contains(r.Message, " is: ") {
					t.Errorf("%q", r.Message)
				}
				// The other one serves on.
				u := n.uplink(n.encode(frame{payload: []byte("z"), confirmed: true}))
				if other == far {
					heardFar(far, u, rssi)
				} else {
					b.air.up <- u
				}
				time.Sleep(4 * time.Second)
				if fs := other.frames(); len(fs) != 1 || !n.decode(fs[0]).mac.FHDR.FCtrl.ACK {
					t.Errorf("%d sent", len(fs))
				}
			})
		})
	}
}

func TestTheEdgeEndsWithItsLastGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, air := newAir(), newAir()
		cfg := testConfig(t, newStore())
		cfg.Others = []Gateway{{EUI: farEUI, Air: far}}
		e, err := New(cfg, air, func(Event) {})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- e.Run(t.Context()) }()
		close(air.reports)
		synctest.Wait()
		if len(done) != 0 {
			t.Fatalf("Run ended with one gateway left: %v", <-done)
		}
		close(far.up)
		if err := <-done; err == nil || errors.Is(err, t.Context().Err()) || !strings.Contains(err.Error(), "closed") {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestAClaimMayInsistOnAGateway(t *testing.T) {
	severalGateways(t, func(b *bench, far *fakeAir) {
		n := b.abpNode(1, nil)
		c := b.abpNode(2, func(d *Device) { d.Class = "C" })
		for _, x := range []*node{n, c} {
			heardFar(far, x.send(frame{payload: []byte("x")}), -70) // the local one is the better one
		}
		time.Sleep(4 * time.Second)
		b.take()
		b.refused(Claim{Device: n.eui, Gateway: &radio.EUI64{9}}, CodeGatewayNotLive)
		// Class A: the window of the next uplink, and only there.
		b.answer(Claim{Device: n.eui, Gateway: &farEUI})
		req := one[*DownlinkRequest](t, b.take())
		if req.Gateway != farEUI {
			t.Errorf("the request is about %v", req.Gateway)
		}
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("a")})
		heardFar(far, n.send(frame{payload: []byte("x")}), -70)
		time.Sleep(4 * time.Second)
		if len(b.air.frames()) != 0 || len(far.frames()) != 1 || string(n.decode(far.frames()[0]).payload) != "a" {
			t.Fatalf("%d sent by the local one, %d by the far one", len(b.air.frames()), len(far.frames()))
		}
		b.take()
		b.answer(Claim{Device: n.eui, Gateway: &farEUI})
		b.answer(DownlinkResponse{PacketHash: one[*DownlinkRequest](t, b.take()).PacketHash, Payload: []byte("b")})
		n.send(frame{payload: []byte("x")}) // the far one does not hear it
		time.Sleep(4 * time.Second)
		if m := wantNotice(t, b.take(), Error, CodeDownlinkFailed); len(b.air.frames()) != 0 || !strings.Contains(m.Message, "insisted") {
			t.Errorf("%d sent, %q", len(b.air.frames()), m.Message)
		}
		// Class C: at once.
		for i, eui := range []*radio.EUI64{nil, &gatewayEUI, &farEUI} {
			b.air.clear()
			far.clear()
			b.answer(Claim{Device: c.eui, Gateway: eui})
			req := one[*DownlinkRequest](t, b.take())
			b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("c")})
			time.Sleep(4 * time.Second)
			sent, want := len(far.frames()), 0
			if eui == &farEUI {
				want = 1
			}
			if sent != want || len(b.air.frames())+sent != 1 || eui != nil && req.Gateway != *eui {
				t.Errorf("%d: %d sent by the far one of %d", i, sent, len(b.air.frames())+sent)
			}
			b.take()
		}
	})
}

func TestAClassCDownlinkFindsAFreeGateway(t *testing.T) {
	severalGateways(t, func(b *bench, far *fakeAir) {
		n := b.abpNode(1, func(d *Device) { d.Class = "C" })
		heardFar(far, n.send(frame{payload: []byte("x")}), -50)
		time.Sleep(4 * time.Second)
		far.refuse = func(radio.Downlink) error { return radio.ErrCollision }
		b.take()
		b.answer(Claim{Device: n.eui})
		req := one[*DownlinkRequest](t, b.take())
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("c")})
		time.Sleep(time.Second)
		if d := n.onlyDownlink(); req.Gateway != farEUI || string(d.payload) != "c" {
			t.Errorf("%q, first thought of %v", d.payload, req.Gateway)
		}
	})
}

func TestJoinsGoByTheBestGatewayToo(t *testing.T) {
	severalGateways(t, func(b *bench, far *fakeAir) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		u := n.uplink(n.joinRequest())
		b.air.up <- u
		v := heardFar(far, u, -50)
		time.Sleep(7 * time.Second)
		if fs := far.frames(); len(fs) != 1 || len(b.air.frames()) != 0 || fs[0].At != v.At.Add(5*time.Second) {
			t.Fatalf("%d and %d sent", len(fs), len(b.air.frames()))
		}
		n.accept(far.frames()[0].Payload)
	})
}

func TestGatewaysAreCheckedWhenTheEdgeIsMade(t *testing.T) {
	for want, others := range map[string][]Gateway{
		"has no Air":   {{EUI: farEUI}},
		"two gateways": {{EUI: gatewayEUI, Air: newAir()}},
		"needs an EUI": {{Air: newAir()}},
	} {
		cfg := testConfig(t, newStore())
		cfg.Others = others
		if _, err := New(cfg, newAir(), func(Event) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestEquallyGoodGatewaysGoByTheirLead(t *testing.T) {
	e := &Edge{cfg: Config{Gateway: gatewayEUI}}
	slow, quick := &slowAir{lead: 50 * time.Millisecond}, &slowAir{lead: time.Millisecond}
	e.gateways = []*gateway{{Gateway: Gateway{EUI: gatewayEUI, Air: slow}}, {Gateway: Gateway{EUI: farEUI, Air: quick}}}
	for _, c := range []struct {
		rssi radio.DBm
		snr  radio.DB
		best radio.EUI64
	}{{-62, 5, farEUI}, {-64, 5, gatewayEUI}, {-60, -10, gatewayEUI}, {-50, 5, farEUI}} {
		w := &window{up: radio.Uplink{Gateway: gatewayEUI, RSSI: -60, SNR: 5}}
		w.slots[1].mod = radio.LoRa{SF: 12, Bandwidth: 125_000}
		e.addCopy(w, &radio.Uplink{Gateway: farEUI, RSSI: c.rssi, SNR: c.snr})
		if w.copies[0].Gateway != c.best {
			t.Errorf("%+v: %v", c, w.copies[0].Gateway)
		}
	}
}

// slowAir has a lead, and nothing else.
type slowAir struct {
	Air
	lead time.Duration
}

func (a *slowAir) Lead(radio.Downlink) time.Duration { return a.lead }
