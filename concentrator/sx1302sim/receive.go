package sx1302sim

import (
	"math"
	"math/bits"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// Modems and chains beyond the multi-SF ones.
const (
	multiSFChains   = 8
	multiSFModems   = 16
	serviceChain    = 8
	serviceModem    = 16
	fskChain        = 9
	fskModem        = 17
	modems          = 18
	fskFilter       = radio.Hertz(125_000)
	multiSFWidth    = radio.Hertz(125_000)
	minBandwidth    = radio.Hertz(125_000)
	bandwidthCode   = 4 // of 125 kHz; 5 and 6 are twice and four times that
	maxRaw          = 255
	quarterDB       = 4
	bitRateTolerant = 0.02
)

// receiver is what happens between the antenna and the receive buffer.
type receiver struct {
	busy       uint32             // a bit for each modem that demodulates
	slots      map[uint64][]*slot // by the medium's ID
	generation int                // packets of earlier ones are lost in a reset
}

// slot is a modem that is locked to a frame.
type slot struct {
	chain, modem int
	centre       float64 // where the modem listens, hertz
	optimised    bool    // with low data rate optimisation
	fine         bool    // the second demodulator of a packet, which measures its time
}

func (r *receiver) reset() { *r = receiver{slots: map[uint64][]*slot{}, generation: r.generation + 1} }

// listener is the chip's side of the antenna.
type listener struct{ c *Chip }

// Began locks modems to a frame whose preamble starts.
func (l listener) Began(r air.Reception) {
	c := l.c
	c.mu.Lock()
	defer c.release()
	c.tick()
	c.hear(r)
	if !c.receives() {
		return
	}
	switch m := r.Mod.(type) {
	case radio.LoRa:
		if r.SNR < -2.5*radio.DB(m.SF-4) { // demodulation floor of SF5 to SF12, SX1302 data sheet
			return
		}
		c.lock(r.ID, c.multiSF(r.Freq, m, len(r.Payload)))
		if c.twice(m.SF) {
			if s := c.multiSF(r.Freq, m, len(r.Payload)); s != nil {
				s.fine = true
				c.lock(r.ID, s)
			}
		}
		c.lock(r.ID, c.service(r.Freq, m, len(r.Payload)))
	case radio.FSK:
		c.lock(r.ID, c.fsk(r.Freq, m))
	}
}

// Ended frees the modems and delivers what they decoded when the decoder is
// done.
func (l listener) Ended(r air.Reception) {
	c := l.c
	c.mu.Lock()
	defer c.release()
	c.tick()
	c.heard(r)
	slots := c.rx.slots[r.ID]
	delete(c.rx.slots, r.ID)
	for _, s := range slots {
		c.rx.busy &^= 1 << s.modem
		if r.Outcome == air.Lost {
			continue
		}
		p, ready := c.demodulate(s, r)
		data, generation := p.encode(), c.rx.generation
		time.AfterFunc(durationOf(ready-c.now), func() { c.deliver(data, generation) })
	}
}

// deliver puts a packet into the receive buffer; it is lost if that is full.
func (c *Chip) deliver(data []byte, generation int) {
	c.mu.Lock()
	defer c.release()
	if c.rx.generation == generation && !c.fifo.push(data) {
		c.log.Warn("receive buffer full, packet lost", "bytes", len(data))
	}
}

// receives tells whether the chip is set up to receive at all.
func (c *Chip) receives() bool {
	return !c.closed && !c.inReset && !c.dead && c.file.get(reg.CommonGenGlobalEn) == 1 && c.clocked() && c.agc.ready() && c.arb.ready() && c.faults.stuckAGC() == 0 && !c.faults.active(&c.faults.m.StuckARB)
}

func (c *Chip) lock(id uint64, s *slot) {
	if s != nil {
		c.rx.busy |= 1 << s.modem
		c.rx.slots[id] = append(c.rx.slots[id], s)
	}
}

// multiSF finds a multi-SF channel and a free demodulator for a frame.
func (c *Chip) multiSF(f radio.Hertz, m radio.LoRa, n int) *slot {
	r := &c.file
	peaks := [8][2]reg.Field{
		{reg.RXFrameSynch0SF5Peak1Pos, reg.RXFrameSynch1SF5Peak2Pos},
		{reg.RXFrameSynch0SF6Peak1Pos, reg.RXFrameSynch1SF6Peak2Pos},
	}
	for i := 2; i < len(peaks); i++ {
		peaks[i] = [2]reg.Field{reg.RXFrameSynch0Sf7to12Peak1Pos, reg.RXFrameSynch1Sf7to12Peak2Pos}
	}
	i := int(m.SF) - 5
	implicit := r.get(reg.RXTxrxCfg2ImplicitHeader) == 1
	inverted := r.get(reg.RXCfg0ChirpInvert) == r.get(reg.RXCfg0SwapIQ)
	if m.Bandwidth != multiSFWidth || r.get(reg.CommonGenConcentratorModemEnable) == 0 || r.get(reg.RXCorrelatorSFEnCorr)>>i&1 == 0 ||
		m.SyncWord() != c.syncWord(peaks[i][0], peaks[i][1]) || m.InvertIQ != inverted || m.Implicit != implicit ||
		implicit && n != int(r.get(reg.RXTxrxCfg3PayloadLength)) {
		return nil
	}
	enabled := r.get(reg.RXCorrClockEnableClkEn) & r.get(reg.RXCorrelatorEnCorr)
	best, centre := -1, 0.0
	for ch := range multiSFChains {
		at, ok := c.listensAt(int(r.get(reg.RXRadioSelect)>>ch&1), reg.RXFreq0MSBIF.Addr()+reg.Addr(2*ch))
		if enabled>>ch&1 == 1 && ok && within(f, at, multiSFWidth/4) && (best < 0 || math.Abs(float64(f)-at) < math.Abs(float64(f)-centre)) {
			best, centre = ch, at
		}
	}
	free := (uint32(r.get(reg.OTPModemEn0)) | uint32(r.get(reg.OTPModemEn1))<<8) &^ c.rx.busy
	if best < 0 || free == 0 {
		return nil
	}
	ppm := r.at(reg.RXModemPPMOffset1PPMOffsetSF8.Addr() + reg.Addr(i/4))
	return &slot{chain: best, modem: bits.TrailingZeros32(free), centre: centre, optimised: ppm>>(2*(i%4))&3 == 1}
}

// service tells whether the single-SF modem takes a frame.
func (c *Chip) service(f radio.Hertz, m radio.LoRa, n int) *slot {
	r := &c.file
	implicit := r.get(reg.ServiceTxrxCfg2ImplicitHeader) == 1
	inverted := r.get(reg.ServiceRXCfg0ChirpInvert) == r.get(reg.ServiceRXCfg0SwapIQ)
	if c.rx.busy>>serviceModem&1 == 1 || r.get(reg.CommonGenMBWSSFModemEnable) == 0 || r.get(reg.ServiceTxrxCfg1ModemEn) == 0 ||
		m.SF != r.get(reg.ServiceTxrxCfg0ModemSF) || m.Bandwidth != bandwidthOf(r.get(reg.ServiceTxrxCfg0ModemBW)) ||
		m.SyncWord() != c.syncWord(reg.ServiceFrameSynch0Peak1Pos, reg.ServiceFrameSynch1Peak2Pos) || m.InvertIQ != inverted || m.Implicit != implicit {
		return nil
	}
	if implicit && (n != int(r.get(reg.ServiceTxrxCfg3PayloadLength)) || m.Rate() != r.get(reg.ServiceTxrxCfg1CodingRate) || m.NoCRC == (r.get(reg.ServiceTxrxCfg2CRCEn) == 1)) {
		return nil
	}
	at, ok := c.listensAt(int(r.get(reg.ServiceLoRaServiceRadioSelRadioSelect)), reg.ServiceLoRaServiceFreqMSBIFFreq0.Addr())
	if !ok || !within(f, at, m.Bandwidth/4) {
		return nil
	}
	return &slot{chain: serviceChain, modem: serviceModem, centre: at, optimised: r.get(reg.ServiceTxrxCfg1PPMOffset) == 1}
}

// fsk tells whether the FSK modem takes a frame.
func (c *Chip) fsk(f radio.Hertz, m radio.FSK) *slot {
	r := &c.file
	rate := bitRateOf(r.word(reg.ServiceBitRateMSB, reg.ServiceBitRateLSB))
	if c.rx.busy>>fskModem&1 == 1 || r.get(reg.CommonGenFSKModemEnable) == 0 || math.Abs(float64(m.BitRate)/float64(rate)-1) > bitRateTolerant {
		return nil
	}
	at, ok := c.listensAt(int(r.get(reg.ServiceFSKCfg3RadioSelect)), reg.ServiceFSKFreqMSBIFFreq0.Addr())
	if !ok || !within(f, at, fskFilter/4) {
		return nil
	}
	return &slot{chain: fskChain, modem: fskModem, centre: at}
}

// listensAt is the centre of a channel: its radio's frequency and the
// intermediate frequency in the two registers at a, 13 bits in units of
// 15625/32 Hz.
func (c *Chip) listensAt(radioIndex int, a reg.Addr) (float64, bool) {
	centre := c.radios[radioIndex].frequency()
	word := int(c.file.at(a))<<8 | int(c.file.at(a+1))
	if word >= 1<<12 {
		word -= 1 << 13
	}
	return centre + float64(word)*15625/32, centre != 0
}

// syncWord is the sync word that two peak positions mean.
func (c *Chip) syncWord(first, second reg.Field) byte {
	return c.file.get(first)/2<<4 | c.file.get(second)/2&0x0F
}

func within(f radio.Hertz, centre float64, tolerance radio.Hertz) bool {
	return math.Abs(float64(f)-centre) <= float64(tolerance)
}

func bandwidthOf(code byte) radio.Hertz {
	if code < bandwidthCode || code > bandwidthCode+2 {
		return 0
	}
	return minBandwidth << (code - bandwidthCode)
}

// bitRateOf is the bit rate of a divider, 0 for divider 0.
func bitRateOf(divider uint) int {
	if divider == 0 {
		return 0
	}
	return ticksPerSecond / int(divider)
}
