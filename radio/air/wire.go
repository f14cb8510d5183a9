package air

import (
	"fmt"
	"time"

	"gatewayd/radio"
)

// Bands that LoRa transceivers can be tuned to.
const (
	minFreq = 100_000_000
	maxFreq = 3_000_000_000
)

// wireFrame is a frame as the protocol writes it.
type wireFrame struct {
	Freq       radio.Hertz  `json:"freq_hz"`
	Modulation string       `json:"modulation"`
	SF         *uint8       `json:"sf,omitempty"`
	Bandwidth  *radio.Hertz `json:"bw_hz,omitempty"`
	CodeRate   *string      `json:"cr,omitempty"`
	BitRate    *int         `json:"bitrate,omitempty"`
	Deviation  *radio.Hertz `json:"deviation_hz,omitempty"`
	Preamble   uint16       `json:"preamble"`
	SyncWord   *int         `json:"sync_word,omitempty"`
	Inverted   *bool        `json:"iq_inverted,omitempty"`
	CRC        bool         `json:"crc"`
	Implicit   *bool        `json:"implicit_header,omitempty"`
	Duration   *int64       `json:"duration_us,omitempty"`
	Payload    []byte       `json:"payload"`
}

// codeRates by radio.LoRa.CodeRate.
var codeRates = [...]string{1: "4/5", 2: "4/6", 3: "4/7", 4: "4/8"}

// wire is the protocol's form of a frame.
func wire(f Frame) wireFrame {
	w := wireFrame{Freq: f.Freq, Payload: f.Payload}
	if w.Payload == nil {
		w.Payload = []byte{}
	}
	switch m := f.Mod.(type) {
	case radio.LoRa:
		cr, sync := codeRates[m.Rate()], int(m.SyncWord())
		w.Modulation, w.SF, w.Bandwidth, w.CodeRate = "LORA", &m.SF, &m.Bandwidth, &cr
		w.Preamble, w.SyncWord, w.CRC = m.PreambleSymbols(), &sync, !m.NoCRC
		w.Inverted, w.Implicit = &m.InvertIQ, &m.Implicit
	case radio.FSK:
		dev := m.Dev()
		w.Modulation, w.BitRate, w.Deviation = "FSK", &m.BitRate, &dev
		w.Preamble, w.CRC = m.PreambleBytes(), !m.NoCRC
	case radio.Carrier:
		us := m.Duration.Microseconds()
		w.Modulation, w.Freq, w.Duration = "CARRIER", f.Freq+m.Offset, &us
	}
	return w
}

// modulation returns the frequency and modulation of a request; whole says
// that it is of a frame, not only of what a receiver is set to.
func (r request) modulation(whole bool) (radio.Hertz, radio.Modulation, error) {
	freq, err := r.integer("freq_hz", minFreq, maxFreq, nil)
	if err != nil {
		return 0, nil, err
	}
	kinds := []string{"LORA", "FSK"}
	if whole {
		kinds = append(kinds, "CARRIER")
	}
	kind, err := choice(r, "modulation", nil, kinds...)
	if err != nil {
		return 0, nil, err
	}
	var mod radio.Modulation
	switch kind {
	case "LORA":
		mod, err = r.lora(whole)
	case "FSK":
		mod, err = r.fsk(whole)
	default:
		mod, err = r.carrier()
	}
	return radio.Hertz(freq), mod, err
}

func (r request) carrier() (m radio.Carrier, err error) {
	us, err := r.integer("duration_us", 1, longest.Microseconds(), nil)
	m.Duration = time.Duration(us) * time.Microsecond
	return m, err
}

func (r request) lora(whole bool) (m radio.LoRa, err error) {
	sf, err := r.integer("sf", 5, 12, nil)
	if err != nil {
		return m, err
	}
	m.SF = uint8(sf)
	if m.Bandwidth, err = choice[radio.Hertz](r, "bw_hz", nil, 125_000, 250_000, 500_000); err != nil {
		return m, err
	}
	sync := int(radio.PublicSync)
	if sync, err = choice(r, "sync_word", &sync, int(radio.PublicSync), int(radio.PrivateSync)); err != nil {
		return m, err
	}
	m.Sync = byte(sync)
	if m.InvertIQ, err = r.boolean("iq_inverted", false); err != nil || !whole {
		return m, err
	}
	cr := codeRates[1]
	if cr, err = choice(r, "cr", &cr, codeRates[1:]...); err != nil {
		return m, err
	}
	m.CodeRate = cr[2] - '4'
	if m.Preamble, err = r.preamble(8); err != nil {
		return m, err
	}
	crc, err := r.boolean("crc", true)
	if err != nil {
		return m, err
	}
	m.NoCRC = !crc
	m.Implicit, err = r.boolean("implicit_header", false)
	return m, err
}

func (r request) fsk(whole bool) (m radio.FSK, err error) {
	rate, err := r.integer("bitrate", 500, 300_000, nil)
	if err != nil {
		return m, err
	}
	m.BitRate = int(rate)
	if !whole {
		return m, nil
	}
	half := rate / 2
	dev, err := r.integer("deviation_hz", 1, 250_000, &half)
	if err != nil {
		return m, err
	}
	m.Deviation = radio.Hertz(dev)
	if m.Preamble, err = r.preamble(5); err != nil {
		return m, err
	}
	crc, err := r.boolean("crc", true)
	m.NoCRC = !crc
	return m, err
}

// preamble returns the length in symbols (FSK: bytes).
func (r request) preamble(def int64) (uint16, error) {
	n, err := r.integer("preamble", 1, 65_535, &def)
	if err != nil {
		return 0, fmt.Errorf("%w (LoRa: symbols, FSK: bytes)", err)
	}
	return uint16(n), nil
}
