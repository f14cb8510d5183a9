package nsedge_test

import (
	"slices"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

func ptr[T any](v T) *T { return &v }

// talk lets a device send n uplinks and returns the last result.
func (w *world) talk(d *enddevice.Device, n int) (last enddevice.Result) {
	w.t.Helper()
	for range n {
		var err error
		if last, err = d.Send(w.t.Context(), 1, []byte("x"), false); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
	}
	return last
}

func (w *world) join(d *enddevice.Device) {
	w.t.Helper()
	if err := d.Join(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
}

func (w *world) update(id byte, change func(*nsedge.Device)) {
	w.t.Helper()
	if _, err := w.edge.UpdateDevice(w.t.Context(), eui(id), func(d *nsedge.Device) error { change(d); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

func eui(id byte) radio.EUI64 { return radio.EUI64{1, 2, 3, 4, 5, 6, 7, id} }

// sentCommands counts the commands of a name that the server sent.
func (w *world) sentCommands(name string) int {
	return w.count(func(ev nsedge.Event) bool {
		d, ok := ev.(*nsedge.DownlinkEvent)
		return ok && slices.ContainsFunc(d.Frame.MACCommands, func(c nsedge.MACCommand) bool { return c.Name == name })
	})
}

func (w *world) notices(code string) int {
	return w.count(func(ev nsedge.Event) bool { n, ok := ev.(*nsedge.Notice); return ok && n.Code == code })
}

func TestWindowsMoveToWhereTheDeviceIsToldToHaveThem(t *testing.T) {
	for _, activation := range []nsedge.Activation{nsedge.OTAA, nsedge.ABP} {
		t.Run(string(activation), func(t *testing.T) {
			inWorld(t, "EU868", func(w *world) {
				d := w.device(1, func(c *enddevice.Config, dev *nsedge.Device) {
					if activation == nsedge.ABP {
						c.ABP = &enddevice.Session{DevAddr: enddevice.DevAddr{2, 0, 0, 1}, NwkSKey: enddevice.Key{1}, AppSKey: enddevice.Key{2}}
						dev.Activation, dev.DevAddr = nsedge.ABP, (*nsedge.DevAddr)(&c.ABP.DevAddr)
						dev.NwkSKey, dev.AppSKey = (*nsedge.Key)(&c.ABP.NwkSKey), (*nsedge.Key)(&c.ABP.AppSKey)
					}
				})
				if activation == nsedge.OTAA {
					w.join(d)
				}
				w.talk(d, 1)
				w.update(1, func(d *nsedge.Device) {
					d.RX1Delay, d.RX1Offset, d.RX2DataRate, d.RX2Freq = 4, ptr(2), ptr(3), 869_500_000
					d.MaxDutyCycle = ptr(3)
				})
				w.talk(d, 3)
				if st := d.State(); st.RX1Delay != 4 || st.RX1Offset != 2 || st.RX2DR != 3 || st.RX2Freq != 869_500_000 || st.MaxDuty != 3 {
					t.Fatalf("the device has %+v", st)
				}
				w.answers(func(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
					return &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("ok")}
				})
				if down := w.talk(d, 1).Downlink; down == nil || down.Window != "RX1" || down.Delay != 4*time.Second || down.Offset != 0 {
					t.Errorf("downlink %+v, want it in RX1 after 4 s", down)
				}
				w.update(1, func(d *nsedge.Device) { d.RX2Force = true })
				down := w.talk(d, 1).Downlink
				if down == nil || down.Window != "RX2" || down.Delay != 5*time.Second || down.Freq != 869_500_000 {
					t.Errorf("downlink %+v, want it in RX2 on 869.5 MHz after 5 s", down)
				}
				if got, err := w.edge.Device(w.t.Context(), eui(1)); err != nil || got.RX1Current != 4 {
					t.Errorf("current delay %d, %v", got.RX1Current, err)
				}
				for _, name := range []string{"RXTimingSetupReq", "RXParamSetupReq", "DutyCycleReq"} {
					if n := w.sentCommands(name); n != 1 {
						t.Errorf("%s was sent %d times, want once", name, n)
					}
				}
				if n := w.notices(nsedge.CodeMACAccepted); n != 3 {
					t.Errorf("%d commands were obeyed, want 3", n)
				}
				w.noErrors()
			})
		})
	}
}

func TestTheJoinAcceptBringsTheRegisteredWindows(t *testing.T) {
	inWorld(t, "EU868", func(w *world) {
		d := w.device(1, func(_ *enddevice.Config, dev *nsedge.Device) {
			dev.RX1Delay, dev.RX1Offset, dev.RX2DataRate = 6, ptr(1), ptr(3)
		})
		w.join(d)
		if st := d.State(); st.RX1Delay != 6 || st.RX1Offset != 1 || st.RX2DR != 3 {
			t.Errorf("the device has %+v", st)
		}
		w.talk(d, 2)
		if n := w.count(func(ev nsedge.Event) bool { _, ok := ev.(*nsedge.DownlinkEvent); return ok }); n != 1 {
			t.Errorf("%d downlinks, want the join-accept only", n)
		}
	})
}

func TestRX1OfAChannelMoves(t *testing.T) {
	inWorld(t, "EU868", func(w *world) {
		d := w.device(1, func(_ *enddevice.Config, dev *nsedge.Device) {
			for i := range 8 {
				dev.DownlinkChannels = append(dev.DownlinkChannels, nsedge.DownlinkChannel{Index: i, Freq: 869_525_000})
			}
		})
		w.join(d)
		w.talk(d, 28)
		for _, c := range d.State().Channels {
			if c.Down != 869_525_000 {
				t.Errorf("RX1 of channel %d is on %d Hz", c.Index, c.Down)
			}
		}
		w.answers(func(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
			return &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("ok")}
		})
		if down := w.talk(d, 1).Downlink; down == nil || down.Window != "RX1" || down.Freq != 869_525_000 {
			t.Errorf("downlink %+v", down)
		}
		if n := w.sentCommands("DlChannelReq"); n != 8 {
			t.Errorf("%d requests for 8 channels", n)
		}
		w.noErrors()
	})
}

func TestChannelsBeyondTheCFListAreGivenWithTheNextDownlinks(t *testing.T) {
	inWorld(t, "AS923-1", func(w *world) {
		d := w.device(1, nil)
		w.join(d)
		if n := len(d.State().Channels); n != 7 {
			t.Fatalf("%d channels after the join", n)
		}
		w.talk(d, 2)
		if n := w.sentCommands("NewChannelReq"); n != 0 {
			t.Error("a frame went out for a channel alone")
		}
		w.answers(func(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
			return &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("ok")}
		})
		w.talk(d, 3)
		var freqs []radio.Hertz
		for _, c := range d.State().Channels {
			freqs = append(freqs, c.Freq)
		}
		for _, f := range w.region.Plan().MultiSF {
			if !slices.Contains(freqs, f) {
				t.Errorf("the device does not have %d Hz, which the gateway hears", f)
			}
		}
		if n := w.sentCommands("NewChannelReq"); n != 1 {
			t.Errorf("%d requests for 1 channel", n)
		}
		w.noErrors()
	})
}

func TestDevicesThatDoNotKnowTheMaskOfAJoinAcceptGetItByCommand(t *testing.T) {
	for _, name := range []string{"US915-2", "AU915-1", "CN470-3", "CN470-20A-5", "CN470-26B-2"} {
		for _, c := range []struct {
			version  string
			requests int
		}{{"1.0.2", 1}, {"1.0.3", 0}} {
			t.Run(name+" "+c.version, func(t *testing.T) {
				inWorld(t, name, func(w *world) {
					d := w.device(1, func(cfg *enddevice.Config, dev *nsedge.Device) { cfg.Version, dev.Version = c.version, c.version })
					w.join(d)
					w.talk(d, 3)
					want := w.region.Channels()
					got := d.State().Channels
					if len(got) != len(want) {
						t.Fatalf("%d channels, want %d", len(got), len(want))
					}
					for i := range got {
						if got[i].Freq != want[i].Freq {
							t.Errorf("channel %d on %d Hz, want %d", i, got[i].Freq, want[i].Freq)
						}
					}
					if n := w.sentCommands("LinkADRReq"); n != c.requests {
						t.Errorf("LinkADRReq was sent %d times, want %d", n, c.requests)
					}
					w.noErrors()
				})
			})
		}
	}
}

func TestDwellTimesAreThoseThatTheGatewayIsConfiguredFor(t *testing.T) {
	off := func(c *nsedge.Config) {
		r, err := region.Lookup(c.Region.Short(), region.WithDwell(region.Dwell{}))
		if err != nil {
			panic(err)
		}
		c.Region = r
	}
	inWorldOf(t, "AS923-1", off, func(w *world) {
		d := w.device(1, func(c *enddevice.Config, _ *nsedge.Device) { c.DataRate = 2 })
		w.join(d)
		w.talk(d, 2)
		if st := d.State(); st.Dwell == nil || *st.Dwell != (region.Dwell{}) || st.MaxEIRP == nil || *st.MaxEIRP != 16 {
			t.Fatalf("the device has %+v", st)
		}
		w.answers(func(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
			return &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: []byte("ok")}
		})
		if down := w.talk(d, 1).Downlink; down == nil || down.Window != "RX1" {
			t.Errorf("downlink %+v", down)
		}
		if n := w.sentCommands("TxParamSetupReq"); n != 1 {
			t.Errorf("TxParamSetupReq was sent %d times", n)
		}
		w.noErrors()
	})
}

func TestADRMakesANearDeviceFastAndQuiet(t *testing.T) {
	for _, name := range []string{"EU868", "US915-2", "AU915-8", "AS923-1", "IN865", "KR920", "RU864", "EU433", "CN470-1", "CN470-20B-6"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, name, func(w *world) {
				lowest := 2 // AS923 has dwell times
				d := w.device(1, func(c *enddevice.Config, _ *nsedge.Device) { c.ADR, c.DataRate = true, lowest })
				w.join(d)
				w.talk(d, nsedge.ADRWindow-1)
				if n := w.sentCommands("LinkADRReq"); n != 0 {
					t.Fatal("decided on too few uplinks")
				}
				w.talk(d, 2*nsedge.ADRWindow+5)
				st := d.State()
				if st.DataRate != w.region.MaxADRDataRate() || st.TXPower == 0 || st.NbTrans != 1 {
					t.Errorf("DR%d, power %d, %d times; want DR%d with less power", st.DataRate, st.TXPower, st.NbTrans, w.region.MaxADRDataRate())
				}
				if got, want := len(st.Channels), len(w.region.Channels()); got < want {
					t.Errorf("%d channels are left of %d", got, want)
				}
				if n := w.sentCommands("LinkADRReq"); n > 3 {
					t.Errorf("LinkADRReq was sent %d times", n)
				}
				w.noErrors()
			})
		})
	}
}

func TestADRModesAreObserved(t *testing.T) {
	for _, c := range []struct {
		adr       nsedge.ADR
		mac       string
		bit       bool
		dr, power int
		requests  int
	}{
		{nsedge.ADR{Mode: "static", DataRate: ptr(4), TXPower: ptr(2)}, "", true, 4, 2, 1},
		{nsedge.ADR{Mode: "static", DataRate: ptr(1)}, "", true, 1, 0, 1},
		{nsedge.ADR{Mode: "static", DataRate: ptr(4)}, "", false, 2, 0, 0}, // the device minds it itself
		{nsedge.ADR{Mode: "off", DataRate: ptr(4)}, "", true, 2, 0, 0},
		{nsedge.ADR{Mode: "on"}, nsedge.MACHandsOff, true, 2, 0, 0},
	} {
		inWorld(t, "EU868", func(w *world) {
			d := w.device(1, func(cfg *enddevice.Config, dev *nsedge.Device) {
				cfg.ADR, cfg.DataRate = c.bit, 2
				dev.ADR, dev.MAC = c.adr, c.mac
			})
			w.join(d)
			w.talk(d, 25)
			if st := d.State(); st.DataRate != c.dr || st.TXPower != c.power {
				t.Errorf("%+v: DR%d, power %d", c, st.DataRate, st.TXPower)
			}
			if n := w.sentCommands("LinkADRReq"); n != c.requests {
				t.Errorf("%+v: %d requests", c, n)
			}
			w.noErrors()
		})
	}
}

func TestADRCanBeReplaced(t *testing.T) {
	own := func(c *nsedge.Config) {
		c.ADR = func(in nsedge.ADRInput) nsedge.ADRDecision {
			return nsedge.ADRDecision{DataRate: in.DataRate, TXPower: in.MaxTXPower, NbTrans: 2}
		}
	}
	inWorldOf(t, "EU868", own, func(w *world) {
		d := w.device(1, func(c *enddevice.Config, _ *nsedge.Device) { c.ADR = true })
		w.join(d)
		w.talk(d, 25)
		if st := d.State(); st.DataRate != 3 || st.TXPower != w.region.MaxTXPower() || st.NbTrans != 2 {
			t.Errorf("DR%d, power %d, %d times", st.DataRate, st.TXPower, st.NbTrans)
		}
	})
}
