package concentrator

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// start spoils each transfer of a start.
func (f fault) start(rig rig) func(*testing.T, *dimension) {
	return func(t *testing.T, dim *dimension) {
		onCampaign(t, dim, rig.config(t), func(c *campaign) {
			c.testBench.run()
			frames := int(c.Stats().StartFrames)
			c.halt()
			for n := 1; n <= frames; n++ {
				if !dim.takeOn(rig, f.every) {
					continue
				}
				name := words("transfer", n, f.name)
				c.Concentrator.eui = radio.EUI64{}
				c.saboteur.set(f.spoil(c, n))
				started := c.Started()
				c.begin()
				select {
				case <-started:
				case err := <-c.done:
					c.ended(name, err)
				case <-time.After(startLimitOfCampaign):
					c.t.Fatalf("%s: the start hangs", name)
				}
				c.conclude(name, f.lasting)
				c.halt()
			}
		})
	}
}

// Payloads of a fetch with several packets, in two bursts.
var together = []string{"thirteen byte", strings.Repeat("eighty..", 10), strings.Repeat("two hundred bytes...", 10)}

// speak lets three frames end at the same instant, so that one look finds
// them all, and returns that instant.
func (c *campaign) speak(payloads []string) radio.Instant {
	end := c.medium.Now() + 400_000
	for i, p := range payloads {
		c.say(i, p, end)
	}
	time.Sleep(time.Duration(end-c.medium.Now()) * time.Microsecond)
	return end
}

// receive spoils each transfer from the end of three packets on. What was
// fetched must be right; what is missing must have been counted.
func (f fault) receive(t *testing.T, dim *dimension) {
	onCampaign(t, dim, eu868(t), func(c *campaign) {
		for n := 1; n <= 14; n++ {
			if !dim.take(min(f.every, 2)) {
				continue
			}
			name := words("transfer", n, f.name)
			c.alive()
			c.empty()
			before := c.Stats()
			end := c.speak(together)
			c.saboteur.set(f.spoil(c, n))
			time.Sleep(30 * time.Millisecond)
			got := 0
			for len(c.Uplinks()) > 0 {
				got++
				if u := <-c.Uplinks(); u.CRC == radio.GoodCRC && (u.At != end+1_000_000 || !slices.Contains(together, string(u.Payload))) {
					c.t.Errorf("%s: received %+v, want %d", name, u, end+1_000_000)
				}
			}
			after := c.Stats()
			if got < len(together) && !f.lasting && after.lost() == before.lost() && len(c.done) == 0 {
				c.t.Errorf("%s: %d packets, and no loss was counted", name, got)
			}
			c.conclude(name, f.lasting)
		}
	})
}

// lost sums up what tells of damaged or lost packets.
func (s Stats) lost() uint64 {
	return s.FIFOErrors + s.BadChecksum + s.Mismatch + s.Invalid + s.Truncated + s.Skipped
}

// answers spoils what the host reads of an MCU from its kth signal on: its
// start, or a number in its mailbox. seen is called for each.
func (c *campaign) answers(m mcu, signal reg.Addr, k int, seen func(), spoil func(since time.Duration, old, r []byte)) {
	var old []byte
	var since time.Time
	count := 0
	c.saboteur.set(func(_ int, w, r []byte, do func() error) error {
		if w[0] != targetChip {
			return do()
		}
		if isRead(w) && address(w) == m.statusAddr {
			err := do()
			if err == nil && k > 0 && count >= k {
				spoil(time.Since(since), old, r[readHeader:])
			} else {
				old = bytes.Clone(r[readHeader:])
			}
			return err
		}
		a := address(w)
		covers := func(x reg.Addr) bool {
			return w[0] == targetChip && w[1]&writeFlag != 0 && a <= x && x < a+reg.Addr(len(w)-writeHeader)
		}
		// The fall of CLEAR starts the program; it is written after PROGRAM.
		if covers(m.clear.Addr()) && m.clear.Get(w[writeHeader+int(m.clear.Addr()-a)])+m.program.Get(w[writeHeader+int(m.clear.Addr()-a)]) == 0 || covers(signal) {
			seen()
			if count++; count == k {
				since = time.Now()
			}
		}
		return do()
	})
}

// eachAnswer spoils each answer that the start waits for; starts tells
// whether it succeeds all the same.
func eachAnswer(rig rig, starts bool, spoil func(since time.Duration, old, r []byte)) func(*testing.T, *dimension) {
	return func(t *testing.T, dim *dimension) {
		onCampaign(t, dim, rig.config(t), func(c *campaign) {
			for _, x := range []struct {
				mcu
				signal   reg.Addr
				unheeded int // last signals that nobody answers
			}{
				{agcMCU, reg.AGCMCUMailBoxWrDataByte3.Addr(), 1},
				{arbMCU, reg.ARBDebugCfg1.Addr(), 0},
			} {
				signals := 0
				c.answers(x.mcu, x.signal, -1, func() { signals++ }, nil)
				c.testBench.run()
				c.mend()
				c.halt()
				for k := 1; k <= signals-x.unheeded; k++ {
					if !dim.takeOn(rig, 1) {
						continue
					}
					name := words(x.name, "answer", k, "of", signals)
					c.answers(x.mcu, x.signal, k, func() {}, spoil)
					c.attempt(name, starts)
				}
			}
		})
	}
}

// attempt starts, which must succeed or not.
func (c *campaign) attempt(name string, starts bool) {
	started := c.Started()
	c.begin()
	select {
	case <-started:
		if !starts {
			c.t.Errorf("%s: started all the same", name)
		}
	case err := <-c.done:
		c.ended(name, err)
		if starts {
			c.t.Errorf("%s: %v", name, err)
		}
	case <-time.After(startLimitOfCampaign):
		c.t.Fatalf("%s: the start hangs", name)
	}
	c.conclude(name, false)
	c.halt()
}

// withheld shows what was read before the signal.
func withheld(_ time.Duration, old, r []byte) {
	clear(r)
	copy(r, old)
}

func late(since time.Duration, old, r []byte) {
	if since < 100*time.Millisecond {
		withheld(since, old, r)
	}
}

func garbled(_ time.Duration, _, r []byte) {
	for i := range r {
		r[i] ^= 0xA5
	}
}

// tornCounters tears each reading of the counter of a whole life, at each
// carry, in both directions. Nothing may suffer.
func tornCounters(t *testing.T, dim *dimension) {
	tornReads(t, dim, reg.TimestampMsb2.Addr(), []tear{
		{"top byte small", 0, -1}, {"top byte large", 0, 1}, {"second byte small", 1, -1},
		{"second byte large", 1, 1}, {"third byte small", 2, -1}, {"third byte large", 2, 1},
	})
}

// tornCounts does the same with the byte count of the receive buffer.
func tornCounts(t *testing.T, dim *dimension) {
	tornReads(t, dim, reg.RXBufferNbBytesMSB.Addr(), []tear{{"small", 0, -1}, {"large", 0, 1}})
}

type tear struct {
	name string
	at   int
	by   int
}

func tornReads(t *testing.T, dim *dimension, where reg.Addr, tears []tear) {
	for _, x := range tears {
		onCampaign(t, dim, eu868(t), func(c *campaign) {
			for k := 1; ; k++ {
				reads, torn := 0, false
				c.saboteur.set(func(_ int, w, r []byte, do func() error) error {
					err := do()
					if !isRead(w) || address(w) != where {
						return err
					}
					if where == reg.RXBufferNbBytesMSB.Addr() && r[readHeader] == 0 {
						return err // without a high byte there is nothing to tear
					}
					if reads++; reads == k {
						torn = true
						r[readHeader+x.at] += byte(x.by)
					}
					return err
				})
				c.alive()
				name := words("reading", k, x.name)
				for i := range 2 {
					c.empty()
					end := c.speak(together)
					d := c.plan(end + 7_000)
					if err := c.Schedule(c.t.Context(), d); err != nil {
						c.t.Errorf("%s: %v", name, err)
					}
					r := c.report(name)
					if r.Err != nil || c.airtimes(d) != 1 || r.Started != d.At {
						c.t.Errorf("%s, round %d: on the air %d times, %+v", name, i, c.airtimes(d), r)
					}
					for range together {
						select {
						case u := <-c.Uplinks():
							if u.At != end+1_000_000 || u.CRC != radio.GoodCRC {
								c.t.Errorf("%s, round %d: stamped %d µs off", name, i, u.At-end-1_000_000)
							}
						case <-time.After(time.Second):
							c.t.Fatalf("%s, round %d: a packet is missing", name, i)
						}
					}
				}
				c.halt()
				c.saboteur.mu.Lock()
				stop := !torn
				c.saboteur.mu.Unlock()
				if stop {
					return
				}
				dim.take(1)
				dim.recovered++
			}
		})
	}
}

// corruptedBuffer damages each byte of a fetch of three packets. The other
// two must arrive.
func corruptedBuffer(t *testing.T, dim *dimension) {
	onCampaign(t, dim, eu868(t), func(c *campaign) {
		c.alive()
		size := 0
		for _, p := range together {
			size += packetFixed + len(p)
		}
		masks := []byte{0x01, 0x10, 0x80, 0xFF, 0x55}
		for at := range size {
			for _, mask := range masks {
				if !dim.take(2*len(masks) + 1) {
					continue
				}
				read := 0
				c.saboteur.set(func(_ int, w, r []byte, do func() error) error {
					err := do()
					if isRead(w) && address(w) == reg.RXFIFO {
						if k := at - read; k >= 0 && k < len(r)-readHeader {
							r[readHeader+k] ^= mask
						}
						read += len(r) - readHeader
					}
					return err
				})
				before := c.Stats()
				end := c.speak(together)
				time.Sleep(25 * time.Millisecond)
				good := 0
				for len(c.Uplinks()) > 0 {
					u := <-c.Uplinks()
					if u.CRC == radio.GoodCRC && u.At == end+1_000_000 && slices.Contains(together, string(u.Payload)) {
						good++
					} else {
						c.t.Errorf("byte %d ^ 0x%02X: received %+v", at, mask, u)
					}
				}
				if after := c.Stats(); good != len(together)-1 || after.lost() == before.lost() {
					c.t.Errorf("byte %d ^ 0x%02X: %d good packets of %d, %d events counted", at, mask, good, len(together)-1, after.lost()-before.lost())
				}
				dim.recovered++
			}
		}
	})
}

// corruptedBytes is the same for the decoder alone, with every mask.
func corruptedBytes(t *testing.T, dim *dimension) {
	one := onePacket(t)
	buf := bytes.Repeat(one, 4)
	for at := range buf {
		for mask := 1; mask < 256; mask++ {
			if !dim.take(7) {
				continue
			}
			buf[at] ^= byte(mask)
			packets, rest, _ := decode(buf, true, false)
			buf[at] ^= byte(mask)
			if len(packets) != 3 || len(rest) != 0 {
				t.Errorf("byte %d ^ 0x%02X: %d packets, %d bytes left", at, mask, len(packets), len(rest))
				continue
			}
			dim.recovered++
		}
	}
}
