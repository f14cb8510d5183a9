package nsedge

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/brocaar/lorawan"
)

func fopts(r received) (out []byte) {
	for _, p := range r.mac.FHDR.FOpts {
		b, _ := p.MarshalBinary()
		out = append(out, b...)
	}
	return out
}

func TestDeviceTimeIsTheEndOfTheUplink(t *testing.T) {
	scenario(t, func(b *bench) { // the bubble's clock begins at 2000-01-01T00:00:00Z
		n := b.abpNode(1, nil)
		time.Sleep(250 * time.Millisecond)
		n.send(frame{opts: []byte{0x0d}})
		time.Sleep(4 * time.Second)
		// 7300 days after the GPS epoch of 1980-01-06 less 5 days, 13 leap
		// seconds until then (IERS Bulletin C), and 64/256 s.
		want := uint32(7300*86400 + 13)
		d := n.onlyDownlink()
		if o := fopts(d); !slices.Equal(o, []byte{0x0d, byte(want), byte(want >> 8), byte(want >> 16), byte(want >> 24), 64}) {
			t.Errorf("DeviceTimeAns % x, want %08x", o, want)
		}
		evs := b.take()
		if m := one[*UplinkEvent](t, evs).Frame.MACCommands; len(m) != 1 || m[0].Name != "DeviceTimeReq" {
			t.Errorf("commands %+v", m)
		}
		if m := one[*DownlinkEvent](t, evs).Frame.MACCommands; len(m) != 1 || m[0].Value != (deviceTimeFields{int64(want), 64}) {
			t.Errorf("commands %+v", m)
		}
	})
}

func TestAnUntrustedClockGivesNoTime(t *testing.T) {
	scenarioWith(t, func(c *Config) { c.GPS = func(time.Time) (time.Duration, bool) { return 0, false } }, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{opts: []byte{0x0d}})
		time.Sleep(4 * time.Second)
		if fs := b.air.frames(); len(fs) > 0 {
			t.Errorf("answered: % x", fs[0].Payload)
		}
	})
}

func TestMACCommandsOnPort0AreAnswered(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{port: ptr(uint8(0)), payload: []byte{0x02}})
		time.Sleep(4 * time.Second)
		evs := b.take()
		up := one[*UplinkEvent](t, evs)
		if up.Port != 0 || up.Payload == nil || len(up.Payload) > 0 || up.Frame.MACCommands[0].Name != "LinkCheckReq" {
			t.Errorf("uplink %+v", up)
		}
		if d := n.onlyDownlink(); !slices.Equal(fopts(d), []byte{0x02, 12, 1}) {
			t.Errorf("FOpts % x", fopts(d))
		}
	})
}

func TestAStatusRequestIsAskedAnsweredAndDelivered(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		b.answer(StatusRequest{Device: n.eui})
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: make([]byte, req.MaxSize)})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); !slices.Equal(fopts(d), []byte{0x06}) || len(d.payload) != req.MaxSize {
			t.Errorf("FOpts % x beside %d bytes", fopts(d), len(d.payload))
		}
		b.take()
		u := n.send(frame{payload: []byte("x"), opts: []byte{0x06, 200, 0x3f}}) // margin -1 in 6 bits
		evs := b.take()
		s := one[*StatusResponse](t, evs)
		if s.Battery != 200 || s.SNR != -1 || !s.RXTime.Equal(u.Time) {
			t.Errorf("status %+v", s)
		}
		wantNotice(t, evs, Info, CodeStatusDelivered)
		time.Sleep(4 * time.Second)
		if fs := b.air.frames(); len(fs) > 0 {
			t.Error("it was asked again")
		}
	})
}

func TestAStatusRequestArrivingLateDoesNotSpoilTheAnnouncedSize(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{payload: []byte("x")})
		req := one[*DownlinkRequest](t, b.take())
		b.answer(StatusRequest{Device: n.eui})
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Payload: make([]byte, req.MaxSize)})
		time.Sleep(4 * time.Second)
		if d := n.onlyDownlink(); len(d.payload) != req.MaxSize || len(fopts(d)) > 0 {
			t.Errorf("%d bytes, FOpts % x", len(d.payload), fopts(d))
		}
	})
}

func TestAStatusRequestThatIsNeverAnsweredEndsInAnError(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		b.answer(StatusRequest{Device: n.eui})
		for range maxStatusTries {
			n.send(frame{payload: []byte("x")})
			time.Sleep(4 * time.Second)
		}
		if fs := b.air.frames(); len(fs) != maxStatusTries {
			t.Errorf("asked %d times", len(fs))
		}
		b.take()
		n.send(frame{payload: []byte("x")})
		wantNotice(t, b.take(), Error, CodeStatusNoAnswer)
	})
}

func TestBadMACCommandsAreWarnedOf(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		n.send(frame{opts: []byte{0x02, 0x06, 1}}) // DevStatusAns is cut short
		evs := b.take()
		wantNotice(t, evs, Warning, CodeUplinkMACInvalid)
		if m := one[*UplinkEvent](t, evs).Frame.MACCommands; len(m) != 1 {
			t.Errorf("commands %+v", m)
		}
	})
}

// The field names are those of data-api.md §3 and of the specification.
func TestMACCommandsAreShownByTheSpecificationsNames(t *testing.T) {
	for _, c := range []struct {
		uplink   bool
		commands []byte
		want     string
	}{
		{false, []byte{0x03, 0x45, 0xff, 0x00, 0x01}, `LinkADRReq {"DataRate_TXPower":{"DataRate":4,"TXPower":5},"ChMask":255,"Redundancy":{"ChMaskCntl":0,"NbTrans":1}}`},
		{false, []byte{0x04, 0x00}, `DutyCycleReq {"MaxDCycle":0}`},
		{false, []byte{0x05, 0x08, 0xc8, 0xe2, 0x8c}, `RXParamSetupReq {"DLsettings":{"RX1DRoffset":0,"RX2DataRate":8},"Frequency":9233096}`},
		{false, []byte{0x02, 20, 1}, `LinkCheckAns {"Margin":20,"GwCnt":1}`},
		{false, []byte{0x06}, `DevStatusReq {}`},
		{false, []byte{0x07, 3, 0x18, 0x4f, 0x84, 0x50}, `NewChannelReq {"ChIndex":3,"Freq":8671000,"DrRange":{"MaxDR":5,"MinDR":0}}`},
		{false, []byte{0x08, 5}, `RXTimingSetupReq {"Settings":{"Del":5}}`},
		{false, []byte{0x09, 0x35}, `TxParamSetupReq {"EIRP_DwellTime":{"DownlinkDwellTime":1,"UplinkDwellTime":1,"MaxEIRP":5}}`},
		{false, []byte{0x0a, 1, 0x18, 0x4f, 0x84}, `DlChannelReq {"ChIndex":1,"Freq":8671000}`},
		{false, []byte{0x0c, 0x65}, `ADRParamSetupReq {"ADRparam":{"Limit_exp":6,"Delay_exp":5}}`},
		{false, []byte{0x0e, 0x23, 0x0a}, `ForceRejoinReq {"Period":1,"Max_Retries":2,"RejoinType":2,"DR":3}`},
		{false, []byte{0x0f, 0x21}, `RejoinParamSetupReq {"MaxTimeN":2,"MaxCountN":1}`},
		{false, []byte{0x11, 0xd2, 0xad, 0x84, 3}, `PingSlotChannelReq {"Frequency":8695250,"DR":3}`},
		{false, []byte{0x13, 0xd2, 0xad, 0x84}, `BeaconFreqReq {"Frequency":8695250}`},
		{false, []byte{0x01, 1, 0x0b, 1, 0x20, 2}, `ResetConf {"Serv_LoRaWAN_version":{"Minor":1}} RekeyConf {"Serv_LoRaWAN_version":{"Minor":1}} DeviceModeConf {"Class":2}`},
		{true, []byte{0x03, 7, 0x05, 7, 0x07, 3}, `LinkADRAns {"Status":{"PowerACK":true,"DataRateACK":true,"ChannelMaskACK":true}} ` +
			`RXParamSetupAns {"Status":{"RX1DRoffsetACK":true,"RX2DataRateACK":true,"ChannelACK":true}} NewChannelAns {"Status":{"DataRateRangeOK":true,"ChannelFrequencyOK":true}}`},
		{true, []byte{0x06, 254, 10}, `DevStatusAns {"Battery":254,"Margin":10}`},
		{true, []byte{0x0a, 3, 0x0f, 1, 0x10, 4}, `DlChannelAns {"Status":{"UplinkFrequencyExists":true,"ChannelFrequencyOK":true}} RejoinParamSetupAns {"Status":{"TimeOK":true}} PingSlotInfoReq {"PingSlotParam":{"Periodicity":4}}`},
		{true, []byte{0x11, 3, 0x13, 1, 0x01, 1, 0x0b, 1}, `PingSlotChannelAns {"Status":{"DataRateOK":true,"ChannelFrequencyOK":true}} BeaconFreqAns {"Status":{"BeaconFrequencyOK":true}} ` +
			`ResetInd {"Dev_LoRaWAN_version":{"Minor":1}} RekeyInd {"Dev_LoRaWAN_version":{"Minor":1}}`},
	} {
		got, err := decodeMAC(c.uplink, c.commands)
		if err != nil {
			t.Errorf("% x: %v", c.commands, err)
		}
		var s []string
		for _, m := range got {
			v, err := json.Marshal(m.Value)
			if err != nil {
				t.Fatal(err)
			}
			s = append(s, m.Name+" "+string(v))
		}
		if s := strings.Join(s, " "); s != c.want {
			t.Errorf("% x:\n got %s\nwant %s", c.commands, s, c.want)
		}
	}
}

func TestCommandLengthsAreThoseOfBrocaar(t *testing.T) {
	for uplink, forms := range macTables {
		for cid, f := range forms {
			_, size, err := lorawan.GetMACPayloadAndSize(uplink, cid)
			if err == nil && size != f.size {
				t.Errorf("%s: %d bytes, brocaar/lorawan has %d", f.name, f.size, size)
			}
			if err != nil && f.size != 0 && cid != cidBeaconTiming { // of LoRaWAN 1.0.2 §14.1: 2 bytes of delay, a channel
				t.Errorf("%s: %d bytes, brocaar/lorawan has none", f.name, f.size)
			}
		}
	}
}

// RFC 4493 §4 by way of join-requests and data frames: brocaar/lorawan
// computes its MICs with another implementation of AES-CMAC.
func TestMICsAreThoseOfBrocaar(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for size := range 240 {
		var key Key
		for i := range key {
			key[i] = byte(rnd.Uint32())
		}
		addr, counter := DevAddr{byte(size), 2, 3, 4}, rnd.Uint32()
		k := lorawan.AES128Key(key)
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		p := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.ConfirmedDataUp}, MACPayload: &lorawan.MACPayload{
			FHDR: lorawan.FHDR{DevAddr: lorawan.DevAddr(addr), FCnt: counter}, FPort: ptr(uint8(9)), FRMPayload: []lorawan.Payload{&lorawan.DataPayload{Bytes: data}},
		}}
		if err := p.SetUplinkDataMIC(lorawan.LoRaWAN1_0, 0, 0, 0, k, k); err != nil {
			t.Fatal(err)
		}
		raw, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseDataUp(raw)
		if err != nil || !f.valid(key, counter) || f.valid(key, counter+1) || f.addr != addr || f.counter != uint16(counter) || f.port != 9 || !slices.Equal(f.frm, data) {
			t.Fatalf("size %d: %+v, %v", size, f, err)
		}
	}
}
