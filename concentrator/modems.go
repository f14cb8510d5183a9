package concentrator

import (
	"context"
	"fmt"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// The receiver's set-up: fixed values are tables, computed ones functions.

// setting is a field and its value.
type setting struct {
	field reg.Field
	value byte
}

// pins routes the chip's general purpose pins: 2 and 4 to transmit and
// receive activity, 7 to the pulse per second; seven outputs.
var pins = []setting{
	{reg.GPIOSel0Selection, 0}, {reg.GPIOSel1Selection, 0}, {reg.GPIOSel2Selection, 9}, {reg.GPIOSel3Selection, 0},
	{reg.GPIOSel4Selection, 9}, {reg.GPIOSel5Selection, 0}, {reg.GPIOSel6Selection, 0}, {reg.GPIOSel7Selection, 1},
	{reg.GPIODirLDirection, 0x7F},
}

// amplifiers tells the AGC in which states PA and LNA of each radio are on.
// Radio A of a full-duplex board keeps its LNA on while it transmits.
func (d *driver) amplifiers(ctx context.Context) error {
	pa, lna := byte(4), byte(2)
	if d.cfg.FullDuplex {
		pa, lna = 0x0C, 0x0F
	}
	return d.table([]setting{
		{reg.AGCLUTTableAPA, pa}, {reg.AGCLUTTableALNA, lna}, {reg.AGCLUTTableBPA, 4}, {reg.AGCLUTTableBLNA, 2},
	})(ctx)
}

// frontEnd is the radio front end: RSSI filters and start values, the DC
// notch, the decimation filter's gain.
var frontEnd = []setting{
	{reg.RadioFECtrl0RadioADCNotchEn, 1}, {reg.RadioFECtrl0RadioAHostFilterGain, 0x0B},
	{reg.RadioFERSSIDbDefRadioARSSIDbDefaultValue, 23}, {reg.RadioFERSSIDecDefRadioARSSIDecDefaultValue, 66},
	{reg.RadioFERSSIBbFilterAlphaRadioA, 3}, {reg.RadioFERSSIDecFilterAlphaRadioA, 7},
	{reg.RadioFECtrl0RadioBDCNotchEn, 1}, {reg.RadioFECtrl0RadioBHostFilterGain, 0x0B},
	{reg.RadioFERSSIDbDefRadioBRSSIDbDefaultValue, 23}, {reg.RadioFERSSIDecDefRadioBRSSIDecDefaultValue, 66},
	{reg.RadioFERSSIBbFilterAlphaRadioB, 3}, {reg.RadioFERSSIDecFilterAlphaRadioB, 7},
}

// transmitPath is the same for both transmitters: samples go to the radio in
// its kind's format; with an SX1250 the AGC controls the PLL divider.
func (d *driver) transmitPath(context.Context) error {
	sx1250 := flag(d.radioType() == SX1250)
	for chain := range 2 {
		for _, v := range []setting{
			{reg.TXRffeIFCtrlTXIFDst, sx1250}, {reg.TXRffeIFCtrlTXMode, 1}, {reg.TXRffeIFCtrlTXClkEdge, 0}, {reg.TXRffeIFCtrl2PllDivCtrlAGC, sx1250},
		} {
			d.regs.set(v.field.Chain(chain), v.value)
		}
	}
	return d.regs.flush()
}

// sx1303Model is what the OTP says about the one chip with fine time stamps.
const (
	otpModel    = 0xD0
	sx1303Model = 3
)

// timestampMode: legacy stamps mark the end of the packet, fine ones the end
// of its header with up to 32 metrics.
func (d *driver) timestampMode(context.Context) error {
	r := d.regs
	if d.cfg.FineTimestamp == FineTimestampOff {
		return r.put(reg.RXBufferLegacyTimestamp, 1)
	}
	model, err := d.readOTP(otpModel)
	if err != nil {
		return err
	}
	if model != sx1303Model {
		return configError("FineTimestamp", d.cfg.FineTimestamp, fmt.Sprintf("only an SX1303 has it, and this chip's model number is %d: turn it off", model))
	}
	r.set(reg.RXBufferLegacyTimestamp, 0)
	r.set(reg.RXBufferTimestampCfgMaxTsMetrics, 32)
	if err := r.flush(); err != nil {
		return err
	}
	if err := r.put(reg.RXTimestampEnable, 1); err != nil {
		return err
	}
	return r.put(reg.RXTimestampNbSymb, 0)
}

// channelizer tunes the ten receive channels.
func (d *driver) channelizer(context.Context) error {
	r, c := d.regs, d.cfg
	var second byte // channels of radio B, enabled or not
	for i, ch := range c.Channels {
		second |= byte(ch.Radio&1) << i
		r.setWord(reg.RXFreq0MSBIF+reg.Field(2*i)<<8, tuning(ch))
	}
	r.setByte(reg.RXRadioSelect.Addr(), second)
	r.set(reg.ServiceLoRaServiceRadioSelRadioSelect, byte(c.Service.Radio&1)*flag(c.Service.Enable))
	r.set(reg.ServiceFSKCfg3RadioSelect, byte(c.FSK.Radio&1)*flag(c.FSK.Enable))
	r.setWord(reg.ServiceLoRaServiceFreqMSBIFFreq0, tuning(c.Service.Channel))
	r.setWord(reg.ServiceFSKFreqMSBIFFreq0, tuning(c.FSK.Channel))

	r.set(reg.RXRSSIControlRSSIFilterAlpha, 5)
	r.set(reg.RXRSSIDefValueChan, 85)
	// Channel gain is automatic, but its thresholds keep it at rest.
	r.set(reg.RXChannDAGCCfg5ChanDAGCMode, 1)
	r.set(reg.RXChannDAGCCfg1ChanDAGCThresholdHigh, 255)
	r.set(reg.RXChannDAGCCfg2ChanDAGCThresholdLow, 0)
	r.set(reg.RXChannDAGCCfg3ChanDAGCMaxAtten, 15)
	r.set(reg.RXChannDAGCCfg3ChanDAGCMinAtten, 0)
	return r.flush()
}

// tuning is the intermediate frequency word; a channel that is off gets 0.
func tuning(ch Channel) uint16 {
	if !ch.Enable {
		return 0
	}
	return ifWord(ch.IF)
}

// correlators look for preambles, one set for each spreading factor.
func (d *driver) correlators(context.Context) error {
	r, c := d.regs, d.cfg
	const perSF = reg.RXSF6Cfg1AccWinLen - reg.RXSF5Cfg1AccWinLen
	for sf := range reg.Field(8) {
		r.set(reg.RXSF5Cfg2AccPNR+sf*perSF, 52)
		r.set(reg.RXSF5Cfg4MSPPNR+sf*perSF, 24)
		r.set(reg.RXSF5Cfg6MSPPeakNb+sf*perSF, 7)
		r.set(reg.RXSF5Cfg7Msp2PeakNb+sf*perSF, 5)
	}
	r.set(reg.RXCorrelatorEnableOnlyFirstDetEdge, 0xFF)
	r.set(reg.RXCorrelatorEnableAccClearEnableCorr, 0xFF)
	r.set(reg.RXCorrelatorSFEnCorr, c.SpreadingFactors)
	var on byte
	for i, ch := range c.Channels {
		on |= flag(ch.Enable) << i
	}
	r.set(reg.RXCorrClockEnableClkEn, on)
	r.set(reg.RXCorrelatorEnCorr, on)
	return r.flush()
}

// demodulatorTable is the fixed part of the sixteen demodulators' set-up:
// frequency tracking automatic in demodulator A and off in B, fine timing
// gains, two bits less per symbol at SF11 and SF12, ten preamble symbols.
var demodulatorTable = []setting{
	{reg.RXDCNotchCfg1Enable, 0},
	{reg.RXDfeAgc1ForceDefaultFir, 1}, {reg.RXDAGCCfgGainDropComp, 1}, {reg.RXDAGCCfgTargetLvl, 1},
	{reg.OTPModemEn0, 0xFF}, {reg.OTPModemEn1, 0xFF},
	{reg.RXModemSyncDeltaMSB, 0}, {reg.RXModemSyncDeltaLSB, 126},
	{reg.ARBChannelSyncOffset01Channel0, 1}, {reg.ARBChannelSyncOffset01Channel1, 5},
	{reg.ARBChannelSyncOffset23Channel2, 9}, {reg.ARBChannelSyncOffset23Channel3, 13},
	{reg.ARBChannelSyncOffset45Channel4, 1}, {reg.ARBChannelSyncOffset45Channel5, 5},
	{reg.ARBChannelSyncOffset67Channel6, 9}, {reg.ARBChannelSyncOffset67Channel7, 13},
	{reg.RXModemPPMOffset1PPMOffsetSF5, 0}, {reg.RXModemPPMOffset1PPMOffsetSF6, 0},
	{reg.RXModemPPMOffset1PPMOffsetSF7, 0}, {reg.RXModemPPMOffset1PPMOffsetSF8, 0},
	{reg.RXModemPPMOffset2PPMOffsetSF9, 0}, {reg.RXModemPPMOffset2PPMOffsetSF10, 0},
	{reg.RXModemPPMOffset2PPMOffsetSF11, 1}, {reg.RXModemPPMOffset2PPMOffsetSF12, 1},
	{reg.RXFineTimingA1GainPAuto, 3}, {reg.RXFineTimingA1GainPPayload, 3},
	{reg.RXFineTimingA5GainIEnSF11, 1}, {reg.RXFineTimingA5GainIEnSF12, 1},
	{reg.RXFreqTrack4FreqSynchThr, 15},
	{reg.RXFreqTrackA0FreqTrackEnSF5, 3}, {reg.RXFreqTrackA0FreqTrackEnSF6, 3},
	{reg.RXFreqTrackA0FreqTrackEnSF7, 3}, {reg.RXFreqTrackA0FreqTrackEnSF8, 3},
	{reg.RXFreqTrackA1FreqTrackEnSF9, 3}, {reg.RXFreqTrackA1FreqTrackEnSF10, 3},
	{reg.RXFreqTrackA1FreqTrackEnSF11, 3}, {reg.RXFreqTrackA1FreqTrackEnSF12, 3},
	{reg.RXFreqTrackB0FreqTrackEnSF5, 0}, {reg.RXFreqTrackB0FreqTrackEnSF6, 0},
	{reg.RXFreqTrackB0FreqTrackEnSF7, 0}, {reg.RXFreqTrackB0FreqTrackEnSF8, 0},
	{reg.RXFreqTrackB1FreqTrackEnSF9, 0}, {reg.RXFreqTrackB1FreqTrackEnSF10, 0},
	{reg.RXFreqTrackB1FreqTrackEnSF11, 0}, {reg.RXFreqTrackB1FreqTrackEnSF12, 0},
	{reg.RXFineTimingB5GainIEnSF11, 0}, {reg.RXFineTimingB5GainIEnSF12, 0},
	{reg.RXFineTimingB0Rounding, 1}, {reg.RXFineTimingB0Mode, 2},
	{reg.RXFineTimingB1GainPAuto, 0}, {reg.RXFineTimingB1GainPPreamb, 6}, {reg.RXFineTimingB1GainPPayload, 2},
	{reg.RXFineTimingB2GainIAuto, 0}, {reg.RXFineTimingB2GainIPreamb, 1}, {reg.RXFineTimingB2GainIPayload, 0},
	{reg.RXTxrxCfg7PreambleSymbNb, 0}, {reg.RXTxrxCfg6PreambleSymbNb, 10},
	{reg.RXFreqToTime3FreqToTimeInvertTimeSymb, 1},
	{reg.RXCfg0DFTPeakEn, 3},
}

func (d *driver) demodulators(ctx context.Context) error {
	d.setDrift(reg.RXFreqToTime0FreqToTimeDriftMant, reg.RXFreqToTime2FreqToTimeDriftExp, 125_000)
	return d.table(demodulatorTable)(ctx)
}

// setDrift programs the frequency-to-time drift. Radio 0's centre serves for
// the channels of both: they are near enough.
func (d *driver) setDrift(mantissa, exponent reg.Field, bw radio.Hertz) {
	f := d.cfg.Radios[0].Freq
	if f == 0 {
		f = d.cfg.Radios[1].Freq
	}
	m, e := drift(f, bw)
	d.regs.set(mantissa, byte(m>>8))
	d.regs.setByte(mantissa.Addr()+1, byte(m))
	d.regs.set(exponent, e)
}

// serviceModem sets up the modem with one spreading factor.
func (d *driver) serviceModem(context.Context) error {
	r, s := d.regs, &d.cfg.Service
	short := s.SF < 7 // SF5 and SF6: another preamble, fine synchronisation
	code, _ := bandwidthCode(s.Bandwidth)

	preamble, gainP, gainI := uint16(8), byte(6), byte(0)
	switch {
	case short:
		preamble, gainP = 12, 4
	case s.SF > 10:
		gainP, gainI = 7, code-3
	}
	for _, v := range []setting{
		{reg.ServiceDetectMsp2MSPPeakNb, 7}, {reg.ServiceDetectMsp2Msp2PeakNb, 5},
		{reg.ServiceDetectAcc1UseGainSymb, 1}, {reg.ServiceDetectAcc1AccPNR, 52},
		{reg.ServiceTxrxCfg2FineSynchEn, flag(short)},
		{reg.ServiceDCNotchCfg1Enable, 0},
		{reg.ServiceRXDfeAgc1ForceDefaultFir, 1}, {reg.ServiceDAGCCfgGainDropComp, 1}, {reg.ServiceDAGCCfgTargetLvl, 1},
		{reg.ServiceFineTiming1GainPAuto, 3}, {reg.ServiceFineTiming1GainPPreamb, gainP},
		{reg.ServiceFineTiming2GainIPayload, 3}, {reg.ServiceFineTiming2GainIEn, gainI},
		{reg.ServiceTxrxCfg2ImplicitHeader, flag(s.Implicit)}, {reg.ServiceTxrxCfg2CRCEn, flag(s.Implicit && s.ImplicitCRC)},
		{reg.ServiceTxrxCfg1CodingRate, 0}, {reg.ServiceTxrxCfg3PayloadLength, 0},
		{reg.ServiceTxrxCfg0ModemSF, s.SF}, {reg.ServiceTxrxCfg0ModemBW, code},
		{reg.ServiceTxrxCfg1PPMOffset, flag(lowDataRate(s.Bandwidth, s.SF))},
		{reg.ServiceTxrxCfg7PreambleSymbNb, byte(preamble >> 8)}, {reg.ServiceTxrxCfg6PreambleSymbNb, byte(preamble)},
		{reg.ServiceFreqToTime3FreqToTimeInvertTimeSymb, 1},
		{reg.ServiceRXDfeAgc2DAGCInComp, 1},
		{reg.ServiceRXCfg0DFTPeakEn, 3},
	} {
		r.set(v.field, v.value)
	}
	if s.Implicit {
		r.set(reg.ServiceTxrxCfg1CodingRate, s.ImplicitCodeRate)
		r.set(reg.ServiceTxrxCfg3PayloadLength, s.ImplicitLength)
	}
	d.setDrift(reg.ServiceFreqToTime0FreqToTimeDriftMant, reg.ServiceFreqToTime2FreqToTimeDriftExp, s.Bandwidth)
	if err := r.flush(); err != nil {
		return err
	}
	// Only then is it enabled and started.
	r.set(reg.ServiceTxrxCfg1ModemEn, 1)
	r.set(reg.ServiceTxrxCfg2Cadrxtx, 1)
	r.set(reg.ServiceTxrxCfg2ModemStart, 1)
	return r.flush()
}

// fskModem: variable length, CCITT CRC, whitening. The filter is set to
// 125 kHz, whatever the deviation.
func (d *driver) fskModem(context.Context) error {
	r, f := d.regs, &d.cfg.FSK
	for _, v := range []setting{
		{reg.ServiceFSKCfg1Psize, byte(len(f.SyncWord) - 1)}, {reg.ServiceFSKCfg1ChBWExpo, 3},
		{reg.ServiceFSKCfg3RXInvert, 0}, {reg.ServiceFSKCfg3ModemInvertIQ, 0}, {reg.ServiceFSKCfg3AutoAfc, 1},
		{reg.ServiceFSKCfg4RSSILength, 4}, {reg.ServiceFSKCfg4ErrorOsrTol, 10},
		{reg.ServiceFSKCfg0PktMode, 1}, {reg.ServiceFSKCfg0CRCEn, 1}, {reg.ServiceFSKCfg0DcfreeEnc, 2}, {reg.ServiceFSKCfg0CRCIbm, 0},
		{reg.ServiceFSKPktLength, 255}, {reg.ServiceFSKNodeAdrs, 0}, {reg.ServiceFSKBroadcast, 0},
		{reg.ServiceFSKTimeoutMSB, 0}, {reg.ServiceFSKTimeoutLSB, 128},
	} {
		r.set(v.field, v.value)
	}
	r.setWord(reg.ServiceBitRateMSB, uint16(32_000_000/f.BitRate))
	d.setSyncWord(reg.ServiceFSKRefPatternByte7, f.SyncWord)
	return r.flush()
}

// setSyncWord writes an FSK sync word left-aligned into eight bytes.
func (d *driver) setSyncWord(first reg.Field, word []byte) {
	for i := range reg.Addr(8) {
		v := byte(0)
		if int(i) < len(word) {
			v = word[i]
		}
		d.regs.setByte(first.Addr()+i, v)
	}
}

// syncWords: SF5 and SF6 always use 0x12, the others as the network does. The
// service modem follows its own spreading factor.
func (d *driver) syncWords(context.Context) error {
	r, c := d.regs, d.cfg
	first, second := syncPeaks(radio.PrivateSync)
	r.set(reg.RXFrameSynch0SF5Peak1Pos, first)
	r.set(reg.RXFrameSynch1SF5Peak2Pos, second)
	r.set(reg.RXFrameSynch0SF6Peak1Pos, first)
	r.set(reg.RXFrameSynch1SF6Peak2Pos, second)

	sync := c.networkSync(7)
	first, second = syncPeaks(sync)
	r.set(reg.RXFrameSynch0Sf7to12Peak1Pos, first)
	r.set(reg.RXFrameSynch1Sf7to12Peak2Pos, second)

	sf := uint8(7)
	if c.Service.Enable {
		sf = c.Service.SF
	}
	first, second = syncPeaks(c.networkSync(sf))
	r.set(reg.ServiceFrameSynch0Peak1Pos, first)
	r.set(reg.ServiceFrameSynch1Peak2Pos, second)
	return r.flush()
}

// networkSync is the network's sync word at a spreading factor.
func (c *Config) networkSync(sf uint8) byte {
	if c.PrivateNetwork || sf < 7 {
		return radio.PrivateSync
	}
	return radio.PublicSync
}

// enableModems switches the three kinds of modem on, then reception.
func (d *driver) enableModems(context.Context) error {
	r := d.regs
	r.set(reg.CommonGenConcentratorModemEnable, 1)
	r.set(reg.CommonGenMBWSSFModemEnable, 1)
	r.set(reg.CommonGenFSKModemEnable, 1)
	if err := r.flush(); err != nil {
		return err
	}
	return r.put(reg.CommonGenGlobalEn, 1)
}
