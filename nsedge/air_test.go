package nsedge

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatewayd/radio"
)

func TestADownlinkThatFailsInRX1IsSentInRX2(t *testing.T) {
	scenario(t, func(b *bench) {
		b.air.fail = func(d radio.Downlink) error {
			if d.Freq == 868_100_000 {
				return radio.ErrTooLate
			}
			return nil
		}
		n := b.abpNode(1, nil)
		u := n.send(frame{payload: []byte("x")})
		b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		d := n.onlyDownlink()
		if d.At != u.At.Add(2*time.Second) || d.mac.FHDR.FCnt != 0 {
			t.Errorf("downlink %v after the uplink, counter %d", d.At.Sub(u.At), d.mac.FHDR.FCnt)
		}
		evs := b.take()
		m := wantNotice(t, evs, Error, CodeDownlinkFailed)
		if m.Timing == nil || m.Timing.Late != "chip" || m.Timing.Window != "RX1" {
			t.Errorf("timing %+v", m.Timing)
		}
		if ev := one[*DownlinkEvent](t, evs); ev.Timing.Window != "RX2" {
			t.Errorf("event %+v", ev)
		}
	})
}

func TestADownlinkThatFailsInBothWindowsIsAnErrorAndItsCounterIsNotUsedAgain(t *testing.T) {
	scenario(t, func(b *bench) {
		b.air.fail = func(radio.Downlink) error { return radio.ErrStopped }
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		evs := b.take()
		if fails := all[*Notice](evs); len(all[*DownlinkEvent](evs)) > 0 || notice(evs, CodeDownlinkFailed) == nil {
			t.Errorf("events:%s", describe(evs))
		} else if last := fails[len(fails)-1]; last.Timing == nil || last.Timing.Window != "RX2" {
			t.Errorf("last notice %+v", last)
		}
		b.air.fail = nil
		if c := n.exchange(); c != 1 {
			t.Errorf("counter %d", c)
		}
	})
}

func TestATransmitterThatRefusesBothWindowsIsTold(t *testing.T) {
	scenario(t, func(b *bench) {
		b.air.refuse = func(radio.Downlink) error { return radio.ErrCollision }
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		r := b.refused(DownlinkResponse{Device: n.eui, Payload: []byte("y")}, CodeDownlinkFailed)
		if !strings.Contains(r.Message, "collides") {
			t.Errorf("message %q", r.Message)
		}
		n.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(4 * time.Second)
		wantNotice(t, b.take(), Error, CodeDownlinkFailed) // the ACK could not go out
	})
}

func TestATransmitterThatPlansShortlyAheadIsAskedAgain(t *testing.T) {
	scenario(t, func(b *bench) {
		b.air.refuse = func(d radio.Downlink) error {
			if time.Until(b.air.moment(d.At)) > 100*time.Millisecond {
				return radio.ErrTooEarly
			}
			return nil
		}
		n := b.abpNode(1, nil)
		u := n.send(frame{payload: []byte("x")})
		b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(time.Second) {
			t.Errorf("downlink %v after the uplink", d.At.Sub(u.At))
		}
		otaa := newNode(b, 2)
		b.register(otaa.otaa(KeysAtNS))
		u = otaa.hear(otaa.joinRequest())
		time.Sleep(7 * time.Second)
		if d := b.air.frames()[0]; d.At != u.At.Add(5*time.Second) {
			t.Errorf("join-accept %v after the request", d.At.Sub(u.At))
		}
	})
}

func TestTheBetterCopyOfAJoinRequestIsAnswered(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		ghost := n.uplink(n.joinRequest())
		real := ghost
		ghost.Freq, ghost.SNR = 867_900_000, -10
		b.air.up <- ghost
		time.Sleep(5 * time.Millisecond)
		b.air.up <- real
		time.Sleep(7 * time.Second)
		if fs := b.air.frames(); len(fs) != 1 || fs[0].Freq != real.Freq || fs[0].At != real.At.Add(5*time.Second) {
			t.Errorf("answered with %+v", fs)
		}
		evs := b.take()
		wantNotice(t, evs, Warning, CodeTooClose)
		wantNotice(t, evs, Info, CodeJoinDuplicate)
	})
}

func TestTheDutyCycleIsKeptOverAnyHour(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.sf = 12
		total := map[radio.Hertz]time.Duration{}
		refused := 0
		start := time.Now()
		for time.Since(start) < 58*time.Minute {
			n.send(frame{payload: []byte("x")})
			err := b.edge.Answer(b.Context(), DownlinkResponse{Device: n.eui, Payload: make([]byte, 40)})
			var r *Refusal
			if errors.As(err, &r) {
				if refused++; r.Code != CodeDownlinkDutyCycle || !strings.Contains(r.Message, "free at 2000-01-01T01:0") {
					t.Fatalf("refused with %v", r)
				}
			}
			time.Sleep(5 * time.Second)
		}
		for _, d := range b.air.frames() {
			total[d.Freq] += d.Mod.Airtime(len(d.Payload))
		}
		// EN 300 220-2, annex B: M 1 %, P 10 % of an hour.
		if m := total[868_100_000]; m > 36*time.Second || m < 33*time.Second {
			t.Errorf("%v in sub-band M, 36 s are allowed", m)
		}
		if p := total[869_525_000]; p > 360*time.Second || p < 350*time.Second {
			t.Errorf("%v in sub-band P, 360 s are allowed", p)
		}
		if refused == 0 {
			t.Error("nothing was refused")
		}
		time.Sleep(time.Hour)
		b.take()
		b.air.clear()
		n.exchange()
	})
}

func TestALabMayIgnoreTheDutyCycle(t *testing.T) {
	scenarioWith(t, func(c *Config) { c.IgnoreDutyCycle = true }, func(b *bench) {
		n := b.abpNode(1, nil)
		n.sf = 12
		for range 40 {
			n.send(frame{payload: []byte("x")})
			b.answer(DownlinkResponse{Device: n.eui, Payload: make([]byte, 40)})
			time.Sleep(5 * time.Second)
		}
		for _, d := range b.air.frames() {
			if d.Freq != 868_100_000 {
				t.Fatalf("sent on %d Hz", d.Freq)
			}
		}
	})
}

func TestThePowerIsTheRegionsLessTheAntennasGain(t *testing.T) {
	scenarioWith(t, func(c *Config) { c.AntennaGain = 2.5 }, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(3 * time.Second)
		eirp, _ := mustRegion(t, "EU868").EIRP(868_100_000)
		if d := n.onlyDownlink(); d.Power != eirp-2.5 {
			t.Errorf("%v dBm", d.Power)
		}
	})
}

func TestRX2ForceLeavesRX1Out(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.RX2Force = true })
		u := n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		if !req.TXTime.Equal(u.Time.Add(2*time.Second)) || req.MaxSize > 59 {
			t.Errorf("request %+v", req)
		}
		b.answer(DownlinkResponse{Device: n.eui, Payload: []byte("y")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); d.At != u.At.Add(2*time.Second) {
			t.Errorf("downlink %v after the uplink", d.At.Sub(u.At))
		}
	})
}

func TestAClaimIsAnsweredAtOnceAndSentAfterTheNextUplink(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		b.answer(Claim{Device: n.eui})
		req := one[*DownlinkRequest](t, b.take())
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("y")})
		if len(b.air.frames()) > 0 {
			t.Error("sent without a window")
		}
		time.Sleep(time.Hour)
		u := n.send(frame{payload: []byte("x")})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); string(d.payload) != "y" || d.At != u.At.Add(time.Second) {
			t.Errorf("downlink %+v", d)
		}
		otaa := newNode(b, 2)
		b.register(otaa.otaa(KeysAtNS))
		b.refused(Claim{Device: otaa.eui}, CodeDownlinkNoWindow)
		b.refused(StatusRequest{Device: otaa.eui}, CodeDownlinkNoWindow)
		b.refused(Claim{Device: n.eui, Gateway: &otaa.eui}, CodeGatewayNotLive)
	})
}

func TestSeveralOpenRequestsNeedAPacketHash(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		b.answer(Claim{Device: n.eui})
		n.send(frame{payload: []byte("x")})
		b.refused(DownlinkResponse{Device: n.eui, Payload: []byte("y")}, CodeDownlinkAmbiguous)
	})
}

func TestAStoppedAirEndsRun(t *testing.T) {
	for _, which := range []string{"uplinks", "reports"} {
		a := newAir()
		e, err := New(testConfig(t, newStore()), a, func(Event) {})
		if err != nil {
			t.Fatal(err)
		}
		if which == "uplinks" {
			close(a.up)
		} else {
			close(a.reports)
		}
		if err := e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), which) {
			t.Errorf("Run: %v", err)
		}
	}
}
