package nsedge_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
)

// random plays random sessions between the edge and software devices, whose
// frames are brocaar/lorawan's: what one side sends, the other has to
// understand byte by byte, in order and once, though every fifth frame is lost.
type random struct {
	*world
	rng   *rand.Rand
	count int
	heard map[string]int // payloads of downlinks

	telling sync.Mutex
	talk    *rand.Rand        // of the application
	told    map[string]string // payload of a downlink to the device that it is for
}

// exchanges is how many uplinks a region has: 10 000 with
// GATEWAYD_SESSIONS=full.
func exchanges() int {
	if os.Getenv("GATEWAYD_SESSIONS") == "full" {
		return 10_000
	}
	return 100
}

func TestRandomSessionsAgree(t *testing.T) {
	for seed, name := range []string{"EU868", "US915-2", "AU915-1", "AS923-1", "IN865", "KR920", "RU864", "EU433", "CN470-1", "CN470-20A-5", "CN470-26A-1"} {
		t.Run(name, func(t *testing.T) {
			inWorldOf(t, name, func(c *nsedge.Config) { c.IgnoreDutyCycle = true }, func(w *world) {
				x := &random{world: w, rng: rand.New(rand.NewPCG(uint64(seed), 11)), talk: rand.New(rand.NewPCG(uint64(seed), 13)), told: map[string]string{}, heard: map[string]int{}}
				w.gate.lossy = rand.New(rand.NewPCG(uint64(seed), 12))
				w.answers(x.answer)
				var devices []*enddevice.Device
				for id, change := range []func(*enddevice.Config, *nsedge.Device){
					func(c *enddevice.Config, d *nsedge.Device) { c.Version, d.Version = "1.0.2", "1.0.2" },
					func(c *enddevice.Config, d *nsedge.Device) { c.Version, d.Version = "1.0.4", "1.0.4" },
					of11, abp11,
					func(c *enddevice.Config, d *nsedge.Device) { of11(c, d); c.ADR = true },
				} {
					devices = append(devices, w.device(byte(id+1), change))
				}
				for x.count < exchanges() {
					i := x.rng.IntN(len(devices))
					x.step(euiOf(byte(i+1)).String(), devices[i], i == 3, i == 2 || i == 4)
				}
				if len(x.heard) < exchanges()/4 {
					t.Errorf("only %d downlinks were heard", len(x.heard))
				}
				x.check()
			})
		})
	}
}

// answer says something to four of five uplinks.
func (x *random) answer(req *nsedge.DownlinkRequest) *nsedge.DownlinkResponse {
	x.telling.Lock()
	defer x.telling.Unlock()
	if x.talk.IntN(5) == 0 {
		return nil
	}
	a := &nsedge.DownlinkResponse{PacketHash: req.PacketHash, HasPayload: true, Port: uint8(1 + x.talk.IntN(220)), Confirmed: x.talk.IntN(3) == 0}
	a.Payload = fmt.Appendf(nil, "%d", len(x.told))
	if len(a.Payload) > req.MaxSize {
		return nil
	}
	a.Payload = append(a.Payload, bytes.Repeat([]byte{'.'}, x.talk.IntN(1+min(req.MaxSize-len(a.Payload), 40)))...)
	x.told[string(a.Payload)] = req.Device.String()
	return a
}

// step is an uplink, or what comes before one.
func (x *random) step(eui string, d *enddevice.Device, abp, v11 bool) {
	x.t.Helper()
	ctx := x.t.Context()
	switch what := x.rng.IntN(30); {
	case !d.State().Joined, what == 0 && !abp:
		if err := d.Join(ctx); err != nil {
			x.t.Fatalf("%s: %v", eui, err)
		}
	case what < 4 && v11:
		if err := d.Rejoin(ctx, x.rng.IntN(3)); err != nil && !errors.Is(err, enddevice.ErrNoAccept) {
			x.t.Fatalf("%s: %v", eui, err)
		}
	case what < 6:
		if err := errors.Join(d.RequestLinkCheck(ctx), d.RequestTime(ctx)); err != nil {
			x.t.Fatal(err)
		}
	}
	before := d.State()
	payload := fmt.Appendf(nil, "%d", x.count)
	payload = append(payload, bytes.Repeat([]byte{'-'}, x.rng.IntN(5))...)
	res, err := d.Send(ctx, uint8(1+x.rng.IntN(220)), payload, x.rng.IntN(2) == 0)
	if errors.Is(err, enddevice.ErrPayloadSize) { // it joined at a data rate that the dwell time makes useless
		if err := d.Join(ctx); err != nil {
			x.t.Fatalf("%s: %v", eui, err)
		}
		return
	}
	if err != nil && !errors.Is(err, enddevice.ErrNoAck) {
		x.t.Fatalf("%s: uplink %d: %v", eui, before.FCntUp, err)
	}
	x.count++
	if down := res.Downlink; down != nil && down.Port > 0 {
		x.telling.Lock()
		if x.told[string(down.Payload)] != eui {
			x.t.Errorf("%s heard %q, which nobody told it", eui, down.Payload)
		}
		x.telling.Unlock()
		if x.heard[string(down.Payload)]++; x.heard[string(down.Payload)] > 1 {
			x.t.Errorf("%s heard %q twice", eui, down.Payload)
		}
	}
	time.Sleep(time.Duration(1+x.rng.IntN(20)) * time.Second)
}

// check compares what the edge delivered with what was sent: each uplink once
// at most, and as it was sent; no more than the lost ones are missing.
func (x *random) check() {
	x.mu.Lock()
	defer x.mu.Unlock()
	seen := map[string]bool{}
	for _, ev := range x.events {
		switch ev := ev.(type) {
		case *nsedge.UplinkEvent:
			var n int
			if _, err := fmt.Sscanf(string(bytes.TrimRight(ev.Payload, "-")), "%d", &n); err != nil || n >= x.count {
				x.t.Errorf("uplink %q was never sent", ev.Payload)
			}
			if !ev.Duplicate && seen[fmt.Sprint(n)] {
				x.t.Errorf("uplink %q was delivered twice", ev.Payload)
			}
			seen[fmt.Sprint(n)] = true
		case *nsedge.Notice:
			if ev.Level == nsedge.Error {
				x.t.Errorf("%s: %s", ev.Code, ev.Message)
			}
		}
	}
	if len(seen) < x.count*7/10 {
		x.t.Errorf("%d of %d uplinks were delivered", len(seen), x.count)
	}
}
