package concentrator

import (
	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// Sources of the transmitter's samples.
const (
	sourceLoRa = 1
	sourceFSK  = 2
)

// agcFilter asks the AGC for the widest transmit filter; FSK uses it.
const agcFilter = 0x80

// prepare writes the settings of a transmission: all but payload and trigger.
func (s *session) prepare(t *transmission) error {
	r := s.drv.regs
	kind := s.drv.cfg.Radios[t.chain].Type
	set := func(f reg.Field, v byte) { r.set(f.Chain(t.chain), v) }

	i, q := t.gain.OffsetI, t.gain.OffsetQ
	if c, ok := s.drv.dcOffsets[dcKey{t.chain, t.gain.DAC, t.gain.Mixer}]; ok {
		i, q = c.first, c.second
	}
	set(reg.TXRffeIFIOffset, byte(i))
	set(reg.TXRffeIFQOffset, byte(q))
	set(reg.TXAGCTXPwr, t.gain.word(kind))
	set(reg.TXRffeIFIQGain, t.gain.Digital)
	word := txFrequencyWord(kind, t.d.Freq)
	set(reg.TXRffeIFFreqRFH, byte(word>>16))
	set(reg.TXRffeIFFreqRFM, byte(word>>8))
	set(reg.TXRffeIFFreqRFL, byte(word))
	switch {
	case t.lora != nil:
		s.prepareLoRa(set, t, kind)
	case t.fsk != nil:
		s.prepareFSK(set, t)
	default:
		s.prepareCarrier(set, t)
	}
	return r.flush()
}

func setDeviation(set func(reg.Field, byte), f radio.Hertz) {
	word := deviationWord(f)
	set(reg.TXRffeIFFreqDevH, byte(word>>8))
	set(reg.TXRffeIFFreqDevL, byte(word))
}

func (s *session) prepareLoRa(set func(reg.Field, byte), t *transmission, kind RadioType) {
	m := t.lora
	code, _ := bandwidthCode(m.Bandwidth)
	delay := loraStartDelay(kind, m.Bandwidth, m.SF)
	first, second := syncPeaks(m.Sync)
	if m.SF < 7 {
		first, second = syncPeaks(radio.PrivateSync)
	}
	for _, v := range []setting{
		{reg.TXGenCfg0ModulationType, 0}, {reg.TXRffeIFCtrlTXIFSrc, sourceLoRa}, {reg.TXAGCTXBW, code},
		{reg.TXTxrxCfg00ModemBW, code}, {reg.TXTxrxCfg00ModemSF, m.SF},
		{reg.TXTxrxCfg13PreambleSymbNb, byte(m.Preamble >> 8)}, {reg.TXTxrxCfg12PreambleSymbNb, byte(m.Preamble)},
		{reg.TXCfg00ChirpLowpass, chirpLowpass(m.SF)}, {reg.TXCfg00Continuous, 0}, {reg.TXCfg00ChirpInvert, flag(m.InvertIQ)},
		{reg.TXTxrxCfg01CodingRate, m.Rate()},
		{reg.TXTxrxCfg01PPMOffsetHdrCtrl, 0}, {reg.TXTxrxCfg01PPMOffset, flag(m.LowDataRateOptimised())},
		{reg.TXTxrxCfg02ModemEn, 1}, {reg.TXTxrxCfg02Cadrxtx, 2}, {reg.TXTxrxCfg02FineSynchEn, flag(m.SF < 7)},
		{reg.TXTxrxCfg02ImplicitHeader, flag(m.Implicit)}, {reg.TXTxrxCfg02CRCEn, flag(!m.NoCRC)},
		{reg.TXFrameSynch0Peak1Pos, first}, {reg.TXFrameSynch1Peak2Pos, second},
		{reg.TXTxrxCfg03PayloadLength, byte(len(t.d.Payload))},
		{reg.TXTxrxCfg11ModemStart, 1},
		{reg.TXStartDelayMSB, byte(delay >> 8)}, {reg.TXStartDelayLSB, byte(delay)},
	} {
		set(v.field, v.value)
	}
	setDeviation(set, m.Bandwidth/2)
}

func (s *session) prepareFSK(set func(reg.Field, byte), t *transmission) {
	m := t.fsk
	rate := 32_000_000 / m.BitRate
	word := s.drv.cfg.FSK.SyncWord
	for _, v := range []setting{
		{reg.TXGenCfg0ModulationType, 1}, {reg.TXRffeIFCtrlTXIFSrc, sourceFSK}, {reg.TXAGCTXBW, agcFilter | 4},
		{reg.TXFSKCfg0PktMode, 1}, {reg.TXFSKCfg0CRCEn, flag(!m.NoCRC)}, {reg.TXFSKCfg0CRCIbm, 0}, {reg.TXFSKCfg0DcfreeEnc, 2},
		{reg.TXFSKModFSKGaussianEn, 1}, {reg.TXFSKModFSKGaussianSelectBt, 2},
		{reg.TXFSKModFSKRefPatternEn, 1}, {reg.TXFSKModFSKRefPatternSize, byte(len(word) - 1)}, {reg.TXFSKModFSKPreambleSeq, 0},
		{reg.TXFSKBitRateMSB, byte(rate >> 8)}, {reg.TXFSKBitRateLSB, byte(rate)},
		{reg.TXFSKPreambleSizeMSB, byte(m.Preamble >> 8)}, {reg.TXFSKPreambleSizeLSB, byte(m.Preamble)},
		{reg.TXFSKPktLenPktLength, byte(len(t.d.Payload))},
	} {
		set(v.field, v.value)
	}
	s.drv.setSyncWord(reg.TXFSKRefPatternByte7.Chain(t.chain), word)
	s.setDeviation(set, m.Deviation)
}

// setDeviation sets the deviation of FSK or a carrier. The AGC tunes the
// SX1250 to what it finds in its mailbox.
func (s *session) setDeviation(set func(reg.Field, byte), f radio.Hertz) {
	setDeviation(set, f)
	dev := radioDeviationWord(f)
	r := s.drv.regs
	r.set(reg.AGCMCUMailBoxWrDataByte2, byte(dev>>16))
	r.set(reg.AGCMCUMailBoxWrDataByte1, byte(dev>>8))
	r.set(reg.AGCMCUMailBoxWrDataByte0, byte(dev))
}
