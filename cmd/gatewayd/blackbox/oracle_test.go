package blackbox

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
)

// The differential test: the network server against devices made of
// lora-packet. Their uplinks are made before, their downlinks judged after the
// conversation, which is in virtual time.

// exchanges is how many there are in each region: 10 000 with
// GATEWAYD_EXCHANGES=10000, which takes some minutes.
func exchanges(t *testing.T) int {
	text := os.Getenv("GATEWAYD_EXCHANGES")
	if text == "" {
		return 250
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("GATEWAYD_EXCHANGES=%q: a number of exchanges a region is wanted", text)
	}
	return n
}

// oracle is the node process; it answers in order.
type oracle struct {
	in  *json.Encoder
	out *bufio.Scanner
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", "oracle.mjs")
	cmd.Dir, cmd.Stderr = "node", os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("node oracle.mjs: %v", err)
		}
	})
	return &oracle{json.NewEncoder(in), bufio.NewScanner(out)}
}

func (o *oracle) ask(t *testing.T, question, answer any) {
	t.Helper()
	if err := o.in.Encode(question); err != nil {
		t.Fatal(err)
	}
	if !o.out.Scan() {
		t.Fatalf("the oracle ended: %v", o.out.Err())
	}
	if err := json.Unmarshal(o.out.Bytes(), answer); err != nil {
		t.Fatal(err)
	}
}

// spoken is one exchange: what the device says, and what it was answered.
type spoken struct {
	Addr      string `json:"addr"`
	Nwk       string `json:"nwk"`
	App       string `json:"app"`
	FCnt      uint32 `json:"fcnt"`
	Port      uint8  `json:"port"`
	Payload   string `json:"payload"`
	Confirmed bool   `json:"confirmed"`
	ADR       bool   `json:"adr"`
	ACK       bool   `json:"ack"`

	phy    []byte
	freq   radio.Hertz
	dr     int
	answer *nsedge.DownlinkResponse // nil: none
	down   []byte                   // nil: nothing was sent
	fcnt   uint32
}

// opened is a downlink as lora-packet understands it.
type opened struct {
	MIC, Down, ACK, Confirmed, Pending bool
	Addr, Payload                      string
	FCnt                               uint32
	Port                               int
}

// script makes the uplinks of a session that begins shortly before the low
// half of the counter turns over.
func script(t *testing.T, o *oracle, r *region.Region, n int, rng *rand.Rand) []*spoken {
	t.Helper()
	bytes := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	addr, nwk, app := hex.EncodeToString(bytes(4)), hex.EncodeToString(bytes(16)), hex.EncodeToString(bytes(16))
	fcnt := uint32(65536 - n/2)
	var all []*spoken
	for range n {
		channels := r.JoinChannels()
		c := channels[rng.IntN(len(channels))]
		s := &spoken{Addr: addr, Nwk: nwk, App: app, FCnt: fcnt, Port: uint8(1 + rng.IntN(223)), Confirmed: rng.IntN(2) == 0, ADR: rng.IntN(4) > 0, freq: c.Freq}
		s.dr = c.MinDR + rng.IntN(c.MaxDR-c.MinDR+1)
		s.Payload = hex.EncodeToString(bytes(1 + rng.IntN(max(min(r.MaxPayload(s.dr, region.Version{}), 60), 2)-1)))
		var made struct{ Phy string }
		o.ask(t, s, &made)
		var err error
		if s.phy, err = hex.DecodeString(made.Phy); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
		fcnt += uint32(1 + rng.IntN(3)*rng.IntN(2)) // some are lost
	}
	return all
}

// studio is an Air without a medium.
type studio struct {
	up      chan radio.Uplink
	reports chan radio.Report
	zero    time.Time
	sent    []byte
}

func (a *studio) Uplinks() <-chan radio.Uplink      { return a.up }
func (a *studio) Reports() <-chan radio.Report      { return a.reports }
func (a *studio) Lead(radio.Downlink) time.Duration { return 4 * time.Millisecond }
func (a *studio) Schedule(_ context.Context, d radio.Downlink) error {
	if d.Replaces != 0 {
		return radio.ErrTooLate
	}
	a.sent = d.Payload
	end := d.At.Add(d.Mod.Airtime(len(d.Payload)))
	r := radio.Report{ID: d.ID, Planned: d.At, Armed: d.At - 4000, Started: d.At, Ended: end, Power: d.Power}
	time.AfterFunc(time.Until(a.zero.Add(time.Duration(end)*time.Microsecond)), func() { a.reports <- r })
	return nil
}

// converse plays the script to a network server.
func converse(t *testing.T, r *region.Region, dir string, all []*spoken, rng *rand.Rand) {
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		a := &studio{up: make(chan radio.Uplink, 1), reports: make(chan radio.Report, 8), zero: time.Now()}
		events := make(chan nsedge.Event, 100)
		edge, err := nsedge.New(nsedge.Config{Region: r, Store: st, IgnoreDutyCycle: true}, a, func(ev nsedge.Event) { events <- ev })
		if err != nil {
			t.Fatal(err)
		}
		var dev nsedge.Device
		first := all[0]
		addr, nwk, app := new(nsedge.DevAddr), new(nsedge.Key), new(nsedge.Key)
		for text, into := range map[string][]byte{first.Addr: addr[:], first.Nwk: nwk[:], first.App: app[:]} {
			if _, err := hex.Decode(into, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		dev = nsedge.Device{DevEUI: radio.EUI64{1}, Activation: nsedge.ABP, Encryption: nsedge.KeysAtNS, DevAddr: addr, NwkSKey: nwk, AppSKey: app,
			CounterUp: first.FCnt, CounterDown: 65530, MAC: nsedge.MACHandsOff}
		if err := edge.CreateDevice(t.Context(), dev); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = edge.Run(ctx) }()
		for _, s := range all {
			s.play(t, r, a, edge, events, rng)
		}
		cancel()
		<-done
	})
}

// play is one exchange.
func (s *spoken) play(t *testing.T, r *region.Region, a *studio, edge *nsedge.Edge, events <-chan nsedge.Event, rng *rand.Rand) {
	mod, err := r.DataRate(s.dr)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(mod.Airtime(len(s.phy)))
	a.sent = nil
	a.up <- radio.Uplink{Payload: s.phy, CRC: radio.GoodCRC, At: radio.Instant(time.Since(a.zero).Microseconds()), Time: time.Now(), Freq: s.freq, Mod: mod, RSSI: -80, SNR: 5}
	heard, end := false, time.After(4*time.Second)
	for {
		select {
		case ev := <-events:
			switch ev := ev.(type) {
			case *nsedge.UplinkEvent:
				heard = true
				if ev.Counter != s.FCnt || hex.EncodeToString(ev.Payload) != s.Payload || ev.Port != s.Port || ev.Frame.Confirmed != s.Confirmed || ev.Frame.ADR != s.ADR {
					t.Fatalf("uplink %+v is heard as %d %x, port %d", s, ev.Counter, ev.Payload, ev.Port)
				}
			case *nsedge.DownlinkRequest:
				if ev.MaxSize > 0 && rng.IntN(3) > 0 {
					s.answer = &nsedge.DownlinkResponse{PacketHash: ev.PacketHash, Payload: make([]byte, 1+rng.IntN(ev.MaxSize)), Port: uint8(1 + rng.IntN(223)),
						Confirmed: rng.IntN(2) == 0, Pending: rng.IntN(2) == 0}
					for i := range s.answer.Payload {
						s.answer.Payload[i] = byte(rng.Uint32())
					}
					if err := edge.Answer(t.Context(), *s.answer); err != nil {
						t.Fatal(err)
					}
				}
			case *nsedge.DownlinkEvent:
				s.down, s.fcnt = a.sent, ev.Counter
			case *nsedge.Notice:
				if ev.Level == nsedge.Error {
					t.Fatal(ev.Message)
				}
			}
		case <-end:
			if !heard || (s.down != nil) != (s.answer != nil || s.Confirmed) {
				t.Fatalf("uplink %d: heard %v, answered %v, confirmed %v, downlink %x", s.FCnt, heard, s.answer != nil, s.Confirmed, s.down)
			}
			return
		}
	}
}

// judgeBy holds the downlink against what was asked for.
func (s *spoken) judgeBy(t *testing.T, o *oracle) error {
	var d opened
	o.ask(t, map[string]any{"phy": hex.EncodeToString(s.down), "nwk": s.Nwk, "app": s.App, "fcnt": s.fcnt}, &d)
	want := opened{MIC: true, Down: true, ACK: s.Confirmed, Addr: s.Addr, FCnt: s.fcnt & 0xffff, Port: -1}
	if a := s.answer; a != nil {
		want.Confirmed, want.Pending, want.Port, want.Payload = a.Confirmed, a.Pending, int(a.Port), hex.EncodeToString(a.Payload)
	}
	if d != want {
		return fmt.Errorf("lora-packet reads %+v, want %+v", d, want)
	}
	return nil
}

func TestDevicesOfLoraPacketAndTheServerUnderstandEachOther(t *testing.T) {
	wanted(t)
	n := exchanges(t)
	for _, name := range []string{"EU868", "US915-2", "AU915-1", "AS923-1", "IN865", "KR920", "RU864", "EU433", "CN470-1", "CN470-20A-5", "CN470-26A-1"} {
		t.Run(name, func(t *testing.T) {
			r, err := region.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			o, rng := newOracle(t), rand.New(rand.NewPCG(7, crc64.Checksum([]byte(name), crc64.MakeTable(crc64.ISO))))
			all := script(t, o, r, n, rng)
			converse(t, r, t.TempDir(), all, rng)
			downs, last := 0, uint32(0)
			for _, s := range all {
				if s.down == nil {
					continue
				}
				if downs++; s.fcnt <= last && last > 0 {
					t.Fatalf("FCntDown %d after %d", s.fcnt, last)
				}
				last = s.fcnt
				if err := s.judgeBy(t, o); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d uplinks, %d downlinks up to counter %d", len(all), downs, last)
			if downs < n/2 {
				t.Error("too few: the test lost its sense")
			}
		})
	}
}
