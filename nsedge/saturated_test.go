package nsedge

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge/store"
	"gatewayd/radio"
)

// saturation is how long the receiver is saturated: a short while, or what
// GATEWAYD_SATURATED says.
func saturation(t *testing.T) time.Duration {
	text := os.Getenv("GATEWAYD_SATURATED")
	if text == "" && raceEnabled {
		return 4 * time.Second
	}
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("GATEWAYD_SATURATED=%q: a time such as 1h is wanted", text)
	}
	return d
}

// stream is one demodulator, which hears frame after frame.
type stream struct {
	freq radio.Hertz
	mod  radio.Modulation
	next time.Time // end of the frame on the air
}

// demodulators are those of an SX1302 in EU868: eight channels with all
// spreading factors at once, the service channel, FSK.
func demodulators(b *bench) (all []*stream) {
	p := b.edge.cfg.Region.Plan()
	for _, f := range p.MultiSF {
		for sf := uint8(7); sf <= 12; sf++ {
			all = append(all, &stream{freq: f, mod: radio.LoRa{SF: sf, Bandwidth: 125_000}})
		}
	}
	return append(all, &stream{freq: p.Service.Freq, mod: p.Service.Mod}, &stream{freq: p.FSK.Freq, mod: p.FSK.Mod})
}

// onDisk makes a bench whose store is a real one.
func onDisk(t *testing.T, dir string, f func(b *bench, st *store.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		b := &bench{T: t, air: newAir(), store: newStore()}
		b.start(func(c *Config) { c.Store = st })
		defer func() { b.stop() }()
		f(b, st)
	})
}

// population registers devices in one go.
func (b *bench) population(n int) (nodes []*node) {
	b.Helper()
	var changes []Change
	for i := range n {
		x := newNode(b, byte(i))
		x.eui[0], x.eui[1] = byte(i>>8), byte(i>>16)
		x.addr = DevAddr{2, byte(i >> 16), byte(i >> 8), byte(i)}
		x.nwk, x.ses = Key{1, byte(i), byte(i >> 8)}, Key{2, byte(i), byte(i >> 8)}
		d := x.abp()
		changes = append(changes, Change{DevEUI: d.DevEUI, Edit: func(into *Device, _ bool) error { *into = d; return nil }})
		nodes = append(nodes, x)
	}
	if out, applied, err := b.edge.ChangeDevices(b.Context(), changes, BulkOptions{}); err != nil || !applied {
		b.Fatal(out[0].Err, err)
	}
	return nodes
}

// cpu is what this process has used.
func cpu(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// flashBar is what may be written for an uplink, amortised, bytes.
const flashBar = 64

// Everything that the chip can hear, with an answer to each uplink as far as
// transmitter and duty cycle allow: nothing is lost, and what is on the air
// never overlaps.
func TestASaturatedReceiverLosesNothing(t *testing.T) {
	const population = 2000
	lasts := saturation(t)
	onDisk(t, t.TempDir(), func(b *bench, st *store.Store) {
		nodes, streams := b.population(population), demodulators(b)
		var heard, delivered, asked, answered int
		free := radio.Instant(0)
		b.air.refuse = func(d radio.Downlink) error { // one transmitter
			if d.At < free {
				return fmt.Errorf("%w: until %d", radio.ErrCollision, free)
			}
			free = d.At.Add(d.Mod.Airtime(len(d.Payload)) + lead)
			return nil
		}
		settle := func() {
			for _, ev := range b.take() {
				switch ev := ev.(type) {
				case *UplinkEvent:
					delivered++
				case *DownlinkRequest:
					asked++
					if b.edge.Answer(b.Context(), DownlinkResponse{PacketHash: ev.PacketHash, Payload: []byte("answer")}) == nil {
						answered++
					}
				case *Notice:
					if ev.Level == Error && !strings.HasPrefix(ev.Code, "downlink_") { // of those, many find no room
						t.Fatalf("%s: %s", ev.Code, ev.Message)
					}
				}
			}
		}
		before, began, used := st.Stats(), time.Now(), cpu(t)
		turn := 0
		for time.Since(began) < lasts {
			now := time.Now()
			soonest := now.Add(time.Hour)
			for _, s := range streams {
				if !s.next.After(now) {
					n := nodes[turn%population]
					turn++
					phy := n.encode(frame{payload: []byte("twenty bytes of data"), confirmed: turn%10 == 0})
					if !s.next.IsZero() {
						b.air.up <- radio.Uplink{Gateway: gatewayEUI, Payload: phy, CRC: radio.GoodCRC, At: b.air.instant(now), Time: now, Freq: s.freq, Mod: s.mod, RSSI: -90, SNR: 5}
						heard++
					}
					s.next = now.Add(s.mod.Airtime(len(phy)))
				}
				if s.next.Before(soonest) {
					soonest = s.next
				}
			}
			settle()
			time.Sleep(time.Until(soonest))
		}
		time.Sleep(3 * time.Second)
		settle()
		took := cpu(t) - used
		b.must(st.Sync(context.Background()))
		after := st.Stats()
		flash := float64(after.BytesJournal-before.BytesJournal+after.BytesDB-before.BytesDB) / float64(heard)
		t.Logf("%d uplinks in %v, %d answered in time, %d frames on the air; %v of CPU each with the devices' own; %.1f bytes written each (bar %d)",
			heard, lasts, answered, len(b.air.frames()), (took / time.Duration(heard)).Round(time.Microsecond), flash, flashBar)
		if delivered != heard || asked == 0 || answered == 0 {
			t.Errorf("%d of %d uplinks delivered, %d requests, %d answers", delivered, heard, asked, answered)
		}
		if flash > flashBar && !raceEnabled { // there the first frames of the devices weigh too much
			t.Errorf("%.1f bytes are written to the flash for an uplink, the bar is %d", flash, flashBar)
		}
	})
}

// memoryBar is for 10 000 devices that have spoken lately, in MiB.
const memoryBar = 60

func TestTenThousandActiveDevicesFitIntoTheMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const population, uplinks = 10_000, 2
	onDisk(t, t.TempDir(), func(b *bench, _ *store.Store) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		nodes := b.population(population)
		for range uplinks {
			for _, n := range nodes {
				n.adr = true
				n.send(frame{payload: []byte("x")})
				time.Sleep(20 * time.Millisecond) // as many as a receiver of SF9 takes
			}
			b.take()
			b.air.clear()
		}
		clear(nodes) // they are no part of the server
		runtime.GC()
		runtime.ReadMemStats(&after)
		// What is alive, and as much garbage again before it is collected.
		used := 2 * (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / (1 << 20)
		t.Logf("%.1f MiB with %d active devices (bar %d)", used, population, memoryBar)
		if used > memoryBar {
			t.Errorf("%.1f MiB, the bar is %d", used, memoryBar)
		}
	})
}
