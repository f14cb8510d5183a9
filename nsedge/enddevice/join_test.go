package enddevice_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/enddevice"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// The join whose session keys are known: brocaar/lorawan,
// backend/joinserver/joinserver_test.go, "valid join-request (LoRaWAN 1.0)",
// with the AppKey, DevEUI and JoinEUI of network_test.go.
const knownNonce = 258

var (
	knownNwkSKey = enddevice.Key{223, 83, 195, 95, 48, 52, 204, 206, 208, 255, 53, 76, 112, 222, 4, 223}
	knownAppSKey = enddevice.Key{146, 123, 156, 145, 17, 131, 207, 254, 76, 178, 255, 75, 117, 84, 95, 109}
)

func knownAccept() *lorawan.JoinAcceptPayload {
	return &lorawan.JoinAcceptPayload{
		JoinNonce: 65536, HomeNetID: lorawan.NetID{1, 2, 3}, DevAddr: lorawan.DevAddr{1, 2, 3, 4},
		DLSettings: lorawan.DLSettings{RX2DataRate: 5, RX1DROffset: 1}, RXDelay: 2,
		CFList: &lorawan.CFList{Payload: &lorawan.CFListChannelPayload{Channels: [5]uint32{867_100_000, 867_300_000}}},
	}
}

// joined is with for a device that makes the known join in the given window.
func joined(t *testing.T, cfg enddevice.Config, window int, f func(t *testing.T, n *network, d *enddevice.Device)) {
	cfg.State = &enddevice.State{Joins: knownNonce}
	with(t, "EU868", cfg, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: window, accept: knownAccept()})
		if err := d.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.nwk, n.app = lorawan.AES128Key(knownNwkSKey), lorawan.AES128Key(knownAppSKey)
		n.rx1Delay, n.rx1Offset, n.rx2DR = 2*time.Second, 1, 5
		f(t, n, d)
	})
}

func TestJoinMakesTheSessionOfTheAccept(t *testing.T) {
	for window, delay := range map[int]time.Duration{1: 5 * time.Second, 2: 6 * time.Second} { // RP002 §2.5: JOIN_ACCEPT_DELAY1, 2
		joined(t, enddevice.Config{DataRate: 5}, window, func(t *testing.T, n *network, d *enddevice.Device) {
			s := d.State()
			if s.NwkSKey != knownNwkSKey || s.AppSKey != knownAppSKey {
				t.Error("session keys differ from the known ones")
			}
			if s.DevAddr.String() != "01020304" || s.RX1Delay != 2 || s.RX1Offset != 1 || s.RX2DR != 5 || s.RX2Freq != 869_525_000 || s.FCntUp != 0 {
				t.Errorf("state %+v", s)
			}
			if len(s.Channels) != 5 || s.Channels[3].Freq != 867_100_000 || s.Channels[4].Index != 4 || s.Channels[4].MaxDR != 5 {
				t.Errorf("channels %+v", s.Channels)
			}
			join, ok := n.events[1].(enddevice.Joined)
			if !ok || join.DevNonce != knownNonce || join.NetID != 0x010203 || join.Delay != delay || join.Offset != 0 || join.Start.Sub(join.Uplink.End) != delay {
				t.Errorf("event %+v", n.events[1])
			}
			if j := n.last().join; j.DevEUI != lorawan.EUI64(devEUI) || j.JoinEUI != lorawan.EUI64(joinEUI) {
				t.Errorf("join-request %+v", j)
			}
			// The session works both ways, RX1 two seconds later with the offset.
			n.once(reply{window: 1, port: new(uint8(7)), payload: []byte("down")})
			r := must(t, d, 3, []byte("up"))
			if up := n.last(); string(up.payload) != "up" || *up.mac.FPort != 3 || up.mac.FHDR.FCnt != 0 {
				t.Errorf("uplink %+v", up)
			}
			if r.Downlink == nil || string(r.Downlink.Payload) != "down" || r.Downlink.Port != 7 || r.Downlink.Delay != 2*time.Second || r.Downlink.Offset != 0 {
				t.Errorf("downlink %+v", r.Downlink)
			}
		})
	}
}

// TS001-1.0.4 §7: at most 1 % of the time in the first hour, 0.1 % in the next
// ten, and each attempt with a DevNonce one higher (§6.2.5).
func TestJoinBacksOff(t *testing.T) {
	var saved []enddevice.State
	cfg := enddevice.Config{DataRate: 0, Save: func(s enddevice.State) { saved = append(saved, s) }}
	with(t, "EU868", cfg, func(t *testing.T, n *network, d *enddevice.Device) {
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Hour)
		defer cancel()
		if err := d.Join(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		var first, later time.Duration
		for i, up := range n.uplinks {
			if up.join.DevNonce != lorawan.DevNonce(i) {
				t.Errorf("attempt %d has DevNonce %d", i, up.join.DevNonce)
			}
			if saved[i].Joins != uint32(i)+1 {
				t.Errorf("attempt %d: saved %d", i, saved[i].Joins)
			}
			if on := up.End.Sub(up.Start); up.End.Sub(0) < time.Hour {
				first += on
			} else {
				later += on
			}
		}
		if first > 36*time.Second+2*time.Second || later > 38*time.Second {
			t.Errorf("on the air %v in the first hour, %v in the next ten", first, later)
		}
		if len(n.uplinks) < 25 {
			t.Errorf("only %d attempts", len(n.uplinks))
		}
		if d.State().Joined {
			t.Error("joined without an accept")
		}
	})
}

func TestJoinLowersTheDataRateAndStartsOver(t *testing.T) {
	with(t, "EU868", enddevice.Config{DataRate: 2, NoDutyCycle: true}, func(t *testing.T, n *network, d *enddevice.Device) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		if err := d.Join(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		var rates []int
		for _, e := range n.events {
			if j, ok := e.(enddevice.Joining); ok {
				rates = append(rates, j.DataRate)
			}
		}
		want := []int{2, 2, 1, 1, 0, 0, 2, 2}
		if len(rates) < len(want) {
			t.Fatalf("only %d attempts", len(rates))
		}
		for i, w := range want {
			if rates[i] != w {
				t.Fatalf("data rates %v, want %v", rates, want)
			}
		}
	})
}

// Nonces of devices before 1.0.4 look random, and none repeats.
func TestOldDevicesScatterTheirNonces(t *testing.T) {
	with(t, "EU868", enddevice.Config{DataRate: 5, NoDutyCycle: true, Version: "1.0.2", Seed: 3}, func(t *testing.T, n *network, d *enddevice.Device) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := d.Join(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		seen := map[lorawan.DevNonce]bool{}
		for i, up := range n.uplinks {
			if seen[up.join.DevNonce] {
				t.Errorf("DevNonce %d twice", up.join.DevNonce)
			}
			if i > 0 && up.join.DevNonce == n.uplinks[i-1].join.DevNonce+1 {
				t.Error("DevNonces count up")
			}
			seen[up.join.DevNonce] = true
		}
		if len(seen) < 300 {
			t.Errorf("%d attempts", len(seen))
		}
	})
}

func TestNoncesRunOut(t *testing.T) {
	cfg := enddevice.Config{DataRate: 5, NoDutyCycle: true, State: &enddevice.State{Joins: 0xFFFF}}
	with(t, "EU868", cfg, func(t *testing.T, n *network, d *enddevice.Device) {
		if err := d.Join(t.Context()); !errors.Is(err, enddevice.ErrNonces) || len(n.uplinks) != 1 || n.last().join.DevNonce != 0xFFFF {
			t.Errorf("%d requests, %v", len(n.uplinks), err)
		}
	})
}

func TestBadAcceptsAreRejected(t *testing.T) {
	offset, rx2 := knownAccept(), knownAccept()
	offset.DLSettings.RX1DROffset = 6 // EU868 has 0 to 5
	rx2.DLSettings.RX2DataRate = 15
	tests := map[string]struct {
		reply reply
		want  string
	}{
		"MIC":    {reply{window: 1, accept: knownAccept(), wrongMIC: true}, "MIC"},
		"offset": {reply{window: 1, accept: offset}, "RX1DROffset"},
		"RX2":    {reply{window: 2, accept: rx2}, "RX2DataRate"},
		"length": {reply{window: 1, raw: make([]byte, 18)}, ""}, // no join-accept by its type
		"cut":    {reply{window: 1, raw: append([]byte{0x20}, make([]byte, 17)...)}, "join-accept"},
		"noise":  {reply{window: 1, raw: []byte{1}}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			with(t, "EU868", enddevice.Config{DataRate: 5}, func(t *testing.T, n *network, d *enddevice.Device) {
				n.once(tt.reply)
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				if err := d.Join(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("joined: %v", err)
				}
				got := strings.Join(n.rejected(), "; ")
				if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
					t.Errorf("rejected: %q", got)
				}
			})
		})
	}
}

func TestChannelMaskOfTheAccept(t *testing.T) {
	with(t, "US915-2", enddevice.Config{DataRate: 3}, func(t *testing.T, n *network, d *enddevice.Device) {
		before := len(d.State().Channels)
		r, _ := region.Lookup("US915-3")
		var list lorawan.CFList
		if err := list.UnmarshalBinary(r.CFList(region.Version{LoRaWAN: "1.0.4"})); err != nil {
			t.Fatal(err)
		}
		a := knownAccept()
		a.CFList, a.DLSettings = &list, lorawan.DLSettings{RX2DataRate: 8}
		n.once(reply{window: 2, accept: a})
		if err := d.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f := n.last().Freq; f < 903_900_000 || f > 905_300_000 && f != 904_600_000 {
			t.Errorf("join-request on %d", f)
		}
		s := d.State()
		if len(s.Channels) != before || s.Channels[0].Index != 16 || s.Channels[0].Freq != 905_500_000 || s.Channels[8].Index != 66 {
			t.Errorf("channels %+v", s.Channels)
		}
	})
}

// A killed device goes on where it was: counters and nonces don't repeat.
func TestStateSurvivesARestart(t *testing.T) {
	var saved []byte
	joined(t, enddevice.Config{DataRate: 5, Save: func(s enddevice.State) { saved, _ = json.Marshal(s) }}, 1, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 2, port: new(uint8(1)), payload: []byte{1}})
		must(t, d, 1, []byte("one"))
		d.Close()

		var st enddevice.State
		if err := json.Unmarshal(saved, &st); err != nil {
			t.Fatal(err)
		}
		again, err := enddevice.New(enddevice.Config{DevEUI: devEUI, JoinEUI: joinEUI, Region: n.region, AppKey: appKey, State: &st}, n.m)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		n.once(reply{window: 1, port: new(uint8(1)), payload: []byte{2}})
		r := must(t, again, 1, []byte("two"))
		if r.FCnt != 1 || string(n.last().payload) != "two" || r.Downlink == nil || r.Downlink.FCnt != 1 || len(again.State().Channels) != 5 {
			t.Errorf("%+v", r)
		}
		if err := again.Join(func() context.Context { c, cancel := context.WithCancel(t.Context()); cancel(); return c }()); !errors.Is(err, context.Canceled) {
			t.Errorf("join with a cancelled context: %v", err)
		}
	})
}

func TestRunJoinsSendsAndFollowsUp(t *testing.T) {
	cfg := enddevice.Config{DataRate: 5, State: &enddevice.State{Joins: knownNonce}, Interval: 10 * time.Minute, Jitter: time.Minute}
	with(t, "EU868", cfg, func(t *testing.T, n *network, d *enddevice.Device) {
		n.answer = func(up uplink) []reply {
			if up.join != nil {
				n.nwk, n.app = lorawan.AES128Key(knownNwkSKey), lorawan.AES128Key(knownAppSKey)
				return []reply{{window: 1, accept: knownAccept()}}
			}
			n.rx1Delay, n.rx1Offset = 2*time.Second, 1
			if up.mac.FHDR.FCnt == 1 { // more is waiting; that is asked for at once
				return []reply{{window: 1, mtype: lorawan.ConfirmedDataDown, ctrl: lorawan.FCtrl{FPending: true}, port: new(uint8(9)), payload: []byte("a")}}
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 65*time.Minute)
		defer cancel()
		if err := d.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		data := n.uplinks[1:]
		if len(data) != 8 && len(data) != 7 {
			t.Fatalf("%d uplinks", len(data))
		}
		if e := data[2]; e.mac.FPort != nil || !e.mac.FHDR.FCtrl.ACK || e.Start.Sub(data[1].End) > 6*time.Second {
			t.Errorf("after the confirmed downlink: %+v at %d", e.mac, e.Start)
		}
		for i, up := range data[3:] {
			gap := up.Start.Sub(data[2+i].Start)
			if i > 0 && (gap < 10*time.Minute || gap > 11*time.Minute) || string(up.payload) != string([]byte{0, 0, 0, byte(2 + i)}) {
				t.Errorf("uplink %d after %v: %x", i, gap, up.payload)
			}
		}
	})
}

func TestRunJoinsAgainWhenTheNetworkIsSilent(t *testing.T) {
	cfg := enddevice.Config{
		DataRate: 5, State: &enddevice.State{Joins: knownNonce}, RejoinAfter: 2, Retries: 1,
		Payload: func(uint32) enddevice.Data { return enddevice.Data{Port: 1, Payload: []byte{1}, Confirmed: true} },
	}
	with(t, "EU868", cfg, func(t *testing.T, n *network, d *enddevice.Device) {
		n.nwk, n.app = lorawan.AES128Key(knownNwkSKey), lorawan.AES128Key(knownAppSKey)
		n.once(reply{window: 1, accept: knownAccept()})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		if err := d.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		kinds := ""
		for _, up := range n.uplinks {
			kinds += up.phy.MHDR.MType.String()[:1]
		}
		if !strings.HasPrefix(kinds, "JCCJ") || n.uplinks[3].join.DevNonce != knownNonce+1 {
			t.Errorf("uplinks %s", kinds)
		}
	})
}

func TestConfigurationIsChecked(t *testing.T) {
	with(t, "EU868", enddevice.Config{}, func(t *testing.T, n *network, d *enddevice.Device) {
		eui := radio.EUI64{1}
		bad := map[string]enddevice.Config{
			"Region":          {},
			"Version":         {Region: n.region, Version: "1.1.0"},
			"Class":           {Region: n.region, Class: "D"},
			"Periodicity":     {Region: n.region, Class: "B", Periodicity: 8},
			"CrystalPPM":      {Region: n.region, Class: "B", CrystalPPM: 21},
			"Groups[0].Class": {Region: n.region, Class: "C", Groups: []enddevice.Group{{Class: "B"}}},
			"DataRate":        {Region: n.region, DataRate: 16},
			"Retries":         {Region: n.region, Retries: -1},
			"Interval":        {Region: n.region, Interval: -1},
		}
		gw := enddevice.Config{Region: n.region}
		gw.Station.Gateway = &eui
		bad["Gateway"] = gw
		for field, cfg := range bad {
			if _, err := enddevice.New(cfg, n.m); !errors.Is(err, enddevice.ErrConfig) || !strings.Contains(err.Error(), field) {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := d.Send(t.Context(), 1, nil, false); !errors.Is(err, enddevice.ErrNotJoined) {
			t.Errorf("send before the join: %v", err)
		}
		if _, err := d.Send(t.Context(), 0, []byte{1}, false); !errors.Is(err, enddevice.ErrConfig) {
			t.Errorf("payload on port 0: %v", err)
		}
	})
	abp(t, "EU868", enddevice.Config{}, func(t *testing.T, _ *network, d *enddevice.Device) {
		if err := d.Join(t.Context()); !errors.Is(err, enddevice.ErrConfig) {
			t.Errorf("ABP device joins: %v", err)
		}
	})
}

// A state without a session doesn't undo the personalisation.
func TestABPWithAnEmptyState(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5, State: &enddevice.State{}}, func(t *testing.T, n *network, d *enddevice.Device) {
		must(t, d, 1, []byte("x"))
		if string(n.last().payload) != "x" {
			t.Errorf("%+v", n.last())
		}
	})
}
