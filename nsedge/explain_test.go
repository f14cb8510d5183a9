package nsedge

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gatewayd/radio"
)

func (b *bench) explain(n *node) Explanation {
	b.Helper()
	x, err := b.edge.Explain(b.Context(), n.eui)
	b.must(err)
	return x
}

func TestAJoinAcceptAndAnAcknowledgementGoBeforeData(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(n *node)
	}{
		{"acknowledgement", func(n *node) { n.send(frame{payload: []byte("c"), confirmed: true}) }},
		{"join-accept", func(n *node) { n.hear(n.joinRequest()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			scenario(t, func(b *bench) {
				first, second := newNode(b, 1), newNode(b, 2)
				d2 := second.abp()
				if c.name == "join-accept" {
					b.register(first.otaa(KeysAtNS))
					d2.RX1Delay = 5 // RX1 is when that of a join is
				} else {
					b.register(first.abp())
				}
				b.register(d2)
				second.send(frame{payload: []byte("x")})
				req := one[*DownlinkRequest](t, b.take())
				b.store.putTime = time.Second // the join is not recorded yet
				c.first(first)
				b.take()
				x := b.explain(second)
				if x.Windows[0].Why == "" || !strings.Contains(x.Windows[0].Why, c.name) || x.Windows[1].Why != "" {
					t.Errorf("explanation %+v", x)
				}
				b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("data")})
				time.Sleep(8 * time.Second)
				fs := b.air.frames()
				if len(fs) != 2 {
					t.Fatalf("%d frames, want 2", len(fs))
				}
				// In RX2 of the second, as the first has its RX1.
				slices.SortFunc(fs, func(a, b radio.Downlink) int { return int(a.At - b.At) })
				if fs[1].Freq != 869_525_000 || string(second.decode(fs[1]).payload) != "data" {
					t.Errorf("the data went out on %d Hz", fs[1].Freq)
				}
			})
		})
	}
}

func TestWhatTheAirHasTakenIsNotTakenBack(t *testing.T) {
	scenario(t, func(b *bench) {
		first, second := b.abpNode(1, nil), b.abpNode(2, nil)
		first.send(frame{payload: []byte("x")})
		b.answer(DownlinkResponse{PacketHash: one[*DownlinkRequest](t, b.take()).PacketHash, Payload: []byte("data")})
		b.air.refuse = func(d radio.Downlink) error { // as the driver does
			for _, o := range b.air.sent {
				if d.At < o.At.Add(o.Mod.Airtime(len(o.Payload))) && o.At < d.At.Add(d.Mod.Airtime(len(d.Payload))) {
					return radio.ErrCollision
				}
			}
			return nil
		}
		u := second.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(5 * time.Second)
		fs := b.air.frames()
		if len(fs) != 2 || string(first.decode(fs[0]).payload) != "data" || fs[1].At != u.At.Add(2*time.Second) {
			t.Errorf("frames %+v", fs)
		}
	})
}

func TestTheDutyLedgerOutlastsRestarts(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, func(d *Device) { d.RX2Force = true }) // sub-band P: 10 %
		n.sf = 12
		sent := 0
		for range 400 {
			n.send(frame{payload: []byte("x"), confirmed: true})
			time.Sleep(4 * time.Second)
			if sent = len(b.air.frames()); len(all[*DownlinkEvent](b.take())) == 0 {
				break // used up
			}
		}
		if sent < 200 {
			t.Fatalf("only %d frames went out", sent)
		}
		x := b.explain(n)
		for range 3 {
			b.restart(b.store.afterPowerCut())
			for range 3 {
				n.send(frame{payload: []byte("x"), confirmed: true})
				time.Sleep(4 * time.Second)
			}
			if fs := b.air.frames(); len(fs) > 0 {
				t.Fatalf("%d frames more after a restart: %v used before", len(fs), x.Duty)
			}
		}
		used := b.explain(n)
		i := slices.IndexFunc(used.Duty, func(d DutyUse) bool { return d.Band == "P" })
		if d := used.Duty[i]; d.Used < 350*time.Second || d.Allowed != 360*time.Second || d.FreeAt.Before(used.Now) {
			t.Errorf("sub-band P: %+v", d)
		}
		time.Sleep(dutyPeriod + dutyBin)
		n.send(frame{payload: []byte("x"), confirmed: true})
		time.Sleep(4 * time.Second)
		if len(b.air.frames()) != 1 {
			t.Error("an hour later there is still no room")
		}
	})
}

func TestItIsExplainedWhyNothingCanBeSentNow(t *testing.T) {
	scenario(t, func(b *bench) {
		joiner := newNode(b, 5)
		b.register(joiner.otaa(KeysAtNS))
		if x := b.explain(joiner); !strings.Contains(x.Summary, "join") {
			t.Errorf("not joined: %q", x.Summary)
		}
		n := b.abpNode(1, func(d *Device) { d.MaxDutyCycle = ptr(2) })
		if x := b.explain(n); !strings.Contains(x.Summary, "listens only after its uplinks") || len(x.Duty) != 6 {
			t.Errorf("silent: %q, %d sub-bands", x.Summary, len(x.Duty))
		}
		u := n.send(frame{payload: []byte("x")})
		x := b.explain(n)
		if len(x.Windows) != 2 || x.Windows[0].Why != "" || !x.Windows[0].Start.Equal(u.Time.Add(time.Second)) || !strings.Contains(x.Summary, "RX1") {
			t.Errorf("open: %+v", x)
		}
		if len(x.Asked) != 1 || !strings.HasPrefix(x.Asked[0], "DutyCycleReq") {
			t.Errorf("asked: %q", x.Asked)
		}
		time.Sleep(4 * time.Second)
		if x := b.explain(n); !strings.Contains(x.Summary, "went out") {
			t.Errorf("sent: %q", x.Summary)
		}
		for range 4 {
			n.send(frame{payload: []byte("x")})
			time.Sleep(4 * time.Second)
		}
		if x := b.explain(n); len(x.Resting) != 1 || !strings.HasPrefix(x.Resting[0], "DutyCycleReq") {
			t.Errorf("resting: %q", x.Resting)
		}
		c := b.classC(3)
		if x := b.explain(c); len(x.Windows) != 1 || x.Windows[0].Name != "ClassC" || x.Windows[0].Why != "" {
			t.Errorf("class C: %+v", x)
		}
		b.answer(DownlinkResponse{PacketHash: c.claim().PacketHash, Payload: []byte("x"), Confirmed: true})
		time.Sleep(3 * time.Second)
		if x := b.explain(c); x.Windows[0].FreeAt.Before(time.Now().Add(6*time.Second)) || x.Windows[0].Why == "" {
			t.Errorf("class C that should acknowledge: %+v", x)
		}
		blocked := b.abpNode(4, func(d *Device) { d.BlockDownlink = true })
		if x := b.explain(blocked); !strings.Contains(x.Summary, "block_downlink") {
			t.Errorf("blocked: %q", x.Summary)
		}
		if _, err := b.edge.Explain(b.Context(), n.app); !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("unknown: %v", err)
		}
	})
}

func FuzzRadioSettings(f *testing.F) {
	f.Add([]byte(`{"v":1,"gen":1,"set":{"rx1":3,"rx2":-1,"dr":-1},"open":[{"cid":8,"bytes":"CAM="}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := decodeRadio(raw)
		if err != nil {
			return
		}
		s := &session{dev: &device{spec: &Device{}}}
		s.adoptRadio(doc)
		if _, err := s.encodeRadio(); err != nil {
			t.Error(err)
		}
	})
}
