package concentrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gatewayd/concentrator/gnss"
	"gatewayd/radio"
	"gatewayd/radio/sx1250"

	"periph.io/x/conn/v3/i2c"
)

// Config says what is soldered to the chip and what it is to receive. The
// zero values of all optional fields are sensible.
type Config struct {
	Radios      [2]Radio
	ClockSource int  // the radio that clocks the chip, 0 or 1
	FullDuplex  bool // the board receives while it transmits

	Channels         [8]Channel // LoRa 125 kHz, all spreading factors
	SpreadingFactors byte       // of these channels, bit 0 = SF5; 0 means all
	Service          Service    // the one LoRa modem with a fixed spreading factor
	FSK              FSKChannel
	PrivateNetwork   bool // sync word 0x12 instead of 0x34
	FineTimestamp    FineTimestamp

	SX1261 SX1261 // the companion radio, for listen before talk and spectral scans

	Firmware Firmware

	// Reset pulses the chip's reset line, HoldReset leaves it asserted. Nil
	// means that the line is not ours: a chip that still runs then has its
	// registers put back one by one.
	Reset     func(context.Context) error
	HoldReset func() error

	// I2C is the board's second bus, with its thermometer and, on full-duplex
	// boards, the gain of the transmit amplifier. Nil means none.
	I2C i2c.Bus
	// Temperature of the board in degrees Celsius for the RSSI correction; it
	// must not block. Nil means the thermometer on I2C; an error, or none
	// there, means 25.
	Temperature func() (float64, error)

	// Fixes name the seconds of the pulses that the chip gets (gnss.Receiver
	// makes them); nil means that there are none. HostClock is gnss.HostClock,
	// or nil if the host's clock is not to be trusted with anything.
	// LeapSeconds is GPS time minus UTC; 0 means what the receiver says, else
	// gnss.LeapSeconds.
	Fixes       <-chan gnss.Fix
	HostClock   func() (disciplined bool, within time.Duration)
	LeapSeconds int

	SPIHz int64 // clock; 0 means 8 MHz

	// Poll is the time between looks at the receive buffer, 0 means 2.5 ms.
	// QuietPoll is the same after 30 s in which nothing was received; 0 means
	// 50 ms, or Poll if that is more.
	Poll, QuietPoll time.Duration

	Log *slog.Logger // nil means none
}

// RadioType is the kind of radio chip.
type RadioType uint8

// Radio chips.
const (
	SX1250 RadioType = iota
	SX1255
	SX1257
)

// String is the chip's name.
func (t RadioType) String() string {
	switch t {
	case SX1250:
		return "SX1250"
	case SX1255:
		return "SX1255"
	case SX1257:
		return "SX1257"
	}
	return fmt.Sprintf("radio type %d", uint8(t))
}

// Radio is one of the two radios.
type Radio struct {
	Enable      bool
	Type        RadioType   // the same for both
	Freq        radio.Hertz // centre
	SingleInput bool        // SX1250: only one side of the differential input is fed

	RSSIOffset      radio.DB
	RSSITemperature [5]float64 // coefficients of t^4 .. 1, divided by 65536

	Transmit     bool
	TXMin, TXMax radio.Hertz // allowed carrier frequencies
	Gains        []Gain      // transmit power settings, in any order
}

// Gain is one transmit power setting.
type Gain struct {
	Power   radio.DBm // at the antenna connector
	Digital uint8     // digital gain, 0 to 3
	OffsetI int8      // DC offsets of the modulator; those of an SX125x are calibrated
	OffsetQ int8

	PA    bool  // SX1250: external power amplifier on
	Index uint8 // SX1250: power index, 0 to 22

	PAGain uint8 // SX1255, SX1257: gain of the power amplifier, 0 to 3
	DAC    uint8 // SX1255, SX1257: gain of the DAC, 0 to 3
	Mixer  uint8 // SX1255, SX1257: gain of the mixer, 0 to 15
}

// word is the setting as the AGC takes it.
func (g Gain) word(t RadioType) byte {
	if t == SX1250 {
		return flag(g.PA)<<6 | g.Index
	}
	return g.PAGain<<6 | g.DAC<<4 | g.Mixer
}

// Channel is one receive channel: a radio and an offset from its centre.
type Channel struct {
	Enable bool
	Radio  int
	IF     radio.Hertz
}

// Service is the LoRa channel with one spreading factor and any bandwidth.
type Service struct {
	Channel
	Bandwidth radio.Hertz // 125, 250 or 500 kHz
	SF        uint8       // 5 to 12

	Implicit         bool // frames without header; then the next three apply
	ImplicitLength   uint8
	ImplicitCodeRate uint8 // 1 to 4; 0 means 1
	ImplicitCRC      bool
}

// FSKChannel is the FSK channel.
type FSKChannel struct {
	Channel
	BitRate  int    // bits per second; 0 means 50 000
	SyncWord []byte // 1 to 8 bytes; nil means C1 94 C1
}

// FineTimestamp selects what the demodulators stamp (SX1303 only).
type FineTimestamp uint8

// Fine time stamp modes: which spreading factors are demodulated twice.
const (
	FineTimestampOff FineTimestamp = iota
	FineTimestampAllSF
	FineTimestampHighCapacity // SF5 to SF10
)

const (
	maxIF          = 800_000 // |IF| + bandwidth/2
	defaultSPIHz   = 8_000_000
	defaultPoll    = 2500 * time.Microsecond
	defaultQuiet   = 50 * time.Millisecond
	defaultCelsius = 25
)

// withDefaults fills in what zero values mean.
func (c Config) withDefaults() Config {
	if c.SpreadingFactors == 0 {
		c.SpreadingFactors = 0xFF
	}
	if c.FSK.BitRate == 0 {
		c.FSK.BitRate = 50_000
	}
	if c.FSK.SyncWord == nil {
		c.FSK.SyncWord = []byte{0xC1, 0x94, 0xC1}
	}
	if c.Service.ImplicitCodeRate == 0 {
		c.Service.ImplicitCodeRate = 1
	}
	if c.SPIHz == 0 {
		c.SPIHz = defaultSPIHz
	}
	if c.Poll == 0 {
		c.Poll = defaultPoll
	}
	if c.QuietPoll == 0 {
		c.QuietPoll = max(c.Poll, defaultQuiet)
	}
	if c.SX1261.Survey.Every == 0 {
		c.SX1261.Survey.Every = surveyPace
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// check reports the first setting that the chip can't do.
func (c *Config) check() error {
	if c.ClockSource < 0 || c.ClockSource > 1 {
		return configError("ClockSource", c.ClockSource, "0 or 1")
	}
	if !c.Radios[c.ClockSource].Enable {
		return configError("ClockSource", c.ClockSource, "that radio is not enabled; enable it or take the other one")
	}
	for i := range c.Radios {
		if err := c.Radios[i].check(fmt.Sprintf("Radios[%d]", i)); err != nil {
			return err
		}
	}
	if a, b := c.Radios[0], c.Radios[1]; a.Enable && b.Enable && a.Type != b.Type {
		return configError("Radios[1].Type", b.Type, fmt.Sprintf("Radios[0] is an %v; the chip's firmware drives two of one type only", a.Type))
	}
	if c.FullDuplex && c.I2C == nil {
		return configError("FullDuplex", true, "the gain of a full-duplex board's transmit amplifier is set over I2C: set I2C (i2c in the configuration), or turn it off")
	}
	if err := c.checkChannels(); err != nil {
		return err
	}
	if err := c.checkFSK(); err != nil {
		return err
	}
	if c.SPIHz < 100_000 || c.SPIHz > 10_000_000 {
		return configError("SPIHz", c.SPIHz, "100 kHz to 10 MHz")
	}
	if c.Poll < 100*time.Microsecond || c.Poll > time.Minute {
		return configError("Poll", c.Poll, "100 µs to 1 minute; a stamp is unrolled within a turn of the counter, 134 s")
	}
	if c.QuietPoll < c.Poll || c.QuietPoll > time.Minute {
		return configError("QuietPoll", c.QuietPoll, fmt.Sprintf("Poll, which is %v, to 1 minute", c.Poll))
	}
	if err := errors.Join(c.checkSX1261(), c.checkSurvey()); err != nil {
		return err
	}
	return c.Firmware.checkLengths(c.Radios[c.ClockSource].Type)
}

func (r *Radio) check(name string) error {
	if !r.Enable {
		if r.Transmit {
			return configError(name+".Transmit", true, "that radio is not enabled")
		}
		return nil
	}
	if r.Type > SX1257 {
		return configError(name+".Type", r.Type, "SX1250, SX1255 or SX1257")
	}
	if err := r.Type.checkFrequency(r.Freq); err != nil {
		return configError(name+".Freq", int64(r.Freq), err.Error())
	}
	if r.SingleInput && r.Type != SX1250 {
		return configError(name+".SingleInput", true, "only the SX1250 has a differential input")
	}
	if !r.Transmit {
		return nil
	}
	if r.TXMin <= 0 || r.TXMax < r.TXMin {
		return configError(name+".TXMin/TXMax", fmt.Sprint(int64(r.TXMin), "/", int64(r.TXMax)), "a range of carrier frequencies in Hz is needed")
	}
	if len(r.Gains) == 0 {
		return configError(name+".Gains", "empty", "a radio that transmits needs at least one power setting")
	}
	return CheckGains(name, r.Gains)
}

// checkFrequency tells whether a type of radio can be tuned to f.
func (t RadioType) checkFrequency(f radio.Hertz) error {
	if t == SX1250 {
		_, err := sx1250.ImageArguments(f)
		return err
	}
	return t.sx125x().CheckFrequency(f)
}

// CheckGains reports an entry of a gain table that the radio can't do. See
// [LintGains] for tables that are only odd.
func CheckGains(name string, gains []Gain) error {
	for i, g := range gains {
		field := fmt.Sprintf("%s.Gains[%d]", name, i)
		if g.Index > 22 {
			return configError(field+".Index", g.Index, "0 to 22")
		}
		if g.Digital > 3 {
			return configError(field+".Digital", g.Digital, "0 to 3")
		}
		if g.PAGain > 3 {
			return configError(field+".PAGain", g.PAGain, "0 to 3")
		}
		if g.DAC > 3 {
			return configError(field+".DAC", g.DAC, "0 to 3")
		}
		if g.Mixer > 15 {
			return configError(field+".Mixer", g.Mixer, "0 to 15")
		}
	}
	return nil
}

// checkIF checks one receive channel of a bandwidth.
func (c *Config) checkIF(name string, ch Channel, bw radio.Hertz) error {
	if !ch.Enable {
		return nil
	}
	if ch.Radio < 0 || ch.Radio > 1 || !c.Radios[ch.Radio].Enable {
		return configError(name+".Radio", ch.Radio, "an enabled radio, 0 or 1")
	}
	if max(ch.IF, -ch.IF)+bw/2 > maxIF {
		return configError(name+".IF", int64(ch.IF), fmt.Sprintf("|IF| + half the bandwidth (%d Hz) must not exceed %d Hz", bw, maxIF))
	}
	return nil
}

func (c *Config) checkChannels() error {
	for i, ch := range c.Channels {
		if err := c.checkIF(fmt.Sprintf("Channels[%d]", i), ch, 125_000); err != nil {
			return err
		}
	}
	s := &c.Service
	if !s.Enable {
		return nil
	}
	if _, ok := bandwidthCode(s.Bandwidth); !ok {
		return configError("Service.Bandwidth", int64(s.Bandwidth), "125000, 250000 or 500000")
	}
	if s.SF < 5 || s.SF > 12 {
		return configError("Service.SF", s.SF, "5 to 12")
	}
	if s.ImplicitCodeRate > 4 {
		return configError("Service.ImplicitCodeRate", s.ImplicitCodeRate, "1 to 4")
	}
	return c.checkIF("Service", s.Channel, s.Bandwidth)
}

func (c *Config) checkFSK() error {
	f := &c.FSK
	if !f.Enable {
		return nil
	}
	if f.BitRate < 500 || f.BitRate > 250_000 {
		return configError("FSK.BitRate", f.BitRate, "500 to 250000")
	}
	if len(f.SyncWord) < 1 || len(f.SyncWord) > 8 {
		return configError("FSK.SyncWord", fmt.Sprintf("%d bytes", len(f.SyncWord)), "1 to 8 bytes")
	}
	return c.checkIF("FSK", f.Channel, 125_000)
}
