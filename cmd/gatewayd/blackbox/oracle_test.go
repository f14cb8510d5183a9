package blackbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"hash/crc64"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
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
// lora-packet, LoRaWAN 1.0 and 1.1, in virtual time. It stands still while the
// process of a device computes.

// exchanges is how many there are in each region and version: 10 000 with
// GATEWAYD_EXCHANGES=10000, which takes some minutes.
func exchanges(t *testing.T) int {
	text := os.Getenv("GATEWAYD_EXCHANGES")
	if text == "" {
		return 150
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("GATEWAYD_EXCHANGES=%q: a number of exchanges a region and version is wanted", text)
	}
	return n
}

// oracle is the device's process; it answers in order.
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

// ask has a JSON object as its question.
func (o *oracle) ask(t *testing.T, question map[string]any, answer any) {
	t.Helper()
	if err := o.in.Encode(question); err != nil {
		t.Fatal(err)
	}
	if !o.out.Scan() {
		t.Fatalf("the oracle ended: %v", o.out.Err())
	}
	if err := json.Unmarshal(o.out.Bytes(), answer); err != nil {
		t.Fatalf("%v in %s", err, o.out.Bytes())
	}
}

// grid are evenly spaced uplink channels of a plan, the first one numbered so.
type grid struct {
	first, step radio.Hertz
	index, n    int
}

// plans are uplink channels as the regional parameters number them (RP002-1.0.3,
// sections of channel frequencies; CN470-1 is that of LoRaWAN 1.1).
func plans() map[string][]grid {
	return map[string][]grid{
		"EU868":       {{868_100_000, 200_000, 0, 3}},
		"US915-2":     {{902_300_000, 200_000, 0, 64}, {903_000_000, 1_600_000, 64, 8}},
		"AU915-1":     {{915_200_000, 200_000, 0, 64}, {915_900_000, 1_600_000, 64, 8}},
		"AS923-1":     {{923_200_000, 200_000, 0, 2}},
		"IN865":       {{865_062_500, 340_000, 0, 2}, {865_985_000, 0, 2, 1}},
		"KR920":       {{922_100_000, 200_000, 0, 3}},
		"RU864":       {{868_900_000, 200_000, 0, 2}},
		"EU433":       {{433_175_000, 200_000, 0, 3}},
		"CN470-1":     {{470_300_000, 200_000, 0, 96}},
		"CN470-20A-5": {{470_300_000, 200_000, 0, 32}, {503_500_000, 200_000, 32, 32}},
		"CN470-26A-1": {{470_300_000, 200_000, 0, 48}},
	}
}

// numbered finds the number of a channel, TxCh of LoRaWAN 1.1.
func numbered(t *testing.T, plan []grid, f radio.Hertz) int {
	t.Helper()
	for _, g := range plan {
		for i := range g.n {
			if g.first+radio.Hertz(i)*g.step == f {
				return g.index + i
			}
		}
	}
	t.Fatalf("%v is no channel of the plan", f)
	return 0
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

// conversation is one device's with a network server.
type conversation struct {
	region *region.Region
	plan   []grid
	v11    bool
	o      *oracle
	rng    *rand.Rand

	addr   string
	fcnt   uint32 // the next one
	owed   bool   // the last downlink was confirmed
	downs  int
	air    *studio
	edge   *nsedge.Edge
	events chan nsedge.Event
}

func (c *conversation) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.rng.Uint32())
	}
	return b
}

// begin makes a personalised session on both sides. All its counters will soon
// have their low half turn over.
func (c *conversation) begin(t *testing.T, n int) nsedge.Device {
	t.Helper()
	key := func() *nsedge.Key { return new(nsedge.Key(c.bytes(16))) }
	dev := nsedge.Device{DevEUI: radio.EUI64{1}, Activation: nsedge.ABP, Encryption: nsedge.KeysAtNS, MAC: nsedge.MACHandsOff,
		DevAddr: new(nsedge.DevAddr(c.bytes(4))), NwkSKey: key(), AppSKey: key(), CounterUp: uint32(65536 - n/2), CounterDown: 65530}
	digits := func(k *nsedge.Key) string { return hex.EncodeToString(k[:]) }
	keys := map[string]string{"AppSKey": digits(dev.AppSKey), "NwkSKey": digits(dev.NwkSKey)}
	if c.v11 {
		dev.Version, dev.SNwkSIntKey, dev.NwkSEncKey, dev.CounterDownApp = "1.1", key(), key(), 65500
		keys = map[string]string{"AppSKey": digits(dev.AppSKey), "FNwkSIntKey": digits(dev.NwkSKey), "SNwkSIntKey": digits(dev.SNwkSIntKey), "NwkSEncKey": digits(dev.NwkSEncKey)}
	}
	c.addr, c.fcnt = hex.EncodeToString(dev.DevAddr[:]), dev.CounterUp
	c.o.ask(t, map[string]any{"ask": "begin", "addr": c.addr, "keys": keys, "up": dev.CounterUp,
		"down": map[string]uint32{"network": dev.CounterDown, "application": dev.CounterDownApp}}, &struct{}{})
	return dev
}

// hold has n exchanges.
func (c *conversation) hold(t *testing.T, n int) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		c.air = &studio{up: make(chan radio.Uplink, 1), reports: make(chan radio.Report, 8), zero: time.Now()}
		c.events = make(chan nsedge.Event, 100)
		c.edge, err = nsedge.New(nsedge.Config{Region: c.region, Store: st, IgnoreDutyCycle: true}, c.air, func(ev nsedge.Event) { c.events <- ev })
		if err != nil {
			t.Fatal(err)
		}
		if err := c.edge.CreateDevice(t.Context(), c.begin(t, n)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = c.edge.Run(ctx) }()
		defer func() { cancel(); <-done }()
		for range n {
			s := c.compose(t)
			c.play(t, s)
			c.judge(t, s)
		}
	})
}

// spoken is one exchange: what the device says, and what it was answered.
type spoken struct {
	port           uint8
	payload, opts  []byte
	confirmed, adr bool
	freq           radio.Hertz
	mod            radio.Modulation

	Phy     string // as lora-packet made it
	Counter uint32
	ACK     bool

	answer *nsedge.DownlinkResponse // nil: none
	down   []byte                   // nil: nothing was sent
	fcnt   uint32
}

// LinkCheckReq is of all versions, ResetInd of personalised devices of 1.1.
const linkCheckReq, resetInd = 0x02, 0x01

// compose has the device make its next uplink; some before it are lost.
func (c *conversation) compose(t *testing.T) *spoken {
	t.Helper()
	channels := c.region.JoinChannels()
	ch := channels[c.rng.IntN(len(channels))]
	dr := ch.MinDR + c.rng.IntN(ch.MaxDR-ch.MinDR+1)
	for c.region.MaxUplinkPayload(dr, region.Version{}) == 0 && dr < ch.MaxDR { // too slow for data
		dr++
	}
	mod, err := c.region.DataRate(dr)
	if err != nil {
		t.Fatal(err)
	}
	s := &spoken{port: uint8(1 + c.rng.IntN(223)), confirmed: c.rng.IntN(2) == 0, adr: c.rng.IntN(4) > 0, freq: ch.Freq, mod: mod}
	if c.v11 && c.rng.IntN(4) == 0 {
		s.opts = append(s.opts, resetInd, 1)
	}
	if c.rng.IntN(3) == 0 {
		s.opts = append(s.opts, linkCheckReq)
	}
	question := map[string]any{"ask": "uplink", "confirmed": s.confirmed, "adr": s.adr, "dr": dr, "channel": numbered(t, c.plan, ch.Freq),
		"lost": c.rng.IntN(3) * c.rng.IntN(2)}
	if len(s.opts) > 0 && c.rng.IntN(4) == 0 { // as FRMPayload, encrypted with a network key
		s.port = 0
		question["payload"], question["opts"] = hex.EncodeToString(s.opts), ""
	} else {
		s.payload = c.bytes(1 + c.rng.IntN(max(min(c.region.MaxUplinkPayload(dr, region.Version{}), 60)-len(s.opts), 1)))
		question["payload"], question["opts"] = hex.EncodeToString(s.payload), hex.EncodeToString(s.opts)
	}
	question["port"] = s.port
	c.o.ask(t, question, s)
	if lost := question["lost"].(int); s.Counter != c.fcnt+uint32(lost) || s.ACK != c.owed {
		t.Fatalf("the device makes uplink %d, ACK %v", s.Counter, s.ACK)
	}
	c.fcnt, c.owed = s.Counter+1, false
	return s
}

// due are the MAC commands with which s is answered.
func (s *spoken) due() []byte {
	var out []byte
	for _, b := range s.opts {
		if b == linkCheckReq {
			margin := uint8(0)
			if l, ok := s.mod.(radio.LoRa); ok { // 5 dB above -7.5 dB at SF7, which each further SF lowers by 2.5 dB
				margin = uint8((50 + 75 + 25*(int(l.SF)-7)) / 10)
			}
			out = append(out, linkCheckReq, margin, 1)
		}
	}
	if len(s.opts) > 0 && s.opts[0] == resetInd {
		out = append([]byte{resetInd, 1}, out...)
	}
	return out
}

// play is one exchange.
func (c *conversation) play(t *testing.T, s *spoken) {
	t.Helper()
	phy, err := hex.DecodeString(s.Phy)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(s.mod.Airtime(len(phy)))
	c.air.sent = nil
	c.air.up <- radio.Uplink{Payload: phy, CRC: radio.GoodCRC, At: radio.Instant(time.Since(c.air.zero).Microseconds()), Time: time.Now(), Freq: s.freq, Mod: s.mod, RSSI: -80, SNR: 5}
	heard, end := false, time.After(4*time.Second)
	for {
		select {
		case ev := <-c.events:
			switch ev := ev.(type) {
			case *nsedge.UplinkEvent:
				heard = true
				if ev.Counter != s.Counter || !bytes.Equal(ev.Payload, s.payload) || ev.Port != s.port || ev.Frame.Confirmed != s.confirmed || ev.Frame.ADR != s.adr || ev.Frame.ACK != s.ACK {
					t.Fatalf("uplink %+v is heard as %d %x, port %d", s, ev.Counter, ev.Payload, ev.Port)
				}
			case *nsedge.DownlinkRequest:
				c.answer(t, s, ev)
			case *nsedge.DownlinkEvent:
				s.down, s.fcnt = c.air.sent, ev.Counter
			case *nsedge.Notice:
				if ev.Level == nsedge.Error {
					t.Fatal(ev.Message)
				}
			}
		case <-end:
			if !heard || (s.down != nil) != (s.answer != nil || s.confirmed || len(s.opts) > 0) {
				t.Fatalf("uplink %d: heard %v, answered %v, confirmed %v, downlink %x", s.Counter, heard, s.answer != nil, s.confirmed, s.down)
			}
			return
		}
	}
}

// answer is the application's, which does not always want to say something.
func (c *conversation) answer(t *testing.T, s *spoken, req *nsedge.DownlinkRequest) {
	t.Helper()
	if req.MaxSize == 0 || c.rng.IntN(3) == 0 {
		return
	}
	s.answer = &nsedge.DownlinkResponse{PacketHash: req.PacketHash, Payload: c.bytes(1 + c.rng.IntN(req.MaxSize)), Port: uint8(1 + c.rng.IntN(223)),
		Confirmed: c.rng.IntN(2) == 0, Pending: c.rng.IntN(2) == 0}
	if err := c.edge.Answer(t.Context(), *s.answer); err != nil {
		t.Fatal(err)
	}
}

// opened is a downlink as lora-packet understands it.
type opened struct {
	MIC, Down, ACK, Confirmed, Pending bool
	Addr, Payload, Opts                string
	Kind                               string // of its counter
	Counter                            uint32
	Port                               int
}

// judge holds the downlink against what was asked for.
func (c *conversation) judge(t *testing.T, s *spoken) {
	t.Helper()
	if s.down == nil {
		return
	}
	c.downs++
	var got opened
	c.o.ask(t, map[string]any{"ask": "downlink", "phy": hex.EncodeToString(s.down)}, &got)
	want := opened{MIC: true, Down: true, ACK: s.confirmed, Addr: c.addr, Opts: hex.EncodeToString(s.due()), Kind: "network", Counter: s.fcnt, Port: -1}
	if a := s.answer; a != nil {
		want.Confirmed, want.Pending, want.Port, want.Payload = a.Confirmed, a.Pending, int(a.Port), hex.EncodeToString(a.Payload)
		if c.v11 {
			want.Kind = "application"
		}
	}
	c.owed = want.Confirmed
	if got != want {
		t.Fatalf("lora-packet reads %+v, want %+v", got, want)
	}
}

func TestDevicesOfLoraPacketAndTheServerUnderstandEachOther(t *testing.T) {
	wanted(t)
	n := exchanges(t)
	all := plans()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, version := range []string{"1.0", "1.1"} {
			t.Run(name+"/"+version, func(t *testing.T) {
				r, err := region.Lookup(name)
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(7, crc64.Checksum([]byte(name+version), crc64.MakeTable(crc64.ISO))))
				c := &conversation{region: r, plan: all[name], v11: version == "1.1", o: newOracle(t), rng: rng}
				c.hold(t, n)
				t.Logf("%d uplinks, %d downlinks", n, c.downs)
				if c.downs < n/2 {
					t.Error("too few: the test lost its sense")
				}
			})
		}
	}
}
