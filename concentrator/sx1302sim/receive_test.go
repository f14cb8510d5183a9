package sx1302sim

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// received is a packet as the host reads it.
type received struct {
	chain, modem, sf, rate byte
	crc, bad               bool
	offset                 int32
	payload                []byte
	snr                    int8
	rssi, signal           byte
	stamp                  uint32
	sum                    uint16
}

// fetch reads the receive buffer as the data sheet says: the count, then the
// packets.
func (h host) fetch() (out []received) {
	h.t.Helper()
	synctest.Wait()
	n := h.get(reg.RXBufferNbBytesMSB.Addr(), 2)
	b := []byte(nil)
	for left := int(n[0])<<8 | int(n[1]); left > 0; {
		part := min(left, 1000)
		b = append(b, h.get(reg.RXFIFO, part)...)
		left -= part
	}
	for len(b) > 0 {
		if len(b) < 23 || b[0] != 0xA5 || b[1] != 0xC0 {
			h.t.Fatalf("no packet starts with %x", b[:min(len(b), 23)])
		}
		n := int(b[2])
		p, tail := b[:23+n+2*int(b[21+n])], b[9+n:]
		var sum byte
		for _, v := range p[:len(p)-1] {
			sum += v
		}
		if sum != p[len(p)-1] {
			h.t.Fatalf("checksum %02x of packet %x, want %02x", p[len(p)-1], p, sum)
		}
		out = append(out, received{
			chain: p[3], modem: p[5], sf: p[4] >> 4, rate: p[4] >> 1 & 7, crc: p[4]&1 == 1, bad: tail[0]&1 == 1,
			offset: (int32(p[6])<<12 | int32(p[7])<<20 | int32(p[8])<<28) >> 12, payload: p[9 : 9+n],
			snr: int8(tail[1]), rssi: tail[2], signal: tail[3],
			stamp: uint32(tail[6]) | uint32(tail[7])<<8 | uint32(tail[8])<<16 | uint32(tail[9])<<24, sum: uint16(tail[10]) | uint16(tail[11])<<8,
		})
		b = b[len(p):]
	}
	return out
}

// sender joins a device to the medium.
func sender(t *testing.T, m *air.Medium, name string) *air.Station {
	t.Helper()
	s, err := m.Join(air.StationConfig{Name: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, s *air.Station, f air.Frame, at radio.Instant) air.Transmission {
	t.Helper()
	tr, err := s.Transmit(f, at, 14)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func up(sf uint8, bw radio.Hertz) radio.LoRa { return radio.LoRa{SF: sf, Bandwidth: bw} }

func short(sf uint8) radio.LoRa {
	return radio.LoRa{SF: sf, Bandwidth: 125_000, Sync: radio.PrivateSync, Preamble: 12}
}

func TestEndOfAnUplinkIsItsCorrectedStamp(t *testing.T) {
	type want struct {
		freq         radio.Hertz
		mod          radio.Modulation
		chain, modem byte
	}
	// The channels of the vendor's EU868 configuration, see started.
	for _, w := range []want{
		{868_100_000, up(7, 125_000), 0, 0},
		{868_300_000, up(8, 125_000), 1, 0},
		{868_500_000, up(9, 125_000), 2, 0},
		{867_100_000, up(10, 125_000), 3, 0},
		{867_300_000, up(11, 125_000), 4, 0},
		{867_500_000, up(12, 125_000), 5, 0},
		{867_700_000, short(5), 6, 0},
		{867_900_000, short(6), 7, 0},
		{868_100_000, radio.LoRa{SF: 12, Bandwidth: 125_000, CodeRate: 4, NoCRC: true}, 0, 0},
		{868_300_000, up(7, 250_000), 8, 16},
		{868_800_000, radio.FSK{BitRate: 50_000}, 9, 17},
	} {
		for _, n := range []int{0, 1, 17, 255} {
			synctest.Test(t, func(t *testing.T) {
				c, m := started(t, Config{})
				h := host{t, c}
				payload := bytes.Repeat([]byte{0xA7}, n)
				tr := send(t, sender(t, m, "device"), air.Frame{Payload: payload, Freq: w.freq, Mod: w.mod}, m.Now()+1_001)
				var delay int64 // subtracted by the host: TestStampPlusCorrectionIsTheEndOfThePacket
				sf, rate, crc := byte(0), byte(0), true
				switch mod := w.mod.(type) {
				case radio.LoRa:
					delay, sf, rate, crc = loraDelay(mod, n), mod.SF, mod.Rate(), !mod.NoCRC
				case radio.FSK:
					delay = fskDelay(mod.BitRate)
				}
				name := fmt.Sprintf("%v, %d bytes", w.mod, n)
				time.Sleep((tr.End + radio.Instant(delay)).Sub(m.Now()) - time.Nanosecond)
				if early := h.fetch(); len(early) != 0 {
					t.Errorf("%s: packet in the buffer before its stamp", name)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				got := h.fetch()
				if len(got) != 1 {
					t.Fatalf("%s: %d packets, want 1", name, len(got))
				}
				p := got[0]
				if p.chain != w.chain || p.modem != w.modem || p.sf != sf || p.rate != rate || p.crc != crc || p.bad || !bytes.Equal(p.payload, payload) || p.sum != crc16(payload) {
					t.Errorf("%s: %+v", name, p)
				}
				if at := int64(p.stamp)/32 - delay - counterStart; p.stamp%32 != 0 || at != int64(tr.End) {
					t.Errorf("%s: stamp means %d µs, the frame ended at %d", name, at, tr.End)
				}
			})
		}
	}
}

// 14 dBm less 100 dB are -86 dBm; the noise floor in 125 kHz with 6 dB of
// noise figure is -117 dBm, so the SNR is 31 dB. The board adds -215.4.
func TestLevelsAreWhatTheMediumSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		s, err := m.Join(air.StationConfig{Name: "far", PathLoss: 135}, nil)
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, air.Frame{Payload: []byte{1}, Freq: 868_100_000, Mod: up(10, 125_000)}, air.Immediately)
		time.Sleep(time.Second)
		got := host{t, c}.fetch()
		// -121 dBm: SNR -4 dB (-15.9 quarters), signal 215.4-121 = 94.4, channel with noise 5.4 dB more
		if len(got) != 1 || got[0].snr != -16 || got[0].signal != 94 || got[0].rssi != 100 {
			t.Errorf("got %+v, want SNR -16/4 dB, signal 94, channel 100", got)
		}
	})
}

// With the host's addition of the rounding error of the intermediate
// frequency (nominal minus register: -98 Hz for -400 kHz, +195 for -200 kHz
// would be its own words), a transmitter on the nominal frequency has offset 0.
func TestNominalFrequencyHasNoOffset(t *testing.T) {
	for _, c := range []struct {
		freq, off radio.Hertz
		rounding  float64 // nominal minus real intermediate frequency, Hz
	}{{868_100_000, 0, -400_000 + 819*15625/32.0}, {868_300_000, 0, -200_000 + 409*15625/32.0}, {868_500_000, 0, 0}, {868_500_000, 2_000, 0}} {
		synctest.Test(t, func(t *testing.T) {
			chip, m := started(t, Config{})
			send(t, sender(t, m, "device"), air.Frame{Payload: []byte{1}, Freq: c.freq + c.off, Mod: up(7, 125_000)}, air.Immediately)
			time.Sleep(time.Second)
			got := host{t, chip}.fetch()
			if len(got) != 1 {
				t.Fatalf("%d packets", len(got))
			}
			hz := float64(got[0].offset)*125_000*32/(1<<25) + c.rounding
			if d := hz + float64(c.off); d < -1 || d > 1 {
				t.Errorf("%d Hz + %d: the host computes %v Hz", c.freq, c.off, hz)
			}
		})
	}
}

func TestFramesThatNoModemListensForAreNotReceived(t *testing.T) {
	sync12, inverted, implicit := up(7, 125_000), up(7, 125_000), up(7, 125_000)
	sync12.Sync, inverted.InvertIQ, implicit.Implicit = radio.PrivateSync, true, true
	for _, f := range []air.Frame{
		{Freq: 868_140_000, Mod: up(7, 125_000)}, // 40 kHz beside a channel
		{Freq: 868_100_000, Mod: up(7, 250_000)}, // no multi-SF bandwidth
		{Freq: 868_300_000, Mod: up(8, 250_000)}, // service modem is set to SF7
		{Freq: 868_100_000, Mod: sync12},
		{Freq: 868_100_000, Mod: inverted},
		{Freq: 868_100_000, Mod: implicit},
		{Freq: 868_800_000, Mod: radio.FSK{BitRate: 100_000}},
		{Freq: 868_100_000, Mod: radio.FSK{BitRate: 50_000}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, m := started(t, Config{})
			f.Payload = []byte{1, 2, 3}
			send(t, sender(t, m, "device"), f, air.Immediately)
			time.Sleep(time.Second)
			if got := (host{t, c}).fetch(); len(got) != 0 {
				t.Errorf("%d Hz %v: received %+v", f.Freq, f.Mod, got)
			}
		})
	}
}

func TestSwitchedOffModemsDoNotReceive(t *testing.T) {
	lora := air.Frame{Payload: []byte{1}, Freq: 868_100_000, Mod: up(7, 125_000)}
	service := air.Frame{Payload: []byte{1}, Freq: 868_300_000, Mod: up(7, 250_000)}
	fsk := air.Frame{Payload: []byte{1}, Freq: 868_800_000, Mod: radio.FSK{BitRate: 50_000}}
	for _, c := range []struct {
		frame air.Frame
		field reg.Field
		value byte
	}{
		{lora, reg.CommonGenGlobalEn, 0},
		{lora, reg.CommonGenConcentratorModemEnable, 0},
		{lora, reg.RXCorrelatorSFEnCorr, 0xFF &^ (1 << 2)}, // SF7
		{lora, reg.RXCorrelatorEnCorr, 0xFE},               // channel 0
		{lora, reg.RXCorrClockEnableClkEn, 0xFE},
		{lora, reg.ClkSelClkdivEn, 0},
		{service, reg.CommonGenMBWSSFModemEnable, 0},
		{service, reg.ServiceTxrxCfg1ModemEn, 0},
		{fsk, reg.CommonGenFSKModemEnable, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			chip, m := started(t, Config{})
			h, s := host{t, chip}, sender(t, m, "device")
			send(t, s, c.frame, air.Immediately)
			time.Sleep(time.Second)
			before := len(h.fetch())
			h.set(c.field, c.value)
			send(t, s, c.frame, air.Immediately)
			time.Sleep(time.Second)
			if after := len(h.fetch()); before != 1 || after != 0 {
				t.Errorf("%v = %d: %d packets with it, %d without", c.field, c.value, before, after)
			}
		})
	}
}

func TestOnlySixteenFramesAreDemodulatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		n := 0
		for _, sf := range []uint8{12, 11, 10} {
			for i := range 8 {
				f := air.Frame{Payload: []byte{sf, byte(i)}, Freq: 867_100_000 + radio.Hertz(i)*200_000, Mod: up(sf, 125_000)}
				send(t, sender(t, m, fmt.Sprint(sf, i)), f, m.Now()+1000)
				n++
			}
		}
		time.Sleep(3 * time.Second)
		got := host{t, c}.fetch()
		modems := map[byte]bool{}
		for _, p := range got {
			modems[p.modem] = true
		}
		if n != 24 || len(got) != 16 || len(modems) != 16 {
			t.Errorf("%d of %d frames received by %d modems, want 16 by 16", len(got), n, len(modems))
		}
	})
}

// 4096 bytes hold 14 packets of 278.
func TestPacketsThatFindTheBufferFullAreLostWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		s := sender(t, m, "device")
		for range 20 {
			send(t, s, air.Frame{Payload: make([]byte, 255), Freq: 868_100_000, Mod: up(7, 125_000)}, air.Immediately)
			time.Sleep(time.Second)
		}
		h := host{t, c}
		if got := h.fetch(); len(got) != 14 {
			t.Errorf("%d packets, want 14", len(got))
		}
		send(t, s, air.Frame{Payload: []byte{1}, Freq: 868_100_000, Mod: up(7, 125_000)}, air.Immediately)
		time.Sleep(time.Second)
		if got := h.fetch(); len(got) != 1 {
			t.Errorf("%d packets once there is room, want 1", len(got))
		}
	})
}

func TestCollisionInThePayloadIsACRCError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		f := air.Frame{Payload: make([]byte, 50), Freq: 868_100_000, Mod: up(7, 125_000)}
		start := m.Now() + 1000
		send(t, sender(t, m, "first"), f, start)
		send(t, sender(t, m, "second"), f, start.Add(60*time.Millisecond))
		time.Sleep(time.Second)
		got := host{t, c}.fetch()
		if len(got) != 1 || !got[0].bad || !got[0].crc || got[0].sum == crc16(got[0].payload) || bytes.Equal(got[0].payload, f.Payload) {
			t.Errorf("received %+v, want one packet with a CRC error", got)
		}
		if n := c.file.get(reg.RXMultiSFPldErrPktCntMultiSFPldErrPkts); n != 1 {
			t.Errorf("counter of payload errors is %d, want 1", n)
		}
	})
}

func TestModemsAreFreeAfterFramesThatAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		f := air.Frame{Payload: make([]byte, 5), Freq: 868_100_000, Mod: up(7, 125_000)}
		a, b := sender(t, m, "first"), sender(t, m, "second")
		for range 40 { // both are lost
			start := m.Now() + 1000
			send(t, a, f, start)
			send(t, b, f, start)
			time.Sleep(200 * time.Millisecond)
		}
		send(t, a, f, air.Immediately)
		time.Sleep(time.Second)
		if got := (host{t, c}).fetch(); len(got) != 1 || c.rx.busy != 0 || len(c.rx.slots) != 0 {
			t.Errorf("%d packets, modems %x busy; want 1 and none", len(got), c.rx.busy)
		}
	})
}

func TestResetLosesWhatIsBeingDecoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		tr := send(t, sender(t, m, "device"), air.Frame{Payload: make([]byte, 5), Freq: 868_100_000, Mod: up(12, 125_000)}, air.Immediately)
		time.Sleep(tr.End.Sub(m.Now()) + time.Millisecond) // ended; the decoder needs 15 ms
		c.SetReset(true)
		c.SetReset(false)
		time.Sleep(time.Second)
		if got := (host{t, c}).fetch(); len(got) != 0 {
			t.Errorf("received %+v after a reset", got)
		}
	})
}

// Implicit header: the modem takes length, rate and CRC from its registers.
func TestServiceModemTakesImplicitHeadersOfItsLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, s := host{t, c}, sender(t, m, "device")
		h.set(reg.ServiceTxrxCfg2ImplicitHeader, 1)
		h.set(reg.ServiceTxrxCfg2CRCEn, 1)
		h.set(reg.ServiceTxrxCfg1CodingRate, 1)
		h.set(reg.ServiceTxrxCfg3PayloadLength, 17)
		mod := up(7, 250_000)
		mod.Implicit = true
		for n, want := range map[int]int{17: 1, 16: 0} {
			send(t, s, air.Frame{Payload: make([]byte, n), Freq: 868_300_000, Mod: mod}, air.Immediately)
			time.Sleep(time.Second)
			if got := h.fetch(); len(got) != want {
				t.Errorf("implicit frame of %d bytes: %d packets, want %d", n, len(got), want)
			}
		}
	})
}

func TestMultiSFModemsTakeImplicitHeadersOfTheirLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, s := host{t, c}, sender(t, m, "device")
		h.set(reg.RXTxrxCfg2ImplicitHeader, 1)
		h.set(reg.RXTxrxCfg3PayloadLength, 17)
		mod := up(7, 125_000)
		mod.Implicit = true
		for n, want := range map[int]int{17: 1, 16: 0} {
			send(t, s, air.Frame{Payload: make([]byte, n), Freq: 868_100_000, Mod: mod}, air.Immediately)
			time.Sleep(time.Second)
			if got := h.fetch(); len(got) != want {
				t.Errorf("implicit frame of %d bytes: %d packets, want %d", n, len(got), want)
			}
		}
	})
}

// SF7 needs -7.5 dB: at -10 dB the preamble isn't found and no modem is taken.
func TestFramesBelowTheirFloorTakeNoModem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		s, err := m.Join(air.StationConfig{Name: "far", PathLoss: 141}, nil)
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, air.Frame{Payload: []byte{1}, Freq: 868_100_000, Mod: up(7, 125_000)}, m.Now()+1)
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if c.rx.busy != 0 {
			t.Errorf("modems %x busy with a frame that is too weak", c.rx.busy)
		}
	})
}

// Both ends must agree on low data rate optimisation, or the payload is wrong.
func TestWrongLowDataRateSettingIsACRCError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h := host{t, c}
		h.set(reg.RXModemPPMOffset2PPMOffsetSF12, 0)
		send(t, sender(t, m, "device"), air.Frame{Payload: []byte{1}, Freq: 868_100_000, Mod: up(12, 125_000)}, air.Immediately)
		time.Sleep(2 * time.Second)
		if got := h.fetch(); len(got) != 1 || !got[0].bad {
			t.Errorf("received %+v, want one packet with a CRC error", got)
		}
	})
}

func TestNearestChannelTakesTheFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h, s := host{t, c}, sender(t, m, "device")
		h.put(reg.RXFreq1MSBIF.Addr(), 0x1C, 0xF6) // channel 1 at -380 kHz: 20 kHz beside channel 0
		for chain, f := range []radio.Hertz{868_105_000, 868_115_000} {
			send(t, s, air.Frame{Payload: []byte{1}, Freq: f, Mod: up(7, 125_000)}, air.Immediately)
			time.Sleep(time.Second)
			if got := h.fetch(); len(got) != 1 || got[0].chain != byte(chain) {
				t.Errorf("%d Hz: received %+v, want chain %d", f, got, chain)
			}
		}
	})
}

// Fine time-stamping (SX1303): the stamp is taken at the end of the header.
func TestFineStampIsAtTheEndOfTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := started(t, Config{})
		h := host{t, c}
		h.set(reg.RXBufferLegacyTimestamp, 0)
		tr := send(t, sender(t, m, "device"), air.Frame{Payload: make([]byte, 20), Freq: 868_100_000, Mod: up(7, 125_000)}, air.Immediately)
		time.Sleep(time.Second)
		got := h.fetch()
		// rx_timestamp_correction.csv, row 1,125000,7,4/5,1,20: the host adds 35821 µs
		if want := uint32(tr.End+counterStart-35821) * 32; len(got) != 1 || got[0].stamp != want {
			t.Errorf("got %+v, want stamp %d", got, want)
		}
	})
}
