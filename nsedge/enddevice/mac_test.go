package enddevice_test

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/enddevice"
	"gatewayd/radio"
)

func adr(dr, power, cntl, nb uint8, channels ...int) lorawan.MACCommand {
	p := &lorawan.LinkADRReqPayload{DataRate: dr, TXPower: power, Redundancy: lorawan.Redundancy{ChMaskCntl: cntl, NbRep: nb}}
	for _, c := range channels {
		p.ChMask[c] = true
	}
	return lorawan.MACCommand{CID: lorawan.LinkADRReq, Payload: p}
}

func newChannel(index uint8, freq uint32, lo, hi uint8) lorawan.MACCommand {
	return lorawan.MACCommand{CID: lorawan.NewChannelReq, Payload: &lorawan.NewChannelReqPayload{ChIndex: index, Freq: freq, MinDR: lo, MaxDR: hi}}
}

func rxParams(freq uint32, dr, offset uint8) lorawan.MACCommand {
	return lorawan.MACCommand{CID: lorawan.RXParamSetupReq, Payload: &lorawan.RXParamSetupReqPayload{
		Frequency: freq, DLSettings: lorawan.DLSettings{RX2DataRate: dr, RX1DROffset: offset},
	}}
}

func downChannel(index uint8, freq uint32) lorawan.MACCommand {
	return lorawan.MACCommand{CID: lorawan.DLChannelReq, Payload: &lorawan.DLChannelReqPayload{ChIndex: index, Freq: freq}}
}

// macCase is a downlink with MAC commands and the answer, in the bytes of
// TS001-1.0.4 §5 and RP002; check looks at what the device made of it.
type macCase struct {
	name, region string
	commands     []lorawan.MACCommand
	want         string
	check        func(s enddevice.State) bool
}

func linkADRCases() []macCase {
	return []macCase{
		{"LinkADRReq", "EU868", []lorawan.MACCommand{adr(3, 2, 0, 3, 0, 2)}, "0307",
			func(s enddevice.State) bool {
				return s.DataRate == 3 && s.TXPower == 2 && s.NbTrans == 3 && s.Channels[0].Enabled && !s.Channels[1].Enabled && s.Channels[2].Enabled
			}},
		{"LinkADRReq, keep data rate and power", "EU868", []lorawan.MACCommand{adr(15, 15, 6, 0)}, "0307",
			func(s enddevice.State) bool { return s.DataRate == 5 && s.TXPower == 0 && s.NbTrans == 1 }},
		{"LinkADRReq, channel that isn't defined", "EU868", []lorawan.MACCommand{adr(3, 2, 0, 1, 0, 9)}, "0306",
			func(s enddevice.State) bool { return s.DataRate == 5 && s.TXPower == 0 }},
		{"LinkADRReq, block with one bad mask", "EU868", []lorawan.MACCommand{adr(3, 2, 0, 1, 9), adr(3, 2, 0, 1, 0)}, "03060306",
			func(s enddevice.State) bool { return s.DataRate == 5 }},
		{"LinkADRReq, no channel left", "EU868", []lorawan.MACCommand{adr(3, 2, 0, 1)}, "0306", nil},
		{"LinkADRReq, data rate of no channel", "EU868", []lorawan.MACCommand{adr(6, 2, 0, 1, 0)}, "0305", nil},
		{"LinkADRReq, power", "EU868", []lorawan.MACCommand{adr(5, 8, 0, 1, 0)}, "0303", nil},
		{"LinkADRReq, reserved mask control", "EU868", []lorawan.MACCommand{adr(5, 0, 3, 1, 0)}, "0306", nil},
		{"LinkADRReq, block", "US915-2", []lorawan.MACCommand{adr(15, 15, 7, 1), adr(2, 4, 0, 2, 0, 1)}, "03070307",
			func(s enddevice.State) bool {
				return len(s.Channels) == 2 && s.Channels[0].Freq == 902_300_000 && s.Channels[1].Index == 1 && s.DataRate == 2 && s.TXPower == 4 && s.NbTrans == 2
			}},
		{"LinkADRReq, banks", "US915-2", []lorawan.MACCommand{adr(15, 15, 5, 1, 7)}, "0307",
			func(s enddevice.State) bool {
				return len(s.Channels) == 9 && s.Channels[0].Index == 56 && s.Channels[8].Index == 71
			}},
		{"LinkADRReq, all narrow ones", "US915-2", []lorawan.MACCommand{adr(15, 15, 6, 1, 0)}, "0307",
			func(s enddevice.State) bool { return len(s.Channels) == 65 && s.Channels[64].Index == 64 }},
		{"LinkADRReq, wide ones only, by the fifth block", "US915-2", []lorawan.MACCommand{adr(15, 15, 7, 1), adr(4, 15, 4, 1, 3)}, "03070307",
			func(s enddevice.State) bool { return len(s.Channels) == 1 && s.Channels[0].Freq == 907_800_000 }},
		{"LinkADRReq, wide data rate without a wide channel", "US915-2", []lorawan.MACCommand{adr(15, 15, 7, 1), adr(4, 15, 0, 1, 3)}, "03050305", nil},
		{"LinkADRReq, last block of CN470", "CN470-1", []lorawan.MACCommand{adr(15, 15, 0, 1), adr(15, 15, 5, 1, 15)}, "03070307",
			func(s enddevice.State) bool {
				return len(s.Channels) == 9 && s.Channels[8].Index == 95 || len(s.Channels) == 1
			}},
		{"LinkADRReq, all off and a block, 20 MHz", "CN470-20A-1", []lorawan.MACCommand{adr(15, 15, 7, 1), adr(5, 15, 3, 1, 15)}, "03070307",
			func(s enddevice.State) bool { return len(s.Channels) == 1 && s.Channels[0].Freq == 509_700_000 }},
		{"LinkADRReq, all off and a block, 26 MHz", "CN470-26B-1", []lorawan.MACCommand{adr(15, 15, 4, 1), adr(5, 15, 2, 1, 15)}, "03070307",
			func(s enddevice.State) bool { return len(s.Channels) == 1 && s.Channels[0].Freq == 489_700_000 }},
		{"LinkADRReq, all on, 26 MHz", "CN470-26B-1", []lorawan.MACCommand{adr(15, 15, 3, 1)}, "0307",
			func(s enddevice.State) bool { return len(s.Channels) == 48 }},
		{"LinkADRReq, the other plans' all on", "CN470-26B-1", []lorawan.MACCommand{adr(15, 15, 6, 1)}, "0306", nil},
	}
}

func otherMACCases() []macCase {
	return []macCase{
		{"DutyCycleReq", "EU868", []lorawan.MACCommand{{CID: lorawan.DutyCycleReq, Payload: &lorawan.DutyCycleReqPayload{MaxDCycle: 7}}}, "04",
			func(s enddevice.State) bool { return s.MaxDuty == 7 }},
		{"RXParamSetupReq", "EU868", []lorawan.MACCommand{rxParams(869_100_000, 3, 2)}, "0507",
			func(s enddevice.State) bool { return s.RX2Freq == 869_100_000 && s.RX2DR == 3 && s.RX1Offset == 2 }},
		{"RXParamSetupReq, frequency", "EU868", []lorawan.MACCommand{rxParams(915_000_000, 3, 2)}, "0506",
			func(s enddevice.State) bool { return s.RX2Freq == 869_525_000 && s.RX2DR == 0 && s.RX1Offset == 0 }},
		{"RXParamSetupReq, data rate", "EU868", []lorawan.MACCommand{rxParams(869_100_000, 15, 2)}, "0505", nil},
		{"RXParamSetupReq, offset", "EU868", []lorawan.MACCommand{rxParams(869_100_000, 3, 6)}, "0503", nil},
		{"DevStatusReq", "EU868", []lorawan.MACCommand{{CID: lorawan.DevStatusReq}}, "06801f", nil}, // 31 dB at most
		{"NewChannelReq", "EU868", []lorawan.MACCommand{newChannel(3, 867_100_000, 0, 5)}, "0703",
			func(s enddevice.State) bool {
				return len(s.Channels) == 4 && s.Channels[3] == enddevice.Channel{Index: 3, Freq: 867_100_000, MaxDR: 5, Enabled: true}
			}},
		{"NewChannelReq, default channel", "EU868", []lorawan.MACCommand{newChannel(2, 867_100_000, 0, 5)}, "0700", nil},
		{"NewChannelReq, index", "EU868", []lorawan.MACCommand{newChannel(16, 867_100_000, 0, 5)}, "0700", nil},
		{"NewChannelReq, frequency", "EU868", []lorawan.MACCommand{newChannel(3, 915_000_000, 0, 5)}, "0702", nil},
		{"NewChannelReq, data rates", "EU868", []lorawan.MACCommand{newChannel(3, 867_100_000, 5, 15)}, "0701", nil},
		{"NewChannelReq, away again", "EU868", []lorawan.MACCommand{newChannel(3, 867_100_000, 0, 5), newChannel(3, 0, 0, 0)}, "07030703",
			func(s enddevice.State) bool { return len(s.Channels) == 3 }},
		{"NewChannelReq, the only enabled one away", "EU868", []lorawan.MACCommand{newChannel(3, 867_100_000, 0, 2), adr(1, 0, 0, 1, 3), newChannel(3, 0, 0, 0)}, "070303070703",
			func(s enddevice.State) bool { return len(s.Channels) == 3 && s.Channels[0].Enabled && s.DataRate == 1 }},
		{"NewChannelReq where channels are fixed", "US915-2", []lorawan.MACCommand{newChannel(3, 903_000_000, 0, 3)}, "", nil},
		{"RXTimingSetupReq", "EU868", []lorawan.MACCommand{{CID: lorawan.RXTimingSetupReq, Payload: &lorawan.RXTimingSetupReqPayload{Delay: 5}}}, "08",
			func(s enddevice.State) bool { return s.RX1Delay == 5 }},
		{"RXTimingSetupReq, 0 is 1", "EU868", []lorawan.MACCommand{{CID: lorawan.RXTimingSetupReq, Payload: &lorawan.RXTimingSetupReqPayload{}}}, "08",
			func(s enddevice.State) bool { return s.RX1Delay == 1 }},
		{"TXParamSetupReq", "AS923-1", []lorawan.MACCommand{{CID: lorawan.TXParamSetupReq, Payload: &lorawan.TXParamSetupReqPayload{
			UplinkDwellTime: lorawan.DwellTimeNoLimit, DownlinkDwelltime: lorawan.DwellTime400ms, MaxEIRP: 1,
		}}}, "09", func(s enddevice.State) bool { return *s.MaxEIRP == 10 && !s.Dwell.Uplink && s.Dwell.Downlink }},
		{"TXParamSetupReq where there is none", "EU868", []lorawan.MACCommand{{CID: lorawan.TXParamSetupReq, Payload: &lorawan.TXParamSetupReqPayload{}}}, "", nil},
		{"DlChannelReq", "EU868", []lorawan.MACCommand{downChannel(1, 869_000_000)}, "0a03",
			func(s enddevice.State) bool { return s.Channels[1].Down == 869_000_000 }},
		{"DlChannelReq, channel", "EU868", []lorawan.MACCommand{downChannel(7, 869_000_000)}, "0a01", nil},
		{"DlChannelReq, frequency", "EU868", []lorawan.MACCommand{downChannel(1, 100)}, "0a02", nil},
		{"several", "EU868", []lorawan.MACCommand{{CID: lorawan.DevStatusReq}, adr(15, 15, 6, 1), {CID: lorawan.DevStatusReq}}, "06801f030706801f", nil},
	}
}

func TestMACCommandsAreAnswered(t *testing.T) {
	for _, tt := range append(linkADRCases(), otherMACCases()...) {
		for _, port := range []*uint8{nil, new(uint8(0))} {
			if port == nil && len(uplink{options: tt.commands}.encoded(t)) > 15 {
				continue // more than FOpts carries
			}
			t.Run(fmt.Sprint(tt.name, " on port 0 ", port != nil), func(t *testing.T) {
				abp(t, tt.region, enddevice.Config{DataRate: 5, Battery: 128, NoDutyCycle: true}, func(t *testing.T, n *network, d *enddevice.Device) {
					n.once(reply{window: 1, options: tt.commands, port: port})
					r := must(t, d, 1, nil)
					if r.Downlink == nil || len(r.Downlink.Commands) != len(tt.commands) || r.Downlink.Payload != nil || r.Downlink.Port != 0 {
						t.Fatalf("downlink %+v", r.Downlink)
					}
					s := d.State()
					must(t, d, 1, nil)
					if got := hex.EncodeToString(n.last().encoded(t)); got != tt.want {
						t.Errorf("answer %s, want %s", got, tt.want)
					}
					if tt.check != nil && !tt.check(s) {
						t.Errorf("state %+v", s)
					}
				})
			})
		}
	}
}

// §5: RXParamSetupAns, RXTimingSetupAns and DlChannelAns are repeated until a
// class A downlink shows that they arrived; others are sent once.
func TestStickyAnswers(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 1, options: []lorawan.MACCommand{rxParams(869_525_000, 3, 0), {CID: lorawan.DevStatusReq}}})
		must(t, d, 1, nil)
		for i, want := range []string{"050706001f", "0507", "0507", ""} {
			if i == 2 {
				n.rx2DR = 3
				n.once(reply{window: 2})
			}
			must(t, d, 1, nil)
			if got := hex.EncodeToString(n.last().encoded(t)); got != want {
				t.Errorf("uplink %d: options %q, want %q", i, got, want)
			}
		}
	})
}

// A class C downlink says nothing about the uplink: it ends no repetition.
func TestStickyAnswersOutliveClassCDownlinks(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5, Class: "C"}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 1, options: []lorawan.MACCommand{rxParams(869_525_000, 5, 0)}})
		must(t, d, 1, nil)
		n.once(reply{window: -1, dr: new(5)})
		if r := must(t, d, 1, nil); r.Downlink == nil || r.Downlink.Window != "RXC" {
			t.Fatalf("%+v", r.Downlink)
		}
		must(t, d, 1, nil)
		if got := hex.EncodeToString(n.last().encoded(t)); got != "0507" {
			t.Errorf("options %q", got)
		}
	})
}

func TestUnknownCommandEndsTheList(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 1, options: []lorawan.MACCommand{{CID: lorawan.DevStatusReq}, {CID: 0x7F}, {CID: lorawan.DevStatusReq}}})
		if r := must(t, d, 1, nil); r.Downlink == nil || len(r.Downlink.Commands) != 1 {
			t.Errorf("%+v", r.Downlink)
		}
		must(t, d, 1, nil)
		if got := hex.EncodeToString(n.last().encoded(t)); got != "06001f" {
			t.Errorf("options %s", got)
		}
	})
}

func TestAnswersThatDontFitWait(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5}, func(t *testing.T, n *network, d *enddevice.Device) {
		var many []lorawan.MACCommand
		for range 7 {
			many = append(many, lorawan.MACCommand{CID: lorawan.DevStatusReq})
		}
		n.once(reply{window: 1, options: many})
		must(t, d, 1, nil)
		must(t, d, 1, nil)
		if got := len(n.last().options); got != 5 {
			t.Errorf("%d answers of three bytes in FOpts", got)
		}
		must(t, d, 1, nil)
		if got := len(n.last().options); got != 2 {
			t.Errorf("%d answers in the next", got)
		}
	})
}

func TestRequestsAreAnsweredInTheResult(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5}, func(t *testing.T, n *network, d *enddevice.Device) {
		for range 2 { // twice is once
			if err := d.RequestLinkCheck(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := d.RequestTime(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		n.once(reply{window: 1, options: []lorawan.MACCommand{
			{CID: lorawan.LinkCheckAns, Payload: &lorawan.LinkCheckAnsPayload{Margin: 20, GwCnt: 1}},
			{CID: lorawan.DeviceTimeAns, Payload: &lorawan.DeviceTimeAnsPayload{TimeSinceGPSEpoch: 1000 * time.Second}},
		}})
		r := must(t, d, 1, nil)
		if got := hex.EncodeToString(n.last().encoded(t)); got != "020d" {
			t.Errorf("requests %s", got)
		}
		if p, ok := r.Downlink.Commands[0].Payload.(*lorawan.LinkCheckAnsPayload); !ok || p.Margin != 20 {
			t.Errorf("%+v", r.Downlink.Commands)
		}
		if p, ok := r.Downlink.Commands[1].Payload.(*lorawan.DeviceTimeAnsPayload); !ok || p.TimeSinceGPSEpoch != 1000*time.Second {
			t.Errorf("%+v", r.Downlink.Commands)
		}
	})
}

// What the network sets is what the device then does.
func TestDeviceFollowsItsNewParameters(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 5, NoDutyCycle: true}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 1, options: []lorawan.MACCommand{adr(4, 3, 0, 2, 1), downChannel(1, 869_000_000)}})
		must(t, d, 1, nil)
		n.once(reply{window: 1, options: []lorawan.MACCommand{{CID: lorawan.RXTimingSetupReq, Payload: &lorawan.RXTimingSetupReqPayload{Delay: 3}}}, freq: 869_000_000})
		r := must(t, d, 1, nil)
		up := n.last()
		if up.dr != 4 || up.Freq != 868_300_000 || up.Power != 10 || r.Downlink == nil { // 16 dBm EIRP less 3 * 2 dB (RP002 §2.5.3)
			t.Errorf("DR%d on %d with %v dBm, %+v", up.dr, up.Freq, up.Power, r.Downlink)
		}
		before := len(n.uplinks)
		must(t, d, 1, nil)
		if got := len(n.uplinks) - before; got != 2 { // NbTrans
			t.Errorf("sent %d times", got)
		}
		n.rx1Delay = 3 * time.Second
		n.once(reply{window: 2})
		if r := must(t, d, 1, nil); r.Downlink == nil || r.Downlink.Delay != 4*time.Second || len(r.Uplinks) != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// MaxDutyCycle 10: a share of 1/1024 of all time (§5.3).
func TestDutyCycleReqIsRespected(t *testing.T) {
	abp(t, "US915-2", enddevice.Config{DataRate: 3}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 1, options: []lorawan.MACCommand{{CID: lorawan.DutyCycleReq, Payload: &lorawan.DutyCycleReqPayload{MaxDCycle: 10}}}})
		must(t, d, 1, nil)
		a, b := must(t, d, 1, nil).Uplinks[0], must(t, d, 1, nil).Uplinks[0]
		if want := a.End.Add(1023 * a.End.Sub(a.Start)); b.Start != want {
			t.Errorf("next uplink at %d, want %d", b.Start, want)
		}
	})
}

func TestPowerLimitOfTXParamSetup(t *testing.T) {
	abp(t, "AS923-1", enddevice.Config{DataRate: 3, NoDutyCycle: true}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 1, options: []lorawan.MACCommand{
			{CID: lorawan.TXParamSetupReq, Payload: &lorawan.TXParamSetupReqPayload{MaxEIRP: 2}}, adr(15, 1, 0, 1, 0),
		}})
		must(t, d, 1, nil)
		must(t, d, 1, nil)
		if p := n.last().Power; p != 10 { // 12 dBm less 2 dB
			t.Errorf("%v dBm", p)
		}
		// A device that starts again has them still.
		s := d.State()
		d.Close()
		again, err := enddevice.New(enddevice.Config{DevEUI: devEUI, Region: n.region, State: &s, NoDutyCycle: true}, n.m)
		if err != nil {
			t.Fatal(err)
		}
		must(t, again, 1, nil)
		if p := n.last().Power; p != radio.DBm(10) {
			t.Errorf("%v dBm after the restart", p)
		}
	})
}

// §4.3.1.1 with ADR_ACK_LIMIT 64 and ADR_ACK_DELAY 32: ADRACKReq from the 65th
// silent uplink on, full power after 96, then a data rate step every 32, at
// last all default channels.
func TestADRBackOff(t *testing.T) {
	abp(t, "EU868", enddevice.Config{DataRate: 2, ADR: true, NoDutyCycle: true}, func(t *testing.T, n *network, d *enddevice.Device) {
		n.once(reply{window: 1, options: []lorawan.MACCommand{adr(2, 4, 0, 1, 0)}})
		must(t, d, 1, nil)
		type step struct {
			dr, power, channels int
			req                 bool
		}
		var got []step
		for range 230 {
			must(t, d, 1, nil)
			s := d.State()
			enabled := 0
			for _, c := range s.Channels {
				if c.Enabled {
					enabled++
				}
			}
			got = append(got, step{n.last().dr, s.TXPower, enabled, n.last().mac.FHDR.FCtrl.ADRACKReq})
			if !n.last().mac.FHDR.FCtrl.ADR {
				t.Fatal("no ADR bit")
			}
		}
		for i, want := range map[int]step{
			63: {2, 4, 1, false}, 64: {2, 4, 1, true}, 95: {2, 4, 1, true}, 96: {2, 0, 1, true}, 127: {2, 0, 1, true},
			128: {1, 0, 1, true}, 160: {0, 0, 1, true}, 191: {0, 0, 1, true}, 192: {0, 0, 3, true},
		} {
			if got[i] != want {
				t.Errorf("uplink %d: %+v, want %+v", i, got[i], want)
			}
		}
		n.once(reply{window: 1})
		must(t, d, 1, nil)
		must(t, d, 1, nil)
		if n.last().mac.FHDR.FCtrl.ADRACKReq {
			t.Error("ADRACKReq after a downlink")
		}
	})
}
