package lab

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// fakeAir takes everything and reports it as sent when it ends.
type fakeAir struct {
	uplinks chan radio.Uplink
	reports chan radio.Report
	taken   []radio.Downlink
	refuse  error
}

func newFakeAir() *fakeAir {
	return &fakeAir{uplinks: make(chan radio.Uplink, 8), reports: make(chan radio.Report, 8)}
}

func (a *fakeAir) Uplinks() <-chan radio.Uplink      { return a.uplinks }
func (a *fakeAir) Reports() <-chan radio.Report      { return a.reports }
func (a *fakeAir) Lead(radio.Downlink) time.Duration { return 5 * time.Millisecond }
func (a *fakeAir) Schedule(_ context.Context, d radio.Downlink) error {
	if a.refuse != nil {
		return a.refuse
	}
	a.taken = append(a.taken, d)
	length := d.Mod.Airtime(len(d.Payload))
	time.AfterFunc(length, func() {
		a.reports <- radio.Report{ID: d.ID, Planned: d.At, Armed: d.At - 9, Started: d.At, Ended: d.At.Add(length), Power: d.Power}
	})
	return nil
}

// rig is a layer that runs around a fake air in virtual time.
type rig struct {
	*testing.T
	air   *fakeAir
	layer *Layer
}

func run(t *testing.T, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		air := newFakeAir()
		r := &rig{t, air, New(Config{Air: air, Log: slog.New(slog.DiscardHandler)})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.layer.Run(ctx) }()
		f(r)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the layer ended with %v", err)
		}
	})
}

var (
	eui  = radio.EUI64{1, 2, 3, 4, 5, 6, 7, 8}
	keys = Keys{DevAddr: [4]byte{0x01, 0x02, 0x03, 0x04}, NwkSKey: [16]byte{7}, Root: [16]byte{9}}
)

func (r *rig) arm(f Fault) {
	r.Helper()
	r.layer.Know(eui, keys)
	if _, err := r.layer.Arm(f); err != nil {
		r.Fatal(err)
	}
}

// frame is a signed data frame of the known device, made by an
// implementation that is not ours.
func (r *rig) frame(up bool, counter uint32, confirmed, ack bool) []byte {
	r.Helper()
	mtype := lorawan.UnconfirmedDataDown
	switch {
	case up && confirmed:
		mtype = lorawan.ConfirmedDataUp
	case up:
		mtype = lorawan.UnconfirmedDataUp
	case confirmed:
		mtype = lorawan.ConfirmedDataDown
	}
	port := uint8(1)
	phy := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: mtype}, MACPayload: &lorawan.MACPayload{
		FHDR:  lorawan.FHDR{DevAddr: keys.DevAddr, FCnt: counter, FCtrl: lorawan.FCtrl{ACK: ack}},
		FPort: &port, FRMPayload: []lorawan.Payload{&lorawan.DataPayload{Bytes: []byte("hello")}},
	}}
	var err error
	if up {
		err = phy.SetUplinkDataMIC(lorawan.LoRaWAN1_0, 0, 0, 0, keys.NwkSKey, keys.NwkSKey)
	} else {
		err = phy.SetDownlinkDataMIC(lorawan.LoRaWAN1_0, 0, keys.NwkSKey)
	}
	if err != nil {
		r.Fatal(err)
	}
	b, err := phy.MarshalBinary()
	if err != nil {
		r.Fatal(err)
	}
	return b
}

func (r *rig) down() radio.Downlink {
	return radio.Downlink{ID: 1, At: 1_000_000, Freq: 868_100_000, Power: 14, Payload: r.frame(false, 5, false, true), Mod: radio.LoRa{SF: 7, Bandwidth: 125_000, InvertIQ: true, NoCRC: true}}
}

// send schedules a downlink and returns what the air got and the network
// server was told.
func (r *rig) send(d radio.Downlink) ([]radio.Downlink, radio.Report) {
	r.Helper()
	r.air.taken = nil
	if err := r.layer.Schedule(r.Context(), d); err != nil {
		r.Fatal(err)
	}
	rep := <-r.layer.Reports()
	synctest.Wait()
	return r.air.taken, rep
}

// hear lets a frame arrive and returns what the network server gets within a
// minute.
func (r *rig) hear(u radio.Uplink) []radio.Uplink {
	r.Helper()
	r.air.uplinks <- u
	var out []radio.Uplink
	for over := time.After(time.Minute); ; {
		select {
		case u := <-r.layer.Uplinks():
			out = append(out, u)
		case <-over:
			return out
		}
	}
}

func micOK(t *testing.T, payload []byte, up bool) (mac *lorawan.MACPayload, ok bool) {
	t.Helper()
	var phy lorawan.PHYPayload
	if err := phy.UnmarshalBinary(payload); err != nil {
		t.Fatal(err)
	}
	var err error
	if up {
		ok, err = phy.ValidateUplinkDataMIC(lorawan.LoRaWAN1_0, 0, 0, 0, keys.NwkSKey, keys.NwkSKey)
	} else {
		ok, err = phy.ValidateDownlinkDataMIC(lorawan.LoRaWAN1_0, 0, keys.NwkSKey)
	}
	if err != nil {
		t.Fatal(err)
	}
	return phy.MACPayload.(*lorawan.MACPayload), ok
}

func TestWithoutAFaultEveryFrameGoesThroughAsItIs(t *testing.T) {
	run(t, func(r *rig) {
		d := r.down()
		sent, rep := r.send(d)
		if len(sent) != 1 || !bytes.Equal(sent[0].Payload, d.Payload) || sent[0].At != d.At || rep.Err != nil || rep.Started != d.At {
			t.Errorf("sent %v, report %v", sent, rep)
		}
		u := radio.Uplink{Payload: r.frame(true, 1, false, false), CRC: radio.GoodCRC}
		if got := r.hear(u); len(got) != 1 || !bytes.Equal(got[0].Payload, u.Payload) {
			t.Errorf("heard %v", got)
		}
	})
}

func TestDownlinksGoOutAsTheFaultWantsAndTheNetworkServerNoticesNothing(t *testing.T) {
	for kind, c := range map[Kind]struct {
		amount int64
		check  func(t *testing.T, sent []radio.Downlink, d radio.Downlink)
	}{
		Drop:   {0, func(t *testing.T, sent []radio.Downlink, _ radio.Downlink) { want(t, len(sent), 0) }},
		Silent: {0, func(t *testing.T, sent []radio.Downlink, _ radio.Downlink) { want(t, len(sent), 0) }},
		Shift:  {-137, func(t *testing.T, sent []radio.Downlink, d radio.Downlink) { want(t, sent[0].At, d.At-137) }},
		MIC: {0, func(t *testing.T, sent []radio.Downlink, _ radio.Downlink) {
			_, ok := micOK(t, sent[0].Payload, false)
			want(t, ok, false)
		}},
		Counter: {-3, func(t *testing.T, sent []radio.Downlink, _ radio.Downlink) {
			mac, ok := micOK(t, sent[0].Payload, false)
			want(t, ok, true)
			want(t, mac.FHDR.FCnt, 2)
		}},
		Ack: {0, func(t *testing.T, sent []radio.Downlink, _ radio.Downlink) {
			mac, ok := micOK(t, sent[0].Payload, false)
			want(t, ok, true)
			want(t, mac.FHDR.FCtrl.ACK, false)
		}},
		Frequency: {25_000, func(t *testing.T, sent []radio.Downlink, d radio.Downlink) { want(t, sent[0].Freq, d.Freq+25_000) }},
		DataRate:  {9, func(t *testing.T, sent []radio.Downlink, _ radio.Downlink) { want(t, sent[0].Mod.(radio.LoRa).SF, 9) }},
		IQ: {0, func(t *testing.T, sent []radio.Downlink, _ radio.Downlink) {
			want(t, sent[0].Mod.(radio.LoRa).InvertIQ, false)
		}},
		Sync: {0x12, func(t *testing.T, sent []radio.Downlink, _ radio.Downlink) {
			want(t, sent[0].Mod.(radio.LoRa).Sync, 0x12)
		}},
		Truncate: {3, func(t *testing.T, sent []radio.Downlink, d radio.Downlink) {
			want(t, len(sent[0].Payload), len(d.Payload)-3)
		}},
		Twice: {500_000, func(t *testing.T, sent []radio.Downlink, d radio.Downlink) {
			want(t, len(sent), 2)
			want(t, sent[1].At, d.At+500_000)
			want(t, bytes.Equal(sent[1].Payload, d.Payload), true)
		}},
	} {
		t.Run(string(kind), func(t *testing.T) {
			run(t, func(r *rig) {
				r.T = t
				r.arm(Fault{Kind: kind, Direction: Down, Device: eui, Amount: c.amount})
				d := r.down()
				sent, rep := r.send(d)
				c.check(t, sent, d)
				if rep.Err != nil || rep.Planned != d.At || rep.Started != d.At || rep.ID != d.ID {
					t.Errorf("the network server is told %+v", rep)
				}
				if kind == Silent {
					return
				}
				if sent, _ := r.send(d); len(sent) != 1 || !bytes.Equal(sent[0].Payload, d.Payload) || sent[0].At != d.At {
					t.Errorf("the fault hits once, but the next went out as %v", sent)
				}
				if left := r.layer.Faults(); len(left) != 0 {
					t.Errorf("still armed: %v", left)
				}
			})
		})
	}
}

func want[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUplinksArriveAsTheFaultWants(t *testing.T) {
	for kind, c := range map[Kind]struct {
		amount int64
		check  func(t *testing.T, got []radio.Uplink, u radio.Uplink)
	}{
		Drop:   {0, func(t *testing.T, got []radio.Uplink, _ radio.Uplink) { want(t, len(got), 0) }},
		Silent: {0, func(t *testing.T, got []radio.Uplink, _ radio.Uplink) { want(t, len(got), 0) }},
		Delay:  {2_000_000, func(t *testing.T, got []radio.Uplink, u radio.Uplink) { want(t, got[0].At, u.At) }},
		Twice:  {1_000, func(t *testing.T, got []radio.Uplink, _ radio.Uplink) { want(t, len(got), 2) }},
		CRC:    {0, func(t *testing.T, got []radio.Uplink, _ radio.Uplink) { want(t, got[0].CRC, radio.BadCRC) }},
		MIC: {0, func(t *testing.T, got []radio.Uplink, _ radio.Uplink) {
			_, ok := micOK(t, got[0].Payload, true)
			want(t, ok, false)
		}},
		Counter: {7, func(t *testing.T, got []radio.Uplink, _ radio.Uplink) {
			mac, ok := micOK(t, got[0].Payload, true)
			want(t, ok, true)
			want(t, mac.FHDR.FCnt, 12)
		}},
		Truncate: {2, func(t *testing.T, got []radio.Uplink, u radio.Uplink) { want(t, len(got[0].Payload), len(u.Payload)-2) }},
	} {
		t.Run(string(kind), func(t *testing.T) {
			run(t, func(r *rig) {
				r.T = t
				r.arm(Fault{Kind: kind, Direction: Up, Device: eui, Amount: c.amount})
				u := radio.Uplink{Payload: r.frame(true, 5, false, false), CRC: radio.GoodCRC, At: 77}
				c.check(t, r.hear(u), u)
			})
		})
	}
}

func TestAJoinRequestWithAnotherNonceIsSignedAnew(t *testing.T) {
	run(t, func(r *rig) {
		r.arm(Fault{Kind: DevNonce, Device: eui, Amount: 1})
		phy := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.JoinRequest}, MACPayload: &lorawan.JoinRequestPayload{DevEUI: lorawan.EUI64(eui), DevNonce: 0xFFFF}}
		if err := phy.SetUplinkJoinMIC(keys.Root); err != nil {
			t.Fatal(err)
		}
		b, err := phy.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		got := r.hear(radio.Uplink{Payload: b})
		var out lorawan.PHYPayload
		if err := out.UnmarshalBinary(got[0].Payload); err != nil {
			t.Fatal(err)
		}
		ok, err := out.ValidateUplinkJoinMIC(keys.Root)
		want(t, ok && err == nil, true)
		want(t, out.MACPayload.(*lorawan.JoinRequestPayload).DevNonce, 0)
	})
}

func TestAJoinAcceptIsFoundByItsRequest(t *testing.T) {
	run(t, func(r *rig) {
		r.arm(Fault{Kind: Drop, Device: eui, Frame: JoinAccept})
		request := make([]byte, 23)
		for i := range eui {
			request[16-i] = eui[i]
		}
		r.hear(radio.Uplink{Payload: request, At: 3_000_000})
		d := r.down()
		d.Payload = append([]byte{0x20}, make([]byte, 16)...)
		d.At = 8_000_001
		if sent, _ := r.send(d); len(sent) != 1 {
			t.Error("a join-accept of somebody else was dropped")
		}
		d.At = 8_000_000
		if sent, _ := r.send(d); len(sent) != 0 {
			t.Error("the join-accept 5 s after the request was not dropped")
		}
	})
}

func TestAFaultIsForItsDeviceFrameAndTimeAlone(t *testing.T) {
	run(t, func(r *rig) {
		r.arm(Fault{Kind: Drop, Direction: Down, Device: radio.EUI64{9}})
		r.arm(Fault{Kind: Drop, Direction: Down, Frame: Confirmed})
		r.arm(Fault{Kind: Drop, Direction: Up})
		r.arm(Fault{Kind: Drop, Direction: Down, Until: time.Now().Add(-time.Second)})
		if sent, _ := r.send(r.down()); len(sent) != 1 {
			t.Error("a frame that no fault fits was dropped")
		}
		r.arm(Fault{Kind: Drop, Direction: Down, After: 1})
		first, _ := r.send(r.down())
		second, _ := r.send(r.down())
		want(t, len(first), 1)
		want(t, len(second), 0)
		want(t, r.layer.Disarm(0), true)
		want(t, len(r.layer.Faults()), 0)
	})
}

// The network server plans an acknowledgement and lets an answer take its
// place: a fault for the next downlink must hit what goes out in the end.
func TestADownlinkThatTakesAnothersPlaceIsHitByTheSameFault(t *testing.T) {
	run(t, func(r *rig) {
		r.arm(Fault{Kind: Drop, Direction: Down})
		if err := r.layer.Schedule(r.Context(), r.down()); err != nil {
			t.Fatal(err)
		}
		other := r.down()
		other.ID, other.Replaces = 2, 1
		if err := r.layer.Schedule(r.Context(), other); err != nil {
			t.Fatal(err)
		}
		first, second := <-r.layer.Reports(), <-r.layer.Reports()
		if first.ID != 1 || !errors.Is(first.Err, radio.ErrCancelled) || second.ID != 2 || second.Err != nil {
			t.Errorf("reports %+v, %+v", first, second)
		}
		want(t, len(r.air.taken), 0)
	})
}

func TestARawFrameIsReportedToWhoSentIt(t *testing.T) {
	run(t, func(r *rig) {
		d := r.down()
		rep, err := r.layer.Send(r.Context(), d)
		if err != nil || rep.Started != d.At {
			t.Errorf("%+v, %v", rep, err)
		}
		r.air.refuse = radio.ErrFrequency
		if _, err := r.layer.Send(r.Context(), d); !errors.Is(err, radio.ErrFrequency) {
			t.Errorf("%v", err)
		}
		select {
		case rep := <-r.layer.Reports():
			t.Errorf("the network server is told of a raw frame: %+v", rep)
		default:
		}
	})
}

func TestAListenerHearsWhatTheNetworkServerDoesNot(t *testing.T) {
	run(t, func(r *rig) {
		frames, stop := r.layer.Listen()
		r.arm(Fault{Kind: Drop, Direction: Up})
		u := radio.Uplink{Payload: []byte{0xE0, 1, 2}, CRC: radio.BadCRC}
		want(t, len(r.hear(u)), 0)
		want(t, (<-frames).CRC, radio.BadCRC)
		stop()
		r.hear(u)
		want(t, len(frames), 0)
	})
}

func TestABadFaultIsRefusedByField(t *testing.T) {
	l := New(Config{Air: newFakeAir()})
	for field, f := range map[string]Fault{
		`kind is "explode"`:    {Kind: "explode"},
		`direction is "left"`:  {Kind: Drop, Direction: "left"},
		`direction is "up"`:    {Kind: Shift, Direction: Up, Amount: 5},
		"amount is 13":         {Kind: DataRate, Amount: 13},
		"amount is 0":          {Kind: Delay},
		`frame is "song"`:      {Kind: Drop, Frame: "song"},
		"after is -1":          {Kind: Drop, After: -1},
		"count is -2":          {Kind: Drop, Count: -2},
		"device is 0000000000": {Kind: Counter, Amount: 1},
	} {
		if _, err := l.Arm(f); !errors.Is(err, ErrFault) || !strings.Contains(err.Error(), field) {
			t.Errorf("%+v: %v, want %q in it", f, err, field)
		}
	}
}

func FuzzFramesNeverBreakTheLayer(f *testing.F) {
	f.Add([]byte{0x40, 4, 3, 2, 1, 0, 5, 0, 1, 1, 2, 3, 4}, true)
	f.Add([]byte{0x00}, false)
	f.Fuzz(func(t *testing.T, payload []byte, up bool) {
		l := New(Config{Air: newFakeAir(), Log: slog.New(slog.DiscardHandler)})
		l.Know(eui, keys)
		for _, k := range Kinds() {
			tr := traits()[k]
			f := Fault{Kind: k, Amount: max(tr.low, 1), Count: -1}
			if k == RX2 {
				f.Freq, f.Mod = 869_525_000, radio.LoRa{SF: 12, Bandwidth: 125_000}
			}
			if k == Commands {
				f.Commands, f.Device = []byte{6}, eui
			}
			if _, err := l.Arm(f); err != nil && !tr.key {
				t.Fatal(err)
			}
		}
		if up {
			l.bendUp(radio.Uplink{Payload: payload})
		} else {
			l.bendDown(radio.Downlink{Payload: payload, Mod: radio.LoRa{SF: 7, Bandwidth: 125_000}})
		}
	})
}
