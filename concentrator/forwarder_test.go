package concentrator

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"gatewayd/radio"
)

// exchange is one of the vendor's packet forwarder: receive buffers and what
// it made of them, or a request to send and the transmitter's registers.
type exchange struct {
	FIFO      string `json:"fifo_bytes"`
	TXPK      string `json:"txpk"`
	Block     string `json:"tx_block"`
	Datagrams []struct {
		Kind string
		JSON string `json:"json"`
	}
}

func exchanges(t *testing.T) []exchange {
	t.Helper()
	var all struct{ Exchanges []exchange }
	if err := json.Unmarshal(golden(t, "pktfwd_udp_eu868.json"), &all); err != nil {
		t.Fatal(err)
	}
	return all.Exchanges
}

// What the forwarder sends up for a receive buffer are our figures, rounded.
func TestReceptionsAreThoseOfTheForwarder(t *testing.T) {
	n := 0
	for _, x := range exchanges(t) {
		if x.FIFO == "" {
			continue
		}
		fifo, err := hex.DecodeString(x.FIFO)
		if err != nil {
			t.Fatal(err)
		}
		var up struct {
			RXPK []struct {
				Tmst        uint32
				Chan, Rfch  int
				Freq        float64
				Stat, Foff  int
				Modu, Codr  string
				Datr        any
				Rssi, Rssis float64
				Lsnr        float64
				Size        int
				Data        string
			}
		}
		if err := json.Unmarshal([]byte(x.Datagrams[0].JSON), &up); err != nil || len(up.RXPK) != 1 {
			t.Fatalf("%v in %s", err, x.Datagrams[0].JSON)
		}
		w := up.RXPK[0]
		s := offline(t, eu868(t))
		got := s.feed(fifo, w.Tmst*32+32_000_000)
		if len(got) != 1 {
			t.Fatalf("%d packets in %s", len(got), x.FIFO)
		}
		u := got[0]
		stat := map[radio.CRC]int{radio.GoodCRC: 1, radio.BadCRC: -1, radio.NoCRC: 0}[u.CRC]
		if u.IFChain != w.Chan || u.RFChain != w.Rfch || float64(u.Freq) != math.Round(w.Freq*1e6) || stat != w.Stat || u.Tmst&(1<<27-1) != w.Tmst&(1<<27-1) ||
			base64.StdEncoding.EncodeToString(u.Payload) != w.Data || len(u.Payload) != w.Size || math.Round(float64(u.RSSI)) != w.Rssi {
			t.Errorf("%+v, the forwarder says %+v", u, w)
		}
		n++
		m, ok := u.Mod.(radio.LoRa)
		if !ok {
			if f, ok := u.Mod.(radio.FSK); !ok || w.Datr != float64(f.BitRate) {
				t.Errorf("%v, the forwarder says %v", u.Mod, w.Datr)
			}
			continue
		}
		if rate := fmt.Sprintf("SF%dBW%d", m.SF, m.Bandwidth/1000); rate != w.Datr || fmt.Sprintf("4/%d", m.CodeRate+4) != w.Codr && w.Codr != "OFF" ||
			math.Round(float64(u.SignalRSSI)) != w.Rssis || math.Abs(float64(u.SNR)-w.Lsnr) > 0.0501 || int(u.FreqOffset) != w.Foff {
			t.Errorf("%+v, the forwarder says %+v", u, w)
		}
	}
	if n != 5 {
		t.Errorf("%d buffers", n)
	}
}

// A request that the forwarder takes gives the same registers; what it
// refuses is refused here, too, and for less power than the lowest setting it
// takes more than was asked for, which is not done here.
func TestTransmissionsAreThoseOfTheForwarder(t *testing.T) {
	sent, refused := 0, 0
	for _, x := range exchanges(t) {
		if x.TXPK == "" {
			continue
		}
		var down struct {
			TXPK struct {
				Freq, Powe float64
				Modu, Codr string
				Datr       any
				Ipol, Ncrc bool
				Nhdr, Imme bool
				Prea, Fdev int
				Tmst       int64
				Data       string
			}
		}
		if err := json.Unmarshal([]byte(x.TXPK), &down); err != nil {
			t.Fatal(err)
		}
		w, answer := down.TXPK, x.Datagrams[0].JSON
		payload, err := base64.StdEncoding.DecodeString(w.Data)
		if err != nil {
			t.Fatal(err)
		}
		d := radio.Downlink{Freq: radio.Hertz(w.Freq * 1e6), Power: radio.DBm(w.Powe), Payload: payload}
		if w.Modu == "FSK" {
			d.Mod = radio.FSK{BitRate: int(w.Datr.(float64)), Deviation: radio.Hertz(w.Fdev), Preamble: uint16(w.Prea), NoCRC: w.Ncrc}
		} else {
			m := radio.LoRa{CodeRate: w.Codr[2] - '4', InvertIQ: w.Ipol, NoCRC: w.Ncrc, Implicit: w.Nhdr, Preamble: uint16(w.Prea)}
			if _, err := fmt.Sscanf(w.Datr.(string), "SF%dBW%d", &m.SF, &m.Bandwidth); err != nil {
				t.Fatal(err)
			}
			m.Bandwidth *= 1000
			d.Mod = m
		}
		switch {
		case strings.Contains(answer, "TX_FREQ"):
			refused++
			if _, err := offline(t, eu868(t)).c.cfg.plan(d); err == nil {
				t.Errorf("%s is taken, the forwarder says %s", x.TXPK, answer)
			}
			continue
		case strings.Contains(answer, "error"):
			continue // of time: the queue's business
		}
		want, err := hex.DecodeString(x.Block)
		if err != nil {
			t.Fatal(err)
		}
		// At once means in 80 ms, for the forwarder.
		at := binary.BigEndian.Uint32(want[1:]) + uint32(binary.BigEndian.Uint16(want[5:]))*uint32(flag(w.Modu == "LORA"))
		if !w.Imme && int64(at/32) != w.Tmst {
			t.Errorf("%s: sent at %d", x.TXPK, at/32)
		}
		f := row{"count_us": fmt.Sprint(at / 32)}
		got, below := transmitBlock(t, eu868(t), nil, d, 0, f)
		if below {
			refused++
			continue
		}
		if w.Modu == "FSK" {
			want[0x0C] |= 4 // the forwarder leaves it undefined; the library's callers say 125 kHz
		}
		compareBlock(t, "send mode=timestamped", got, want, d.Mod)
		sent++
	}
	if sent < 6 || refused != 2 {
		t.Errorf("%d sent, %d refused", sent, refused)
	}
}

// The forwarder's queue keeps 40 ms between frames; so what it takes is never
// in collision here, and what really overlaps is refused by both.
func TestWhatTheForwardersQueueTakesIsNoCollision(t *testing.T) {
	taken, overlaps := 0, 0
	for _, line := range lines(string(golden(t, "jit.jsonl"))) {
		var scenario struct {
			Ops []struct {
				Op, Type, Result string
				Assigned         uint32   `json:"assigned_us"`
				Count            uint32   `json:"count_us"`
				Queue            []uint32 `json:"queue_us"`
				SF               uint8
				Size             int
			}
		}
		if err := json.Unmarshal([]byte(line), &scenario); err != nil {
			t.Fatal(err)
		}
		known := map[uint32]*transmission{}
		var queue []uint32
		for _, op := range scenario.Ops {
			if op.Op == "enqueue" && op.Type != "BEACON" {
				at := op.Count
				if op.Result == "OK" {
					at = op.Assigned
				}
				air := radio.LoRa{SF: op.SF, Bandwidth: 125_000, CodeRate: 1}.Airtime(op.Size)
				x := &transmission{at: ticksOf(radio.Instant(at))}
				x.end = x.at + ticksIn(air)
				for _, q := range queue {
					o := known[q]
					if o == nil {
						continue // a beacon
					}
					conflict := x.conflict(o, 5*time.Millisecond, 5*time.Millisecond)
					overlap := x.at < o.end && o.at < x.end
					switch {
					case op.Result == "OK" && conflict:
						t.Errorf("the forwarder sends %d beside %d", at, q)
					case op.Result == "COLLISION_PACKET" && overlap && !conflict:
						t.Errorf("%d overlaps %d, and is no conflict", at, q)
					case overlap:
						overlaps++
					}
				}
				if op.Result == "OK" {
					taken++
					known[at] = x
				}
			}
			queue = op.Queue
		}
	}
	if taken < 400 || overlaps < 50 {
		t.Errorf("%d taken, %d overlaps", taken, overlaps)
	}
}
