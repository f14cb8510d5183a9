package concentrator

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"gatewayd/radio"
)

// golden opens a compressed file of testdata.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// row is one line of a table, by column name.
type row map[string]string

func (r row) int(t testing.TB, column string) int64 {
	t.Helper()
	v, err := strconv.ParseInt(r[column], 0, 64)
	if err != nil {
		t.Fatalf("column %s: %v", column, err)
	}
	return v
}

func (r row) float(t testing.TB, column string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(r[column], 64)
	if err != nil {
		t.Fatalf("column %s: %v", column, err)
	}
	return v
}

func (r row) hertz(t testing.TB, column string) radio.Hertz { return radio.Hertz(r.int(t, column)) }

// table reads a golden table.
func table(t testing.TB, name string) []row {
	t.Helper()
	text := golden(t, name)
	var lines [][]byte
	for l := range bytes.SplitSeq(text, []byte("\n")) {
		if !bytes.HasPrefix(l, []byte("#")) {
			lines = append(lines, l)
		}
	}
	all, err := csv.NewReader(bytes.NewReader(bytes.Join(lines, []byte("\n")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []row
	for _, values := range all[1:] {
		r := row{}
		for i, v := range values {
			r[all[0][i]] = v
		}
		out = append(out, r)
	}
	if len(out) < 20 {
		t.Fatalf("%s has only %d rows", name, len(out))
	}
	return out
}

// recording is one run of the vendor's library.
type recording struct {
	Name   string
	Config recordedConfig
	Steps  []recordedStep
	Trace  []string
	Regs   []string
}

type recordedStep struct {
	Step   int
	Call   string
	Frames int    `json:"spi_frames"`
	Bytes  int    `json:"spi_bytes"`
	Block  string `json:"tx_block"`
	Before []struct {
		Emu  string
		FIFO string `json:"fifo_bytes"`
	}
	Packets []recordedPacket
	EmuTX   string `json:"emu_tx"`
}

type recordedPacket struct {
	Freq       int64   `json:"freq_hz"`
	FreqOffset int64   `json:"freq_offset"`
	IFChain    int     `json:"if_chain"`
	Status     any     `json:"status"`
	Count      uint32  `json:"count_us"`
	RFChain    int     `json:"rf_chain"`
	Modem      int     `json:"modem_id"`
	Modulation string  `json:"modulation"`
	Bandwidth  int     `json:"bandwidth_code"`
	DataRate   int     `json:"datarate"`
	CodeRate   int     `json:"coderate"`
	RSSIC      float64 `json:"rssic"`
	RSSIS      float64 `json:"rssis"`
	SNR        float64 `json:"snr"`
	Size       int     `json:"size"`
	Payload    string  `json:"payload"`
	Fine       bool    `json:"ftime_received"`
	FineTime   int64   `json:"ftime"`
}

type recordedChannel struct {
	Enable    bool  `json:"enable"`
	Radio     int   `json:"radio"`
	IF        int64 `json:"if"`
	Bandwidth int64 `json:"bandwidth"`
	SF        int   `json:"spread_factor"`
	Rate      int   `json:"datarate"`
	Implicit  bool  `json:"implicit_hdr"`
	Length    int   `json:"implicit_payload_length"`
	CRC       bool  `json:"implicit_crc_en"`
	CodeRate  int   `json:"implicit_coderate"`
}

type recordedRadio struct {
	Enable      bool
	Type        string
	Freq        int64
	RSSIOffset  float64            `json:"rssi_offset"`
	RSSITComp   map[string]float64 `json:"rssi_tcomp"`
	SingleInput bool               `json:"single_input_mode"`
	TX          bool               `json:"tx_enable"`
	TXMin       int64              `json:"tx_freq_min"`
	TXMax       int64              `json:"tx_freq_max"`
	Gains       []struct {
		Power   float64 `json:"rf_power"`
		PA      int     `json:"pa_gain"`
		Index   uint8   `json:"pwr_idx"`
		DAC     uint8   `json:"dac_gain"`
		Mixer   uint8   `json:"mix_gain"`
		Digital uint8   `json:"dig_gain"`
	} `json:"tx_gain_lut"`
}

type recordedConfig struct {
	Public     bool `json:"lorawan_public"`
	ClockSrc   int  `json:"clksrc"`
	FullDuplex bool `json:"full_duplex"`
	Fine       struct {
		Enable bool
		Mode   string
	} `json:"fine_timestamp"`
	Radio0 recordedRadio `json:"radio_0"`
	Radio1 recordedRadio `json:"radio_1"`
	All    struct {
		SF []int `json:"spreading_factor_enable"`
	} `json:"chan_multiSF_All"`
	C0      recordedChannel `json:"chan_multiSF_0"`
	C1      recordedChannel `json:"chan_multiSF_1"`
	C2      recordedChannel `json:"chan_multiSF_2"`
	C3      recordedChannel `json:"chan_multiSF_3"`
	C4      recordedChannel `json:"chan_multiSF_4"`
	C5      recordedChannel `json:"chan_multiSF_5"`
	C6      recordedChannel `json:"chan_multiSF_6"`
	C7      recordedChannel `json:"chan_multiSF_7"`
	Service recordedChannel `json:"chan_Lora_std"`
	FSK     recordedChannel `json:"chan_FSK"`
}

func recorded(t testing.TB, name string) recording {
	t.Helper()
	var r recording
	if err := json.Unmarshal(golden(t, name+".json"), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r recordedRadio) radio() Radio {
	out := Radio{
		Enable: r.Enable, Freq: radio.Hertz(r.Freq), SingleInput: r.SingleInput, RSSIOffset: radio.DB(r.RSSIOffset),
		Transmit: r.TX, TXMin: radio.Hertz(r.TXMin), TXMax: radio.Hertz(r.TXMax),
	}
	out.Type = map[string]RadioType{"SX1255": SX1255, "SX1257": SX1257}[r.Type]
	for i, k := range []string{"coeff_a", "coeff_b", "coeff_c", "coeff_d", "coeff_e"} {
		out.RSSITemperature[i] = r.RSSITComp[k]
	}
	for _, g := range r.Gains {
		x := Gain{Power: radio.DBm(g.Power), Digital: g.Digital}
		if out.Type == SX1250 {
			x.PA, x.Index = g.PA > 0, g.Index
		} else {
			x.PAGain, x.DAC, x.Mixer = uint8(g.PA), g.DAC, g.Mixer
		}
		out.Gains = append(out.Gains, x)
	}
	return out
}

func (c recordedChannel) channel() Channel {
	return Channel{Enable: c.Enable, Radio: c.Radio, IF: radio.Hertz(c.IF)}
}

// config is the recorded configuration in our terms.
func (r recording) config() Config {
	c := r.Config
	out := Config{
		Radios: [2]Radio{c.Radio0.radio(), c.Radio1.radio()}, ClockSource: c.ClockSrc, FullDuplex: c.FullDuplex,
		PrivateNetwork: !c.Public, Firmware: EmulatedFirmware(),
	}
	if c.FullDuplex {
		out.I2C = newThermometer(0x38, 25)
	}
	for i, ch := range []recordedChannel{c.C0, c.C1, c.C2, c.C3, c.C4, c.C5, c.C6, c.C7} {
		out.Channels[i] = ch.channel()
		if !ch.Enable { // the forwarder leaves a disabled channel at zero
			out.Channels[i] = Channel{}
		}
	}
	for _, sf := range c.All.SF {
		out.SpreadingFactors |= 1 << (sf - 5)
	}
	out.Service = Service{
		Channel: c.Service.channel(), Bandwidth: radio.Hertz(c.Service.Bandwidth), SF: uint8(c.Service.SF),
		Implicit: c.Service.Implicit, ImplicitLength: uint8(c.Service.Length), ImplicitCodeRate: uint8(c.Service.CodeRate), ImplicitCRC: c.Service.CRC,
	}
	out.FSK = FSKChannel{Channel: c.FSK.channel(), BitRate: c.FSK.Rate}
	if c.Fine.Enable {
		out.FineTimestamp = map[string]FineTimestamp{"all_sf": FineTimestampAllSF, "high_capacity": FineTimestampHighCapacity}[c.Fine.Mode]
	}
	return out
}

// step returns the lines of one step of a trace.
func (r recording) step(n int) []string {
	var out []string
	in := false
	for _, l := range r.Trace {
		if strings.HasPrefix(l, "# step ") {
			in = strings.HasPrefix(l, "# step "+strconv.Itoa(n)+" ")
			continue
		}
		if in {
			out = append(out, l)
		}
	}
	return out
}

// lines splits a trace.
func lines(text string) []string {
	var out []string
	s := bufio.NewScanner(strings.NewReader(text))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		out = append(out, s.Text())
	}
	return out
}
