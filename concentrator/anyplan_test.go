package concentrator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"gatewayd/concentrator/reg"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
)

// anyPlans is how many random channel plans are tried.
const anyPlans = 60

// Not only the recorded channel plans: with any radio centres, channels, IFs
// and modem settings the registers at the end of a start are those of the
// recorded EU868 start, where they don't depend on the plan, and else what
// the formulas of the register map give, worked out here a second time.
func TestAnyChannelPlanGivesTheRegistersOfItsFormulas(t *testing.T) {
	rng := rand.New(rand.NewPCG(1302, 1250))
	bases := map[RadioType]bytesAt{}
	for kind, name := range map[RadioType]string{SX1250: "start_eu868_sx1250", SX1257: "start_eu868_sx1257", SX1255: "start_cn490_sx1255_fdx"} {
		bases[kind] = finalBytes(recorded(t, name).step(0))
	}
	for n := range anyPlans {
		cfg := anyPlan(t, rng)
		base := bases[cfg.Radios[cfg.ClockSource].Type]
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var trace []string
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, cfg, sx1302sim.Timing{}, nil)
				b.chip.Trace(&b.trace)
				b.run()
				b.chip.Trace(nil)
				b.stop()
				trace = lines(b.trace.String())
			})
			got, want := finalBytes(trace), bytesAt{}
			maps.Copy(want, base)
			want.overlay(&cfg)
			for a := range reg.Addr(registersTo - registersFrom) {
				a += registersFrom
				if _, ok := reg.Lookup(a); ok && got.at(a) != want.at(a) && a != reg.OTPByteAddr.Addr() {
					t.Errorf("0x%04X is 0x%02X, the formulas give 0x%02X; %+v", uint16(a), got.at(a), want.at(a), cfg)
				}
			}
			for _, command := range radioCommands(&cfg) {
				if !slices.Contains(trace, command) {
					t.Errorf("the radio did not get %q; %+v", command, cfg.Radios)
				}
			}
		})
	}
}

// bytesAt is registers by address; those that are missing have reset values.
type bytesAt map[reg.Addr]byte

// finalBytes is what each register was written to last.
func finalBytes(trace []string) bytesAt {
	m := bytesAt{}
	for _, l := range trace {
		a, data, _ := written1302(l)
		for i, v := range data {
			m[reg.Addr(a+i)] = v
		}
	}
	return m
}

func (m bytesAt) at(a reg.Addr) byte {
	if v, ok := m[a]; ok {
		return v
	}
	b, _ := reg.Lookup(a)
	return b.Reset
}

func (m bytesAt) put(f reg.Field, v int) { m[f.Addr()] = f.Set(m.at(f.Addr()), byte(v)) }

// anyRadios are the radios of the plans, most of them SX1250.
var anyRadios = []RadioType{SX1250, SX1250, SX1250, SX1250, SX1257, SX1255}

// bands of the SX1250's image calibration, in Hz, bounds excluded.
var bands = [][2]radio.Hertz{{430e6, 440e6}, {470e6, 510e6}, {779e6, 787e6}, {863e6, 870e6}, {902e6, 928e6}}

func anyPlan(t *testing.T, rng *rand.Rand) Config {
	chance := func(percent int) bool { return rng.IntN(100) < percent }
	c := eu868(t)
	c.ClockSource = rng.IntN(2)
	kind := anyRadios[rng.IntN(len(anyRadios))]
	if c.FullDuplex = kind == SX1255 && chance(50); c.FullDuplex {
		c.I2C = newThermometer(0x38, 25)
	}
	c.Firmware = EmulatedFirmware()
	band := bands[rng.IntN(len(bands))]
	switch kind { // of the data sheets
	case SX1257:
		band = [2]radio.Hertz{862e6, 1020e6}
	case SX1255:
		band = [2]radio.Hertz{400e6, 510e6}
	}
	for i := range c.Radios {
		c.Radios[i].Type, c.Radios[i].Gains = kind, nil
		r := &c.Radios[i]
		r.Transmit, r.Freq, r.SingleInput = false, band[0]+1+radio.Hertz(rng.Int64N(int64(band[1]-band[0]-1))), chance(50) && kind == SX1250
		if i != c.ClockSource && chance(25) {
			*r = Radio{}
		}
	}
	channel := func(bw radio.Hertz) Channel {
		ch := Channel{Enable: chance(80), Radio: rng.IntN(2)}
		if !c.Radios[ch.Radio].Enable {
			ch.Radio = 1 - ch.Radio
		}
		limit := int64(800_000 - bw/2)
		ch.IF = radio.Hertz(rng.Int64N(2*limit+1) - limit)
		return ch
	}
	for i := range c.Channels {
		c.Channels[i] = channel(125_000)
	}
	c.SpreadingFactors = byte(1 + rng.IntN(255))
	c.PrivateNetwork = chance(50)
	bw := []radio.Hertz{125_000, 250_000, 500_000}[rng.IntN(3)]
	c.Service = Service{
		Channel: channel(bw), Bandwidth: bw, SF: uint8(5 + rng.IntN(8)), Implicit: chance(40),
		ImplicitLength: uint8(rng.IntN(256)), ImplicitCodeRate: uint8(1 + rng.IntN(4)), ImplicitCRC: chance(50),
	}
	c.FSK = FSKChannel{Channel: channel(125_000), BitRate: 500 + rng.IntN(249_501), SyncWord: make([]byte, 1+rng.IntN(8))}
	for i := range c.FSK.SyncWord {
		c.FSK.SyncWord[i] = byte(rng.IntN(256))
	}
	return c
}

// overlay puts in what depends on the plan.
func (m bytesAt) overlay(c *Config) {
	bit := func(on bool) int { return map[bool]int{true: 1}[on] }
	m.put(reg.ClkSelClkRadioA, bit(c.ClockSource == 0))
	m.put(reg.ClkSelClkRadioB, bit(c.ClockSource == 1))
	kind := c.Radios[c.ClockSource].Type
	for i, f := range radioControl {
		m.put(f.enable, bit(c.Radios[i].Enable))
		m.put(f.reset, bit(c.Radios[i].Enable && kind == SX1250)) // low active with these
		if !c.Radios[i].Enable {                                  // not touched
			m.put(f.kind, 1)
		}
	}

	if kind != SX1250 {
		m.calibrated(c)
	}

	// Channels: IF * 32 / 15625 toward zero, 13 bits.
	tune := func(a reg.Addr, ch Channel) {
		word := 0
		if ch.Enable {
			word = int(float64(ch.IF)*32/15625) & 0x1FFF
		}
		m[a], m[a+1] = byte(word>>8), byte(word)
	}
	m[0x5810], m[0x5820], m[0x5821], m[0x5822] = 0, 0, 0, c.SpreadingFactors
	for i, ch := range c.Channels {
		tune(reg.Addr(0x5800+2*i), ch)
		m[0x5810] |= byte(ch.Radio << i)
		m[0x5820] |= byte(bit(ch.Enable) << i)
		m[0x5821] |= byte(bit(ch.Enable) << i)
	}
	m.drift(c, reg.RXFreqToTime0FreqToTimeDriftMant, reg.RXFreqToTime2FreqToTimeDriftExp, 125_000)

	if !c.Service.Enable {
		for a := reg.Addr(0x5B02); a < 0x5B50; a++ {
			delete(m, a)
		}
	}
	if !c.FSK.Enable {
		for a := reg.Addr(0x5B52); a < 0x5B67; a++ {
			delete(m, a)
		}
	}
	tune(0x5B00, c.Service.Channel)
	tune(0x5B50, c.FSK.Channel)
	m.put(reg.ServiceLoRaServiceRadioSelRadioSelect, c.Service.Radio*bit(c.Service.Enable))
	m.put(reg.ServiceFSKCfg3RadioSelect, c.FSK.Radio*bit(c.FSK.Enable))

	// Sync words 0x34 and 0x12 as peaks; SF5 and SF6 always have the latter.
	peaks := func(sf uint8) (int, int) {
		if c.PrivateNetwork || sf < 7 {
			return 2, 4
		}
		return 6, 8
	}
	first, second := peaks(7)
	m.put(reg.RXFrameSynch0Sf7to12Peak1Pos, first)
	m.put(reg.RXFrameSynch1Sf7to12Peak2Pos, second)
	if c.Service.Enable {
		first, second = peaks(c.Service.SF)
	}
	m.put(reg.ServiceFrameSynch0Peak1Pos, first)
	m.put(reg.ServiceFrameSynch1Peak2Pos, second)

	if c.Service.Enable {
		m.service(c)
	}
	if c.FSK.Enable {
		divider := int(32e6 / float64(c.FSK.BitRate))
		m[reg.ServiceBitRateMSB.Addr()], m[reg.ServiceBitRateMSB.Addr()+1] = byte(divider>>8), byte(divider)
		m.put(reg.ServiceFSKCfg1Psize, len(c.FSK.SyncWord)-1)
		var word [8]byte
		copy(word[:], c.FSK.SyncWord)
		for i, v := range word {
			m[reg.ServiceFSKRefPatternByte7.Addr()+reg.Addr(i)] = v
		}
	}
}

// calibrated puts in what calibration leaves: the corrections of enabled
// radios as the simulated ones need them, and the radio measured last. No
// radio transmits in these plans.
func (m bytesAt) calibrated(c *Config) {
	for i, f := range [2][2]reg.Field{
		{reg.RadioFEIQCompAmpCoeffRadioA, reg.RadioFEIQCompPhiCoeffRadioA}, {reg.RadioFEIQCompAmpCoeffRadioB, reg.RadioFEIQCompPhiCoeffRadioB},
	} {
		if !c.Radios[i].Enable {
			m.put(f[0], 0)
			m.put(f[1], 0)
		}
	}
	last := 0
	if c.Radios[1].Enable {
		last = 1
	}
	m.put(reg.RadioFESigAnaCfgRadioSel, 1-last)
	pa, lna := 4, 2
	if c.FullDuplex {
		pa, lna = 0x0C, 0x0F
	}
	m.put(reg.AGCLUTTableAPA, pa)
	m.put(reg.AGCLUTTableALNA, lna)
}

// drift: bw * 2^20 / f, doubled until it has 12 bits; f is chain 0's centre.
func (m bytesAt) drift(c *Config, mantissa, exponent reg.Field, bw radio.Hertz) {
	f := c.Radios[0].Freq
	if !c.Radios[0].Enable {
		f = c.Radios[1].Freq
	}
	word, doublings := int(float64(bw)*(1<<20)/float64(f)), 0
	for ; word < 2048; doublings++ {
		word *= 2
	}
	m.put(mantissa, word>>8)
	m[mantissa.Addr()+1] = byte(word)
	m.put(exponent, doublings)
}

func (m bytesAt) service(c *Config) {
	s := c.Service
	code := map[radio.Hertz]int{125_000: 4, 250_000: 5, 500_000: 6}[s.Bandwidth]
	ppm := s.Bandwidth == 125_000 && s.SF >= 11 || s.Bandwidth == 250_000 && s.SF == 12
	preamble, gain, integral := 8, 6, 0 // the last two as in the recorded service modems
	switch {
	case s.SF <= 6:
		preamble, gain = 12, 4
	case s.SF >= 11:
		gain, integral = 7, code-3
	}
	rate, length, crc := 0, 0, false
	if s.Implicit {
		rate, length, crc = int(s.ImplicitCodeRate), int(s.ImplicitLength), s.ImplicitCRC
	}
	bit := func(on bool) int { return map[bool]int{true: 1}[on] }
	for _, v := range []struct {
		reg.Field
		value int
	}{
		{reg.ServiceTxrxCfg0ModemSF, int(s.SF)}, {reg.ServiceTxrxCfg0ModemBW, code}, {reg.ServiceTxrxCfg1PPMOffset, bit(ppm)},
		{reg.ServiceTxrxCfg7PreambleSymbNb, 0}, {reg.ServiceTxrxCfg6PreambleSymbNb, preamble}, {reg.ServiceTxrxCfg2FineSynchEn, bit(s.SF <= 6)},
		{reg.ServiceFineTiming1GainPPreamb, gain}, {reg.ServiceFineTiming2GainIEn, integral},
		{reg.ServiceTxrxCfg2ImplicitHeader, bit(s.Implicit)}, {reg.ServiceTxrxCfg2CRCEn, bit(crc)},
		{reg.ServiceTxrxCfg1CodingRate, rate}, {reg.ServiceTxrxCfg3PayloadLength, length},
	} {
		m.put(v.Field, v.value)
	}
	m.drift(c, reg.ServiceFreqToTime0FreqToTimeDriftMant, reg.ServiceFreqToTime2FreqToTimeDriftExp, s.Bandwidth)
}

// radioCommands are those that depend on the plan: image calibration by band,
// frequency word floor(f * 2^25 / 32 MHz), single input.
func radioCommands(c *Config) (list []string) {
	images := []string{"6b6f", "7581", "c1c5", "d7db", "e1e9"}
	for i, r := range c.Radios {
		if !r.Enable {
			continue
		}
		name := "W radio" + string(rune('A'+i)) + " op=0x"
		if r.Type != SX1250 {
			word := uint64(r.Freq) << 19 / 32_000_000
			if r.Type == SX1255 {
				word = uint64(r.Freq) << 20 / 32_000_000
			}
			for k, shift := range []int{16, 8, 0} {
				list = append(list, fmt.Sprintf("%sreg=0x%02x %02x", strings.TrimSuffix(name, "op=0x"), 1+k, byte(word>>shift)))
			}
			continue
		}
		for k, b := range bands {
			if r.Freq > b[0] && r.Freq < b[1] {
				list = append(list, name+"98 "+images[k])
			}
		}
		list = append(list, fmt.Sprintf("%s86 %08x", name, uint64(r.Freq)<<25/32_000_000))
		if r.SingleInput {
			list = append(list, name+"0d 08e20d")
		}
	}
	if len(list) == 0 || c.Radios[c.ClockSource].Type == SX1250 && !strings.Contains(list[0], "98 ") {
		panic("no calibration is expected")
	}
	return list
}
