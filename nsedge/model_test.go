package nsedge

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"gatewayd/radio"
)

// model is what the specification allows: each uplink counter is delivered
// once, each downlink counter is used once, and at most one downlink follows
// an uplink, at the start of RX1 or RX2.
type model struct {
	b *bench
	n *node

	history   [][]byte       // frames sent
	heard     []radio.Uplink // by the present edge
	answered  map[radio.Instant]bool
	open      *DownlinkRequest
	lastUp    int64 // delivered
	lastDown  int64
	delivered int
	sent      int
	onAir     []emission // of all times, to account the duty cycle
}

// observe compares what happened with the model.
func (m *model) observe(t *rapid.T) {
	for _, ev := range m.b.take() {
		switch ev := ev.(type) {
		case *UplinkEvent:
			if ev.Duplicate {
				continue
			}
			if int64(ev.Counter) <= m.lastUp {
				t.Fatalf("uplink %d delivered after %d", ev.Counter, m.lastUp)
			}
			m.lastUp = int64(ev.Counter)
			m.delivered++
		case *DownlinkRequest:
			m.open = ev
		}
	}
	for _, d := range m.b.air.frames() {
		f := m.n.decode(d)
		if c := int64(f.mac.FHDR.FCnt); c <= m.lastDown {
			t.Fatalf("downlink counter %d after %d", c, m.lastDown)
		}
		m.lastDown = int64(f.mac.FHDR.FCnt)
		m.sent++
		m.onAir = append(m.onAir, emission{m.b.air.moment(d.At), d.Freq, d.Mod.Airtime(len(d.Payload))})
		m.inWindow(t, d)
	}
	m.b.air.clear()
}

// emission is a frame on the air; instants begin anew with each life.
type emission struct {
	at   time.Time
	freq radio.Hertz
	took time.Duration
}

// inEveryHour wants no hour with more than its share of it on the air, by EN
// 300 220-2, annex B: 36 s from 868.0 to 868.6 MHz, 360 s around 869.525 MHz.
// It counts anew, from what was on the air.
func inEveryHour(t interface {
	Fatalf(format string, args ...any)
}, onAir []emission) {
	for i, first := range onAir {
		spent := time.Duration(0)
		for _, d := range onAir[i:] {
			if d.freq/1_000_000 == first.freq/1_000_000 && d.at.Sub(first.at) < time.Hour {
				spent += d.took
			}
		}
		limit := 36 * time.Second
		if first.freq == 869_525_000 {
			limit = 360 * time.Second
		}
		if spent > limit {
			t.Fatalf("%v on the air within an hour of %d Hz, %v are allowed", spent, first.freq, limit)
		}
	}
}

// rush is a device at the edge of the cell that is answered as often as it
// may be: the duty cycle is used up by that.
func (m *model) rush(t *rapid.T) {
	sf := m.n.sf
	m.n.sf = 12
	for range rapid.IntRange(1, 30).Draw(t, "uplinks") {
		time.Sleep(2 * time.Second)
		m.uplink(t)
		m.observe(t)
		m.answer(t)
		time.Sleep(4 * time.Second)
		m.observe(t)
	}
	m.n.sf = sf
}

func (m *model) inWindow(t *rapid.T, d radio.Downlink) {
	taken := false
	for _, u := range m.heard {
		after := d.At.Sub(u.At)
		rx1 := after == time.Second && d.Freq == u.Freq
		rx2 := after == 2*time.Second && d.Freq == 869_525_000
		if !rx1 && !rx2 {
			continue
		}
		if taken = m.answered[u.At]; taken {
			continue
		}
		m.answered[u.At] = true
		return
	}
	if taken {
		t.Fatalf("a second downlink after an uplink, at %d", d.At)
	}
	t.Fatalf("a downlink at %d on %d Hz, outside of all windows", d.At, d.Freq)
}

func (m *model) hear(phy []byte) {
	time.Sleep(46 * time.Millisecond) // its time on air
	m.heard = append(m.heard, m.n.hear(phy))
}

func (m *model) uplink(t *rapid.T) {
	m.n.freq = rapid.SampledFrom([]radio.Hertz{868_100_000, 868_300_000, 868_500_000}).Draw(t, "channel")
	phy := m.n.encode(frame{payload: []byte("x"), confirmed: rapid.Bool().Draw(t, "confirmed"), adrAckReq: rapid.Bool().Draw(t, "adrAckReq")})
	m.history = append(m.history, phy)
	m.hear(phy)
}

func (m *model) lostUplink(*rapid.T) {
	m.history = append(m.history, m.n.encode(frame{payload: []byte("lost")}))
}

func (m *model) again(t *rapid.T) {
	if len(m.history) > 0 {
		m.hear(m.history[len(m.history)-1-rapid.IntRange(0, min(3, len(m.history)-1)).Draw(t, "back")])
	}
}

func (m *model) answer(t *rapid.T) {
	if m.open == nil {
		return
	}
	a := DownlinkResponse{
		PacketHash: m.open.PacketHash, Payload: make([]byte, rapid.IntRange(0, 60).Draw(t, "size")), HasPayload: true,
		Confirmed: rapid.Bool().Draw(t, "confirmed"), QueueIfLate: rapid.Bool().Draw(t, "queue"),
	}
	if rapid.IntRange(0, 9).Draw(t, "jump") == 0 {
		a.Counter = ptr(m.open.Counter + uint32(rapid.IntRange(0, 200).Draw(t, "by")))
	}
	_ = m.b.edge.Answer(m.b.Context(), a) // refused or not: the rules hold
}

func (m *model) wait(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 2500).Draw(t, "ms")) * time.Millisecond)
}

func (m *model) status(*rapid.T) {
	_ = m.b.edge.Answer(m.b.Context(), StatusRequest{Device: m.n.eui})
}

func (m *model) slowDisk(t *rapid.T) {
	m.b.store.putsBecome(time.Duration(rapid.IntRange(0, 20).Draw(t, "put"))*time.Second, nil)
	m.b.store.syncsTake(time.Duration(rapid.IntRange(0, 1500).Draw(t, "sync")) * time.Millisecond)
}

func (m *model) kill(t *rapid.T) {
	m.observe(t)
	cut := m.b.store.afterPowerCut()
	m.b.stop()
	time.Sleep(4 * time.Second)
	m.observe(t) // what was in the air
	if rapid.Bool().Draw(t, "power cut") {
		m.b.store = cut
		m.lastUp = -1 // uplink counters of the last moments are lost
		if raw, ok := m.b.store.states[m.n.eui]; ok {
			c, _, err := decodeState(raw)
			m.b.must(err)
			m.lastUp = int64(c.up) - 1
		}
	}
	m.b.air = newAir()
	m.b.start(nil)
	m.heard, m.answered = nil, map[radio.Instant]bool{}
}

// timeless hides the test's deadline, which a bubble doesn't have.
type timeless struct{ rapid.TB }

func TestTheRulesHoldWhateverHappens(t *testing.T) {
	delivered, sent := 0, 0
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(timeless{t}, func(rt *rapid.T) {
			b := &bench{T: t, air: newAir(), store: newStore()}
			b.start(nil)
			defer func() {
				b.stop()
				time.Sleep(2 * time.Minute)
			}()
			m := &model{b: b, n: b.abpNode(1, func(d *Device) { d.StrictCounter = true }), answered: map[radio.Instant]bool{}, lastUp: -1, lastDown: -1}
			rt.Repeat(map[string]func(*rapid.T){
				"": m.observe, "uplink": m.uplink, "uplink2": m.uplink, "lost": m.lostUplink, "again": m.again,
				"rush": m.rush, "answer": m.answer, "answer2": m.answer, "wait": m.wait, "status": m.status, "slow": m.slowDisk, "kill": m.kill,
			})
			time.Sleep(5 * time.Second)
			m.observe(rt)
			inEveryHour(rt, m.onAir)
			delivered, sent = delivered+m.delivered, sent+m.sent
		})
	})
	if delivered < 100 || sent < 50 {
		t.Errorf("only %d uplinks and %d downlinks: the test lost its sense", delivered, sent)
	}
}
