package radio

import (
	"fmt"
	"time"
)

// Modulation is how a frame is modulated: [LoRa] or [FSK], or [Carrier].
type Modulation interface {
	// Airtime is the time on the air of a frame with n payload bytes.
	Airtime(n int) time.Duration
	fmt.Stringer
}

// Sync words of LoRa frames.
const (
	PublicSync  byte = 0x34 // LoRaWAN networks
	PrivateSync byte = 0x12
)

// LowDataRate says whether low data rate optimisation applies.
type LowDataRate uint8

// Low data rate optimisation. The chip's rule: on where a symbol lasts 16 ms
// or more, that is SF11 and SF12 at 125 kHz and SF12 at 250 kHz.
const (
	LowDataRateAuto LowDataRate = iota
	LowDataRateOn
	LowDataRateOff
)

// LoRa is the chirp spread spectrum modulation. The zero values of all
// fields but SF and Bandwidth are what LoRaWAN uplinks use, save that Sync 0
// means [PublicSync], CodeRate 0 means 4/5 and Preamble 0 means 8 symbols.
type LoRa struct {
	SF        uint8 // 5 to 12
	Bandwidth Hertz // 125, 250 or 500 kHz
	CodeRate  uint8 // 1 to 4: 4/5 to 4/8
	Preamble  uint16
	Sync      byte
	InvertIQ  bool // downlinks
	NoCRC     bool // downlinks
	Implicit  bool // no header

	LowDataRate LowDataRate
}

// SymbolTime is the duration of one symbol: 2^SF / bandwidth.
func (m LoRa) SymbolTime() time.Duration {
	return time.Duration(1<<m.SF) * time.Second / time.Duration(m.Bandwidth)
}

// LowDataRateOptimised tells whether two bits less are carried per symbol.
func (m LoRa) LowDataRateOptimised() bool {
	if m.LowDataRate != LowDataRateAuto {
		return m.LowDataRate == LowDataRateOn
	}
	return m.SymbolTime() >= 16*time.Millisecond
}

// PayloadSymbols is the number of symbols after the first eight of the
// payload part (SX1302 and SX126x data sheets, "time on air").
func (m LoRa) PayloadSymbols(n int) int {
	sf := int(m.SF)
	bits := 8*n - 4*sf
	if !m.NoCRC {
		bits += 16
	}
	if sf >= 7 {
		bits += 8
	}
	if !m.Implicit {
		bits += 20
	}
	perBlock := 4 * sf
	if m.LowDataRateOptimised() {
		perBlock -= 8
	}
	blocks := (max(bits, 0) + perBlock - 1) / perBlock
	return blocks * (int(m.Rate()) + 4)
}

// Airtime implements [Modulation]. It is exact: symbols come in quarters.
func (m LoRa) Airtime(n int) time.Duration {
	quarters := 4*(int(m.PreambleSymbols())+8+m.PayloadSymbols(n)) + 17 // 4.25 symbols of sync
	if m.SF < 7 {
		quarters += 8 // 6.25
	}
	return time.Duration(quarters) * time.Duration(1<<m.SF) * time.Second / time.Duration(4*m.Bandwidth)
}

// Rate returns CodeRate with its default applied.
func (m LoRa) Rate() uint8 {
	if m.CodeRate == 0 {
		return 1
	}
	return m.CodeRate
}

// PreambleSymbols returns Preamble with its default applied.
func (m LoRa) PreambleSymbols() uint16 {
	if m.Preamble == 0 {
		return 8
	}
	return m.Preamble
}

// SyncWord returns Sync with its default applied.
func (m LoRa) SyncWord() byte {
	if m.Sync == 0 {
		return PublicSync
	}
	return m.Sync
}

// DataRate is the usual short form, e.g. "SF12BW125".
func (m LoRa) DataRate() string { return fmt.Sprintf("SF%dBW%d", m.SF, m.Bandwidth/1000) }

// String is DataRate with the coding rate, e.g. "SF12BW125 4/5".
func (m LoRa) String() string { return fmt.Sprintf("%s 4/%d", m.DataRate(), m.Rate()+4) }

// FSK is Gaussian frequency shift keying as LoRaWAN uses it: 3 bytes of sync
// word, a length byte, whitening, 2 bytes of CRC.
type FSK struct {
	BitRate   int   // bits per second, 500 to 250 000
	Deviation Hertz // 0 means half the bit rate
	Preamble  uint16
	NoCRC     bool
}

// PreambleBytes returns Preamble with its default of 5 applied.
func (m FSK) PreambleBytes() uint16 {
	if m.Preamble == 0 {
		return 5
	}
	return m.Preamble
}

// Dev returns Deviation with its default applied.
func (m FSK) Dev() Hertz {
	if m.Deviation == 0 {
		return Hertz(m.BitRate / 2)
	}
	return m.Deviation
}

// Airtime implements [Modulation].
func (m FSK) Airtime(n int) time.Duration {
	bytes := int(m.PreambleBytes()) + 3 + 1 + n
	if !m.NoCRC {
		bytes += 2
	}
	return time.Duration(bytes) * 8 * time.Second / time.Duration(m.BitRate)
}

// String is e.g. "FSK 50000".
func (m FSK) String() string { return fmt.Sprintf("FSK %d", m.BitRate) }
