package nsedge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/classb"
	"gatewayd/radio"
)

// pingSlotInfo is PingSlotInfoReq.
func pingSlotInfo(periodicity byte) []byte { return []byte{0x10, periodicity} }

// inB registers a device and brings it to class B.
func (b *bench) inB(id byte, periodicity byte, change func(*Device)) *node {
	b.Helper()
	n := b.abpNode(id, func(d *Device) {
		d.Class = "B"
		if change != nil {
			change(d)
		}
	})
	n.freq = b.edge.cfg.Region.Plan().MultiSF[0]
	n.send(frame{opts: pingSlotInfo(periodicity)})
	time.Sleep(4 * time.Second)
	d := n.onlyOther()
	if len(d.mac.FHDR.FOpts) == 0 {
		b.Fatal("PingSlotInfoReq was not answered")
	}
	n.send(frame{classB: true, payload: []byte("in B")})
	time.Sleep(4 * time.Second)
	b.air.clear()
	b.take()
	return n
}

// onlyOther is the only frame since the last clear that is no beacon.
func (n *node) onlyOther() received {
	n.b.Helper()
	_, others := n.b.split()
	if len(others) != 1 {
		n.b.Fatalf("%d downlinks, want 1; events:%s", len(others), describe(n.b.take()))
	}
	n.b.air.clear()
	return n.decode(others[0])
}

// wantPing wants a frame to begin in one of the node's slots, on its channel.
func (n *node) wantPing(d radio.Downlink, periodicity int) {
	n.b.Helper()
	at := n.b.gpsOf(d)
	if next := classb.NextPing(at, n.addr, periodicity); next != at {
		n.b.Errorf("a frame %v before the next slot", next-at)
	}
	r := n.b.edge.cfg.Region
	freq, dr := r.PingChannel(n.addr, int64(at/(128*time.Second)))
	mod, _ := r.Downlink(dr)
	if d.Freq != freq || d.Mod != mod {
		n.b.Errorf("a frame on %d Hz, %v, the slot is on %d Hz, %v", d.Freq, d.Mod, freq, mod)
	}
}

func TestClaimsOfAClassBDeviceAreSentInItsPingSlots(t *testing.T) {
	for _, name := range []string{"EU868", "US915-2", "CN470-1"} {
		for _, periodicity := range []byte{0, 3, 7} {
			t.Run(fmt.Sprint(name, " ", periodicity), func(t *testing.T) {
				underSky(t, name, nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
					n := b.inB(1, periodicity, nil)
					var sent []radio.Downlink
					for i := range 10 {
						req := n.claim()
						if req.MaxSize < 50 || time.Until(req.TXTime) > 2*classb.Period {
							t.Errorf("request %+v", req)
						}
						b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte{byte(i)}})
					}
					time.Sleep(22 * classb.Period)
					_, sent = b.split()
					if len(sent) != 10 && periodicity < 7 || len(sent) == 0 {
						t.Fatalf("%d frames:%s", len(sent), describe(b.take()))
					}
					slots := map[time.Duration]bool{}
					for i, d := range sent {
						n.wantPing(d, int(periodicity))
						if r := n.decode(d); r.payload[0] != byte(i) || r.mac.FHDR.FCnt != uint32(i)+1 {
							t.Errorf("frame %d has counter %d and payload %d", i, r.mac.FHDR.FCnt, r.payload[0])
						}
						slots[b.gpsOf(d)] = true
					}
					if len(slots) != len(sent) {
						t.Errorf("%d frames in %d slots", len(sent), len(slots))
					}
					evs := b.take()
					for _, ev := range all[*DownlinkEvent](evs) {
						if ev.Timing.Window != "ClassB" || ev.Timing.Started != ev.Timing.Planned {
							t.Errorf("%+v", ev.Timing)
						}
					}
				})
			})
		}
	}
}

// A frame in a ping slot does not touch RX1, RX2 or what is sent there.
func TestPingSlotsStayAwayFromRX1AndRX2(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		n := b.inB(1, 0, nil)
		for i := range 60 {
			time.Sleep(time.Duration(i%13)*150*time.Millisecond + 7*time.Second)
			b.air.clear()
			req := n.claim()
			u := n.send(frame{classB: true, payload: []byte("x")})
			time.Sleep(time.Duration(i%7) * 300 * time.Millisecond)
			b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: make([]byte, 40)})
			time.Sleep(5 * time.Second)
			_, others := b.split()
			if len(others) != 1 {
				t.Fatalf("round %d: %d frames:%s", i, len(others), describe(b.take()))
			}
			d := others[0]
			n.wantPing(d, 0)
			end := d.At.Add(d.Mod.Airtime(len(d.Payload)))
			if d.At < u.At.Add(2*time.Second) && end > u.At.Add(time.Second) {
				t.Errorf("round %d: from %v to %v after the uplink", i, d.At.Sub(u.At), end.Sub(u.At))
			}
			n.decode(d)
		}
	})
}

func TestConfirmedFramesInPingSlotsWaitForTheirAcknowledgement(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		n := b.inB(1, 0, nil)
		for range 2 {
			b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("c"), Confirmed: true})
		}
		time.Sleep(3 * time.Second)
		first := n.onlyOther()
		n.send(frame{classB: true, ack: true})
		wantNotice(t, b.take(), Info, CodeDownlinkAcked)
		time.Sleep(4 * time.Second)
		second := n.onlyOther()
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("d")})
		time.Sleep(15 * time.Second)
		third := n.onlyOther()
		wantNotice(t, b.take(), Warning, CodeDownlinkNotAcked)
		n.wantPing(second.Downlink, 0)
		n.wantPing(third.Downlink, 0)
		if gap := third.At.Sub(second.At); gap < 8*time.Second || gap > 11*time.Second || first.kind != lorawan.ConfirmedDataDown {
			t.Errorf("the next one came %v after a confirmed one", gap)
		}
	})
}

// A device that does not acknowledge is taken to have lost the beacons.
func TestASilentDeviceIsTakenToBeInClassA(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		n := b.inB(1, 0, nil)
		for i := range pingPatience + 1 {
			b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte{byte(i)}, Confirmed: true})
			time.Sleep(15 * time.Second)
		}
		left := wantNotice(t, b.take(), Info, CodeClassBLeft)
		if !strings.Contains(left.Message, "acknowledged none of 3") {
			t.Error(left.Message)
		}
		b.air.clear()
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("kept")})
		time.Sleep(time.Minute)
		if _, others := b.split(); len(others) > 0 {
			t.Fatalf("%d frames to a device in class A", len(others))
		}
		n.send(frame{classB: true})
		wantNotice(t, b.take(), Info, CodeClassBEntered)
		time.Sleep(4 * time.Second)
		if d := n.onlyOther(); string(d.payload) != "kept" {
			t.Errorf("got %q in the windows of the uplink", d.payload)
		}
	})
}

// The bit in the last uplink decides, and time: what waits goes out in the
// windows after the next uplink.
func TestWithoutPingSlotsADownlinkWaitsForAnUplink(t *testing.T) {
	for _, why := range []string{"bit", "time"} {
		t.Run(why, func(t *testing.T) {
			underSky(t, "EU868", nil, func(b *bench, sky *atomic.Pointer[TimeQuality]) {
				n := b.inB(1, 7, nil)
				now, _ := HostGPS(time.Now())
				time.Sleep(classb.NextPing(now, n.addr, 7) - now + time.Second) // the next slot is far
				b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("late")})
				b.air.clear()
				if why == "time" {
					sky.Store(&TimeQuality{})
					time.Sleep(5 * time.Minute)
					if _, others := b.split(); len(others) > 0 {
						t.Fatal("sent without time")
					}
				}
				n.send(frame{classB: why == "time"})
				time.Sleep(4 * time.Second)
				if d := n.onlyOther(); string(d.payload) != "late" {
					t.Errorf("got %q", d.payload)
				}
				if why == "bit" {
					wantNotice(t, b.take(), Info, CodeClassBLeft)
				}
			})
		})
	}
}

// A device that is not registered with class B stays what it is.
func TestOnlyDevicesOfClassBAreInClassB(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		n := b.abpNode(1, nil)
		n.send(frame{classB: true, opts: pingSlotInfo(0), confirmed: true})
		time.Sleep(4 * time.Second)
		if d := n.onlyOther(); len(d.mac.FHDR.FOpts) > 0 {
			t.Errorf("PingSlotInfoReq of a class A device was answered: %+v", d.mac.FHDR)
		}
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("x")})
		time.Sleep(time.Minute)
		if _, others := b.split(); len(others) > 0 {
			t.Error("sent without an uplink")
		}
	})
}

func TestClassBOutlastsARestart(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, sky *atomic.Pointer[TimeQuality]) {
		n := b.inB(1, 4, nil)
		n.send(frame{classB: true})
		time.Sleep(4 * time.Second)
		b.stop()
		b.start(func(c *Config) { c.Clock = skyClock{b.air, sky} })
		b.abpNode(9, nil).send(frame{payload: []byte("counter")})
		time.Sleep(classb.Period)
		b.air.clear()
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("x")})
		time.Sleep(classb.Period)
		n.wantPing(n.onlyOther().Downlink, 4)
	})
}

// TS001-1.0.4 §14.2, §14.3: PingSlotChannelReq and BeaconFreqReq.
func TestPingSlotsAndBeaconsMove(t *testing.T) {
	underSky(t, "EU868", func(c *Config) { c.BeaconFreq = 869_500_000 }, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		n := b.abpNode(1, func(d *Device) {
			d.Class = "B"
			d.PingSlots = PingSlots{Freq: 868_300_000, DataRate: ptr(5), Periodicity: ptr(2)}
		})
		n.send(frame{})
		time.Sleep(4 * time.Second)
		d := n.onlyOther()
		// 868.3 MHz in 100 Hz, DR5; 869.5 MHz.
		if got := fmt.Sprintf("% x", d.mac.FHDR.FOpts[0].(*lorawan.DataPayload).Bytes); got != "11 f8 7d 84 05 13 d8 ac 84" {
			t.Fatalf("asked %s", got)
		}
		n.send(frame{opts: []byte{0x11, 3, 0x13, 1}, classB: true})
		time.Sleep(4 * time.Second)
		b.air.clear()
		b.answer(DownlinkResponse{PacketHash: n.claim().PacketHash, Payload: []byte("x")})
		time.Sleep(classb.Period)
		got := n.onlyOther()
		if got.Freq != 868_300_000 || got.Mod.(radio.LoRa).SF != 7 || classb.NextPing(b.gpsOf(got.Downlink), n.addr, 2) != b.gpsOf(got.Downlink) {
			t.Errorf("%+v", got.Downlink)
		}
		st, err := b.edge.State(b.Context(), n.eui)
		b.must(err)
		if c, want := st.Session.ClassB, (ClassBSession{true, true, 2, 868_300_000, 5}); c == nil || *c != want {
			t.Errorf("shown: %+v, want %+v", c, want)
		}
		n.send(frame{classB: true})
		time.Sleep(4 * time.Second)
		if _, others := b.split(); len(others) > 0 {
			t.Errorf("asked again: %+v", n.decode(others[0]).mac.FHDR)
		}
	})
}

func TestTheExplanationNamesThePingSlot(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, sky *atomic.Pointer[TimeQuality]) {
		n := b.inB(1, 5, nil)
		time.Sleep(time.Minute)
		x, err := b.edge.Explain(b.Context(), n.eui)
		if err != nil || len(x.Windows) != 1 || x.Windows[0].Name != "ClassB" || x.Windows[0].Why != "" || !time.Now().Before(x.Windows[0].Deadline) {
			t.Errorf("%+v, %v", x, err)
		}
		sky.Store(&TimeQuality{})
		time.Sleep(time.Minute)
		synctest.Wait()
		if x, err = b.edge.Explain(b.Context(), n.eui); err != nil || strings.Contains(x.Summary, "can be used") {
			t.Errorf("%+v, %v", x, err)
		}
	})
}

func TestALateAnswerIsSentInThePingSlot(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		n := b.inB(1, 0, nil)
		n.send(frame{classB: true, payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		time.Sleep(5 * time.Second)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("late")})
		time.Sleep(3 * time.Second)
		d := n.onlyOther()
		if n.wantPing(d.Downlink, 0); string(d.payload) != "late" {
			t.Errorf("got %q", d.payload)
		}
		b.refused(DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("more")}, CodeDownlinkAnswered)
	})
}

func TestTheQueueOfADeviceIsBounded(t *testing.T) {
	underSky(t, "EU868", nil, func(b *bench, _ *atomic.Pointer[TimeQuality]) {
		n := b.inB(1, 7, nil)
		var hashes []PacketHash
		for range classCQueue + 1 {
			hashes = append(hashes, n.claim().PacketHash)
		}
		for _, hash := range hashes[:classCQueue] {
			b.answer(DownlinkResponse{PacketHash: hash, Payload: []byte("x")})
		}
		if r := b.refused(DownlinkResponse{PacketHash: hashes[classCQueue], Payload: []byte("x")}, CodeDownlinkFailed); !strings.Contains(r.Message, "64 downlinks wait") {
			t.Error(r.Message)
		}
	})
}

// Whatever comes, in whatever order, and whatever the transmitter takes or
// fails to send: frames to devices are in their windows and slots, one in
// each, and none of them touches a beacon or another frame.
func TestRandomTrafficKeepsToSlotsAndWindows(t *testing.T) {
	inSlots := 0
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		underSky(t, "EU868", nil, func(b *bench, sky *atomic.Pointer[TimeQuality]) {
			var taken []radio.Downlink
			overlaps := func(x, d radio.Downlink) bool {
				return d.At < x.At.Add(x.Mod.Airtime(len(x.Payload))) && x.At < d.At.Add(d.Mod.Airtime(len(d.Payload)))
			}
			b.air.mu.Lock()
			b.air.refuse = func(d radio.Downlink) error { // as a driver does
				for _, x := range taken {
					if overlaps(x, d) {
						return radio.ErrCollision
					}
				}
				taken = append(taken, d)
				return nil
			}
			b.air.mu.Unlock()
			ups := map[DevAddr][]radio.Instant{}
			nodes, pings := []*node{}, map[DevAddr]int{}
			for i := range byte(6) {
				n := b.inB(i+1, i, nil)
				nodes, pings[n.addr] = append(nodes, n), int(i)
			}
			b.air.clear()
			for range 150 {
				time.Sleep(time.Duration(rnd.IntN(4000)) * time.Millisecond)
				n := nodes[rnd.IntN(len(nodes))]
				switch rnd.IntN(8) {
				case 0, 1, 2:
					u := n.send(frame{classB: rnd.IntN(6) > 0, payload: []byte("up"), confirmed: rnd.IntN(2) == 0, ack: rnd.IntN(2) == 0})
					ups[n.addr] = append(ups[n.addr], u.At)
				case 3:
					good := TimeQuality{SatelliteTime, time.Duration(rnd.IntN(2000)) * time.Microsecond}
					sky.Store(&good)
				default:
					b.take()
					if b.edge.Answer(b.Context(), Claim{Device: n.eui}) == nil {
						req := one[*DownlinkRequest](t, b.take())
						_ = b.edge.Answer(b.Context(), DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("down"), Confirmed: rnd.IntN(3) == 0})
					}
				}
			}
			time.Sleep(time.Minute)
			inSlots += b.checkSlots(ups, pings)
		})
	}
	if inSlots < 300 {
		t.Errorf("only %d frames in ping slots", inSlots)
	}
}

// checkSlots holds what was sent against the windows after the uplinks and the
// ping slots. It returns how many frames were in slots.
func (b *bench) checkSlots(ups map[DevAddr][]radio.Instant, pings map[DevAddr]int) (n int) {
	b.Helper()
	used := map[string]bool{}
	_, others := b.split()
	for _, d := range others {
		addr := DevAddr{d.Payload[4], d.Payload[3], d.Payload[2], d.Payload[1]}
		key := fmt.Sprint(addr, d.At)
		if used[key] {
			b.Errorf("two frames to %v at once", addr)
		}
		used[key] = true
		if slices.ContainsFunc(ups[addr], func(up radio.Instant) bool { return d.At == up.Add(time.Second) || d.At == up.Add(2*time.Second) }) {
			continue
		}
		if next := classb.NextPing(b.gpsOf(d), addr, pings[addr]); next != b.gpsOf(d) {
			b.Errorf("a frame to %v in no window, %v before its next slot", addr, next-b.gpsOf(d))
		}
		n++
	}
	return n
}
