package sx1302sim

import (
	"fmt"
	"math"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// Values of TXRffeIFCtrlTXIFSrc.
const (
	sourceCarrier = iota
	sourceLoRa
	sourceFSK
)

// carrierPiece is what a carrier is on the air in: it goes on until it is
// stopped, while each transmission in the medium has an end.
const carrierPiece = 10 * time.Second

// modulated reads the registers of a chain as the frame that it will send, or
// as the first piece of a carrier.
func (c *Chip) modulated(chain int) (f air.Frame, err error) {
	get := func(x reg.Field) byte { return c.file.get(x.Chain(chain)) }
	word := float64(uint32(get(reg.TXRffeIFFreqRFH))<<16 | uint32(get(reg.TXRffeIFFreqRFM))<<8 | uint32(get(reg.TXRffeIFFreqRFL)))
	if c.clockSource().kind() == SX1255 {
		word /= 2
	}
	f.Freq = synthesised(word)
	source, fsk := get(reg.TXRffeIFCtrlTXIFSrc), get(reg.TXGenCfg0ModulationType) == 1
	switch {
	case source == sourceCarrier:
		f.Mod = radio.Carrier{Offset: c.carrierOffset(chain), Duration: carrierPiece}
	case source == sourceLoRa && !fsk:
		f.Mod, f.Payload, err = c.loraFrame(chain)
	case source == sourceFSK && fsk:
		f.Mod, f.Payload, err = c.fskFrame(chain)
	default:
		err = fmt.Errorf("chain %d: TX_IF_SRC is %d while MODULATION_TYPE is %d; LoRa is 1 and 0, FSK 2 and 1", chain, source, bit(fsk))
	}
	return f, err
}

// carrierOffset is how far a carrier is from the chain's frequency: the
// modulator turns at a part of its deviation, of which 64 is all.
func (c *Chip) carrierOffset(chain int) radio.Hertz {
	deviation := synthesised(float64(c.file.word(reg.TXRffeIFFreqDevH.Chain(chain), reg.TXRffeIFFreqDevL.Chain(chain))))
	return radio.Hertz(int8(c.file.get(reg.TXRffeIFTestModFreq.Chain(chain)))) * deviation / 64
}

// synthesised is the frequency or deviation that a word in steps of
// 32 MHz / 2^18 = 122 Hz stands for. Hosts round down to a step; each step
// holds a multiple of 100 Hz, the grid of LoRaWAN frequencies, and the first
// one is taken for what was meant: a crystal is off by more than that.
func synthesised(word float64) radio.Hertz {
	return radio.Hertz(math.Ceil(word*32e6/(1<<18)/100) * 100)
}

func (c *Chip) loraFrame(chain int) (radio.Modulation, []byte, error) {
	get := func(x reg.Field) byte { return c.file.get(x.Chain(chain)) }
	m := radio.LoRa{
		SF:        get(reg.TXTxrxCfg00ModemSF),
		Bandwidth: bandwidthOf(get(reg.TXTxrxCfg00ModemBW)),
		CodeRate:  get(reg.TXTxrxCfg01CodingRate),
		Preamble:  uint16(get(reg.TXTxrxCfg13PreambleSymbNb))<<8 | uint16(get(reg.TXTxrxCfg12PreambleSymbNb)),
		Sync:      c.syncWord(reg.TXFrameSynch0Peak1Pos.Chain(chain), reg.TXFrameSynch1Peak2Pos.Chain(chain)),
		InvertIQ:  get(reg.TXCfg00ChirpInvert) == 1,
		NoCRC:     get(reg.TXTxrxCfg02CRCEn) == 0,
		Implicit:  get(reg.TXTxrxCfg02ImplicitHeader) == 1,
	}
	switch {
	case m.SF < 5 || m.SF > 12:
		return nil, nil, fmt.Errorf("chain %d: spreading factor register is %d; 5 to 12 are possible", chain, m.SF)
	case m.Bandwidth == 0:
		return nil, nil, fmt.Errorf("chain %d: bandwidth code is %d; 4, 5 and 6 are 125, 250 and 500 kHz", chain, get(reg.TXTxrxCfg00ModemBW))
	case m.CodeRate < 1 || m.CodeRate > 4:
		return nil, nil, fmt.Errorf("chain %d: coding rate register is %d; 1 to 4 are 4/5 to 4/8", chain, m.CodeRate)
	case get(reg.TXTxrxCfg02ModemEn) == 0 || get(reg.TXTxrxCfg11ModemStart) == 0:
		return nil, nil, fmt.Errorf("chain %d: the LoRa modem is not enabled and started (0x%04X.6, 0x%04X.7)", chain, uint(reg.TXTxrxCfg02ModemEn.Chain(chain).Addr()), uint(reg.TXTxrxCfg11ModemStart.Chain(chain).Addr()))
	}
	if ldro := get(reg.TXTxrxCfg01PPMOffset) == 1; ldro != m.LowDataRateOptimised() {
		m.LowDataRate = radio.LowDataRateOff
		if ldro {
			m.LowDataRate = radio.LowDataRateOn
		}
	}
	n := int(get(reg.TXTxrxCfg03PayloadLength))
	return m, append([]byte{}, c.buffers[chain][:n]...), nil
}

func (c *Chip) fskFrame(chain int) (radio.Modulation, []byte, error) {
	get := func(x reg.Field) byte { return c.file.get(x.Chain(chain)) }
	m := radio.FSK{
		BitRate:   bitRateOf(c.file.word(reg.TXFSKBitRateMSB.Chain(chain), reg.TXFSKBitRateLSB.Chain(chain))),
		Deviation: synthesised(float64(c.file.word(reg.TXRffeIFFreqDevH.Chain(chain), reg.TXRffeIFFreqDevL.Chain(chain)))),
		Preamble:  uint16(c.file.word(reg.TXFSKPreambleSizeMSB.Chain(chain), reg.TXFSKPreambleSizeLSB.Chain(chain))),
		NoCRC:     get(reg.TXFSKCfg0CRCEn) == 0,
	}
	if m.BitRate == 0 {
		return nil, nil, fmt.Errorf("chain %d: FSK bit rate divider is 0", chain)
	}
	n := int(get(reg.TXFSKPktLenPktLength))
	if get(reg.TXFSKCfg0PktMode) == 0 {
		return m, append([]byte{}, c.buffers[chain][:n]...), nil
	}
	if first := int(c.buffers[chain][0]); first != n {
		return nil, nil, fmt.Errorf("chain %d: FSK length register is %d but the payload buffer begins with length %d", chain, n, first)
	}
	return m, append([]byte{}, c.buffers[chain][1:1+n]...), nil
}

// startDelay is how many ticks after its trigger a LoRa frame is on the air.
// The register is not used for FSK and carriers.
func (c *Chip) startDelay(chain int, m radio.Modulation) int64 {
	if _, ok := m.(radio.LoRa); !ok {
		return 0
	}
	return int64(c.file.word(reg.TXStartDelayMSB.Chain(chain), reg.TXStartDelayLSB.Chain(chain)))
}

// power is what the chain radiates, before the antenna.
func (c *Chip) power(chain int) radio.DBm {
	word := c.file.get(reg.TXAGCTXPwr.Chain(chain))
	if c.cfg.TXPower != nil {
		return c.cfg.TXPower(chain, word)
	}
	return PowerOf(c.clockSource().kind(), word)
}

// point is a setting and the power that it gives.
type point struct {
	setting float64
	dBm     float64
}

// Output powers of the reference boards, by state of the power amplifier: the
// gain tables in the vendor's EU868 configurations, read backwards.
var (
	powerSX1250 = [2][]point{
		{{15, 12}, {16, 13}, {17, 14}, {19, 15}, {20, 16}, {22, 17}},
		{{1, 18}, {2, 19}, {3, 20}, {4, 21}, {5, 22}, {6, 23}, {7, 24}, {9, 25}, {11, 26}, {14, 27}},
	}
	powerSX125x = [4][]point{
		{{8, -6}, {10, -3}, {12, 0}},
		{{8, 3}, {10, 6}, {12, 10}, {13, 11}, {15, 13}},
		{{9, 12}, {10, 14}, {11, 16}},
		{{9, 20}, {10, 23}, {11, 25}, {12, 26}, {14, 27}},
	}
)

// PowerOf is what a power word gives on the reference boards: for an SX1250
// amplifier on << 6 | index, for an SX1255/57 amplifier << 6 | DAC << 4 | mixer.
func PowerOf(kind RadioKind, word byte) radio.DBm {
	if kind == SX1250 {
		return radio.DBm(interpolate(powerSX1250[word>>6&1], float64(word&0x3F)))
	}
	dac := 3 * float64(3-word>>4&3) // dB below the DAC's largest gain
	return radio.DBm(interpolate(powerSX125x[word>>6&3], float64(word&0x0F)) - dac)
}

// interpolate is linear between points and goes on with slope 1 outside.
func interpolate(p []point, x float64) float64 {
	if d := x - p[0].setting; d < 0 {
		return p[0].dBm + d
	}
	for i := 1; i < len(p); i++ {
		a, b := p[i-1], p[i]
		if x <= b.setting {
			return a.dBm + (b.dBm-a.dBm)*(x-a.setting)/(b.setting-a.setting)
		}
	}
	end := p[len(p)-1]
	return end.dBm + x - end.setting
}
